"""The pages of agents, tasks and instances, as a browser without scripts sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from appliance import operations, state
from appliance.config import Settings
from appliance.market import engine as engines
from appliance.market import tasks
from tests.blueprints.conftest import Person
from tests.market.agents import Agent

PAGE = "/market/bo/echo"


@pytest.fixture
def agent(bo: Person, settings: Settings) -> Iterator[Agent]:
    engines.current.cache_clear()
    engines.current().open()
    server = Agent(streaming=True, description="Says it again")
    names = {"owner": bo.account.id, "owner_name": "bo", "name": "echo"}
    state.put("agent", "bo/echo", {**names, "latest": "0.1.0", "description": ""})
    where = {"address": "127.0.0.1", "port": server.port, "node": "n"}
    about = {"agent": "bo/echo", "version": "0.1.0", "state": "healthy", "reason": ""}
    size = {"vcpu": 1, "memory_mib": 512, "disk_gib": 2, "image": "a" * 64}
    wish = {"desired": "running", "deployment": "i1", "volumes": []}
    state.put("instance", "i1", {**names, **where, **about, **size, **wish})
    for number in (1, 2):
        version = {"agent": "bo/echo", "version": f"0.{number}.0", "created": "2026"}
        links = {"build_id": "b" * 64, "image": "a" * 64, "formfile": {}}
        state.put("version", f"bo/echo@0.{number}.0", {**version, **links})
    yield server
    server.close()
    engines.current().close()
    engines.current.cache_clear()


def form(page: str, action: str) -> bool:
    return f'action="{action}"' in page


def run(person: Person, text: str) -> tuple[str, str]:
    """The page after Run, and the task's id."""
    data = {"csrf": person.csrf, "input": text}
    answer = person.browser.post(f"{PAGE}/try", data=data)
    assert answer.status_code == 303
    id_ = re.search(r"task=(\w+)", answer.headers["Location"])
    assert id_ is not None
    return person.browser.get(answer.headers["Location"]).text, id_[1]


def test_try_it_does_not_wait_for_the_agent(bo: Person, agent: Agent) -> None:
    page, id_ = run(bo, '{"text": "x", "do": "hold"}')
    assert agent.called.wait(5)
    assert f'hx-get="/market/tasks/{id_}/part"' in page
    assert 'id="lately" hx-get="/market/bo/echo"' in page
    assert 'hx-trigger="task-ended from:body"' in page
    assert "&#34;do&#34;: &#34;hold&#34;" in page  # what was typed is kept
    browser: FlaskClient = bo.browser
    engine, row = engines.current(), tasks.get(id_)
    engine.wait(row, 10, lambda now: len(tasks.events(id_)) >= 2)
    answer = browser.get(f"/market/tasks/{id_}/part")
    assert "HX-Trigger" not in answer.headers
    part = answer.text
    assert '<pre class="log">a</pre>' in part
    assert form(part, f"/market/tasks/{id_}/cancel")
    agent.release.set()
    engine.finish(row, 10)
    answer = browser.get(f"/market/tasks/{id_}/part")
    assert answer.headers["HX-Trigger"] == "task-ended"
    part = answer.text
    assert "hx-get" not in part
    assert 'id="answer"' in part
    assert "Attempts" in browser.get(f"/market/tasks/{id_}").text
    assert id_ in browser.get(PAGE).text


def test_a_task_is_canceled_from_the_page(bo: Person, agent: Agent) -> None:
    _, id_ = run(bo, '{"text": "x", "do": "hold"}')
    assert bo.post(f"/market/tasks/{id_}/cancel") == 303
    assert tasks.get(id_).state == "canceled"
    assert "The caller canceled the task" in bo.browser.get(PAGE + f"?task={id_}").text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello", "This is not JSON"),
        ('{"text": 1}', "does not fit the agent&#39;s schema"),
    ],
)
def test_what_cannot_be_run_is_a_sentence_beside_the_field(
    bo: Person, agent: Agent, text: str, says: str
) -> None:
    data = {"csrf": bo.csrf, "input": text}
    answer = bo.browser.post(f"{PAGE}/try", data=data)
    assert answer.status_code == 422
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert tasks.Task.select().count() == 0


def test_the_page_begins_with_an_input_that_fits_and_shows_the_card(
    bo: Person, agent: Agent
) -> None:
    page = bo.browser.get(PAGE).text
    assert "&#34;text&#34;: &#34;hi&#34;" in page
    assert "Says it again" in page
    assert "It streams its answers" in page
    agent.card_bytes = b"<html>"
    engines.current().cards._known.clear()
    assert "It has no card: GET /agent is not JSON" in bo.browser.get(PAGE).text


def test_others_tasks_have_no_page(bo: Person, cy: Person, agent: Agent) -> None:
    _, id_ = run(bo, '{"text": "x"}')
    assert cy.get(f"/market/tasks/{id_}") == 404
    assert id_ not in cy.browser.get(PAGE).text


def test_an_older_version_is_deployed_again(
    bo: Person, cy: Person, agent: Agent
) -> None:
    page = bo.browser.get(PAGE).text
    assert page.count("Deploy this version") == 1
    assert page.count("Start anew") == 1
    assert bo.post(f"{PAGE}/deploy", version="0.1.0") == 303
    (row,) = operations.recent(live=True)
    assert '"version": "bo/echo@0.1.0"' in row.params
    assert bo.post(f"{PAGE}/deploy", version="9.9.9") == 404
    assert cy.post(f"{PAGE}/deploy", version="0.1.0") == 403


def test_buttons_are_those_that_make_sense(bo: Person, agent: Agent) -> None:
    page = bo.browser.get("/vmm/i1").text
    assert [form(page, f"/vmm/i1/{v}") for v in ("start", "stop", "reboot")] == [
        False,
        True,
        True,
    ]
    state.change("instance", "i1", desired="stopped", state="stopped")
    page = bo.browser.get("/vmm/i1").text
    assert [form(page, f"/vmm/i1/{v}") for v in ("start", "stop", "reboot")] == [
        True,
        False,
        False,
    ]
    assert bo.post("/vmm/i1/start") == 303
    page = bo.browser.get("/vmm/i1").text
    assert not form(page, "/vmm/i1/start")
    assert "Start echo: watch" in page


def test_deletion_asks_first(bo: Person, cy: Person, agent: Agent) -> None:
    assert 'href="/vmm/i1/delete"' in bo.browser.get("/vmm/i1").text
    page = bo.browser.get("/vmm/i1/delete").text
    assert "Delete this instance of bo/echo?" in page
    assert form(page, "/vmm/i1/delete")
    assert operations.recent(live=True) == []
    assert cy.get("/vmm/i1/delete") == 403


def test_agent_log_and_console_are_two_views(
    bo: Person, agent: Agent, settings: Settings
) -> None:
    folder = settings.instances_dir / "i1"
    folder.mkdir(parents=True)
    lines = b"formation: up\r\nagent: \x1b[1m<b>hello\r\n"
    (folder / "console.log").write_bytes(lines)
    page = bo.browser.get("/vmm/i1").text
    log = page[page.index('id="log"') : page.index('id="console"')]
    assert "&lt;b&gt;hello" in log
    assert "formation: up" not in log
    assert "formation: up" in page
    assert "\x1b" not in page
