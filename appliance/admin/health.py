"""How the services have been: every change of state, the newest of each kept."""

from __future__ import annotations

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.config import Settings
from appliance.database import NodeModel, keep_newest
from appliance.service import read_status, services

KEPT = 200


class Health(NodeModel):
    """A service's state from `time` on."""

    id = AutoField()
    service = TextField()
    time = FloatField()
    state = TextField()
    reason = TextField()


def note(settings: Settings) -> int:
    """Keep what changed since the last look; says how many services did."""
    changed = 0
    for name, service in services().items():
        status, before = read_status(settings, service), latest(name)
        if before is not None and before.state == status.state:
            continue
        Health.create(
            service=name, time=clock.now(), state=status.state, reason=status.reason
        )
        keep_newest(Health, KEPT, Health.service == name)
        changed += 1
    return changed


def latest(service: str) -> Health | None:
    found = history(service, 1)
    return found[0] if found else None


def history(service: str, limit: int = 20) -> list[Health]:
    """The newest first."""
    rows = Health.select().where(Health.service == service)
    return list(rows.order_by(Health.id.desc()).limit(limit))
