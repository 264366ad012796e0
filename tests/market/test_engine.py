"""The engine against a real HTTP agent on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from appliance import state
from appliance.market import tasks
from appliance.market.engine import Engine
from appliance.problems import Invalid, Problem
from tests.market.agents import Agent
from tests.market.conftest import Records

MakeAgent = Callable[..., Agent]


def run(engine: Engine, name: str = "echo", **wish: Any) -> tasks.Task:
    wish.setdefault("input", {"text": "hi"})
    agent = state.find("agent", f"ann/{name}")
    assert agent is not None
    task = engine.accept(agent, "1", wish, 60)
    engine.execute(task.id)
    return tasks.get(task.id)


def error(task: tasks.Task) -> str:
    assert task.state == "failed"
    return str(json.loads(task.error)["type"]).removeprefix("/problems/")


def test_output_and_usage(engine: Engine, records: Records, agent: MakeAgent) -> None:
    records.agent("echo", agent())
    document = tasks.as_document(run(engine))
    assert document["state"] == "completed"
    assert document["output"] == {"text": "hi"}
    assert document["usage"]["reported"] == {"prompt_tokens": 3}
    assert document["usage"]["response_bytes"] > 50
    assert [a["outcome"] for a in document["attempts"]] == ["completed"]
    assert document["queue_position"] is None


@pytest.mark.parametrize(
    ("do", "problem"),
    [
        ("rubbish", "agent-nonsense"),
        ("large", "agent-nonsense"),
        ("cut", "agent-nonsense"),
        ("error", "agent-error"),
        ("complain", "agent-error"),
        ("die", "agent-lost"),
    ],
)
def test_what_agents_do_wrong(
    engine: Engine, records: Records, agent: MakeAgent, do: str, problem: str
) -> None:
    records.agent("echo", agent())
    task = run(engine, input={"text": "hi", "do": do})
    assert error(task) == problem
    assert json.loads(task.attempts)[0]["outcome"] == problem.replace(
        "agent-lost", "lost"
    )
    if problem == "agent-error":
        assert json.loads(task.error)["agent"]["detail"] == "the model is away"


def test_output_against_own_schema(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent(output={"type": "string"}))
    assert error(run(engine)) == "agent-nonsense"


def test_deadline(engine: Engine, records: Records, agent: MakeAgent) -> None:
    records.agent("echo", agent())
    task = run(engine, input={"text": "hi", "do": "slow"}, timeout_s=1)
    assert error(task) == "agent-timeout"
    assert json.loads(task.usage)["wall_ms"] < 1500


def test_stream(engine: Engine, records: Records, agent: MakeAgent) -> None:
    records.agent("echo", agent(streaming=True))
    task = run(engine, input={"text": "hi", "do": "stream"})
    told = [(kind, json.loads(body)) for _, kind, body in tasks.events(task.id)]
    assert [kind for kind, _ in told] == ["state", "delta", "delta", "result"]
    assert told[1][1] == {"text": "a"}
    assert told[-1][1]["output"] == {"text": "ab"}


def test_repeatable_goes_elsewhere(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    gone, there = agent(repeatable=True), agent(repeatable=True)
    records.agent("echo", gone, there)
    run(engine)  # each is asked for its card once
    run(engine)
    gone.dead = True
    found = [run(engine) for _ in range(2)]
    assert [task.state for task in found] == ["completed", "completed"]
    outcomes = [[a["outcome"] for a in json.loads(t.attempts)] for t in found]
    assert ["lost", "completed"] in outcomes


def test_not_repeatable_is_lost(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    first, second = agent(), agent()
    records.agent("echo", first, second)
    assert error(run(engine, input={"text": "x", "do": "die"})) == "agent-lost"
    assert len(first.calls) + len(second.calls) == 1


def test_no_healthy_instance(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent(), state_="booting")
    with pytest.raises(Problem, match="booting") as refused:
        run(engine)
    assert (refused.value.name, refused.value.status) == ("agent-unavailable", 503)
    assert refused.value.retry_after
    assert tasks.Task.select().count() == 0


def test_input_schema_names_the_place(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent())
    with pytest.raises(Invalid) as refused:
        run(engine, input={"text": 1})
    assert "/text" in refused.value.members["errors"]


def test_cancel_ends_once(engine: Engine, records: Records, agent: MakeAgent) -> None:
    server = agent()
    records.agent("echo", server)
    found = state.find("agent", "ann/echo")
    assert found is not None
    task = engine.accept(found, "1", {"input": {"text": "x", "do": "slow"}}, 60)
    work = engine.submit(task)
    assert server.called.wait(5)
    engine.cancel(task)
    engine.cancel(task)
    server.release.set()
    work.result(5)
    ended = tasks.get(task.id)
    assert ended.state == "canceled"
    kinds = [kind for _, kind, _ in tasks.events(task.id)]
    assert kinds == ["state", "error"]


def test_recovery(engine: Engine, records: Records, agent: MakeAgent) -> None:
    records.agent("echo", agent())
    found = state.find("agent", "ann/echo")
    assert found is not None
    working, queued = (
        engine.accept(found, "1", {"input": {"text": "x"}}, 60) for _ in range(2)
    )
    tasks.begin(working.id)
    for work in engine.recover():
        work.result(5)
    assert error(tasks.get(working.id)) == "agent-lost"
    assert tasks.get(queued.id).state == "completed"


def test_queue_position(engine: Engine, records: Records, agent: MakeAgent) -> None:
    records.agent("echo", agent())
    found = state.find("agent", "ann/echo")
    assert found is not None
    made = [engine.accept(found, "1", {"input": {"text": "x"}}, 60) for _ in range(3)]
    assert sorted(tasks.queue_position(task) or 0 for task in made) == [1, 2, 3]
