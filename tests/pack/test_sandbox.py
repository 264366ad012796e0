"""What a build's commands can do to the machine: nothing, whatever they try."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import pack
from appliance.pack import cgroup, network
from appliance.pack.store import Store
from tests.pack.conftest import BLOCK, START_ID, Bench, until

pytestmark = pytest.mark.vm


def test_a_hanging_command_ends_at_the_limit(bench: Bench) -> None:
    why = bench.refusal("RUN setsid sleep 1000 & sleep 1000", seconds=4)
    assert "RUN setsid" in why
    assert "a build may take 4 s" in why


def test_a_hanging_command_ends_when_canceled(bench: Bench) -> None:
    def started() -> bool:
        return "it hangs" in bench.lines

    with pytest.raises(pack.BuildError, match="canceled"):
        bench.build("RUN echo it hangs; sleep 1000", cancelled=started)
    bench.must_be_clean()


def test_a_fork_bomb_ends(bench: Bench) -> None:
    bomb = "RUN bomb() { bomb | bomb & }; bomb; wait; for i in $(seq 99); do "
    why = bench.refusal(bomb + "/bin/true; done; exit 9", processes=64, seconds=30)
    assert "more than 64 processes" in why


def test_a_memory_eater_ends(bench: Bench) -> None:
    eater = "RUN head -c 900m /dev/zero | tail -c 900m | tail -c 1"
    why = bench.refusal(eater, memory_mib=256)
    assert "256 MiB of memory" in why


def test_a_disk_filler_ends(bench: Bench) -> None:
    filler = "RUN i=0; while :; do i=$((i + 1)); head -c 20m /dev/zero > /f$i; done"
    assert "more than 300 MiB" in bench.refusal(filler, disk_mib=300)


def test_one_file_stops_at_the_limit_exactly(bench: Bench) -> None:
    why = bench.refusal("RUN head -c 400m /dev/zero > /big", disk_mib=300)
    assert "RUN head" in why


def test_a_command_cannot_write_outside(bench: Bench) -> None:
    inside, there = "/var/tmp/formation-from-a-build", bench.folder / "data/x"
    text = f"RUN echo x > {inside}; mkdir -p {there.parent}; echo x > {there}; "
    bench.build(text + "! echo c > /proc/sysrq-trigger")
    assert not Path(inside).exists()
    assert not there.exists()
    bench.must_be_clean()


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "unshare --user true",
        "unshare --mount true",
        "nsenter --target 1 --mount true",
        "dmesg",
        "ip link set eth0 down",
        "ip route add 10.0.0.0/8 via GATEWAY",
        "mknod /disk b 254 0",
        "swapon /etc/passwd",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "chroot / mount -t proc proc /mnt",
    ],
)
def test_a_command_has_no_power_over_the_machine(bench: Bench, command: str) -> None:
    bench.refusal(f"RUN {command}".replace("GATEWAY", str(BLOCK[1])))


def test_a_program_that_needs_set_uid_goes_on_working(bench: Bench) -> None:
    bench.build("RUN useradd -m ada && su ada -c 'id -un' | grep -qx ada")
    bench.must_be_clean()


@pytest.fixture
def listeners() -> Iterator[list[tuple[str, int]]]:
    """Servers on the machine's own address and on one in the guests' range."""
    link = ["ip", "link", "add", "fguest0", "type", "bridge"]
    subprocess.run(link, check=True)
    address = ["ip", "addr", "add", "10.214.0.1/24", "dev", "fguest0"]
    subprocess.run(address, check=True)
    subprocess.run(["ip", "link", "set", "fguest0", "up"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        own = probe.getsockname()[0]
    servers = []
    for host in (own, "10.214.0.1"):
        server = socket.create_server((host, 0))
        servers.append(server)
    yield [server.getsockname()[:2] for server in servers]
    for server in servers:
        server.close()
    subprocess.run(["ip", "link", "delete", "fguest0"], check=True)


def test_a_build_reaches_mirrors_and_not_the_node(
    bench: Bench, listeners: list[tuple[str, int]]
) -> None:
    """bash's /dev/tcp tells what connects: a mirror does, node and guests do not."""
    tries = [f"{host}/{port}" for host, port in listeners]
    gateway = "$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')"
    tries += [f"{gateway}/{port}" for _, port in listeners]
    checks = "; ".join(
        f"! timeout 2 bash -c ': > /dev/tcp/'{place} || exit 7" for place in tries
    )
    apt = "apt-get -q -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any update"
    bench.build(f"RUN {checks}; {apt}")
    bench.must_be_clean()


def test_a_copy_has_no_network_at_all(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    numbers: list[str] = []
    bench.build("COPY a /a", tmp_path)
    numbers += [line for line in bench.lines if "fbuild" in line]
    assert numbers == []
    bench.must_be_clean()


def test_a_missing_package_is_named_with_its_line(bench: Bench) -> None:
    why = bench.refusal("RUN true\nINSTALL no-such-package-here")
    assert why.startswith("line 3: INSTALL no-such-package-here: Debian has no such")


KILLED = """
import sys
from pathlib import Path
from tests.pack.conftest import Bench

Bench(Path(sys.argv[1])).build(sys.argv[2])
"""


def test_a_killed_builder_leaves_nothing_that_the_next_start_keeps(
    bench: Bench,
) -> None:
    """kill -9 of the builder: its command ends with it, a sweep takes the rest."""
    bench.build("RUN true")
    mark = bench.layers / "mark"
    text = "RUN setsid sleep 1000 & sleep 1000"
    root = str(Path(__file__).parents[2])
    builder = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(bench.folder), text],
        env={**os.environ, "PYTHONPATH": root},
        cwd=root,
    )
    until(lambda: sum("sleep" in item for item in bench.left()) >= 2, 30, "it runs")
    builder.send_signal(signal.SIGKILL)
    builder.wait()

    def swept() -> bool:
        Store(bench.layers, START_ID).sweep()
        network.sweep(bench.folder / "data/pack/forwarding")
        cgroup.sweep()
        return bench.left() == []

    until(swept, 20, "nothing is left")
    assert not mark.exists()
    bench.build("RUN true # and goes on")


def test_two_builds_of_the_same_input_make_it_once(bench: Bench) -> None:
    logs: list[list[str]] = [[], []]
    request = bench.request("RUN sleep 1; echo made")
    threads = [
        threading.Thread(target=pack.build, args=(request, log.append)) for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("made" in log for log in logs) == [False, True]
    bench.must_be_clean()
