"""Agents shared with accounts: what each right gives on every surface, and that an
account with none finds nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.test import TestResponse

from appliance import cli, events, identity, operations, shares, state
from appliance.admin import accounts, sharing
from appliance.admin.rights import authorise
from appliance.commands import agents as commands
from appliance.config import Settings
from appliance.market import tasks
from appliance.problems import Problem, from_document

from .conftest import Person
from .test_access import SAFE

API = "/api/v1/market/agents/bo/velvet/rights"
AGENT = "bo/velvet"
TRACES = ("velvet", "10.42.0.77", "i-of-bo", "op-of-bo")
"""What would tell of bo's agent: names, address, ids."""
LEVELS = ("", "call", "view", "manage")


@pytest.fixture
def operation(bo: Person) -> str:
    """bo's agent with all that belongs to one, and an operation on it."""
    names = {"owner": bo.account.id, "owner_name": "bo", "name": "velvet"}
    build = {"image": "1" * 64, "operation": "op-of-bo", "created": ""}
    version = {"agent": AGENT, "version": "0.1.0", "image": "1" * 64, "formfile": {}}
    made = {"build_id": "2" * 64, "created": "2026-01-01T00:00:00Z"}
    instance = {**names, "agent": AGENT, "version": "0.1.0", "deployment": "d-of-bo"}
    where = {"address": "10.42.0.77", "port": 8000, "state": "failed", "reason": "x"}
    size = {"image": "1" * 64, "vcpu": 1, "memory_mib": 512, "disk_gib": 5}
    domains = [{"host": "velvet.example", "path": "/"}]
    placed = {"agent": AGENT, "version": "0.1.0", "account": bo.account.id}
    claim = {"name": "velvet", "agent": AGENT, "instance": "i-of-bo"}
    state.put("agent", AGENT, {**names, "latest": "0.1.0", "description": "velvet"})
    state.put("build", "2" * 64, build)
    state.put("version", f"{AGENT}@0.1.0", {**version, **made})
    state.put("deployment", "d-of-bo", {**placed, "domains": domains})
    state.put(
        "instance", "i-of-bo", {**instance, **where, **size, "desired": "running"}
    )
    state.put("domain", "velvet.formation.internal", {**claim, "kind": "internal"})
    events.happened("velvet was started", service="vmm-service", subject="i-of-bo")
    events.happened("velvet is registered", service="marketplace", subject=AGENT)
    wish = {"input": "velvet", "timeout_s": 60, "metadata": {}}
    tasks.create(bo.account.id, "velvet", "0.1.0", bo.account.id, wish)
    return operations.submit(
        "stop", title="Stop velvet", subject="i-of-bo", params={}, account="gone"
    )


@pytest.fixture
def gus(ada: Person, person: Callable[..., Person]) -> Person:
    """A user, who deploys nothing."""
    return person("gus", "user")


def readable(app: Flask, operation: str) -> Iterator[str]:
    """Every route that is read, about bo's agent where it is about one thing."""
    about = {
        "owner": "bo",
        "agent": "velvet",
        "version": "0.1.0",
        "kind": "agent",
        "account": "bo",
    }
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or set()) or rule.endpoint.endswith("static"):
            continue
        room = rule.endpoint.partition(".")[0]
        id_ = {"operations": operation, "state": AGENT}.get(room, "i-of-bo")
        name = "velvet" if "agents" in rule.rule or "market" in rule.rule else "bo"
        known = {**about, "name": name, "id_": id_}
        path = rule.build({gap: known.get(gap, "x") for gap in rule.arguments})
        assert path is not None
        yield path[1]
    for kind in ("agent", "version", "build", "deployment", "instance", "domain"):
        yield f"/state/?kind={kind}"
        yield f"/api/v1/state/records?kind={kind}"
    for view, of in (("dashboard", ""), ("instances", ""), ("instance", "i-of-bo")):
        yield f"/live/parts?view={view}&of={of}"
    yield f"/live/parts?view=operation&of={operation}"
    yield "/market/tasks?all=1"
    yield "/api/v1/market/tasks?all=1"
    yield "/api/v1/market/agents?q=elve"
    yield "/api/v1/admin/metrics?subject=i-of-bo"


def said(answer: TestResponse) -> str:
    """The text of an answer; of an archive that of its files."""
    if answer.mimetype != "application/zip":
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.data)) as found:
        return b"".join(map(found.read, found.namelist())).decode()


def endless(path: str) -> bool:
    return path.endswith("/events") or "/setup" in path


