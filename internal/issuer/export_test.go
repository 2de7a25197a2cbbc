package issuer

// Limiters counts the limiters that the exchange holds.
func Limiters(e *Exchange) int {
	c, a := e.limits.clients, e.limits.addresses
	return len(c.young) + len(c.old) + len(a.young) + len(a.old)
}
