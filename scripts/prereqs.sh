#!/usr/bin/env bash
# Installs the system packages that the tests need (Debian, root), or says in
# one line what is missing. Without them the tests that need them are skipped,
# except in CI, where a missing package is a failure.
set -euo pipefail

packages=(
  postgresql                                        # the store's tests start throw-away clusters
  libvirt-daemon-system libvirt-clients             # the libvirt adapter is tested on the real daemon
  qemu-system-x86 qemu-utils dnsmasq-base iptables
  busybox-static syslinux syslinux-common           # the test guest is built offline from packages
  mtools dosfstools cpio fdisk
  bash-completion                                   # hcpctl's completion is tried in bash
  chromium                                          # the reference page, the consoles and the Web UI are opened in a browser
  curl                                              # the commands of the documentation are run as they stand
)

# The linter of the API's description, the build of the pages and the browser
# tests need Node.js of this version or a later one, wherever it comes from.
node_wanted=20.19
node_present() {
  command -v npm >/dev/null && command -v node >/dev/null &&
    printf '%s\n%s\n' "$node_wanted" "$(node --version | tr -d v)" | sort --version-sort --check=quiet
}
node_present || packages+=(nodejs npm)

missing=()
for p in "${packages[@]}"; do
  if ! dpkg-query --show --showformat='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed; then
    missing+=("$p")
  fi
done

# The guest's kernel is downloaded by name, which needs the package lists.
if [ ${#missing[@]} -eq 0 ]; then
  if [ "$(id -u)" = 0 ] && [ -z "$(apt-cache pkgnames linux-image-cloud-amd64 2>/dev/null)" ]; then
    apt-get update -qq
  fi
  exit 0
fi

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "prereqs: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Nothing is started: the tests run their own daemons.
  guard=/usr/sbin/policy-rc.d
  if [ ! -e "$guard" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod +x "$guard"
    trap 'rm -f "$guard"' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  if ! node_present; then
    echo "prereqs: Node.js $node_wanted or later is needed, with npm; this system's packages have $(node --version)" >&2
    [ "${CI:-}" = true ] && exit 1
  fi
  exit 0
fi

echo "prereqs: missing: ${missing[*]} (sudo apt-get install --no-install-recommends ${missing[*]})" >&2
[ "${CI:-}" = true ] && exit 1
exit 0
