package proxmox

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// diskConfig is the value of a disk's key: "local-lvm:vm-101-disk-0,size=2G".
type diskConfig struct {
	volume string // "<storage>:<name>"
	rest   properties
}

func parseDiskConfig(value string) (diskConfig, bool) {
	ps := parseProperties(value)
	volume := ps.get("")
	if volume == "" {
		volume = ps.get("file")
	}
	d := diskConfig{volume: volume}
	for _, p := range ps {
		if p.key != "" && p.key != "file" {
			d.rest = append(d.rest, p)
		}
	}
	return d, volume != ""
}

func (d diskConfig) encode() (string, error) {
	return append(properties{{"", d.volume}}, d.rest...).encode()
}

// isMedium reports a CD drive, the cloud-init medium among them, and an empty one.
func (d diskConfig) isMedium() bool {
	return d.rest.get("media") == "cdrom" || d.isCloudInit() || d.volume == "none"
}

// isCloudInit reports a medium that Proxmox VE makes itself: "vm-101-cloudinit"
// by name, or "cloudinit" where it is yet to be made.
func (d diskConfig) isCloudInit() bool {
	_, name, _ := strings.Cut(d.volume, ":")
	name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
	return name == "cloudinit" || (ownerOf(d.volume) > 0 && strings.HasSuffix(name, "-cloudinit"))
}

// storage returns the storage that the volume lies on.
func (d diskConfig) storage() string {
	storage, _, ok := strings.Cut(d.volume, ":")
	if !ok {
		return ""
	}
	return storage
}

// sizeGiB returns the declared size rounded up; 0 where none is declared.
func (d diskConfig) sizeGiB() int { return sizeGiB(d.rest.get("size")) }

// sizeGiB reads a size as the configuration holds it ("512M", "2G", "2.5T",
// bytes without a unit), rounded up to GiB.
func sizeGiB(s string) int {
	if s == "" {
		return 0
	}
	unit := 1.0
	switch s[len(s)-1] {
	case 'K':
		unit = 1 << 10
	case 'M':
		unit = 1 << 20
	case 'G':
		unit = 1 << 30
	case 'T':
		unit = 1 << 40
	}
	n, err := strconv.ParseFloat(strings.TrimRight(s, "KMGT"), 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*unit > 1<<60 {
		return 0
	}
	return int(math.Ceil(n * unit / (1 << 30)))
}

// diskKeys returns the keys of a configuration that hold disks, media and all,
// in the order of bus and number.
func diskKeys(config map[string]string) []string {
	return keysOf(config, "scsi", "virtio", "sata", "ide")
}

// keysOf returns the numbered keys of the kinds, by kind and number.
func keysOf(config map[string]string, kinds ...string) []string {
	var out []string
	for _, kind := range kinds {
		var numbers []int
		for key := range config {
			rest, ok := strings.CutPrefix(key, kind)
			if n, err := strconv.Atoi(rest); ok && err == nil && n >= 0 && rest == strconv.Itoa(n) {
				numbers = append(numbers, n)
			}
		}
		slices.Sort(numbers)
		for _, n := range numbers {
			out = append(out, kind+strconv.Itoa(n))
		}
	}
	return out
}

// rootKey returns the key of the disk that a configuration boots from: the
// first disk of its boot order, or else its first disk. "" without any.
func rootKey(config map[string]string) string {
	isDisk := func(key string) bool {
		d, ok := parseDiskConfig(config[key])
		return ok && !d.isMedium() && slices.Contains(diskKeys(config), key)
	}
	order := parseProperties(config["boot"]).get("order")
	for key := range strings.SplitSeq(order, ";") {
		if isDisk(key) {
			return key
		}
	}
	if key := config["bootdisk"]; isDisk(key) {
		return key
	}
	for _, key := range diskKeys(config) {
		if isDisk(key) {
			return key
		}
	}
	return ""
}

// cloudInitKey returns the key of the cloud-init medium, "" without one.
func cloudInitKey(config map[string]string) string {
	for _, key := range diskKeys(config) {
		if d, ok := parseDiskConfig(config[key]); ok && d.isCloudInit() {
			return key
		}
	}
	return ""
}

// ownerOf returns the VMID that a volume's name says it belongs to, 0 for a
// volume of nobody: "local-lvm:vm-101-disk-0", "nfs:101/vm-101-disk-0.qcow2",
// "nfs:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2".
func ownerOf(volume string) int {
	_, name, ok := strings.Cut(volume, ":")
	if !ok {
		return 0
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	match := regexp.MustCompile(`^vm-([1-9][0-9]{2,8})-[A-Za-z0-9]`).FindStringSubmatch(last)
	if match == nil {
		return 0
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		return 0
	}
	return n
}
