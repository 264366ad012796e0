"""Tasks a minute, for the node and for each instance."""

from __future__ import annotations

import json

from appliance import clock
from appliance.market import measures, tasks
from appliance.market.engine import Engine
from appliance.metrics import Reading
from tests.market.conftest import Records


def ended(instance: str | None, state: str, ago: float) -> None:
    wish = {"input": 1, "timeout_s": 60, "metadata": {}}
    task = tasks.create("ann", "echo", "0.1.0", "1", wish)
    attempts = [{"instance": "lost"}, {"instance": instance}] if instance else []
    changes = {"state": state, "ended": clock.now() - ago}
    tasks.Task.update(attempts=json.dumps(attempts), **changes).where(
        tasks.Task.id == task.id
    ).execute()


def found(engine: Engine) -> dict[tuple[str, str], float]:
    readings: list[Reading] = list(measures.read(engine._settings))
    return {(r.subject, r.metric): r.value for r in readings}


def test_tasks_count_for_the_node_and_the_instance_that_answered(
    engine: Engine, records: Records
) -> None:
    for name in ("a", "b"):
        records.put("instance", name, {"desired": "running"})
    records.put("instance", "c", {"desired": "stopped"})
    ended("a", "completed", 5)
    ended("a", "failed", 50)
    ended("a", "completed", 90)
    ended(None, "failed", 1)
    ended("elsewhere", "completed", 1)
    assert found(engine) == {
        ("node", "tasks"): 4,
        ("node", "tasks_failed"): 2,
        ("node", "tasks_waiting"): 0,
        ("node", "tasks_working"): 0,
        ("a", "tasks"): 2,
        ("a", "tasks_failed"): 1,
        ("b", "tasks"): 0,
        ("b", "tasks_failed"): 0,
    }
