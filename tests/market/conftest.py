"""A node's databases in a folder, records in memory, an agent on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import database, schema, state
from appliance.config import MarketSettings, Settings
from appliance.market import engine as engines
from appliance.market.engine import Engine
from tests.market.agents import Agent


class Records:
    """Records as form-state keeps them, without its process."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], state.Record] = {}

    def put(self, kind: str, id_: str, body: dict[str, Any]) -> state.Record:
        record = state.Record(kind, id_, body, "node", "1", len(self.rows), 0)
        self.rows[kind, id_] = record
        return record

    def find(self, kind: str, id_: str) -> state.Record | None:
        return self.rows.get((kind, id_))

    def select(self, kind: str, **equals: Any) -> list[state.Record]:
        return [
            row
            for (k, _), row in sorted(self.rows.items())
            if k == kind and equals.items() <= row.body.items()
        ]

    def agent(self, name: str, *servers: Agent, state_: str = "healthy") -> None:
        """An agent `ann/NAME` with an instance for each server."""
        body = {"owner": "1", "owner_name": "ann", "name": name, "latest": "0.1.0"}
        self.put("agent", f"ann/{name}", body)
        for number, server in enumerate(servers):
            instance = {
                "agent": f"ann/{name}",
                "version": "0.1.0",
                "node": "n1",
                "address": "127.0.0.1",
                "port": server.port,
                "state": state_,
                "reason": "",
            }
            self.put("instance", f"{name}{number}", instance)


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    market = MarketSettings(workers=2, tasks_per_agent=2, max_output_mib=1)
    return Settings(
        data_dir=tmp_path / "data",
        run_dir=tmp_path / "run",
        log_dir=tmp_path / "log",
        market=market,
    )


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Records:
    kept = Records()
    monkeypatch.setattr(state, "own_node", lambda config: {})
    for name in ("find", "select", "put"):
        monkeypatch.setattr(state, name, getattr(kept, name))
    return kept


@pytest.fixture
def engine(
    config: Settings, records: Records, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    (config.data_dir / "node").mkdir(parents=True)
    schema.open_all(config)
    made = Engine(config)
    made.open()
    engines.current.cache_clear()
    monkeypatch.setattr(engines, "current", lambda: made)
    yield made
    made.close()
    database.node.close()
    database.metrics.close()


@pytest.fixture
def agent() -> Iterator[Callable[..., Agent]]:
    made: list[Agent] = []

    def make(**card: Any) -> Agent:
        made.append(Agent(**card))
        return made[-1]

    yield make
    for server in made:
        server.close()
