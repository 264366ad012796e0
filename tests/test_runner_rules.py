"""Whatever steps do and wherever the process dies, an operation keeps its rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from appliance import operations, runner
from appliance.config import Settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Problem

NAMES = "abcd"
PLACES = ("begin", "end", "after", "undo")


class Crash(BaseException):
    """The process dies here."""


@dataclass
class World:
    """`fails` is the step that always fails; each of `crashes` happens once."""

    fails: str | None
    crashes: set[tuple[str, str]]
    canceled_in: str | None
    acts: list[tuple[str, str]] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)

    def die(self, place: str, name: str) -> None:
        if (place, name) in self.crashes:
            self.crashes.remove((place, name))
            raise Crash

    def kind(self) -> Kind:
        return Kind("k", tuple(self.step(name) for name in NAMES))

    def step(self, name: str) -> Step:
        def do(run: Run) -> None:
            assert set(run.memory) == self.recorded, "each step sees what came before"
            self.acts.append(("do", name))
            self.die("begin", name)
            if name == self.canceled_in:
                operations.cancel(run.id)
            if name == self.fails:
                raise Problem("no-luck", f"{name} did not work.")
            run.memory[name] = len(run.memory)
            self.die("end", name)

        def undo(run: Run) -> None:
            self.acts.append(("undo", name))
            self.die("undo", name)

        return Step(name, name, do, undo)

    def after(self, operation: str, name: str) -> None:
        self.recorded.add(name)
        self.die("after", name)


def run_to_its_end(world: World) -> operations.Operation:
    """One runner after the other, as each of them dies."""
    id_ = operations.submit("k", title="T", subject="s", params={}, account="x")
    while operations.get(id_).state in operations.LIVE:
        try:
            runner.execute(id_, "w", world.after)
        except Crash:
            runner.Runner().recover()
    return operations.get(id_)


@given(
    fails=st.none() | st.sampled_from(NAMES),
    crashes=st.sets(st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES))),
    canceled_in=st.none() | st.sampled_from(NAMES),
)
@rules(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_an_operation_keeps_its_rules(
    settings: Settings,
    fails: str | None,
    crashes: set[tuple[str, str]],
    canceled_in: str | None,
) -> None:
    world = World(fails, set(crashes), canceled_in)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "kinds", lambda: {"k": world.kind()})
        row = run_to_its_end(world)
    done = [name for act, name in world.acts if act == "do"]
    undone = [name for act, name in world.acts if act == "undo"]
    assert done == sorted(done), "steps go in their order, and none that ended again"
    if row.state == "completed":
        assert (set(done), undone, fails) == (set(NAMES), [], None)
        assert world.recorded == set(NAMES)
        return
    assert row.state == (
        "failed" if row.error and "no-luck" in row.error else "canceled"
    )
    first = world.acts.index(("undo", undone[0]))
    assert all(act == "undo" for act, _ in world.acts[first:]), "no step after an undo"
    begun = [n for n in NAMES if n <= max(undone)]
    assert set(done) <= set(begun)
    assert undone[-len(begun) :] == begun[::-1], "all that began is undone, last first"
