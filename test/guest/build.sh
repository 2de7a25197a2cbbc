#!/bin/sh
# Builds a tiny bootable guest from Debian packages alone: a Debian cloud kernel,
# a busybox initramfs and syslinux on a FAT partition. It reads a NoCloud ISO, asks
# for an address by DHCP, obeys the ACPI power button and reports on ttyS0:
#
#   GUEST-BOOT cpus N mem N        GUEST-CLOUD instance ID host NAME
#   GUEST-DISKS NAME:MIB:SERIAL... GUEST-NET eth0 ADDRESS
#   GUEST-READY host NAME
#
# Once ready it answers the lines it reads on ttyS0 (and typed on the screen), each
# of these by one line "GUEST-SAYS COMMAND ...":
#
#   uptime   seconds since boot        nproc   CPUs         mem     MiB
#   id       instance ID, host name    nics    NAME=MAC...  disks   NAME:MIB:SERIAL...
#   write [@SERIAL] TEXT   puts TEXT on the root disk, or on the disk of that serial
#   read [@SERIAL]         says what write put there, read from the disk itself
#
# Any other line is run by sh. The same sources make the same image, byte for byte.
#
# Usage: build.sh OUT.qcow2
# Needs (Debian 12, after `apt-get update`): busybox-static syslinux syslinux-common
# mtools dosfstools cpio fdisk qemu-utils. No root, no loop device, nothing installed.
# The kernel package is kept in ${HCP_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hcp/guest}.
set -eu

say() { printf '%s\n' "$*"; }
die() { say "build.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: build.sh OUT.qcow2"
out=$1
PATH=$PATH:/usr/sbin:/sbin

if [ -s "$out" ]; then
	say "$out is there already"
	exit 0
fi

packages="busybox-static syslinux syslinux-common mtools dosfstools cpio fdisk qemu-utils"
for tool in busybox syslinux mcopy mkfs.fat cpio sfdisk qemu-img apt-get dpkg; do
	command -v "$tool" >/dev/null 2>&1 || die "$tool is missing; install it with: apt-get install -y --no-install-recommends $packages"
done
busybox=$(command -v busybox)
mbr=/usr/lib/syslinux/mbr/mbr.bin
[ -r "$mbr" ] || die "$mbr is missing; install it with: apt-get install -y --no-install-recommends syslinux-common"

cache=${HCP_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hcp/guest}
mkdir -p "$cache" "$(dirname "$out")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# The meta package names the kernel of the day.
kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p' | head -n 1)
if [ -z "$kernel" ]; then
	kernel=$(cd "$cache" && ls linux-image-*-cloud-amd64_*.deb 2>/dev/null | sed 's/_.*//' | sort -V | tail -n 1)
fi
[ -n "$kernel" ] || die "no package depends on linux-image-cloud-amd64's kernel; run: apt-get update"
deb=$(cd "$cache" && ls "${kernel}"_*.deb 2>/dev/null | sort -V | tail -n 1)
if [ -z "$deb" ]; then
	mkdir "$work/fetch"
	(cd "$work/fetch" && apt-get -o APT::Sandbox::User=root -qq download "$kernel" >/dev/null) || die "cannot download $kernel; run: apt-get update"
	deb=$(cd "$work/fetch" && ls "${kernel}"_*.deb)
	mv "$work/fetch/$deb" "$cache/$deb"
fi
dpkg -x "$cache/$deb" "$work/kernel"
vmlinuz=$(ls "$work"/kernel/boot/vmlinuz-*)

root=$work/root
mkdir -p "$root/bin" "$root/modules" "$root/proc" "$root/sys" "$root/dev" "$root/mnt" "$root/tmp" "$root/etc/acpi/PWRF"
cp "$busybox" "$root/bin/busybox"
for applet in sh mount umount insmod sleep cat echo grep sed head hostname ip udhcpc acpid poweroff reboot sync awk ls tr cut mknod dd nproc; do
	ln -s busybox "$root/bin/$applet"
done

# In the order of their dependencies: there is no depmod here.
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net virtio_blk
scsi_common scsi_mod cdrom libata ata_piix sr_mod sd_mod isofs button evdev virtio_balloon"
: >"$root/modules/order"
for m in $modules; do
	file=$(find "$work/kernel/lib/modules" -name "$m.ko" | head -n 1)
	[ -n "$file" ] || die "the kernel package has no module $m"
	cp "$file" "$root/modules/$m.ko"
	say "$m" >>"$root/modules/order"
done

cat >"$root/etc/acpi/PWRF/00000080" <<'EOS'
#!/bin/sh
echo GUEST-POWEROFF >/dev/ttyS0
sync
poweroff -f
EOS

cat >"$root/etc/dhcp.sh" <<'EOS'
#!/bin/sh
case $1 in
deconfig) ip link set "$interface" up ;;
bound | renew)
	ip addr flush dev "$interface"
	ip addr add "$ip/${mask:-24}" dev "$interface"
	[ -n "$router" ] && ip route replace default via "${router%% *}" dev "$interface"
	if [ "$1" = bound ]; then echo "GUEST-NET $interface $ip" >/dev/ttyS0; fi
	;;
