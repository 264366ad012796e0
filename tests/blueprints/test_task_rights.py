"""Who sees whose tasks: callers, owners of the agents, auditors and operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance import shares, state
from appliance.admin import accounts, removal
from appliance.admin.accounts import Credential
from appliance.market import tasks

from .conftest import Person

API = "/api/v1/market/tasks"


WISH = {"input": {"text": "confidential"}, "timeout_s": 60, "metadata": {}}


def give(caller: Person, owner: Person) -> str:
    whose, who = owner.account.id, caller.account.id
    task = tasks.create(whose, "echo", "0.1.0", who, WISH)
    tasks.end(task.id, "completed", output={"text": "answered"})
    return str(task.id)


def listed(who: Person, query: str = "") -> set[str]:
    found = who.browser.get(f"{API}{query}").get_json()["tasks"]
    return {task["id"] for task in found}


@pytest.fixture
def task(bo: Person, cy: Person) -> str:
    """Of cy, on bo's agent."""
    return give(cy, bo)


@pytest.fixture
def dan(ada: Person, person: Callable[..., Person]) -> Person:
    """A developer who has nothing to do with it."""
    return person("dan", "developer")


def test_the_caller_the_owner_auditors_and_operators_read_it(
    ada: Person, bo: Person, cy: Person, eve: Person, dan: Person, task: str
) -> None:
    for who in (ada, bo, cy, eve):
        found = who.browser.get(f"{API}/{task}").get_json()
        assert found["output"] == {"text": "answered"}
        assert found["caller"] == "cy"
        page = who.browser.get(f"/market/tasks/{task}").text
        assert "answered" in page
        assert "confidential" in page
        assert who.get(f"/market/tasks/{task}/part") == 200
        assert "answered" in who.browser.get(f"{API}/{task}/events").text
    for path in ("", "/events"):
        assert dan.get(f"{API}/{task}{path}") == 404
    for path in ("", "/part"):
        assert dan.get(f"/market/tasks/{task}{path}") == 404


def test_only_who_may_change_the_agent_ends_others_tasks(
    ada: Person, bo: Person, cy: Person, eve: Person, dan: Person
) -> None:
    wish = {"input": 1, "timeout_s": 60, "metadata": {}}
    live = tasks.create(bo.account.id, "echo", "0.1.0", cy.account.id, wish).id
    for who, status, button in (
        (dan, 404, False),
        (eve, 403, False),
        (bo, 200, True),
        (cy, 200, True),
        (ada, 200, True),
    ):
        page = who.browser.get(f"/market/tasks/{live}").text
        assert (f"/market/tasks/{live}/cancel" in page) == button
        headers = {"X-CSRF-Token": who.csrf}
        if status != 200:
            answer = who.browser.post(f"{API}/{live}/cancel", headers=headers)
            assert answer.status_code == status
    answer = bo.browser.post(f"{API}/{live}/cancel", headers={"X-CSRF-Token": bo.csrf})
    assert answer.get_json()["state"] == "canceled"


def test_lists_are_ones_own_unless_more_is_asked_for(
    ada: Person, bo: Person, cy: Person, eve: Person, dan: Person
) -> None:
    here, there, own = give(cy, bo), give(cy, ada), give(bo, ada)
    assert [listed(who) for who in (cy, bo, eve)] == [{here, there}, {own}, set()]
    for who in (ada, eve):
        assert listed(who, "?all=1") == {here, there, own}
        assert listed(who, "?caller=cy") == {here, there}
    assert listed(bo, "?all=1") == {here, own}
    assert listed(bo, "?caller=cy") == {here}
    assert listed(dan, "?all=1") == listed(dan, "?caller=cy") == set()
    assert listed(eve, f"?all=1&agent=bo/echo&after={own}") == {here}


@pytest.mark.parametrize("query", ["caller=nobody", "all=yes", "after=x", "state=x"])
def test_a_wish_that_makes_no_sense_is_refused(bo: Person, query: str) -> None:
    assert bo.get(f"{API}?{query}") == 422
    answer = bo.browser.get(f"/market/tasks?{query}")
    assert answer.status_code == 422
    assert '<p class="error">' in answer.text


def test_a_cursor_of_somebody_elses_is_refused(dan: Person, task: str) -> None:
    assert dan.get(f"{API}?after={task}") == 422


