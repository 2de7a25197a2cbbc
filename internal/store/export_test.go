package store

// What other tables' deletes call, for the tests.
var (
	ForgetPrincipal = forgetPrincipal
	ForgetProject   = forgetProject
	ForgetTenant    = forgetTenant
)
