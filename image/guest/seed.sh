# What the node hands to a guest at boot, on a disk of its own: a plain tar
# archive, unpacked to memory. Sourced by both kinds of init.
# shellcheck shell=sh
seed=/run/formation/seed
console=/dev/ttyS0
[ -c "$console" ] || console=/dev/console

say() { echo "formation: $*" >"$console"; }

# Prints the block device whose virtio serial is $1.
disk_of() {
    for block in /sys/block/vd*; do
        serial=
        read -r serial <"$block/serial"
        [ "$serial" = "$1" ] && echo "/dev/${block##*/}" && return 0
    done 2>/dev/null
    return 1
}

seed_unpack() {
    mkdir -p "$seed"
    disk=$(disk_of seed) || { say "no seed disk: no network, no secrets"; return 1; }
    tar -xf "$disk" -C "$seed" && chmod 0700 "$seed" && return 0
    chmod 0700 "$seed"
    say "the seed disk holds no tar archive"
    return 1
}

seed_entropy() {
    [ -f "$seed/entropy" ] || return 0
    cat "$seed/entropy" >/dev/urandom
    rm -f "$seed/entropy"
}

seed_hostname() {
    name=agent
    [ -r "$seed/hostname" ] && read -r name <"$seed/hostname"
    echo "$name" >/proc/sys/kernel/hostname
    echo "$name" >/etc/hostname
}

# The machine's identity belongs to the instance, never to the image.
seed_machine_id() {
    [ -s /etc/machine-id ] && return 0
    read -r id </proc/sys/kernel/random/uuid
    echo "${id//-/}" >/etc/machine-id
}

link_of() {
    for card in /sys/class/net/*; do
        read -r mac <"$card/address"
        card=${card##*/}
        [ "$card" = lo ] && continue
        [ -z "$1" ] || [ "$mac" = "$1" ] && echo "$card" && return 0
    done
    return 1
}

seed_network() {
    ip link set lo up
    [ -r "$seed/network" ] || return 0
    ADDRESS='' GATEWAY='' DNS='' MAC='' SEARCH=''
    . "$seed/network"
    link=$(link_of "$(echo "$MAC" | tr A-F a-f)") || {
        say "no network card has the address $MAC"
        return 1
    }
    ip addr add "$ADDRESS" dev "$link"
    ip link set "$link" up
    [ -z "$GATEWAY" ] || ip route add default via "$GATEWAY"
    rm -f /etc/resolv.conf
    {
        [ -z "$SEARCH" ] || echo "search $SEARCH"
        for server in $DNS; do echo "nameserver $server"; done
    } >/etc/resolv.conf
    {
        echo "127.0.0.1 localhost"
        echo "::1 localhost ip6-localhost ip6-loopback"
        echo "${ADDRESS%/*} $name"
    } >/etc/hosts
    say "network ${ADDRESS%/*}"
}

# Only a disk without a single byte in its first MiB is formatted.
blank() { [ "$(head -c 1048576 "$1" | tr -d '\000' | head -c 1 | wc -c)" = 0 ]; }

volume() {
    disk=$(disk_of "$1") || { say "volume $1 for $2 is not attached"; return 1; }
    mkdir -p "$2"
    if blank "$disk"; then
        owner=$(stat -c %u:%g "$2")
        /usr/sbin/mkfs.ext4 -q -E "root_owner=$owner" "$disk" >"$console" 2>&1
        fresh=$(stat -c %a "$2")
    fi
    if ! mount -t ext4 -o noatime "$disk" "$2"; then
        say "volume $1 does not mount on $2: it holds something other than ext4"
        return 1
    fi
    [ -z "$fresh" ] || chmod "$fresh" "$2"
    say "volume $2"
}

seed_volumes() {
    [ -r "$seed/volumes" ] || return 0
    while read -r serial path; do
        fresh=
        [ -z "$path" ] || volume "$serial" "$path"
    done <"$seed/volumes"
}

# Once an instance: at later boots, what its users chose themselves stays.
seed_accounts() {
    applied=/var/lib/formation/accounts
    if [ ! -e "$applied" ]; then
        [ ! -s "$seed/shadow" ] ||
            /usr/sbin/chpasswd -e <"$seed/shadow" >"$console" 2>&1
        [ ! -s "$seed/expire" ] || while read -r user; do
            [ -z "$user" ] || /usr/bin/chage -d 0 "$user" >"$console" 2>&1
        done <"$seed/expire"
        mkdir -p /var/lib/formation && : >"$applied"
    fi
    rm -f "$seed/shadow" "$seed/expire"
}

# The image's file system is as large as its content needed; the disk is larger.
seed_grow() {
    disk=$(awk '$2 == "/" && $3 == "ext4" { print $1 }' /proc/mounts | tail -n 1)
    [ -b "$disk" ] || return 0
    /usr/sbin/resize2fs "$disk" >/run/formation/resize.log 2>&1 ||
        say "the root file system did not grow: see /run/formation/resize.log"
}

# Host keys that came with the image would be the same in every instance.
seed_host_keys() {
    [ -x /usr/sbin/sshd ] || return 0
    [ -e /var/lib/formation/host-keys ] && return 0
    rm -f /etc/ssh/ssh_host_*
    /usr/bin/ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
    mkdir -p /var/lib/formation && : >/var/lib/formation/host-keys
}
