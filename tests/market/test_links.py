"""Deployments, failures and deletions leave records whose links all lead to living
records, and nothing that nobody needs."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from appliance import identity, operations, runner, state
from appliance.config import Settings
from appliance.market import lifecycle, withdraw
from appliance.problems import Conflict, Problem
from appliance.state import inspection
from appliance.vmm import instances
from tests.market.test_deploy import World, world  # noqa: F401

BREAKS = ("create", "boot")
ACTS = (
    "deploy",
    "same again",
    "fail",
    "stuck",
    "delete",
    "delete agent",
    "delete version",
)


class Life:
    """What people and accidents do with one agent."""

    def __init__(self, outside: World, settings: Settings) -> None:
        self.world, self.settings = outside, settings
        self.patch = 0
        node = identity.node_id(settings)
        assert node
        state.put("account", "1", {"name": "ada"})
        state.put("node", node, {"name": "cellar"})

    def do(self, act: str, at: str) -> None:
        if act in ("deploy", "fail", "stuck"):
            self.patch += 1
        if act == "fail":
            self.world.fail[at] = Problem("no-luck", "No luck.")
        if act == "stuck":
            self.world.fail["delete"] = Problem("busy", "libvirt is busy.")
        if act in ("deploy", "same again", "fail", "stuck"):
            self.deploy(f"0.{self.patch}.0")
        elif act == "delete":
            for record in state.select("instance"):
                run = operations.Run(record.id, "1", record.id, {}, {})
                lifecycle.delete(run)
        elif act == "delete agent":
            self.delete_agent()
        elif act == "delete version":
            self.delete_versions()
        self.world.fail.clear()
        self.reconcile()

    @staticmethod
    def delete_agent() -> None:
        for record in state.select("agent"):
            runner.execute(withdraw.request(record.id, "1"), "worker")

    @staticmethod
    def delete_versions() -> None:
        for record in state.select("version"):
            agent, version = record.body["agent"], record.body["version"]
            with contextlib.suppress(Conflict):  # the latest, or one that runs
                id_ = withdraw.request_version(agent, version, "1")
                runner.execute(id_, "worker")

    @staticmethod
    def deploy(version: str) -> None:
        text = f"NAME echo\nVERSION {version}\nENTRYPOINT true\n"
        id_ = operations.submit(
            "deploy",
            title="Deploy",
            subject="ada",
            params={"formfile": text, "owner_name": "ada"},
            account="1",
        )
        runner.execute(id_, "worker")

    def reconcile(self) -> None:
        for record in state.select("instance"):
            if record.body["desired"] == "deleted":
                self.world.machines.pop(record.id, None)
                instances.forget(record.id)

    def must_be_linked(self) -> None:
        reader = state.open_state(self.settings)
        assert inspection.verify(self.settings, reader).dangling_links == ()
        living = [r.id for r in state.select("instance")]
        assert [r.id for r in state.select("deployment")] == living
        builds = {r.body["build_id"] for r in state.select("version")}
        assert {r.id for r in state.select("build")} == builds
        assert len(living) <= 1


@hypothesis_settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(BREAKS)), max_size=8))
def test_every_link_leads_to_a_living_record(
    world: World,  # noqa: F811
    settings: Settings,
    acts: list[tuple[str, str]],
) -> None:
    life = Life(world, settings)
    for act, at in acts:
        life.do(act, at)
        life.must_be_linked()
    for record in state.select("instance"):
        lifecycle.delete(operations.Run(record.id, "1", record.id, {}, {}))
    life.must_be_linked()
    for kind in ("agent", "version", "build"):
        for record in state.select(kind):
            state.remove(kind, record.id)
