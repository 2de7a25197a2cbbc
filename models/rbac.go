package models

// OwnIssuer is the issuer of the tokens of our service accounts.
const OwnIssuer = "hcp"
