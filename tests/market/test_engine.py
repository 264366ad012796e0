"""The engine against a real HTTP agent on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from appliance import state
from appliance.config import Settings
from appliance.market import attempts, cards, tasks
from appliance.market.engine import Engine
from appliance.problems import Invalid, Problem
from tests.market.agents import SILENCE, Agent
from tests.market.conftest import Records

MakeAgent = Callable[..., Agent]


def run(engine: Engine, name: str = "echo", **wish: Any) -> tasks.Task:
    wish.setdefault("input", {"text": "hi"})
    agent = state.find("agent", f"ann/{name}")
    assert agent is not None
    task = engine.accept(agent, "1", wish, 60)
    engine.submit(task)
    return engine.finish(task, 30)


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
        ("endless", "agent-nonsense"),
        ("head", "agent-nonsense"),
        ("fields", "agent-nonsense"),
        ("redirect", "agent-nonsense"),
        ("gzip", "agent-nonsense"),
        ("nan", "agent-nonsense"),
        ("noise", "agent-nonsense"),
        ("flood", "agent-nonsense"),
        ("short", "agent-lost"),
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


def test_many_events_end_a_stream(
    engine: Engine, records: Records, agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "EVENTS", 30)
    records.agent("echo", agent())
    task = run(engine, input={"text": "hi", "do": "flood"})
    assert "more than 30 events" in task.error


def test_deep_output_is_an_answer_or_rubbish_but_ends(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent())
    assert run(engine, input={"text": "hi", "do": "deep"}).state in tasks.ENDED


def test_what_an_agent_says_cannot_drive_a_terminal(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent())
    task = run(engine, input={"text": "hi", "do": "escape"})
    assert json.loads(task.error)["detail"] == "The agent answered 500: red\ufffd"


def test_an_agent_without_run_task_says_so(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent()
    server.takes_tasks = False
    records.agent("echo", server)
    task = run(engine)
    assert error(task) == "agent-error"
    assert "takes no tasks" in task.error


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


def test_a_head_that_drips_ends_at_the_deadline(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    records.agent("echo", agent())
    task = run(engine, input={"text": "hi", "do": "drip"}, timeout_s=1)
    assert error(task) == "agent-timeout"
    assert [a["outcome"] for a in json.loads(task.attempts)] == ["agent-timeout"]


def test_a_queued_task_past_its_deadline_is_never_run(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent()
    records.agent("echo", server)
    hanging = {"input": {"text": "x", "do": "slow"}}
    held = [accepted(engine, hanging, submit=True) for _ in range(2)]
    for task in held:
        engine.wait(task, 10, lambda now: now.state == "working")
    late = accepted(engine, {"input": {"text": "late"}, "timeout_s": 1}, submit=True)
    assert tasks.as_document(tasks.get(late.id))["queue_position"] == 1
    assert error(engine.wait(late, 10, lambda task: task.state in tasks.ENDED)) == (
        "agent-timeout"
    )
    server.release.set()
    assert [engine.finish(task, 10).state for task in held] == ["completed"] * 2
    assert "late" not in [call["input"]["text"] for call in server.calls]
    assert json.loads(tasks.get(late.id).attempts) == []


def test_an_agent_that_hangs_leaves_the_others_their_turn(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent()
    records.agent("hung", server)
    records.agent("echo", agent())
    hanging = {"input": {"text": "x", "do": "slow"}}
    for _ in range(5):
        accepted(engine, hanging, submit=True, name="hung")
    assert run(engine).state == "completed"
    assert run(engine).state == "completed"
    server.release.set()


def accepted(
    engine: Engine, wish: Any, submit: bool = False, name: str = "echo"
) -> tasks.Task:
    found = state.find("agent", f"ann/{name}")
    assert found is not None
    task = engine.accept(found, "1", wish, 60)
    if submit:
        engine.submit(task)
    return task


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


def test_a_repeatable_task_needs_another_instance(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent(repeatable=True)
    records.agent("echo", server)
    assert error(run(engine, input={"text": "x", "do": "die"})) == "agent-lost"
    assert len(server.calls) == 1


def test_cancel_ends_once_and_frees_the_agent(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent(repeatable=True)
    records.agent("echo", server)
    held = {"input": {"text": "x", "do": "slow"}}
    canceled = [accepted(engine, held, submit=True) for _ in range(2)]
    for task in canceled:
        engine.wait(task, 10, lambda now: now.state == "working")
    assert server.called.wait(5)
    for task in [*canceled, *canceled]:
        engine.cancel(task)
    assert run(engine).state == "completed"  # though the agent still holds both
    ended = tasks.get(canceled[0].id)
    assert ended.state == "canceled"
    assert [a["outcome"] for a in json.loads(ended.attempts)] == ["canceled"]
    kinds = [kind for _, kind, _ in tasks.events(ended.id)]
    assert kinds == ["state", "error"]


def test_a_cancellation_by_another_process_ends_the_call(
    engine: Engine, records: Records, agent: MakeAgent, config: Settings
) -> None:
    server = agent()
    records.agent("echo", server)
    task = accepted(engine, {"input": {"text": "x", "do": "slow"}}, submit=True)
    assert server.called.wait(5)
    other = Engine(config)
    other.cancel(task)
    for _ in range(100):
        if task.id not in engine._running:
            break
        threading.Event().wait(0.05)
    assert task.id not in engine._running


def test_what_another_process_took_is_run_here(
    engine: Engine, records: Records, agent: MakeAgent, config: Settings
) -> None:
    records.agent("echo", agent())
    other = Engine(config)
    task = accepted(engine, {"input": {"text": "x"}})
    other.submit(task)
    assert other.finish(task, 10).state == "completed"


def test_without_a_gateway_nothing_is_taken(
    engine: Engine, records: Records, agent: MakeAgent, config: Settings
) -> None:
    records.agent("echo", agent())
    with pytest.raises(Problem, match="marketplace does not run"):
        accepted(Engine(config), {"input": {"text": "x"}})
    assert tasks.Task.select().count() == 0


@pytest.mark.parametrize(
    ("repeatable", "outcome"), [(True, "completed"), (False, "failed")]
)
def test_a_gateway_that_died_leaves_its_tasks_to_the_next(
    engine: Engine,
    records: Records,
    agent: MakeAgent,
    config: Settings,
    repeatable: bool,
    outcome: str,
) -> None:
    records.agent("echo", agent(repeatable=repeatable))
    engine.close()
    working, queued = (accepted_without_gateway(records) for _ in range(2))
    tried = [{"instance": "echo0", "node": "n1", "started": "2026-01-01T00:00:00Z"}]
    tasks.begin(working.id, "0.1.0", tried)
    following = Engine(config)
    following.open()
    assert following.finish(queued, 10).state == "completed"
    ended = following.finish(working, 10)
    following.close()
    assert ended.state == outcome
    outcomes = [a["outcome"] for a in json.loads(ended.attempts)]
    assert outcomes == ["gateway-lost", *(["completed"] if repeatable else [])]
    if not repeatable:
        assert "was restarted" in ended.error


def test_a_task_is_working_only_together_with_its_event(
    config: Settings, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = accepted_without_gateway(records).id
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "say", lambda *of: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            tasks.begin(id_, "0.1.0", [])
    assert tasks.get(id_).state == "submitted"
    assert tasks.begin(id_, "0.1.0", [])
    assert [kind for _, kind, _ in tasks.events(id_)] == ["state"]
    assert not tasks.begin(id_, "0.1.0", [])


class Killed(BaseException):
    """The gateway ends between two of its writes."""


def accepted_without_gateway(records: Records) -> tasks.Task:
    wish = tasks.validated({"input": {"text": "x"}}, 60)
    return tasks.create("ann", "echo", "0.1.0", "1", wish)


def test_a_gateway_that_closes_leaves_its_tasks_working(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    server = agent()
    records.agent("echo", server)
    task = accepted(engine, {"input": {"text": "x", "do": "slow"}}, submit=True)
    assert server.called.wait(5)
    engine.close()
    assert tasks.get(task.id).state == "working"


def test_queue_position(engine: Engine, records: Records) -> None:
    engine.close()
    made = [accepted_without_gateway(records) for _ in range(3)]
    assert [tasks.queue_position(task) for task in made] == [1, 2, 3]


def test_calls_that_wait_are_bounded_for_each_agent(engine: Engine) -> None:
    most = engine._settings.market.calls_per_agent
    leave = [engine.seat("ann/hung") for _ in range(most)]
    with pytest.raises(Problem, match="submit_task") as refused:
        engine.seat("ann/hung")
    assert (refused.value.name, refused.value.status) == ("quota-exceeded", 429)
    engine.seat("ann/echo")()
    leave[0]()
    engine.seat("ann/hung")


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (b"<html>", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b" " * 300_000, "more than 256 KiB"),
        (SILENCE, "does not answer within"),
    ],
)
def test_a_card_that_is_none_stops_no_task(
    engine: Engine,
    records: Records,
    agent: MakeAgent,
    monkeypatch: pytest.MonkeyPatch,
    card: bytes,
    problem: str,
) -> None:
    monkeypatch.setattr(cards, "FETCH_S", 0.3)
    server = agent()
    server.card_bytes = card
    records.agent("echo", server)
    assert [run(engine).state for _ in range(3)] == ["completed"] * 3
    assert server.asked == 1
    found = engine.card("ann/echo")
    assert found is not None
    assert problem in found.problem


def test_a_card_is_fetched_once_an_instance(
    engine: Engine, records: Records, agent: MakeAgent
) -> None:
    first, second = agent(name="one"), agent(name="two")
    records.agent("echo", first)
    run(engine)
    run(engine)
    assert first.asked == 1
    records.put(
        "instance",
        "new",
        dict(records.rows["instance", "echo0"].body)
        | {"port": second.port, "version": "0.2.0"},
    )
    del records.rows["instance", "echo0"]
    found = engine.card("ann/echo")
    assert found is not None
    assert found.members["name"] == "two"
