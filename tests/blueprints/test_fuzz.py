"""Whatever is sent to the API is answered as its document says, and never with 5xx
for what the caller sent: schemathesis makes the requests from the document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi import checks

from appliance import clock, identity, operations, state
from appliance.admin import accounts, storage, tokens
from appliance.admin.repairs import kept
from appliance.admin.repairs.issue import Fix, Issue
from appliance.config import Settings
from appliance.market import engine as engines
from appliance.market import tasks
from appliance.service import choose, services
from appliance.state.server import StateServer
from tests.blueprints.conformance import watched_app
from tests.conftest import say

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EACH = 6
"""Requests a call: of what is there, of anything, and of what breaks the schemas."""


@pytest.fixture
def app(settings: Settings, records: StateServer) -> Iterator[Flask]:
    choose(settings, [])
    engines.current.cache_clear()
    engine = engines.current()
    engine.open()
    with watched_app() as made:
        yield made
    engine.close()
    engines.current.cache_clear()


@pytest.fixture
def there(app: Flask, settings: Settings, hashed: str) -> dict[str, dict[str, str]]:
    """Things that the calls can be about; their ids by the paths that they stand in."""
    identity.sealing_key(settings)
    storage.refresh(settings)
    ada = accounts.create("ada", hashed, ["operator"])
    accounts.create("bo", hashed, ["developer"])
    body = {"owner_name": "ada", "name": "echo", "agent": "ada/echo"}
    state.put("agent", "ada/echo", {**body, "latest": "0.1.0", "description": ""})
    version = {"agent": "ada/echo", "version": "0.1.0", "formfile": {}}
    state.put("version", "ada/echo@0.1.0", version | {"build_id": "b", "image": "i"})
    where = {"address": "10.42.0.2", "port": 8000, "state": "unhealthy", "reason": "x"}
    state.put("instance", "i1", body | where | {"version": "0.1.0", "deployment": "d"})
    operation = operations.submit(
        "stop", title="Stop", subject="i1", params={}, account=ada.id
    )
    operations.Operation.update(state="failed", ended=clock.now()).execute()
    wish = {"input": 1, "metadata": {}, "timeout_s": 60}
    task = tasks.create("ada", "echo", "0.1.0", ada.id, wish)
    tasks.end(task.id, "canceled", error=operations.Canceled())
    full = Issue("warning", "Full", "90 %", "Free some.", "data", Fix("Free it"))
    kept.keep("space", "Room", [full])
    named = {"owner": "ada", "name": "echo", "agent": "echo", "version": "0.1.0"}
    return {
        "/api/v1/market/agents": named | {"key": "TOKEN"},
        "/api/v1/market/tasks": {"id": task.id},
        "/api/v1/operations": {"id": operation},
        "/api/v1/admin/repairs": {"id": "space:data"},
        "/api/v1/vmm/instances": {"id": "i1"},
        "/api/v1/admin/processes": {"name": "dns"},
        "/api/v1/admin/services": {"segment": "dns", "name": "form-dns"},
        "/api/v1/admin/accounts": {"name": "bo"},
        "/api/v1/state/records": {"kind": "instance", "id": "i1"},
        "/api/v1/{segment}": {"segment": "admin"},
    }


def is_waiting(problem: Any) -> bool:
    """Whether something of a whole node is not there, as processes and agents."""
    return problem["status"] == 503 and problem["type"] != "/problems/database-busy"


def test_every_answer_is_as_documented(
    app: Flask, there: dict[str, dict[str, str]], settings: Settings
) -> None:
    token, _ = tokens.create(accounts.operator(), "test", ["admin"])
    headers = {"Authorization": f"Bearer {token}"}
    path = "/api/v1/openapi.json"
    schema = schemathesis.openapi.from_wsgi(path, app, headers=headers)
    statuses: Counter[int] = Counter()
    calls = [found.ok() for found in schema.get_all_operations()]
    for call in sorted(calls, key=lambda call: call.method == "delete"):
        for name in services():  # in time: who is silent for long is taken for dead
            say(settings, name, "running")
        known = next((of for at, of in there.items() if call.path.startswith(at)), {})
        gaps = {name: known[name] for name in known if f"{{{name}}}" in call.path}
        kinds = [
            call.as_strategy(GenerationMode.POSITIVE, path_parameters=gaps),
            call.as_strategy(GenerationMode.POSITIVE),
            call.as_strategy(GenerationMode.NEGATIVE, path_parameters=gaps),
        ]

        @examples(
            max_examples=EACH,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(kinds))
        def send(case: schemathesis.Case) -> None:
            answer = case.call_and_validate(headers=headers, checks=CHECKS)
            statuses[answer.status_code] += 1
            assert answer.status_code < 500 or is_waiting(answer.json())

        send()
    assert statuses.keys() >= {200, 201, 202, 404, 409, 422}
    assert statuses.total() > 300