@pytest.mark.parametrize("role", ["developer", "user"])
def test_who_owns_nothing_finds_nothing_of_anybody_elses_agent(
    app: Flask, operation: str, person: Callable[..., Person], role: str
) -> None:
    stranger = person("zed", role)
    read = 0
    paths = [path for path in readable(app, operation) if not endless(path)]
    paths.sort(key=lambda path: "export" not in path)  # it has what one was refused
    for path in paths:
        answer = stranger.browser.get(path)
        read += answer.status_code == 200
        for trace in (*TRACES, operation):
            asked = trace in path and answer.status_code != 200
            text = said(answer).replace("zed/velvet", "")  # what may become its own
            assert asked or trace not in text, f"{trace} is in {path}"
    assert read > 30


def test_its_owner_finds_it_in_all_these_places(
    app: Flask, bo: Person, operation: str
) -> None:
    paths = [path for path in readable(app, operation) if not endless(path)]
    told = [path for path in paths if "velvet" in said(bo.browser.get(path))]
    assert len(told) > 25


def test_an_unknown_agent_and_one_that_was_not_shared_are_told_alike(
    cy: Person, operation: str
) -> None:
    for path in (
        "/api/v1/market/agents/bo/{}",
        "/api/v1/market/agents/{}",
        "/api/v1/market/agents/bo/{}/rights",
        "/api/v1/market/agents/bo/{}/secrets",
        "/api/v1/market/agents/bo/{}/belongings",
        "/api/v1/state/records/agent/bo/{}",
        "/api/v1/state/records/version/bo/{}@0.1.0",
    ):
        there = cy.browser.get(path.format("velvet"))
        nowhere = cy.browser.get(path.format("nothing"))
        assert there.status_code == nowhere.status_code
        assert there.text.replace("velvet", "nothing") == nowhere.text
    for verb in ("run_task", "submit_task"):
        for agent in ("bo/velvet", "velvet"):
            answer = cy.browser.post(
                f"/api/v1/market/agents/{agent}/{verb}",
                json={"input": 1},
                headers={"X-CSRF-Token": cy.csrf},
            )
            assert answer.status_code == 404


def may(who: Person, operation: str) -> dict[str, bool]:
    """What the surfaces let an account do with bo's agent."""
    found = who.browser
    counts = found.get("/").text
    mine = "velvet was started" in counts
    return {
        "call": found.get(f"/market/{AGENT}").status_code == 200,
        "listed": "velvet" in found.get("/api/v1/market/agents").text,
        "named": "velvet" in found.get("/api/v1/dns/names").text,
        "instances": "10.42.0.77" in found.get("/api/v1/vmm/instances").text,
        "page": "10.42.0.77" in found.get(f"/market/{AGENT}").text,
        "log": found.get("/api/v1/vmm/instances/i-of-bo/log").status_code == 200,
        "record": who.get("/api/v1/state/records/instance/i-of-bo") == 200,
        "metrics": who.get("/api/v1/admin/metrics?subject=i-of-bo") == 200,
        "operation": who.get(f"/api/v1/operations/{operation}") == 200,
        "operations": operation in found.get("/api/v1/operations").text,
        "events": mine,
        "live": "10.42.0.77" in found.get("/live/parts?view=instances").text,
        "secrets": who.get(f"/api/v1/market/agents/{AGENT}/secrets") == 200,
        "tasks": len(found.get("/api/v1/market/tasks?all=1").get_json()["tasks"]) == 1,
        "rights": who.get(API) == 200,
    }


CALLS = {"call", "listed", "named"}
MANAGES = {"tasks", "rights"}


@pytest.mark.parametrize("right", LEVELS)
def test_every_surface_agrees_on_a_right(
    cy: Person, operation: str, right: str
) -> None:
    if right:
        shares.give(AGENT, cy.account.id, right, "")
    for surface, allowed in may(cy, operation).items():
        needed = "call" if surface in CALLS else "view"
        needed = "manage" if surface in MANAGES else needed
        assert allowed == (LEVELS.index(right) >= LEVELS.index(needed)), surface


def test_who_manages_an_agent_changes_it_but_neither_shares_nor_deletes_it(
    settings: Settings, bo: Person, cy: Person, operation: str
) -> None:
    identity.sealing_key(settings)
    shares.give(AGENT, cy.account.id, "view", bo.account.id)
    secret = f"/api/v1/market/agents/{AGENT}/secrets/KEY"
    headers = {"X-CSRF-Token": cy.csrf}
    changes = (
        ("PUT", secret),
        ("DELETE", "/api/v1/vmm/instances/i-of-bo"),
        ("POST", f"/api/v1/market/agents/{AGENT}/versions/0.1.0/deploy"),
    )
    for method, path in changes:
        answer = cy.browser.open(path, method=method, data="x", headers=headers)
        assert answer.status_code == 403, path
    with pytest.raises(Problem):
        authorise(cy.account.id, "developer", AGENT)
    shares.give(AGENT, cy.account.id, "manage", bo.account.id)
    for method, path in changes:
        answer = cy.browser.open(path, method=method, data="x", headers=headers)
        assert answer.status_code in (200, 202), path
    authorise(cy.account.id, "developer", AGENT)
    for method, path in (
        ("DELETE", f"/api/v1/market/agents/{AGENT}"),
        ("PUT", f"{API}/ada"),
        ("DELETE", f"{API}/cy"),
        ("DELETE", "/api/v1/vmm/volumes/bo/velvet/data"),
    ):
        answer = cy.browser.open(
            path, method=method, json={"right": "call"}, headers=headers
        )
        assert answer.status_code == 403, path