esac
exit 0
EOS

cat >"$root/bin/answer" <<'EOS'
#!/bin/sh
export PATH=/bin
# Half a MiB into the disk: between the partition table and the first partition.
place="bs=512 count=1"
offset=1024
say() { echo "GUEST-SAYS $*"; }
disks() {
	for path in /sys/block/vd*; do
		[ -e "$path" ] || continue
		printf ' %s:%s:%s' "${path##*/}" $(($(cat "$path/size") / 2048)) "$(cat "$path/serial")"
	done
}
disk() {
	case $1 in
	@*) for path in /sys/block/vd*; do [ "$(cat "$path/serial")" = "${1#@}" ] && echo "/dev/${path##*/}"; done ;;
	*) echo /dev/vda ;;
	esac
}
answer() {
	dev=$(disk "$2")
	case $1 in
	"") ;;
	uptime) say uptime "$(cut -d' ' -f1 /proc/uptime)" ;;
	nproc) say nproc "$(nproc)" ;;
	mem) say mem "$(awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo)" ;;
	id) say id "$(cat /tmp/instance) $(hostname)" ;;
	nics) say nics$(for path in /sys/class/net/e*; do [ -e "$path" ] && printf ' %s=%s' "${path##*/}" "$(cat "$path/address")"; done) ;;
	disks) say "disks$(disks)" ;;
	write)
		shift
		case $1 in @*) shift ;; esac
		if [ -b "$dev" ] && { printf '%s' "$*"; dd if=/dev/zero bs=512 count=1 2>/dev/null; } |
			dd of="$dev" $place seek=$offset iflag=fullblock conv=notrunc,fsync 2>/dev/null; then say write ok; else say write failed; fi
		;;
	read)
		echo 1 >/proc/sys/vm/drop_caches
		if [ -b "$dev" ]; then say read "$(dd if="$dev" $place skip=$offset 2>/dev/null | tr -d '\000')"; else say read failed; fi
		;;
	*) sh -c "$line" ;;
	esac
}
if [ "$1" = disks ]; then disks; exit; fi
while IFS= read -r line; do
	set -f
	set -- $line
	set +f
	answer "$@"
done
EOS

cat >"$root/init" <<'EOS'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in $(cat /modules/order); do insmod "/modules/$m.ko" 2>/dev/null; done
say() { echo "$*" >/dev/ttyS0; echo "$*" >/dev/tty0; }
say "GUEST-BOOT cpus $(grep -c ^processor /proc/cpuinfo) mem $(awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo)"

