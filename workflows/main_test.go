package workflows_test

import (
	"flag"
	"os"
	"testing"
)

// atOnce is how many tests run at a time, unless the command line says otherwise. Each
// has a world of its own, in which it waits for work of a hypervisor most of the time.
const atOnce = "6"

// TestMain runs more tests at a time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
