"""A node's foundations in a folder of its own: settings, databases, records."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from appliance import clock, config, database, schema
from appliance.config import Settings
from appliance.layout import prepare
from appliance.service import State, Status, services, write_status
from appliance.state.__main__ import open_store
from appliance.state.server import StateServer

hypothesis.settings.register_profile("formation", deadline=None)  # machines are busy
hypothesis.settings.load_profile("formation")
# what an app says of its requests is not what a command prints
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
)


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Which tests stay together: those of a file, and all that serve a node.

    A machine has one libvirtd.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return "node" if file.startswith("tests/e2e/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: item.path.parent.name not in ("e2e", "image"))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name in ("data", "run", "log"):
        monkeypatch.setenv(f"FORMATION_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("FORMATION_CONFIG", str(tmp_path / "formation.toml"))
    config.settings.cache_clear()
    found = config.settings()
    prepare(found)
    schema.open_all(found)
    for name in services():
        say(found, name, "running")
    yield found
    database.node.close()
    database.metrics.close()
    config.settings.cache_clear()


def say(settings: Settings, name: str, state: State, reason: str = "") -> None:
    """What the process of a service would write of it."""
    now = clock.now()
    status = Status(state, reason, since=now, beat=now)
    write_status(settings, services()[name], status)


@pytest.fixture
def records(state_server: StateServer) -> StateServer:
    return state_server


@pytest.fixture
def state_server(settings: Settings) -> Iterator[StateServer]:
    """formation-state's socket, served by a thread."""
    store = open_store(settings)
    server = StateServer(
        settings.run_dir / "state.sock", store, None, lambda kind: None
    )
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    store.database.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What is logged, in place of printing it."""
    found: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: Any) -> Any:
        found.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    merge = structlog.contextvars.merge_contextvars
    structlog.configure(
        processors=[merge, structlog.processors.add_log_level, keep],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    yield found
    structlog.configure(**before)