# The SCSI scan is asynchronous: give the drive a moment to appear.
tries=0
while [ ! -b /dev/sr0 ] && [ $tries -lt 20 ]; do sleep 0.2; tries=$((tries + 1)); done
host=unconfigured
echo none >/tmp/instance
for dev in /dev/sr0 /dev/sr1; do
	[ -b $dev ] && mount -t iso9660 -o ro $dev /mnt 2>/dev/null || continue
	if [ -f /mnt/meta-data ]; then
		host=$(sed -n 's/^local-hostname: *//p' /mnt/meta-data | tr -d "\"'" | head -n 1)
		id=$(sed -n 's/^instance-id: *//p' /mnt/meta-data | tr -d "\"'" | head -n 1)
		hostname "$host"
		echo "$id" >/tmp/instance
		say "GUEST-CLOUD instance $id host $host"
		sed 's/^/GUEST-USERDATA /' /mnt/user-data 2>/dev/null | head -n 20 >/dev/ttyS0
		# The first address of each interface that has one: "MAC ADDRESS/LENGTH".
		awk '{ gsub(/["\047]/, "") } /macaddress:/ { mac = tolower($2) } /^ *- .*\// && mac { print mac, $2; mac = "" }' \
			/mnt/network-config >/tmp/addresses 2>/dev/null
	fi
	umount /mnt
	break
done

say "GUEST-DISKS$(answer disks)"
acpid -l /tmp/acpid.log
ip link set lo up
for path in /sys/class/net/e*; do
	[ -e "$path" ] || continue
	addr=$(sed -n "s/^$(cat "$path/address") //p" /tmp/addresses 2>/dev/null)
	if [ -n "$addr" ]; then
		ip link set "${path##*/}" up
		ip addr add "$addr" dev "${path##*/}" && say "GUEST-NET ${path##*/} ${addr%/*}"
		continue
	fi
	udhcpc -q -n -t 5 -T 2 -i "${path##*/}" -s /etc/dhcp.sh -x "hostname:$host" >/dev/null 2>&1 || say "GUEST-NET ${path##*/} none"
done
say "GUEST-READY host $(hostname)"
while :; do answer </dev/tty1 >/dev/tty1 2>&1; sleep 1; done &
while :; do answer </dev/ttyS0 >/dev/ttyS0 2>&1; sleep 1; done
EOS
chmod +x "$root/init" "$root/bin/answer" "$root/etc/dhcp.sh" "$root/etc/acpi/PWRF/00000080"
# Nothing of the moment enters the image.
export SOURCE_DATE_EPOCH=946684800 TZ=UTC
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet --reproducible --owner=+0:+0 -o -H newc | gzip -9n) >"$work/initrd.gz"

cat >"$work/syslinux.cfg" <<'EOS'
SERIAL 0 115200
DEFAULT guest
PROMPT 0
TIMEOUT 1
LABEL guest
  KERNEL vmlinuz
  INITRD initrd.gz
  APPEND console=tty0 console=ttyS0,115200 quiet panic=5
EOS

disk=$work/disk.raw
truncate -s 64M "$disk"
printf 'label: dos\nlabel-id: 0x48435031\nstart=2048, type=c, bootable\n' | sfdisk --quiet "$disk"
mkfs.fat --invariant -F 32 --offset 2048 "$disk" 64512 >/dev/null
export MTOOLS_SKIP_CHECK=1
mcopy -i "$disk@@1M" "$vmlinuz" ::vmlinuz
mcopy -i "$disk@@1M" "$work/initrd.gz" ::initrd.gz
mcopy -i "$disk@@1M" "$work/syslinux.cfg" ::syslinux.cfg
syslinux -t 1048576 --install "$disk"
dd if="$mbr" of="$disk" bs=440 count=1 conv=notrunc 2>/dev/null
qemu-img convert -c -f raw -O qcow2 "$disk" "$work/out.qcow2"
# Whole or not at all: another build may be looking.
cp "$work/out.qcow2" "$out.tmp.$$"
mv "$out.tmp.$$" "$out"
say "$out is built: $(($(wc -c <"$out") / 1024)) KiB, $kernel"
