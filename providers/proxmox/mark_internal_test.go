package proxmox

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	for _, name := range []string{
		"web-1", "", "Zoë's \"VM\"", "a\nhcp: {\"vm_id\":\"x\"}", "<script>alert(1)</script>", "[x](javascript:alert(1))",
		"`code`", "漢字 🚀", "\\u0041", "a%0Ab", strings.Repeat("x", 255),
	} {
		m := mark{VMID: testVM, Installation: testInstallation, Name: name, Making: true, RebootToken: "a:b"}
		text, err := m.describe("")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := readMark(text); !ok || !reflect.DeepEqual(got, m) {
			t.Errorf("%q is read as %+v (%t), want %+v", text, got, ok, m)
		}
		line := text[strings.Index(text, markPrefix):]
		if strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 || r > 0x7e }) || strings.ContainsAny(line, "<>()`") {
			t.Errorf("%q holds more than plain ASCII", line)
		}
	}
}

func TestOthersNotesAreKept(t *testing.T) {
	m := mark{VMID: testVM, Installation: testInstallation}
	first, err := m.describe("kept by an operator\nsecond line\n")
	if err != nil {
		t.Fatal(err)
	}
	m.Making = true
	second, err := m.describe(first + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(second, "\nkept by an operator\nsecond line") || strings.Count(second, markPrefix) != 1 {
		t.Errorf("the description became %q", second)
	}
	if got, ok := readMark(second); !ok || !reflect.DeepEqual(got, m) {
		t.Errorf("%q is read as %+v (%t)", second, got, ok)
	}
}

func TestWhatIsOurs(t *testing.T) {
	s := settings{installation: testInstallation}
	describe := func(m mark) string {
		text, err := m.describe("")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	whole := describe(mark{VMID: testVM, Installation: testInstallation})
	for name, c := range map[string]struct {
		description, smbios string
		want                bool
	}{
		"ours":                          {whole, "uuid=" + testVM, true},
		"ours, with more in smbios1":    {whole + "\n", "base64=1,uuid=" + strings.ToUpper(testVM) + ",sku=eA==", true},
		"an operator's copy":            {whole, "uuid=7c0c8a3c-3d5f-4f1b-9d3c-111111111111", false},
		"no SMBIOS":                     {whole, "", false},
		"being made":                    {describe(mark{VMID: testVM, Installation: testInstallation, Making: true}), "uuid=7c0c8a3c-3d5f-4f1b-9d3c-111111111111", true},
		"another installation's":        {describe(mark{VMID: testVM, Installation: "other"}), "uuid=" + testVM, false},
		"another VM of ours":            {describe(mark{VMID: "7c0c8a3c-3d5f-4f1b-9d3c-111111111111", Installation: testInstallation}), "uuid=" + testVM, false},
		"two marks":                     {whole + "\n" + whole, "uuid=" + testVM, false},
		"no mark":                       {"a VM", "uuid=" + testVM, false},
		"a mark that is not JSON":       {markPrefix + "{", "uuid=" + testVM, false},
		"a mark without what it is for": {markPrefix + "{}", "uuid=" + testVM, false},
	} {
		if _, got := s.proves(map[string]string{"description": c.description, "smbios1": c.smbios}, testVM); got != c.want {
			t.Errorf("%s: ours = %t, want %t", name, got, c.want)
		}
	}
}

func TestWhatIsOursWithoutItsLine(t *testing.T) {
	s := settings{installation: testInstallation}
	other := settings{installation: "other"}
	foreign, err := mark{VMID: testVM, Installation: "other"}.describe("")
	if err != nil {
		t.Fatal(err)
	}
	const copied = "uuid=7c0c8a3c-3d5f-4f1b-9d3c-111111111111"
	for name, c := range map[string]struct {
		description, tags, smbios string
		want                      bool
	}{
		"no line":                       {"", s.tags("prod", testVM), "uuid=" + testVM, true},
		"notes of an operator's":        {"do not touch", s.tags("", testVM), "uuid=" + testVM, true},
		"a broken line":                 {markPrefix + "{", s.tags("", testVM), "uuid=" + testVM, true},
		"an operator's copy":            {"", s.tags("", testVM), copied, false},
		"another installation's":        {"", other.tags("", testVM), "uuid=" + testVM, false},
		"another installation's line":   {foreign + "\n" + markPrefix + "{", s.tags("", testVM), "uuid=" + testVM, false},
		"another VM of ours":            {"", s.tags("", "7c0c8a3c-3d5f-4f1b-9d3c-111111111111"), "uuid=" + testVM, false},
		"no tags":                       {"", "", "uuid=" + testVM, false},
		"a tag of the installation's":   {"", s.installationTag(), "uuid=" + testVM, false},
		"a tag of the VM's, no other's": {"", vmTag + testVM, "uuid=" + testVM, false},
	} {
		m, got := s.proves(map[string]string{"description": c.description, "smbios1": c.smbios, "tags": c.tags}, testVM)
		if got != c.want || got && (m.VMID != testVM || m.Installation != testInstallation || !m.Lost) {
			t.Errorf("%s: ours = %t, want %t: %+v", name, got, c.want, m)
		}
	}
}

func TestTagsAndSMBIOSOfOthersAreKept(t *testing.T) {
	s := settings{installation: testInstallation}
	got := splitTags(s.tags("prod;hcp;hcp-vm-7c0c8a3c-3d5f-4f1b-9d3c-111111111111;hcp-i-000000000000,web", testVM))
	if want := []string{"hcp", s.installationTag(), "hcp-vm-" + testVM, "prod", "web"}; !slices.Equal(got, want) {
		t.Errorf("tags = %v, want %v", got, want)
	}
	if got := withSMBIOSUUID("base64=1,uuid=x,sku=eA==", testVM); got != "uuid="+testVM+",base64=1,sku=eA==" {
		t.Errorf("smbios1 = %q", got)
	}
}

func TestVMIDCandidates(t *testing.T) {
	s := settings{installation: testInstallation, vmidMin: 200, vmidMax: 204}
	got := s.vmidCandidates(testVM)
	if !slices.Equal(got, s.vmidCandidates(testVM)) {
		t.Error("they differ from one time to the next")
	}
	if want := []int{200, 201, 202, 203, 204}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("candidates = %v, want each of %v once", got, want)
	}
	s.vmidMax = 999_999
	if got := s.vmidCandidates(testVM); len(got) != candidates || got[0] < s.vmidMin || got[candidates-1] > s.vmidMax {
		t.Errorf("candidates = %v", got)
	}
}

func FuzzReadMark(f *testing.F) {
	f.Add("hcp: {\"vm_id\":\"a\",\"installation_id\":\"b\"}")
	f.Add("hcp: \nhcp: {}")
	f.Fuzz(func(t *testing.T, description string) {
		m, ok := readMark(description)
		if !ok {
			return
		}
		text, err := m.describe(description)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := readMark(text); !ok || !reflect.DeepEqual(again, m) {
			t.Errorf("%q became %q", description, text)
		}
	})
}
