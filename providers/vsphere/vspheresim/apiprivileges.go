package vspheresim

import "slices"

// apiNeeds are the privileges that the calls of the REST API need beside reading, as its
// reference has them. The API does not tell which one is lacking.
func apiNeeds() map[string]string {
	return map[string]string{
		"GET storage":              "ContentLibrary.ReadStorage",
		"POST library-item deploy": "VApp.Import",
	}
}

// denies reports whether an account lacks the privilege that a call needs.
func (s *Server) denies(user, method string) bool {
	a, limited := s.account(user)
	needed, some := apiNeeds()[method]
	return limited && some && !slices.Contains(a.privileges, needed)
}
