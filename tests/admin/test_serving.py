"""What is in the way of `form serve` is said before anything starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from appliance.admin import serving
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import UNSET, State, forget_statuses, read_status, services
from tests.conftest import say


def with_ports(settings: Settings, https_port: int) -> Settings:
    free = {"port": free_port(), "https_port": https_port, "https_host": "127.0.0.1"}
    return settings.model_copy(
        update={
            "http": settings.http.model_copy(update=free),
            "dns": settings.dns.model_copy(update={"port": free_port()}),
        }
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_taken_port_is_named_with_its_setting(
    settings: Settings, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(Problem, match=rf"Port {port} .*FORMATION_HTTP__HTTPS_PORT"):
        serving.must_be_free(with_ports(settings, port))


def test_free_ports_are_no_obstacle(settings: Settings) -> None:
    serving.must_be_free(with_ports(settings, free_port()))


def test_a_second_node_in_the_same_folders_is_refused(settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(settings.run_dir / "supervisor.sock"))
        server.listen()
        with pytest.raises(Problem, match="runs already"):
            serving.must_be_free(settings)


def test_supervisord_is_knocked_at_as_soon_as_it_listens(settings: Settings) -> None:
    """By a process that outlives the one that becomes supervisord."""
    script = (
        "import socket\n"
        "from appliance.admin.serving import begin_at_once\n"
        "from appliance.config import load\n"
        "config = load()\n"
        "begin_at_once(config)\n"
        "server = socket.socket(socket.AF_UNIX)\n"
        "server.settimeout(20)\n"
        "server.bind(str(config.run_dir / 'supervisor.sock'))\n"
        "server.listen()\n"
        "server.accept()\n"
        "print('knocked')\n"
    )
    places = {"FORMATION_RUN_DIR": str(settings.run_dir)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "knocked\n"


def test_a_node_that_starts_is_waited_for(settings: Settings) -> None:
    with (
        socket.socket(socket.AF_UNIX) as supervisor,
        socket.socket(socket.AF_UNIX) as late,
    ):
        supervisor.bind(str(settings.run_dir / "supervisor.sock"))
        supervisor.listen()

        def open_late() -> None:
            supervisor.accept()[0].close()  # it looks whether the node runs
            late.bind(str(settings.run_dir / "cli.sock"))
            late.listen()

        opening = threading.Thread(target=open_late)
        opening.start()
        serving.wait_while_starting(settings, "cli.sock")
        assert serving.accepts(settings.run_dir / "cli.sock")
        opening.join()


def test_a_node_that_does_not_run_is_not_waited_for(settings: Settings) -> None:
    serving.wait_while_starting(settings, "cli.sock")
    assert not serving.accepts(settings.run_dir / "cli.sock")


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[None]:
    """Somebody listens where supervisord would."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(settings.run_dir / "supervisor.sock"))
        listener.listen(50)
        yield


@pytest.mark.parametrize("state", ["waiting", "starting"])
def test_a_service_that_begins_is_waited_for_and_that_is_said_once(
    settings: Settings, supervisor: None, state: State
) -> None:
    say(settings, "form-dns", state)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        say(settings, "form-dns", "running")

    serving.wait_while_beginning(settings, "/api/v1/dns/names?a=/b", tell)
    assert told == [f"Names (form-dns) is {state}: waiting for it"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [("running", ""), ("stopped", "somebody stopped it"), ("waiting", UNSET)],
)
def test_one_that_does_not_begin_is_not_waited_for(
    settings: Settings, supervisor: None, state: State, reason: str
) -> None:
    say(settings, "form-dns", state, reason)
    told: list[str] = []
    for path in ("/api/v1/dns/names", "/api/v1/operations", "/api/v1", "/x"):
        serving.wait_while_beginning(settings, path, told.append)
    assert told == []


def test_no_service_of_a_node_that_ended_is_waited_for(settings: Settings) -> None:
    say(settings, "form-dns", "starting")
    told: list[str] = []
    serving.wait_while_beginning(settings, "/api/v1/dns/names", told.append)
    assert told == []


def test_what_an_earlier_node_said_of_its_services_is_forgotten(
    settings: Settings,
) -> None:
    forget_statuses(settings)
    status = read_status(settings, services()["form-dns"])
    assert (status.state, status.reason) == (
        "waiting",
        "formation-dns has not started yet",
    )
