"""What the marketplace measures: tasks that ended in the last minute, and open ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from appliance import clock, state
from appliance.config import Settings
from appliance.database import node
from appliance.metrics import NODE, Reading

MINUTE_S = 60.0
QUERY = """
select json_extract(attempts, '$[#-1].instance'), state, count(*)
from task where ended > ? group by 1, 2
"""
OPEN = """
select state, count(*) from task where state in ('submitted', 'working') group by 1
"""


def read(settings: Settings) -> Iterator[Reading]:
    ended, failed = Counter[str](), Counter[str]()
    rows = node.execute_sql(QUERY, (clock.now() - MINUTE_S,)).fetchall()
    for instance, how, count in rows:
        for subject in (NODE, instance):
            ended[subject] += count
            failed[subject] += count * (how == "failed")
    running = [r.id for r in state.select("instance", desired="running")]
    for subject in (NODE, *running):
        yield Reading(subject, "tasks", float(ended[subject]))
        yield Reading(subject, "tasks_failed", float(failed[subject]))
    now = Counter(dict(node.execute_sql(OPEN).fetchall()))
    yield Reading(NODE, "tasks_waiting", float(now["submitted"]))
    yield Reading(NODE, "tasks_working", float(now["working"]))


def counts() -> dict[str, int]:
    """How many tasks are kept, by state."""
    rows = node.execute_sql("select state, count(*) from task group by state")
    return {how: int(count) for how, count in rows.fetchall()}
