"""An erased account: what becomes of its things, and that nothing names it after."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import audit, clock, events, operations, runner, shares, state
from appliance.admin import (
    accounts,
    erasure,
    second_factor,
    sessions,
    settings_history,
    throttle,
    tokens,
    traces,
)
from appliance.admin.accounts import Account
from appliance.admin.alerts import delivery
from appliance.admin.alerts.message import Message
from appliance.admin.rights import authorise
from appliance.admin.support import shelf
from appliance.config import Settings
from appliance.market import secrets, tasks
from appliance.problems import Conflict, Invalid, Problem
from appliance.state.server import StateServer

NAME, ADDRESS = "wilhelmina", "203.0.113.77"
PSEUDONYM = "gone-"


@pytest.fixture
def ada(settings: Settings, records: StateServer, no_machines: None) -> Account:
    return accounts.create("ada", "", ["operator"])


@pytest.fixture
def no_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances have no VM here: what ends them finds nothing."""
    for verb in ("shutdown", "delete"):
        monkeypatch.setattr(f"appliance.vmm.{verb}", lambda id_: None)
    monkeypatch.setattr(
        "appliance.vmm.forget", lambda id_: state.remove("instance", id_)
    )


@pytest.fixture
def person(settings: Settings, ada: Account) -> Account:
    """An account that left its name wherever one can."""
    made = accounts.create(NAME, "", ["developer"])
    token = sessions.begin(made.id, ADDRESS, "Firefox Linux")
    assert sessions.find(token)
    tokens.create(made, "laptop", ["read"])
    second_factor.begin(made.id)
    throttle.remember(NAME, ADDRESS)
    with pytest.raises(Problem), throttle.attempt("login", ADDRESS, account=NAME):
        raise Problem("login-failed", "no", status=401)
    audit.note(NAME, ADDRESS, "POST /x", "thing", "done")
    audit.note("ada", "192.0.2.9", "POST /admin/accounts/<name>/roles", NAME, "done")
    audit.note("", ADDRESS, "POST /login", "", "refused")
    agent(made, "echo")
    events.happened(f"{NAME}/echo is registered", service="market", subject="x")
    ended(made, f"Deploying {NAME}/echo", NAME)
    settings_history.note(NAME, "why not", "op", "", "")
    shares.give("ada/tool", made.id, "call", "")
    state.put("agent", "ada/tool", {"owner_name": "ada", "name": "tool"})
    wish = {"input": "hi", "timeout_s": 60, "metadata": {}}
    tasks.end(tasks.create(made.id, "echo", "1", made.id, wish).id, "completed")
    log = settings.log_dir / "web.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    line = {"level": "info", "account": NAME, "agent": f"{NAME}/echo"}
    told = Message(
        "1", "n", "firing", "r", f"{NAME}/echo fails", "x", "1", "bad", "", ""
    )
    delivery.add(told, "mail")
    bundle = shelf.folder(settings) / f"{clock.new_id()}.tar.gz"
    bundle.parent.mkdir()
    bundle.write_text(f"parts of logs, with {NAME}")
    log.write_text(f"{json.dumps(line)}\nremote_ip {ADDRESS}\nit ends\n")
    return made


def agent(owner: Account, name: str, runs: bool = True) -> None:
    full = f"{owner.name}/{name}"
    names = {"owner": owner.id, "owner_name": owner.name, "name": name}
    version = {"agent": full, "version": "1", "build_id": "b", "formfile": {}}
    state.put("agent", full, {**names, "latest": "1"})
    state.put("build", "b", {"image": "i", "operation": "", "created": ""})
    state.put("version", f"{full}@1", {**version, "image": "i"})
    state.put("deployment", f"d-{name}", {"agent": full, "account": owner.id})
    for domain in (name, f"{name}.{owner.name}"):
        state.put("domain", f"{domain}.formation.internal", {"agent": full})
    if runs:
        state.put(
            "instance",
            f"i-{name}",
            {**names, "agent": full, "version": "1", "desired": "running"},
        )


def ended(account: Account, title: str, subject: str) -> str:
    made = operations.submit(
        "stop",
        title=title,
        subject=subject,
        params={"owner_name": subject, "agent": f"{subject}/echo"},
        account=account.id,
    )
    operations.Operation.update(state="completed").where(
        operations.Operation.id == made
    ).execute()
    return made


def erase(asker: Account, heir: str = "", name: str = NAME) -> operations.Operation:
    made = erasure.request(name, heir, asker)
    runner.execute(made, "w", authorise=authorise)
    return operations.get(made)


def everything(settings: Settings) -> Iterator[tuple[Path, bytes]]:
    """Every file that the node keeps, with its path."""
    for folder in (settings.data_dir, settings.log_dir):
        for path in folder.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()


