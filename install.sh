# Set-up steps that run.sh and test.sh share; sourced, not run.

PACKAGES="python3 python3-venv python3-dev gcc pkg-config libvirt-dev
 libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils mmdebstrap
 supervisor caddy nftables iproute2 e2fsprogs busybox-static cpio xz-utils
 ca-certificates libcrypt1 util-linux passwd pci.ids"
TEST_PACKAGES="systemd chromium bind9-dnsutils curl"
NEEDED_GB=4
PREFIX=${FORMATION_PREFIX:-/opt/formation}
APT_WAIT_S=600

fail() {
  printf '%s: %s\n' "$0" "$*" >&2
  exit 1
}

check_machine() {
  [ "$(id -u)" = 0 ] || fail "root is needed: sudo $0"
  grep -qsE '^ID=debian|^ID_LIKE=.*debian' /etc/os-release \
    || fail "this is not Debian; Debian 12 and 13 are known to work"
  [ "$(uname -m)" = x86_64 ] || fail "only amd64 machines are known to work"
  local folder=${FORMATION_DATA_DIR:-/var/lib/formation} free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  [ -x "$PREFIX/bin/form" ] && [ -d "${FORMATION_DATA_DIR:-/var/lib/formation}/base" ] \
    && return 0
  for place in . /usr "$folder"; do
    free=$(df --output=avail -B1000000 "$place" | tail -1 | tr -d ' ')
    [ "$free" -ge $((NEEDED_GB * 1000)) ] \
      || fail "$(realpath "$place") has $free MB free, and $NEEDED_GB GB are needed:" \
        "make room, or use a larger disk"
  done
}

# apt-get, once no other program (a timer, say) holds its locks.
apt_get() {
  local said waited=0
  said=$(mktemp)
  until DEBIAN_FRONTEND=noninteractive apt-get -q -o APT::Update::Error-Mode=any \
    "$@" 2> "$said"; do
    if ! grep -q 'Could not get lock' "$said" || [ $waited -ge $APT_WAIT_S ]; then
      cat "$said" >&2
      rm -f "$said"
      return 1
    fi
    [ $waited != 0 ] || echo "Another program uses apt: waiting until it has ended"
    sleep 5
    waited=$((waited + 5))
  done
  rm -f "$said"
}

install_packages() {
  local wanted="" name installed
  # shellcheck disable=SC2016,SC2086
  installed=" $({ dpkg-query -W -f '${Package} ${Status}\n' $PACKAGES "$@" \
    2>/dev/null || true; } | awk '/ ok installed$/ { print $1 }' | tr '\n' ' ')"
  for name in $PACKAGES "$@"; do
    [[ $installed == *" $name "* ]] || wanted="$wanted $name"
  done
  [ -n "$wanted" ] || return 0
  echo "Installing:$wanted"
  [ -z "$(ls -A /var/lib/dpkg/updates)" ] || dpkg --configure -a
  apt_get update || fail "apt cannot fetch Debian's package lists (above is why):" \
    "is there network, and a Debian mirror in /etc/apt/sources.list.d?"
  no_service_starts
  # shellcheck disable=SC2086
  apt_get install -y --no-install-recommends $wanted \
    || fail "apt cannot install the packages (above is why); mend that and run $0 again"
  services_may_start
  # form serve starts its own; Debian's would take their place at the next boot.
  for name in caddy supervisor; do
    [[ " $wanted " == *" $name "* ]] && [ -d /run/systemd/system ] \
      && systemctl disable -q --now $name || true
  done
}

# While packages are installed, Debian asks this file whether a service may start.
POLICY=/usr/sbin/policy-rc.d

no_service_starts() {
  [ ! -e $POLICY ] || return 0
  # shellcheck disable=SC2016
  printf '%s\n' '#!/bin/sh' '# formation' '[ -d /run/systemd/system ] || exit 101' \
    'case $1 in caddy|supervisor) exit 101 ;; esac' > $POLICY
  chmod +x $POLICY
  trap services_may_start EXIT
}

services_may_start() {
  grep -qs '^# formation$' $POLICY && rm -f $POLICY
  return 0
}

# make_environment FOLDER LOCK [OPTION…]: a Python environment with what the lock file
# pins; the options are pip's, for the project itself.
make_environment() {
  local folder=$1 lock=$2 stamp
  stamp=$(/usr/bin/python3 -V | cat - pyproject.toml requirements*.lock | sha256sum)
  [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && return 0
  echo "Making the Python environment in $folder"
  # One that was left half-made, or made by another Python, is of no use.
  mkdir -p "$(dirname "$folder")"
  /usr/bin/python3 -m venv --clear "$folder"
  pip_install "$folder" -r "$lock"
  [ $# -lt 3 ] || pip_install "$folder" "${@:3}"
  echo "$stamp" > "$folder/stamp"
}

pip_install() {
  "$1/bin/python" -m pip -q --disable-pip-version-check install "${@:2}" \
    || fail "pip cannot install the Python packages (above is why):" \
      "is there network? then run $0 again"
}

# For work on the project: this checkout, with the tools of its tests.
install_environment() {
  make_environment .venv requirements-dev.lock --no-deps -e .
}

# For a node: a copy of this checkout where the node's own users can read it.
install_node() {
  local parts="appliance blueprints jobs templates image examples docs/runbooks" code
  [ ! -d systemd ] || parts="$parts systemd"
  make_environment "$PREFIX" requirements.lock
  # shellcheck disable=SC2086
  code=$(find $parts pyproject.toml -type f ! -name '*.pyc' -print0 | sort -z \
    | xargs -0 sha256sum | sha256sum)
  [ "$(cat "$PREFIX/code" 2>/dev/null)" = "$code" ] && return 0
  ! serves || fail "a node runs from $PREFIX: stop it (Ctrl-C), then run $0 again"
  echo "Installing Formation in $PREFIX"
  rm -rf build "$PREFIX/code"  # what an earlier build left would be packed too
  pip_install "$PREFIX" --no-deps --force-reinstall .
  rm -rf build
  "$PREFIX/bin/python" -m compileall -q "$PREFIX"/lib/python3*/site-packages || true
  echo "$code" > "$PREFIX/code"
}

# Whether a process of this installation is at work.
serves() {
  grep -qsz "^$PREFIX/bin/python" /proc/[0-9]*/cmdline
}

check_machine
