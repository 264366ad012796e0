"""The task API over HTTP, sentence by sentence, against a real agent on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from appliance import shares, state
from appliance.admin import accounts, tokens
from appliance.config import Settings
from appliance.market import engine as engines
from appliance.market import tasks
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import market
from tests.blueprints.conformance import watched_app
from tests.market.agents import Agent

API = "/api/v1/market"
RUN = f"{API}/agents/ann/echo/run_task"
SUBMIT = f"{API}/agents/ann/echo/submit_task"
HI = {"input": {"text": "hi"}}
SLOW = {"input": {"text": "x", "do": "slow"}}
PASSWORD = "correct horse battery"


@pytest.fixture
def engine(settings: Settings, records: StateServer) -> Iterator[engines.Engine]:
    engines.current.cache_clear()
    found = engines.current()
    found.open()
    yield found
    found.close()
    engines.current.cache_clear()


@pytest.fixture
def app(settings: Settings, engine: engines.Engine) -> Iterator[Flask]:
    choose(settings, [])
    with watched_app() as made:
        yield made


def deploy(
    server: Agent, owner: str, name: str = "echo", version: str = "0.1.0"
) -> None:
    full = f"{owner}/{name}"
    agent = {"owner": owner, "owner_name": owner, "name": name, "latest": version}
    state.put("agent", full, {**agent, "description": ""})
    where = {"address": "127.0.0.1", "port": server.port}
    instance = {"agent": full, "name": name, "version": version, "node": "n", **where}
    about = {"state": "healthy", "reason": "", "deployment": "d"}
    state.put("instance", f"{owner}-{name}", {**instance, **about})
    shares.give(full, shares.EVERYONE, "call", "")


@pytest.fixture
def agent(app: Flask) -> Iterator[Agent]:
    server = Agent(streaming=True)
    deploy(server, "ann")
    yield server
    server.close()


Call = Callable[..., TestResponse]


@pytest.fixture
def call(app: Flask, agent: Agent) -> Call:
    """Calls as ada, a developer, by her token."""
    return caller(app, "ada", "developer")


def caller(app: Flask, name: str, role: str) -> Call:
    account = accounts.create(name, accounts.hash_password(PASSWORD), (role,))
    token, _ = tokens.create(account, "test", ["admin"])

    def call(method: str, path: str, **named: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}", **named.pop("headers", {})}
        return app.test_client().open(path, method=method, headers=headers, **named)

    return call


def problem(answer: TestResponse) -> tuple[int, str]:
    assert answer.mimetype == "application/problem+json"
    return answer.status_code, answer.get_json()["type"].removeprefix("/problems/")


def events(answer: TestResponse) -> list[tuple[int, str, Any]]:
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            body = json.loads(fields["data"])
            found.append((int(fields["id"]), fields["event"], body))
    return found


# run_task


def test_run_answers_200_and_the_task(call: Call) -> None:
    answer = call("POST", RUN, json=HI)
    assert answer.status_code == 200
    task = answer.get_json()
    assert set(task) == {
        "id",
        "agent",
        "state",
        "queue_position",
        "input_digest",
        "output",
        "error",
        "usage",
        "attempts",
        "created",
        "started",
        "ended",
        "metadata",
    }
    assert task["agent"] == {"owner": "ann", "name": "echo", "version": "0.1.0"}
    assert task["output"] == {"text": "hi"}
    assert set(task["attempts"][0]) == {
        "instance",
        "node",
        "started",
        "ended",
        "outcome",
    }


def test_a_failure_is_the_problems_own_status_with_the_task(call: Call) -> None:
    answer = call("POST", RUN, json={"input": {"text": "x", "do": "error"}})
    assert problem(answer) == (502, "agent-error")
    assert answer.get_json()["agent"]["detail"] == "the model is away"
    assert answer.get_json()["task"]["state"] == "failed"


def test_the_deadline_is_504(call: Call) -> None:
    answer = call("POST", RUN, json={**SLOW, "timeout_s": 1})
    assert problem(answer) == (504, "agent-timeout")


def test_a_preferred_wait_ends_in_202_and_says_that_it_was_applied(
    call: Call, agent: Agent
) -> None:
    answer = call("POST", RUN, json=SLOW, headers={"Prefer": "foo, wait=1"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=1"
    task = answer.get_json()
    assert answer.headers["Location"] == f"{API}/tasks/{task['id']}"
    assert task["state"] == "working"
    agent.release.set()
    held = call("GET", f"{API}/tasks/{task['id']}?wait=30")
    assert held.get_json()["state"] == "completed"
    quick = call("POST", RUN, json=HI, headers={"Prefer": "wait=9999999"})
    assert quick.status_code == 200
    assert quick.headers["Preference-Applied"] == "wait=300"


def test_run_streams_to_who_accepts_events(call: Call) -> None:
    wish = {"input": {"text": "x", "do": "stream"}}
    answer = call("POST", RUN, json=wish, headers={"Accept": "text/event-stream"})
    assert answer.mimetype == "text/event-stream"
    found = events(answer)
    assert [kind for _, kind, _ in found] == ["state", "delta", "delta", "result"]
    assert found[-1][2]["output"] == {"text": "ab"}


# submit_task, show, events, cancel


def test_submit_answers_202_and_where_the_task_is(call: Call) -> None:
    answer = call("POST", SUBMIT, json=HI)
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(answer.get_json()["id"])
    shown = call("GET", answer.headers["Location"] + "?wait=30")
    assert shown.status_code == 200


def test_a_task_that_failed_is_shown_with_200(call: Call) -> None:
    made = call("POST", SUBMIT, json={"input": {"text": "x", "do": "error"}})
    path = made.headers["Location"]
    call("GET", f"{path}/events").get_data()
    shown = call("GET", path)
    assert shown.status_code == 200
    assert shown.get_json()["error"]["type"] == "/problems/agent-error"
    unchanged = call("GET", path, headers={"If-None-Match": shown.headers["ETag"]})
    assert unchanged.status_code == 304


def test_events_resume_after_the_last_one_seen(call: Call) -> None:
    made = call("POST", SUBMIT, json={"input": {"text": "x", "do": "stream"}})
    path = f"{made.headers['Location']}/events"
    first = events(call("GET", path))
    assert [kind for _, kind, _ in first] == ["state", "delta", "delta", "result"]
    rest = call("GET", path, headers={"Last-Event-ID": str(first[1][0])})
    assert events(rest) == first[2:]


def test_a_stream_beats_and_a_client_that_goes_frees_its_seat(
    call: Call, agent: Agent, engine: engines.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market, "HEARTBEAT_S", 0.1)
    made = call("POST", SUBMIT, json=SLOW)
    answer = call("GET", f"{made.headers['Location']}/events")
    heard = iter(answer.response)
    while not next(heard).startswith(b": "):
        pass
    assert engine._seats.taken("ann/echo") == 1
    answer.close()
    assert engine._seats.taken("ann/echo") == 0
    agent.release.set()


def test_cancel_is_idempotent_and_ends_a_stream_with_an_error(
    call: Call, agent: Agent
) -> None:
    path = call("POST", SUBMIT, json=SLOW).headers["Location"]
    assert agent.called.wait(5)
    for _ in range(2):
        answer = call("POST", f"{path}/cancel")
        assert answer.status_code == 200
        assert answer.get_json()["state"] == "canceled"
    last = events(call("GET", f"{path}/events"))[-1]
    assert (last[1], last[2]["type"]) == ("error", "/problems/canceled")
    completed = call("POST", RUN, json=HI).get_json()
    kept = call("POST", f"{API}/tasks/{completed['id']}/cancel").get_json()
    assert kept["state"] == "completed"


def test_tasks_of_others_do_not_exist(call: Call, app: Flask) -> None:
    mine = call("POST", RUN, json=HI).get_json()["id"]
    other = caller(app, "bob", "developer")
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        found = problem(other(method, f"{API}/tasks/{mine}{path}"))
        assert found == (404, "task-unknown")


def test_a_wait_that_is_no_number_is_refused(call: Call) -> None:
    task = call("POST", RUN, json=HI).get_json()["id"]
    assert problem(call("GET", f"{API}/tasks/{task}?wait=soon"))[0] == 422


# list


def test_the_list_is_the_callers_newest_first_by_agent_and_state(call: Call) -> None:
    ids = [call("POST", RUN, json=HI).get_json()["id"] for _ in range(3)]
    failed = call("POST", RUN, json={"input": {"text": "x", "do": "error"}})
    ids.append(failed.get_json()["task"]["id"])

    def listed(query: str) -> list[str]:
        return [t["id"] for t in call("GET", f"{API}/tasks{query}").get_json()["tasks"]]

    assert listed("") == ids[::-1]
    assert listed("?agent=echo&state=completed") == ids[2::-1]
    assert listed("?agent=ann/echo&state=Failed") == ids[3:]
    assert listed("?agent=bob/echo") == []
    assert listed("?state=InProgress") == []
    assert listed("?state=TASK_STATE_COMPLETED") == ids[2::-1]
    assert listed(f"?after={ids[1]}") == ids[:1]


def test_a_long_list_goes_on_at_its_cursor(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    ids = [call("POST", RUN, json=HI).get_json()["id"] for _ in range(3)]
    first = call("GET", f"{API}/tasks").get_json()
    assert ([t["id"] for t in first["tasks"]], first["next"]) == (ids[:0:-1], ids[1])
    rest = call("GET", f"{API}/tasks?after={first['next']}").get_json()
    assert ([t["id"] for t in rest["tasks"]], rest["next"]) == (ids[:1], None)


@pytest.mark.parametrize("query", ["state=tired", "after=nobody"])
def test_a_list_by_what_is_not_known_is_refused(call: Call, query: str) -> None:
    assert problem(call("GET", f"{API}/tasks?{query}")) == (422, "input-invalid")


# names


def test_a_short_name_leads_to_the_claims_holder(
    call: Call, agent: Agent, app: Flask
) -> None:
    short = f"{API}/agents/echo/run_task"
    assert call("POST", short, json=HI).get_json()["agent"]["owner"] == "ann"
    deploy(agent, "bob")
    answer = call("POST", short, json=HI)
    assert problem(answer) == (404, "agent-unknown")
    assert "ann/echo, bob/echo" in answer.get_json()["detail"]
    claim = {"name": "", "agent": "bob/echo", "instance": "", "kind": "internal"}
    state.put("domain", "echo.formation.internal", claim)
    assert call("POST", short, json=HI).get_json()["agent"]["owner"] == "bob"
    assert call("POST", RUN, json=HI).get_json()["agent"]["owner"] == "ann"
    assert call("GET", f"{API}/agents/echo").get_json()["id"] == "bob/echo"


def test_unknown_agents_are_404(call: Call) -> None:
    for path in ("agents/nobody", "agents/ann/nobody", "agents/nobody/echo"):
        for verb in ("run_task", "submit_task"):
            answer = call("POST", f"{API}/{path}/{verb}", json=HI)
            assert problem(answer) == (404, "agent-unknown")


# the request


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"hello", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"input": NaN}', "not JSON"),
        (b'{"text": "hi"}', "like"),
        (b'{"input": {"text": 1}}', "/text"),
        (b'{"input": {"text": "x"}, "timeout_s": 0}', "1 to 3600"),
        (b'{"input": {"text": "x"}, "timeout_s": 3601}', "1 to 3600"),
        (b'{"input": {"text": "x"}, "timeout_s": "1"}', "number"),
        (b'{"input": {"text": "x"}, "metadata": 1}', "metadata"),
        (b'{"input": {"text": "x"}, "parameters": []}', "parameters"),
        (b'{"input": {"text": "x"}, "webhook": "http://a"}', "Webhooks"),
        (b'{"input": {"text": "x"}, "else": 1}', "else"),
        (
            b'{"input": {"text": "x"}, "metadata": {"a": "' + b"x" * 20_000 + b'"}}',
            "16 KiB",
        ),
    ],
)
def test_bad_requests_are_422_and_leave_nothing(
    call: Call, agent: Agent, body: bytes, says: str
) -> None:
    for path in (RUN, SUBMIT):
        answer = call("POST", path, data=body)
        assert problem(answer) == (422, "input-invalid")
        assert says in answer.get_json()["detail"]
    assert tasks.Task.select().count() == 0
    assert agent.calls == []


def test_each_violation_has_its_pointer(call: Call) -> None:
    answer = call("POST", RUN, json={"input": {"text": 1}}).get_json()
    assert "/text" in answer["errors"]


@pytest.mark.parametrize("length", ["1048577", "99999999999"])
def test_too_much_is_413_before_it_is_read(call: Call, length: str) -> None:
    class Unread:
        def read(self, *of: int) -> bytes:
            raise AssertionError("it was read")

    environ = {"wsgi.input": Unread(), "CONTENT_LENGTH": length}
    answer = call("POST", RUN, environ_overrides=environ)
    assert problem(answer) == (413, "too-large")
    assert answer.headers["Connection"] == "close"


def test_too_much_without_a_length_is_413_after_its_limit(call: Call) -> None:
    class Endless:
        count = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0, "all of an endless body was asked for"
            self.count += size
            return b" " * size

    source = Endless()
    environ = {"wsgi.input": source, "wsgi.input_terminated": True}
    answer = call("POST", RUN, environ_overrides={**environ, "CONTENT_LENGTH": ""})
    assert problem(answer) == (413, "too-large")
    assert source.count < 3 << 20


def test_the_same_key_gives_the_first_task_again(call: Call, agent: Agent) -> None:
    key = {"Idempotency-Key": "k"}
    first = call("POST", RUN, json=HI, headers=key).get_json()
    again = call("POST", RUN, json=HI, headers=key).get_json()
    assert first == again
    assert len(agent.calls) == 1
    other = call("POST", RUN, json={"input": {"text": "no"}}, headers=key)
    assert problem(other) == (422, "idempotency-conflict")


def test_defaults_of_the_deadline(call: Call) -> None:
    for path, seconds in ((RUN, 60), (SUBMIT, 900)):
        answer = call("POST", path, json=HI).get_json()
        task = tasks.get(answer["id"])
        assert task.deadline - task.created == pytest.approx(seconds, abs=0.1)


# who


def test_auditors_look_but_do_not_call(call: Call, app: Flask, agent: Agent) -> None:
    auditor = caller(app, "eve", "auditor")
    for path in (RUN, SUBMIT):
        assert problem(auditor("POST", path, json=HI)) == (403, "not-allowed")
    assert auditor("GET", f"{API}/agents").status_code == 200
    assert auditor("GET", f"{API}/tasks").status_code == 200
    assert agent.calls == []


def test_no_healthy_instance_is_503_with_the_reason(call: Call, agent: Agent) -> None:
    state.change("instance", "ann-echo", state="unhealthy", reason="it boots")
    answer = call("POST", RUN, json=HI)
    assert problem(answer) == (503, "agent-unavailable")
    assert "it boots" in answer.get_json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


# versions


def test_a_version_is_registered_once(call: Call, app: Flask) -> None:
    path = f"{API}/agents/ada/new/versions/1.0.0"
    manifest = {"build_id": "a" * 64, "image": "b" * 64}
    assert call("PUT", path, json=manifest).status_code == 201
    assert call("PUT", path, json=manifest).status_code == 200
    for member in manifest:
        other = call("PUT", path, json={**manifest, member: "c" * 64})
        assert problem(other) == (409, "version-taken")
        assert "raise VERSION" in other.get_json()["detail"]
    assert problem(call("PUT", path, json={}))[0] == 422
    theirs = call("PUT", f"{API}/agents/ann/echo/versions/1.0.0", json=manifest)
    assert problem(theirs) == (403, "not-allowed")