def test_nothing_names_an_erased_account(
    settings: Settings, ada: Account, person: Account
) -> None:
    said = {path for path, text in everything(settings) if NAME.encode() in text}
    assert {p.name for p in said} >= {"web.log"}, "else this test could not fail"
    row = erase(ada)
    assert row.state == "completed", row.error
    for path, text in everything(settings):
        for trace in (NAME, ADDRESS):
            assert trace.encode() not in text, f"{trace} is in {path}"
            assert trace not in str(path)
    assert (settings.log_dir / "web.log").read_text().endswith("it ends\n")
    assert audit.verify(audit.ends()) == []


def test_what_others_need_stays_without_the_person(
    ada: Account, person: Account
) -> None:
    rows, ends = audit.count(), audit.ends()
    erase(ada)
    assert audit.count() == rows
    assert audit.verify(ends) == []
    (task,) = tasks.Task.select()
    assert task.caller == person.id
    assert state.find("account", person.id) is None
    texts = [event.text for event in events.lately(50)]
    assert any(text.startswith(PSEUDONYM) for text in texts)
    assert not accounts.exists(NAME)
    assert sessions.of(person.id) == [] and tokens.of(person.id) == []
    assert shares.on("ada/tool") == []


def test_its_agents_go_with_it_unless_they_are_handed_over(
    settings: Settings, ada: Account, person: Account
) -> None:
    secrets.Secret.create(
        owner=NAME, agent="echo", name="KEY", sealed=b"x", changed=clock.now()
    )
    shares.give(f"{NAME}/echo", "everyone", "view", "")
    row = erase(ada)
    assert row.state == "completed", row.error
    assert [r.id for r in state.select("agent")] == ["ada/tool"]
    for kind in ("version", "build", "deployment", "instance", "domain"):
        assert state.select(kind) == [], kind
    assert secrets.Secret.select().count() == 0


def test_agents_are_handed_over_with_all_that_is_theirs(
    settings: Settings, ada: Account, person: Account
) -> None:
    secrets.Secret.create(
        owner=NAME, agent="echo", name="KEY", sealed=b"x", changed=clock.now()
    )
    volume = settings.instances_dir / "volumes" / NAME / "echo" / "data.raw"
    volume.parent.mkdir(parents=True)
    volume.write_bytes(b"kept")
    shares.give(f"{NAME}/echo", "everyone", "view", "")
    row = erase(ada, heir="ada")
    assert row.state == "completed", row.error
    found = state.find("agent", "ada/echo")
    assert found and found.body["owner"] == ada.id
    assert found.body["owner_name"] == "ada"
    (version,) = state.select("version")
    assert (version.id, version.body["agent"]) == ("ada/echo@1", "ada/echo")
    assert state.select("build") != []
    assert secrets.names("ada", "echo") == ["KEY"]
    moved = settings.instances_dir / "volumes" / "ada" / "echo" / "data.raw"
    assert moved.read_bytes() == b"kept"
    assert [(s.account, s.right) for s in shares.on("ada/echo")] == [
        ("everyone", "view")
    ]
    (task,) = tasks.Task.select()
    assert (task.owner, task.caller) == (ada.id, person.id)
    again = operations.recent(1)[0]
    assert (again.kind, again.account) == ("deploy", ada.id)
    assert json.loads(again.params)["version"] == "ada/echo@1"


def test_one_erases_oneself(person: Account) -> None:
    row = erase(person)
    assert row.state == "completed", row.error
    assert not accounts.exists(NAME)


def test_nobody_else_does(ada: Account, person: Account) -> None:
    other = accounts.create("bo", "", ["developer"])
    row = erase(other)
    assert row.state == "failed"
    found = accounts.credential(NAME)
    assert found.disabled is None and state.find("agent", f"{NAME}/echo")


def test_the_last_operator_stays(ada: Account) -> None:
    with pytest.raises(Conflict, match="last operator"):
        erasure.request("ada", "", ada)
    assert "last operator" in erasure.prospect("ada").hindrance


@pytest.mark.parametrize("heir", ["nobody", NAME, "gus", "off"])
def test_agents_go_to_nobody_who_cannot_have_them(
    ada: Account, person: Account, heir: str
) -> None:
    accounts.create("gus", "", ["user"])
    accounts.create("off", "", ["developer"])
    accounts.disable("off")
    with pytest.raises(Invalid, match="cannot take the agents"):
        erasure.request(NAME, heir, ada)


def test_an_heir_with_an_agent_of_the_same_name_is_refused(
    ada: Account, person: Account
) -> None:
    state.put("agent", "ada/echo", {"owner_name": "ada", "name": "echo"})
    with pytest.raises(Conflict, match="has an agent echo already"):
        erasure.request(NAME, "ada", ada)


def test_it_is_asked_for_once(ada: Account, person: Account) -> None:
    erasure.request(NAME, "", ada)
    with pytest.raises(Conflict, match="already"):
        erasure.request(NAME, "", ada)


class Killed(BaseException):
    """The process was killed there."""


