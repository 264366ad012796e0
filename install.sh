# Set-up steps that run.sh and test.sh share; sourced, not run.

[ "$(id -u)" = 0 ] || { echo "Root is needed: sudo $0" >&2; exit 1; }

PACKAGES="python3 python3-venv python3-dev gcc pkg-config libvirt-dev
 libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils mmdebstrap
 supervisor caddy nftables iproute2 e2fsprogs busybox-static cpio xz-utils
 ca-certificates libcrypt1"
TEST_PACKAGES="chromium bind9-dnsutils curl"

install_packages() {
  local wanted="" name
  for name in $PACKAGES "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' \
      || wanted="$wanted $name"
  done
  [ -n "$wanted" ] || return 0
  echo "Installing:$wanted"
  # No service may start by itself: form serve starts what is needed.
  local policy=/usr/sbin/policy-rc.d
  [ -d /run/systemd/system ] || [ -e $policy ] \
    || { printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; }
  apt-get update -q
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $wanted
}

install_environment() {
  local extra="${1:-}" stamp
  stamp=$(cat pyproject.toml requirements.lock | sha256sum | cut -c1-64)$extra
  [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ] && return 0
  echo "Making the Python environment"
  [ -x .venv/bin/python ] || /usr/bin/python3 -m venv .venv
  .venv/bin/python -m pip install -q -r requirements.lock
  .venv/bin/python -m pip install -q --no-deps -e .
  echo "$stamp" > .venv/stamp
}