def test_a_user_calls_what_was_shared_and_changes_nothing(
    gus: Person, operation: str
) -> None:
    shares.give(AGENT, gus.account.id, "manage", "")
    page = gus.browser.get(f"/market/{AGENT}").text
    assert f"/market/{AGENT}/try" in page
    assert f"/market/{AGENT}/deploy" not in page
    headers = {"X-CSRF-Token": gus.csrf}
    for path in ("/vmm/i-of-bo/stop", f"/market/{AGENT}/secrets", "/pack/deploy"):
        assert gus.browser.post(path, headers=headers).status_code == 403
    answer = gus.browser.post(
        f"/api/v1/market/agents/{AGENT}/run_task",
        json={"input": 1},
        headers={**headers, "Prefer": "wait=0"},
    )
    assert answer.status_code != 403
    assert authorised(gus) is False


def authorised(who: Person) -> bool:
    try:
        authorise(who.account.id, "developer", AGENT)
    except Problem:
        return False
    return True


def test_an_auditor_who_is_a_user_too_sees_all_but_calls_what_was_shared(
    operation: str, person: Callable[..., Person]
) -> None:
    both = person("ivy", "user", "auditor")
    run = f"/api/v1/market/agents/{AGENT}/submit_task"
    for status in (403, 202):
        answer = both.browser.post(
            run, json={"input": 1}, headers={"X-CSRF-Token": both.csrf}
        )
        assert (answer.status_code == 403) == (status == 403)
        shares.give(AGENT, shares.EVERYONE, "call", "")


def test_the_owner_shares_by_api_and_takes_it_back(
    bo: Person, cy: Person, operation: str
) -> None:
    headers = {"X-CSRF-Token": bo.csrf}
    for right in ("call", "view"):
        answer = bo.browser.put(f"{API}/cy", json={"right": right}, headers=headers)
        given = answer.get_json()["rights"]
        assert [(g["account"], g["right"], g["giver"]) for g in given] == [
            ("cy", right, "bo")
        ]
    assert cy.get("/vmm/i-of-bo") == 200
    assert bo.browser.delete(f"{API}/cy", headers=headers).get_json()["rights"] == []
    assert cy.get("/vmm/i-of-bo") == 403
    again = bo.browser.delete(f"{API}/cy", headers=headers)
    assert again.status_code == 404


@pytest.mark.parametrize(
    ("account", "wish", "status"),
    [
        ("nobody", {"right": "call"}, 422),
        ("bo", {"right": "call"}, 422),
        ("cy", {"right": "own"}, 422),
        ("cy", {"right": ""}, 422),
        ("cy", {}, 422),
        ("cy", {"right": "call", "more": 1}, 422),
    ],
)
def test_nonsense_shares_nothing(
    bo: Person, cy: Person, operation: str, account: str, wish: object, status: int
) -> None:
    headers = {"X-CSRF-Token": bo.csrf}
    answer = bo.browser.put(f"{API}/{account}", json=wish, headers=headers)
    assert answer.status_code == status
    assert shares.on(AGENT) == []


def test_the_page_shares_and_says_what_is_wrong(
    bo: Person, cy: Person, operation: str
) -> None:
    page = f"/market/{AGENT}"
    assert bo.post(f"{page}/rights", account=" CY ", right="view") == 303
    assert "Take the right of cy away" in bo.browser.get(page).text
    form = {"csrf": bo.csrf, "account": "nobody", "right": "view"}
    wrong = bo.browser.post(f"{page}/rights", data=form)
    assert wrong.status_code == 422
    assert "No such account." in wrong.text
    assert 'value="nobody"' in wrong.text
    assert bo.post(f"{page}/rights/cy/remove") == 303
    assert shares.on(AGENT) == []
    assert "Share it" not in cy.browser.get(page).text


def test_shared_with_everyone_it_is_in_every_catalogue(
    bo: Person, cy: Person, gus: Person, operation: str
) -> None:
    assert bo.post(f"/market/{AGENT}/rights", account="everyone", right="call") == 303
    for who in (cy, gus):
        assert "velvet" in who.browser.get("/api/v1/market/agents").text
        assert who.get("/vmm/i-of-bo") == 403
    assert bo.post(f"/market/{AGENT}/rights", account="cy", right="view") == 303
    assert cy.get("/vmm/i-of-bo") == 200


