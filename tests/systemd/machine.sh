# machine.sh TREE FOLDER CHECKOUT: systemd as PID 1 of its own namespaces, in a Debian
# tree of which it changes a copy in FOLDER, and which shows the checkout where it is
# here. Ends when its parent does.
set -eu
mkdir -p "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for name in null zero full random urandom tty net/tun; do
  [ -e "/dev/$name" ] || continue
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p "./$3"
# The node's users start programs of the checkout, which may lie in root's home.
above=$3
while above=$(dirname "$above"); [ "$above" != / ]; do chmod o+x "./$above"; done
mount --rbind "$3" "./$3"
ip link set lo up
mount --make-rshared .  # as on a machine: credentials come by a mount
exec env -i container=private PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot . /lib/systemd/systemd --log-target=journal --show-status=no
