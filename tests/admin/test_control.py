"""Services and processes are started, stopped and begun again, and it is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from appliance import journal, operations, runner, supervision, wishes
from appliance.admin import connections, control, health, limiting, processes
from appliance.config import Settings
from appliance.host import Host
from appliance.operations import Operation
from appliance.problems import Conflict, Invalid, NotFound
from appliance.provisions import Limits, provision
from appliance.service import choose, chosen, read_status, services
from appliance.state.server import StateServer
from appliance.supervision import Kept
from tests.conftest import say


@pytest.fixture
def hosts(settings: Settings, records: StateServer) -> Iterator[list[Host]]:
    """The processes' hosts, in rounds of a hundredth of a second."""
    choose(settings, [])
    found = [Host(settings, "dns"), Host(settings, "web")]
    for host in found:
        host.tick()
    ended = threading.Event()

    def rounds() -> None:
        while not ended.wait(0.01):
            for host in found:
                host.tick()

    thread = threading.Thread(target=rounds)
    thread.start()
    yield found
    ended.set()
    thread.join()
    for host in found:
        host.stop()


def act(name: str, verb: str) -> Operation:
    id_ = control.request(name, verb, "ada")
    runner.execute(id_, "w")
    return operations.get(id_)


def state(settings: Settings, name: str) -> str:
    return read_status(settings, services()[name]).state