def test_nobody_is_called_everyone(ada: Person, hashed: str) -> None:
    with pytest.raises(Problem, match="already"):
        accounts.create("everyone", hashed, ["user"])


def test_an_invitation_carries_rights(ada: Person, operation: str) -> None:
    form = {"name": "hal", "roles": "developer", f"right:{AGENT}": "view"}
    assert ada.post("/admin/accounts", **form) == 200
    headers = {"X-CSRF-Token": ada.csrf}
    body = {"name": "joy", "roles": ["user"], "agents": {AGENT: "call"}}
    made = ada.browser.post("/api/v1/admin/accounts", json=body, headers=headers)
    assert made.status_code == 201
    assert {(g.account, g.right) for g in sharing.listing(AGENT)} == {
        ("hal", "view"),
        ("joy", "call"),
    }
    shown = ada.browser.get("/api/v1/admin/accounts/joy").get_json()
    assert shown["agents"] == {AGENT: "call"}
    assert AGENT in ada.browser.get("/admin/accounts/joy").text


@pytest.mark.parametrize("agents", [{"bo/none": "call"}, {AGENT: "all"}, {"x": "call"}])
def test_an_invitation_with_wrong_rights_invites_nobody(
    ada: Person, operation: str, agents: dict[str, str]
) -> None:
    body = {"name": "joy", "roles": ["user"], "agents": agents}
    headers = {"X-CSRF-Token": ada.csrf}
    answer = ada.browser.post("/api/v1/admin/accounts", json=body, headers=headers)
    assert answer.status_code == 422
    assert not accounts.exists("joy")


def test_rights_go_with_the_account_and_with_the_agent(
    ada: Person, cy: Person, operation: str
) -> None:
    shares.give(AGENT, cy.account.id, "call", "")
    assert ada.post("/admin/accounts/cy/delete") == 303
    assert shares.on(AGENT) == []
    shares.give(AGENT, shares.EVERYONE, "call", "")
    shares.forget_agent(AGENT)
    assert shares.on(AGENT) == []


def test_counts_in_the_navigation_are_of_what_is_shared(
    cy: Person, operation: str
) -> None:
    def counts() -> tuple[str, str]:
        found = cy.browser.get("/live/parts?view=dashboard").get_json()["fragments"]
        return found["count-market"], found["count-vmm"]

    assert counts() == ("0", "0")
    shares.give(AGENT, cy.account.id, "call", "")
    assert counts() == ("1", "0")
    shares.give(AGENT, cy.account.id, "view", "")
    assert counts() == ("1", "1")


def test_a_token_needs_the_scope_admin_to_share(
    bo: Person, cy: Person, operation: str
) -> None:
    nobody = bo.app.test_client()
    for scope, status in (("deploy", 403), ("admin", 200)):
        answer = nobody.put(
            f"{API}/cy", json={"right": "call"}, headers=bo.bearer(scope)
        )
        assert answer.status_code == status
    assert json.loads(answer.text)["rights"][0]["account"] == "cy"


def test_a_role_that_calls_has_no_changing_route(app: Flask, gus: Person) -> None:
    for rule in app.url_map.iter_rules():
        access = vars(app.view_functions[rule.endpoint]).get("access", "")
        if access == "developer":
            path = rule.build(dict.fromkeys(rule.arguments, "start"))
            assert path is not None
            for method in (rule.methods or set()) - SAFE:
                answer = gus.browser.open(
                    path[1], method=method, headers={"X-CSRF-Token": gus.csrf}
                )
                assert answer.status_code == 403, f"{method} {path[1]}"


def test_by_command(
    ada: Person, cy: Person, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer, client = ada.bearer("admin"), ada.app.test_client()

    def call(method: str, path: str, json: object = None) -> object:
        answer = client.open(path, method=method, json=json, headers=bearer)
        if answer.status_code >= 400:
            raise from_document(answer.get_json())
        return answer.get_json()

    monkeypatch.setattr(commands, "call", call)

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.main, ["agent", *words])

    assert run("share", "velvet", "cy", "--right", "view").exit_code == 0
    assert run("share", AGENT, "everyone").exit_code == 0
    listed = run("rights", "velvet").output
    for line in ("bo", "owner", "cy", "view", "everyone", "call", "by ada"):
        assert line in listed
    wrong = run("share", "velvet", "cy", "--right", "own")
    assert wrong.exit_code == 1
    assert "one of call, view, manage" in wrong.output
    assert run("unshare", "velvet", "cy").exit_code == 0
    assert [row.account for row in shares.on(AGENT)] == ["everyone"]
