package models

// OwnIssuer is the issuer of our own service accounts: such a principal is
// (OwnIssuer, the service account's ID).
const OwnIssuer = "hcp"
