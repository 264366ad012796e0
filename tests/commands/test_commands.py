"""The commands against the real app, whose CLI socket is played by WSGI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from appliance import identity, operations, state
from appliance.admin import accounts, passwords, tokens
from appliance.cli import main
from appliance.commands import versions
from appliance.config import Settings
from appliance.market import engine as engines
from appliance.market import tasks
from appliance.service import choose
from appliance.state.server import StateServer
from appliance.vmm import pci
from blueprints import create_app
from tests.market.agents import Agent
from tests.vmm import machines


@pytest.fixture
def agent(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Agent]:
    """An agent `ada/echo`, and a node whose operator calls."""
    choose(settings, [])
    engines.current.cache_clear()
    engines.current().open()
    hashed = passwords.hash_password("correct horse battery")
    account = accounts.create("ada", hashed, ("operator",))
    token, _ = tokens.create(account, "test", ["admin"])
    app = create_app()

    def local(environ: dict[str, Any], start: Any) -> Any:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return app(environ, start)

    transport = httpx.WSGITransport(app=local)
    monkeypatch.setattr(httpx, "HTTPTransport", lambda uds: transport)
    server = Agent(streaming=True)
    names = {"owner": account.id, "owner_name": "ada", "name": "echo"}
    state.put("agent", "ada/echo", {**names, "latest": "0.1.0"})
    where = {"address": "127.0.0.1", "port": server.port, "node": "n"}
    about = {"agent": "ada/echo", "version": "0.1.0", "state": "healthy", "reason": ""}
    state.put("instance", "i1", {**names, **where, **about, "desired": "running"})
    yield server
    server.close()
    engines.current().close()
    engines.current.cache_clear()


def form(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_run_prints_the_output(agent: Agent, tmp_path: Path) -> None:
    text = '{"text": "größe"}'
    (tmp_path / "task.json").write_text(text)
    for source, stdin in ((text, ""), (f"@{tmp_path}/task.json", ""), ("-", text)):
        done = form("run", "echo", "--input", source, stdin=stdin)
        assert (done.exit_code, done.output) == (0, f"{text}\n")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("hi", "Texts stand in double quotes"),
        ("@/nowhere", "No such file"),
        ('{"text": 1}', "does not fit the agent's schema: /text"),
        ('{"text": "x", "do": "error"}', "the model is away"),
        ('{"text": "x", "do": "rubbish"}', "rubbish"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_status_1(
    agent: Agent, source: str, says: str
) -> None:
    failed = form("run", "ada/echo", "--input", source)
    assert failed.exit_code == 1
    assert says in failed.output
    assert "Traceback" not in failed.output


def test_an_agents_words_reach_no_terminal_raw(agent: Agent) -> None:
    said = form("run", "echo", "--input", '{"text": "x", "do": "escape"}').output
    assert "\x1b" not in said
    echoed = form("run", "echo", "--input", '{"text": "\\u009b31m"}').output
    assert "\x9b" not in echoed


def test_a_stream_is_printed_as_it_comes(agent: Agent) -> None:
    wish = '{"text": "x", "do": "stream"}'
    done = form("run", "echo", "--stream", "--input", wish)
    assert (done.exit_code, done.output) == (0, "ab\n")
    failed = form("run", "echo", "--stream", "--input", wish.replace("stream", "error"))
    assert failed.exit_code == 1
    assert "the model is away" in failed.output


def test_a_wait_that_ends_leaves_the_tasks_id(agent: Agent) -> None:
    left = form("run", "echo", "--wait", "0", "--input", '{"text": "x", "do": "slow"}')
    assert left.exit_code == 3
    id_ = left.output.strip()
    assert f"{id_} " in form("tasks", "list", "--agent", "echo").output
    assert form("tasks", "cancel", id_).output == f"{id_} canceled\n"
    shown = json.loads(form("tasks", "show", id_).output)
    assert shown["error"]["type"] == "/problems/canceled"
    assert "canceled" in form("tasks", "list", "--state", "Cancelled").output
    assert tasks.get(id_).state == "canceled"


def test_logs_by_an_agents_name(agent: Agent, settings: Settings) -> None:
    folder = settings.instances_dir / "i1"
    folder.mkdir(parents=True)
    lines = b"formation: up\r\nagent: \x1b[31mred\r\nformation: down\r\n"
    (folder / "console.log").write_bytes(lines)
    for name in ("i1", "echo", "ada/echo"):
        assert form("vmm", "log", name).output == "red\n"
    console = "formation: up\nagent: red\nformation: down\n"
    assert form("vmm", "console", "echo").output == console


def test_names_that_mean_none_or_several_are_refused(agent: Agent) -> None:
    assert "No instance and no agent" in form("vmm", "log", "nobody").output
    record = state.find("instance", "i1")
    assert record is not None
    state.put("instance", "i2", record.body)
    assert "use an id: i1, i2" in form("vmm", "stop", "echo").output


def test_redeploy_is_asked_of_the_agents_latest_version(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []
    monkeypatch.setattr(versions, "follow", followed.append)
    missing = form("redeploy", "echo")
    assert "There is no version ada/echo@0.1.0" in missing.output
    links = {"build_id": "b" * 64, "image": "a" * 64, "formfile": {}}
    body = {"agent": "ada/echo", "version": "0.1.0", "created": "2026", **links}
    state.put("version", "ada/echo@0.1.0", body)
    assert form("redeploy", "ada/echo", "0.1.0").exit_code == 0
    assert operations.get(followed[0]).title == "Deploying ada/echo 0.1.0"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> machines.Machine:
    made = machines.Machine(tmp_path / "machine")
    monkeypatch.setattr(pci, "ROOT", made.root)
    return made


def test_gpus_are_listed_with_who_holds_them(
    agent: Agent, settings: Settings, machine: machines.Machine
) -> None:
    assert form("vmm", "gpus").output == "This node has no GPU.\n"
    machine.add_rtx()
    name = "NVIDIA AD102 [GeForce RTX 4090]"
    assert form("vmm", "gpus").output == f"{machines.RTX} {name}, free\n"
    gpu = {"address": machines.RTX, "name": name, "along": [machines.AUDIO]}
    state.change("instance", "i1", node=identity.node_id(settings), gpus=[gpu])
    assert form("vmm", "gpus").output.endswith(", in use by ada/echo\n")
    assert name in form("vmm", "list").output


def test_a_gpu_that_cannot_be_given_says_why(
    agent: Agent, machine: machines.Machine
) -> None:
    machine.add_rtx(group=None)
    said = form("vmm", "gpus").output
    assert said.endswith("not usable: the machine's IOMMU is off\n")


@pytest.mark.parametrize("name", ["echo?all=1", "echo#x", "echo x", "echo%2e", "a%2Fb"])
@pytest.mark.parametrize("command", ["agent show", "redeploy", "run --input 1"])
def test_what_stands_in_a_name_stays_a_name(
    agent: Agent, command: str, name: str
) -> None:
    said = form(*command.split(), name)
    assert said.exit_code == 1
    assert name in said.output


@pytest.mark.parametrize("name", ["", ".", "..", "ada/..", "../accounts"])
def test_what_leads_elsewhere_names_nothing(agent: Agent, name: str) -> None:
    said = form("agent", "show", name)
    assert said.exit_code == 1
    assert "the name of nothing" in said.output
