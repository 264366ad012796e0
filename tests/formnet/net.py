"""A node, its guests and an internet, each in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from appliance import formnet

SERVE = """
import socket, sys, threading
def stream(port, family):
    server = socket.create_server(("", port), family=family)
    while True:
        link, peer = server.accept()
        link.sendall(peer[0].encode())
        link.close()
def datagrams(port, family):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind(("", port))
    while True:
        _, peer = udp.recvfrom(100)
        udp.sendto(peer[0].encode(), peer)
threads = []
for port in (22, 53, 80, 5453, 8443):
    for serve in (stream, datagrams):
        for family in (socket.AF_INET, socket.AF_INET6):
            if family == socket.AF_INET6 and port != 80:
                continue
            thread = threading.Thread(target=serve, args=(port, family), daemon=True)
            thread.start()
            threads.append(thread)
import time
time.sleep(0.2)
print("ready", flush=True)
threads[0].join()
"""
PROBE = """
import json, socket, sys, threading
found = {}
def try_it(what):
    kind, address, port = what.split(" ")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    type_ = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, type_) as link:
        link.settimeout(1.5)
        try:
            link.connect(socket.getaddrinfo(address, int(port), family, type_)[0][4])
            if kind == "udp":
                link.send(b"x")
            found[what] = link.recv(100).decode()
        except OSError:
            found[what] = ""
threads = [threading.Thread(target=try_it, args=(what,)) for what in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(found))
"""
ARP = """
import socket, struct, sys
claimed, sender, source = sys.argv[1:]
mac = bytes.fromhex(sender.replace(":", ""))
from_ = bytes.fromhex(source.replace(":", ""))
body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + mac + socket.inet_aton(claimed)
body += b"\\xff" * 6 + socket.inet_aton(claimed)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind(("eth0", 0x806))
    link.send(b"\\xff" * 6 + from_ + struct.pack("!H", 0x806) + body)
"""


class Space:
    """A network namespace, held by a process that sleeps."""

    def __init__(self, net: Net) -> None:
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        net.processes.append(self.holder)
        self.net = net
        own = Path(f"/proc/{self.holder.pid}/ns/net")
        while own.readlink() == Path("/proc/self/ns/net").readlink():
            pass  # until unshare has happened
        self.sh("ip link set lo up")

    def command(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *command]

    def sh(self, script: str) -> str:
        return subprocess.run(
            self.command("sh", "-ec", script),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def python(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            self.command(sys.executable, "-c", script, *arguments),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def serve(self) -> None:
        server = subprocess.Popen(
            self.command(sys.executable, "-c", SERVE), stdout=subprocess.PIPE
        )
        self.net.processes.append(server)
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"

    def reach(self, *targets: str) -> dict[str, str]:
        """What each target sees as our address; empty where it does not answer."""
        found = json.loads(self.python(PROBE, *targets))
        assert isinstance(found, dict)
        return found


class Net:
    """10.42.0.0/24 on bridge `formt0`; the node's LAN is 192.0.2.0/24."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[Any]] = []
        self.node, self.internet = Space(self), Space(self)
        self.node.sh(
            "ip link add eth0 type veth peer name eth0 netns "
            f"{self.internet.holder.pid}; ip addr add 192.0.2.2/24 dev eth0; "
            "ip link set eth0 up"
        )
        self.internet.sh("ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up")
        for address in ("198.51.100.7", "172.20.0.5", "172.21.0.5"):
            self.internet.sh(f"ip addr add {address}/32 dev lo")
        self.internet.sh("ip route replace 192.0.2.0/24 dev eth0 src 198.51.100.7")
        self.node.sh(  # bridged packets must not be caught by the routed rules' luck
            "for file in /proc/sys/net/bridge/bridge-nf-call-*; do"
            " [ ! -e $file ] || echo 0 > $file; done"
        )
        self.node.sh("ip route add default via 192.0.2.1")

    def guest(self, address: str) -> Space:
        """A guest as libvirt plugs one in: port and MAC follow from the address."""
        space, port = Space(self), formnet.port(address)
        self.node.sh(
            f"ip link add {port} type veth peer name eth0 netns {space.holder.pid};"
            f"ip link set {port} master formt0 up"
        )
        space.sh(
            "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad;"
            f"ip link set eth0 address {formnet.mac(address)} up;"
            f"ip addr add {address}/24 dev eth0; ip route add default via 10.42.0.1"
        )
        return space

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