def test_the_page_lists_and_filters(bo: Person, cy: Person, task: str) -> None:
    assert f"/market/tasks/{task}" in cy.browser.get("/market/tasks").text
    assert f"/market/tasks/{task}" not in bo.browser.get("/market/tasks").text
    for query in ("all=1", "caller=cy", "all=1&agent=echo&state=completed"):
        assert f"/market/tasks/{task}" in bo.browser.get(f"/market/tasks?{query}").text
    assert "There is none" in bo.browser.get("/market/tasks?all=1&agent=other").text


def test_pages_go_on(bo: Person, cy: Person) -> None:
    ids = [give(cy, bo) for _ in range(tasks.PAGE + 1)]
    first = cy.browser.get("/market/tasks?agent=bo/echo").text
    assert f"/market/tasks/{ids[0]}" not in first
    assert f"after={ids[1]}" in first
    assert f"/market/tasks/{ids[0]}" in (
        cy.browser.get(f"/market/tasks?after={ids[1]}").text
    )


def test_the_task_of_an_account_that_is_gone_has_its_id(
    eve: Person, cy: Person, task: str
) -> None:
    state.remove("account", cy.account.id)
    found = eve.browser.get(f"{API}/{task}").get_json()
    assert found["caller"] == cy.account.id


def test_rights_and_names_follow_an_account_that_is_called_otherwise(
    bo: Person, cy: Person, task: str, person: Callable[..., Person]
) -> None:
    fay = person("fay", "developer", "auditor")
    body = {"owner": bo.account.id, "owner_name": "bo", "name": "echo", "latest": ""}
    state.put("agent", "bo/echo", body)
    rename(bo, "bob")
    state.remove("agent", "bo/echo")
    state.put("agent", "bob/echo", {**body, "owner_name": "bob"})
    assert listed(bo, "?all=1&agent=bob/echo") == {task}
    found = bo.browser.get(f"{API}/{task}").get_json()
    assert found["agent"] == {"owner": "bob", "name": "echo", "version": "0.1.0"}
    assert "bob/echo" in cy.browser.get("/market/tasks").text
    live = tasks.create(bo.account.id, "echo", "1.0.0", cy.account.id, WISH).id
    answer = fay.browser.post(
        f"{API}/{live}/cancel", headers={"X-CSRF-Token": fay.csrf}
    )
    assert "bob's" in answer.get_json()["detail"]
    answer = bo.browser.post(f"/market/tasks/{live}/cancel", data={"csrf": bo.csrf})
    assert answer.headers["Location"].startswith("/market/bob/echo?")


def rename(who: Person, name: str) -> None:
    row = accounts.credential(who.account.name)
    Credential.update(name=name).where(Credential.account == row.account).execute()
    state.put("account", row.account, {"name": name, "roles": list(who.account.roles)})


def test_who_is_given_a_name_again_sees_nothing_of_its_first_owners(
    bo: Person, task: str, person: Callable[..., Person]
) -> None:
    removal.delete("bo")
    again = person("bo", "developer")
    assert again.get(f"{API}/{task}") == 404
    assert listed(again, "?all=1") == set()
    live = tasks.create(bo.account.id, "echo", "1.0.0", "x", WISH).id
    answer = again.browser.post(
        f"{API}/{live}/cancel", headers={"X-CSRF-Token": again.csrf}
    )
    assert answer.status_code == 404


def test_links_to_what_is_not_yours_are_counted(
    bo: Person, cy: Person, eve: Person
) -> None:
    names = {"owner": bo.account.id, "owner_name": "bo", "name": "echo"}
    state.put("agent", "bo/echo", {**names, "latest": ""})
    for id_ in ("i1", "i2"):
        body = {**names, "agent": "bo/echo", "version": "0.1.0", "state": "stopped"}
        about = {"reason": "", "address": "10.42.0.2"}
        state.put("instance", id_, {**body, **about})
    shares.give("bo/echo", cy.account.id, "call", "")
    for who, shown in ((cy, False), (bo, True), (eve, True)):
        for path in ("/state/agent/bo/echo", "/market/bo/echo"):
            page = who.browser.get(path).text
            assert ("/state/instance/i1" in page) == shown
            assert ("2 are not yours." in page) != shown
        found = who.browser.get("/api/v1/state/records/agent/bo/echo").get_json()
        assert found["hidden"] == {"links": 0, "linked_from": 0 if shown else 2}
    body = {"name": "x", "agent": "bo/echo", "kind": "internal"}
    state.put("domain", "echo.formation.internal", body)
    assert "2 more that are not yours." in cy.browser.get("/state/agent/bo/echo").text