@pytest.mark.parametrize("heir", ["", "ada"])
@pytest.mark.parametrize("step", [step.name for step in erasure.ERASE.steps])
def test_a_kill_after_any_step_loses_nothing(
    settings: Settings, ada: Account, person: Account, step: str, heir: str
) -> None:
    def crash(id_: str, name: str) -> None:
        if name == step:
            raise Killed

    made = erasure.request(NAME, heir, ada)
    with pytest.raises(Killed):
        runner.execute(made, "w", crash=crash, authorise=authorise)
    runner.execute(made, "w", authorise=authorise)
    assert operations.get(made).state == "completed", operations.get(made).error
    for path, text in everything(settings):
        assert NAME.encode() not in text, f"{NAME} is in {path}"
    assert (state.find("agent", "ada/echo") is not None) == bool(heir)


@pytest.mark.parametrize(
    "place",
    [
        "market.withdraw.unname",
        "market.secrets.hand_over",
        "market.estate.move_volumes",
        "market.estate._register_anew",
        "market.estate._withdraw",
        "market.orders.again",
        "admin.erasure.drop",
        "admin.traces.cleanse",
        "state.forget",
        "admin.traces.compact",
    ],
)
def test_a_kill_in_the_middle_of_a_step_loses_nothing(
    settings: Settings,
    ada: Account,
    person: Account,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    module, _, name = f"appliance.{place}".rpartition(".")
    does = getattr(importlib.import_module(module), name)

    def dies(*arguments: object) -> None:
        does(*arguments)
        raise Killed

    made = erasure.request(NAME, "ada", ada)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(f"appliance.{place}", dies)
        runner.execute(made, "w", authorise=authorise)
    runner.execute(made, "w", authorise=authorise)
    assert operations.get(made).state == "completed", operations.get(made).error
    for path, text in everything(settings):
        assert NAME.encode() not in text, f"{NAME} is in {path}"
    (found,) = state.select("agent", name="echo")
    assert found.id == "ada/echo"
    assert operations.recent(1)[0].kind == "deploy"


def test_an_agent_that_came_meanwhile_is_not_written_over(
    ada: Account, person: Account
) -> None:
    made = erasure.request(NAME, "ada", ada)

    def meanwhile(id_: str, step: str) -> None:
        if step == "close":
            state.put("agent", "ada/echo", {"owner_name": "ada", "name": "echo"})

    runner.execute(made, "w", crash=meanwhile, authorise=authorise)
    assert operations.get(made).state == "failed"
    found = state.find("agent", "ada/echo")
    assert found and "latest" not in found.body
    assert state.find("instance", "i-echo")
    assert accounts.credential(NAME).disabled is None


def test_a_disabled_account_stays_disabled_where_it_cannot_go(
    ada: Account, person: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(id_: str) -> None:
        raise Conflict("busy", "It is busy.")

    accounts.disable(NAME)
    monkeypatch.setattr("appliance.vmm.shutdown", busy)
    assert erase(ada).state == "failed"
    assert accounts.credential(NAME).disabled is not None


def test_where_agents_cannot_go_the_account_stays(
    ada: Account, person: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(id_: str) -> None:
        raise Conflict("busy", "It is busy.")

    monkeypatch.setattr("appliance.vmm.shutdown", busy)
    row = erase(ada)
    assert row.state == "failed"
    found = accounts.credential(NAME)
    assert found.disabled is None


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("account=bo x", False),
        ('{"account": "bo"}', False),
        ("agent bo/echo", False),
        ("asked for echo.bo.internal", False),
        ("from 203.0.113.77:51234 came", False),
        ("from 1203.0.113.77", True),
        ("from 203.0.113.770", True),
        ("203.0.113.77.example", True),
        ("from [2001:db8::7]:443", False),
        ("from 2001:db8::7:1", True),
        ("account=bob", True),
        ("a bo b", True),
        ("/var/bo/echo", True),
        ("xbo/echo", True),
        ("level=bo", True),
    ],
)
def test_logs_lose_the_name_where_it_is_one(
    tmp_path: Path, line: str, kept: bool
) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"before\n{line}\nafter\n")
    traces.overwrite(log, traces.patterns("bo", [ADDRESS, "2001:db8::7"]))
    text = log.read_text()
    assert (line in text) == kept
    assert len(text) == len(f"before\n{line}\nafter\n")
    assert text.startswith("before\n") and text.endswith("\nafter\n")


def test_loopback_is_nobodys_address(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("from 127.0.0.1\n")
    assert traces.overwrite(log, traces.patterns("bo", ["127.0.0.1"])) == 0


def test_a_name_that_is_a_word_leaves_other_meanings_alone() -> None:
    document = {
        "state": "done",
        "owner_name": "done",
        "agent": "done/echo",
        "image": "/x/done/y",
        "names": ["echo.done.internal", "done.internal", "echo.done"],
        "steps": [{"name": "done", "detail": "done/echo is done"}],
        "n": 1,
    }
    assert traces.renamed(document, "done", "gone-1") == {
        "state": "done",
        "owner_name": "gone-1",
        "agent": "gone-1/echo",
        "image": "/x/done/y",
        "names": ["echo.gone-1.internal", "done.internal", "echo.done"],
        "steps": [{"name": "gone-1", "detail": "gone-1/echo is gone-1"}],
        "n": 1,
    }
