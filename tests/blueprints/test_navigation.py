"""The navigation: every page that a service declares, to whom may open it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from appliance import state
from appliance.admin.accounts import Account
from appliance.config import Settings
from appliance.service import Page, Status, choose, services
from appliance.state.server import StateServer
from blueprints import create_app, navigation

OPERATOR = Account("1", "ada", ("operator",))
AUDITOR = Account("2", "eve", ("auditor",))


@pytest.fixture
def client(settings: Settings, records: StateServer) -> FlaskClient:
    from appliance.admin import accounts

    choose(settings, [])
    hashed = accounts.hash_password("correct horse battery")
    accounts.create("ada", hashed, ("operator",))
    found = create_app().test_client()
    form = {"name": "ada", "password": "correct horse battery"}
    assert found.post("/login", data=form).status_code == 303
    return found


def test_every_declared_page_is_reached_from_the_bar_and_opens(
    client: FlaskClient,
) -> None:
    bar = client.get("/more").text
    for service in services().values():
        for page in service.pages:
            assert bar.count(f'href="{page.path}"') == 2, page
            assert client.get(page.path).status_code == 200, page


def test_nobody_sees_what_the_account_may_not_open() -> None:
    shown = {page.path for page in navigation.pages(AUDITOR)}
    assert "/pack/deploy" not in shown
    assert "/vmm/" in shown


def test_headings_come_in_order_and_unknown_ones_last() -> None:
    pages = [Page("/z", "Z", "Zoo"), Page("/a", "A", "Administration"), Page("/", "D")]
    assert [page.path for page in sorted(pages, key=navigation.order)] == [
        "/",
        "/a",
        "/z",
    ]


@pytest.mark.parametrize(
    ("path", "current"),
    [("/vmm/", "page"), ("/vmm/01abc", "true"), ("/vmmx", ""), ("/", "")],
)
def test_a_page_below_another_marks_it(path: str, current: str) -> None:
    assert navigation.currency(Page("/vmm/", "Instances"), path) == current


@pytest.mark.parametrize(
    ("path", "titles"),
    [
        ("/pack/deploy", ["Deploy"]),
        ("/pack/", ["Images"]),
        ("/market/tasks", ["Tasks"]),
        ("/market/ada/echo", ["Agents"]),
        ("/nowhere", []),
    ],
)
def test_at_most_the_nearest_page_is_current(
    client: FlaskClient, path: str, titles: list[str]
) -> None:
    with client.application.app_context():
        groups = navigation.groups(OPERATOR, path)
    marked = [link.page.title for _, links in groups for link in links if link.current]
    assert marked == titles


def test_the_dashboard_is_current_only_itself() -> None:
    home = Page("/", "Dashboard")
    assert navigation.currency(home, "/") == "page"
    assert navigation.currency(home, "/vmm/") == ""


def test_the_head_is_the_node_record(client: FlaskClient, settings: Settings) -> None:
    from appliance import identity

    body = {"name": "cellar", "region": "eu-west", "cidr": "10.77.0.0/16"}
    state.put("node", identity.node_id(settings) or "", body)
    page = client.get("/").text
    assert "cellar<small>10.77.0.1 · eu-west</small>" in page
    assert "<title>Dashboard · cellar</title>" in page


def test_counts_are_those_of_the_records(client: FlaskClient) -> None:
    state.put("agent", "ada/echo", {"name": "echo"})
    (agents,) = (
        link
        for _, links in navigation.groups(OPERATOR, "/")
        for link in links
        if link.page.path == "/market/"
    )
    assert agents.count == 1


def test_what_an_account_may_not_see_is_not_counted(client: FlaskClient) -> None:
    developer = Account("3", "bo", ("developer",))
    for owner in ("bo", "cy"):
        state.put("instance", owner, {"agent": f"{owner}/echo"})
    for account, seen in ((OPERATOR, 2), (AUDITOR, 2), (developer, 1)):
        links = [link for _, some in navigation.groups(account, "/") for link in some]
        assert [x.count for x in links if x.page.path == "/vmm/"] == [seen]


@pytest.mark.parametrize(
    ("states", "mark"),
    [
        ((), "good"),
        (("running", "running"), "good"),
        (("running", "waiting"), "wait"),
        (("waiting", "degraded"), "bad"),
    ],
)
def test_the_worst_service_is_the_mark(states: tuple[str, ...], mark: str) -> None:
    assert navigation.mark_of(Status(s) for s in states) == mark  # type: ignore[arg-type]
