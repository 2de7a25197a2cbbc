package models

// ConsoleType is a way to reach a VM's screen or serial line. The values are
// those of the API.
type ConsoleType string

// The types of consoles.
const (
	ConsoleVNC   ConsoleType = "vnc"   // our page, with an RFB stream behind it
	ConsoleWeb   ConsoleType = "web"   // our terminal page, with the serial line behind it
	ConsoleRDP   ConsoleType = "rdp"   // a descriptor: where an RDP client finds the VM
	ConsoleSPICE ConsoleType = "spice" // a descriptor: where a SPICE client finds the VM
)