def test_a_service_is_stopped_until_it_is_started(
    hosts: list[Host], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_DNS__PORT", "0")
    for verb, after in (("start", "running"), ("stop", "stopped")):
        assert act("form-dns", verb).state == "completed"
        assert state(settings, "form-dns") == after
    assert "form-dns" not in (chosen(settings) or ())


def test_what_starts_with_the_node_is_another_matter(
    hosts: list[Host], settings: Settings
) -> None:
    act("form-dns", "enable")
    assert "form-dns" in (chosen(settings) or ())
    assert state(settings, "form-dns") == "stopped"
    act("form-dns", "disable")
    assert "form-dns" not in (chosen(settings) or ())


def test_a_restart_is_done_once(hosts: list[Host], settings: Settings) -> None:
    assert act("admin", "restart").state == "completed"
    assert act("admin", "reload").state == "completed"
    done = read_status(settings, services()["admin"]).details["done"]
    assert (done["restarts"], done["reloads"]) == (1, 1)


def test_a_crash_while_asking_asks_once(hosts: list[Host], settings: Settings) -> None:
    class Crash(BaseException):
        pass

    def die(operation: str, step: str) -> None:
        raise Crash

    id_ = control.request("admin", "restart", "ada")
    with pytest.raises(Crash):
        runner.execute(id_, "first", die)
    runner.Runner().recover()
    runner.execute(id_, "second")
    assert wishes.wishes(settings)["admin"].restarts == 1


@pytest.mark.parametrize(
    ("name", "verb", "said"),
    [
        ("admin", "stop", "cannot be looked after without admin"),
        ("form-state", "disable", "restart it instead"),
        ("form-dns", "restart", "start it instead"),
        ("nobody", "stop", "There is no service 'nobody'"),
        ("admin", "explode", "it can start, stop"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: Settings, name: str, verb: str, said: str
) -> None:
    choose(settings, [])
    with pytest.raises((Conflict, NotFound), match=said):
        control.request(name, verb, "ada")
    assert operations.recent() == []


def test_before_the_set_up_services_wait(settings: Settings) -> None:
    with pytest.raises(Conflict, match="set-up is not done"):
        control.request("form-dns", "start", "ada")


def test_one_that_does_not_come_up_is_said_with_its_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(settings, [])
    monkeypatch.setattr(control, "WAIT_S", 0.1)
    say(settings, "form-dns", "failed", "port 53 is taken")
    failed = act("form-dns", "start")
    assert failed.state == "failed"
    assert "form-dns is failed (port 53 is taken)" in str(failed.error)


def test_a_service_whose_need_fails_goes_on_degraded(settings: Settings) -> None:
    choose(settings, ["formnet"])
    host = Host(settings, "web")
    host.tick()
    hosted = host._hosted[0]
    needs = hosted.service.depends
    object.__setattr__(hosted.service, "depends", ("form-dns",))
    try:
        say(settings, "form-dns", "failed", "no port")
        host.tick()
        found = read_status(settings, hosted.service)
        reason = "form-dns is failed: no port"
        assert (found.state, found.reason) == ("degraded", reason)
        say(settings, "form-dns", "running")
        host.tick()
        assert read_status(settings, hosted.service).state == "running"
    finally:
        object.__setattr__(hosted.service, "depends", needs)


def test_the_history_has_every_change_and_a_bound(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "KEPT", 3)
    for number in range(6):
        say(settings, "form-dns", "failed" if number % 2 else "running", str(number))
        health.note(settings)
        health.note(settings)
    found = [(row.state, row.reason) for row in health.history("form-dns")]
    assert found == [("failed", "5"), ("running", "4"), ("failed", "3")]


class Keeper:
    """Keeps one program as supervisord does."""

    name = "supervisord"

    def __init__(self) -> None:
        self.pid, self.signals = 10, list[str]()
        self.limits, self.enabled = Limits(), True

    def kept(self) -> list[Kept]:
        return [Kept("dns", "running" if self.pid else "stopped", self.pid)]

    def start(self, name: str) -> None:
        self.pid = 99

    def stop(self, name: str) -> None:
        self.pid = 0

    def signal(self, name: str, signal: str) -> None:
        self.signals.append(signal)
        self.pid += signal == "TERM"

    def enable(self, name: str, on: bool) -> None:
        self.enabled = on

    def limit(self, name: str, limits: Limits) -> frozenset[str]:
        self.limits = limits
        return frozenset({"files"})

    def is_ending(self) -> bool:
        return False


@pytest.fixture
def keeper(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    found = Keeper()
    monkeypatch.setattr(supervision, "current", lambda *of: found)
    return found


def control_process(verb: str) -> Operation:
    id_ = processes.request("dns", verb, "ada")
    runner.execute(id_, "w")
    return operations.get(id_)


def test_processes_are_controlled_through_their_keeper(keeper: Keeper) -> None:
    for verb in ("restart", "reload", "stop", "start"):
        done = control_process(verb)
        assert done.state == "completed", done.error
    assert keeper.signals == ["TERM", "HUP"]
    assert json.loads(done.result or "{}") == {"pid": 99, "state": "running"}


def test_a_restart_that_ended_formation_jobs_itself_is_not_repeated(
    keeper: Keeper,
) -> None:
    class Crash(BaseException):
        pass

    def end(name: str, signal: str) -> None:
        Keeper.signal(keeper, name, signal)
        raise Crash

    id_ = processes.request("dns", "restart", "ada")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        patch.setattr(keeper, "signal", end)
        runner.execute(id_, "first")
    runner.Runner().recover()
    runner.execute(id_, "second")
    assert (operations.get(id_).state, keeper.signals) == ("completed", ["TERM"])


@pytest.mark.parametrize(
    ("name", "verb", "said"),
    [
        ("web", "stop", "nobody could start it again"),
        ("caddy", "reload", "cannot reload"),
        ("nobody", "stop", "There is no process"),
        ("dns", "explode", "it can start"),
    ],
)
def test_what_a_process_cannot_is_refused(
    settings: Settings, name: str, verb: str, said: str
) -> None:
    with pytest.raises((Conflict, NotFound), match=said):
        processes.request(name, verb, "ada")


def test_what_a_process_uses_is_seen() -> None:
    import os
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        found = processes.usage(os.getpid())
        port = server.getsockname()[1]
        listening = [c for c in found["connections"] if c["state"] == "listening"]
        assert f"127.0.0.1:{port}" in [c["local"] for c in listening]
    assert found["memory"] > 1 << 20
    assert processes.usage(0)["memory"] == 0
    assert processes.usage(2**22 - 1)["tasks"] == 0


def test_whether_a_process_starts_with_the_node_is_kept(
    keeper: Keeper, settings: Settings
) -> None:
    for verb, on in (("disable", False), ("enable", True)):
        assert control_process(verb).state == "completed"
        assert (keeper.enabled, provision(settings, "dns").enabled) == (on, on)
    with pytest.raises(Conflict):
        processes.request("web", "disable", "ada")


def test_limits_are_kept_and_applied(keeper: Keeper, settings: Settings) -> None:
    limits = Limits(memory_mib=256, files=512)
    id_ = limiting.request("dns", limits, "ada")
    runner.execute(id_, "w")
    assert operations.get(id_).state == "completed"
    assert keeper.limits == provision(settings, "dns").limits == limits
    assert processes.one(settings, "dns")["limits"]["files"] == 512
    said = [line for _, _, _, line in journal.lines(id_)]
    assert any("files 512: from its next start" in line for line in said)


def test_limits_below_what_is_needed_change_nothing(
    keeper: Keeper, settings: Settings
) -> None:
    with pytest.raises(Invalid, match="tasks 100: it needs 256"):
        limiting.request("gateway", Limits(tasks=100), "ada")
    with pytest.raises(Conflict, match="Formfiles"):
        limiting.request("libvirtd", Limits(tasks=100), "ada")
    with pytest.raises(NotFound):
        limiting.request("nobody", Limits(), "ada")
    assert operations.recent() == []


def test_a_connection_is_closed_by_its_id(keeper: Keeper) -> None:
    import os
    import socket

    keeper.pid = os.getpid()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
        server.accept()[0] as theirs,
    ):
        for link, state in ((ours, "completed"), (server, "failed")):
            name = str(os.fstat(link.fileno()).st_ino)
            id_ = connections.request("dns", name, "ada")
            runner.execute(id_, "w")
            assert operations.get(id_).state == state
        assert theirs.recv(1) == b""


def test_sockets_with_a_name_are_seen(settings: Settings) -> None:
    import os
    import socket

    place = str(settings.run_dir / "x.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as one:
        server.bind(place)
        server.listen()
        one.connect(place)
        with server.accept()[0]:
            found = processes.usage(os.getpid())["connections"]
            states = [link["state"] for link in found if link["local"] == place]
    assert states == ["listening", "established"]
