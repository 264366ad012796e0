"""The pages in a real browser: nothing missing, nothing broken, kept up to date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect, sync_playwright

from appliance import clock, events, identity, operations, state
from appliance.admin.repairs import kept
from appliance.admin.repairs.issue import Fix, Issue
from appliance.config import Settings
from appliance.metrics import store
from appliance.service import services
from blueprints import live
from tests.blueprints.test_metrics import INSTANCE
from tests.serving import served

pytestmark = pytest.mark.browser
WIDTHS = (1280, 390)
LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (1280, "light"),
    (1280, "dark"),
    (390, "dark"),
    (390, "light"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield found
        found.close()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    live.broadcast.cache_clear()
    with served(app) as found:
        yield found


@dataclass
class Tab:
    """A page that remembers what went wrong in it."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    def watch(self) -> None:
        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.troubles.append(message.text)

        def failed(request: Any) -> None:
            if request.failure != "net::ERR_ABORTED":  # the page was left meanwhile
                self.troubles.append(f"{request.url}: {request.failure}")

        def answered(response: Any) -> None:
            if response.status >= 400:
                self.troubles.append(f"{response.url}: {response.status}")

        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("requestfailed", failed)
        self.page.on("response", answered)

    def visit(self, path: str) -> None:
        """Open a page; again when an interface came or went on this machine just
        then, which makes Chromium drop its connections."""
        for _ in range(5):
            self.troubles.clear()
            self.page.goto(path, wait_until="load")
            if self.page.locator(".chart").count():
                expect(self.page.locator(".chart > *").first).to_be_visible()
            if not any("ERR_NETWORK_CHANGED" in one for one in self.troubles):
                return


@pytest.fixture
def tab(
    chromium: Browser, address: str, logged_in: FlaskClient, node: str
) -> Iterator[Tab]:
    cookie = logged_in.get_cookie("formation")
    assert cookie is not None
    context = chromium.new_context(base_url=address)
    context.add_cookies([{"name": "formation", "value": cookie.value, "url": address}])
    made = Tab(context.new_page())
    made.watch()
    yield made
    context.close()


@pytest.fixture
def node(settings: Settings, logged_in: FlaskClient) -> str:
    """A node with an agent that runs, measurements and an operation at work."""
    id_ = identity.node_id(settings) or ""
    state.put("node", id_, {"name": "cellar", "region": "eu", "cidr": "10.42.0.0/16"})
    agent = {"name": "echo", "owner_name": "ada", "description": "", "latest": "1"}
    state.put("agent", "ada/echo", agent)
    body = INSTANCE | {"port": 8000, "disk_gib": 4, "image": "ab", "deployment": "d"}
    state.put("instance", "i1", body)
    events.happened("The node was set up", service="admin")
    ended = Issue("critical", "It ended", "A text.", "", fix=Fix("Renew", "Trust."))
    kept.keep("paper", "Paper", [ended])
    now = clock.now()
    for ago in range(600, 0, -10):
        values = {("node", "cpu"): 20.0, ("node", "memory"): 4e9, ("i1", "cpu"): 5.0}
        store.write(now - ago, values)
    return operations.submit(
        "stop", title="Deploying echo", subject="i1", params={}, account="1"
    )


def main_pages(operation: str) -> list[str]:
    declared = [page.path for one in services().values() for page in one.pages]
    own = [
        "/vmm/i1",
        "/services/form-dns",
        f"/operations/{operation}",
        "/market/ada/echo",
        "/account/erase",
    ]
    return [*declared, "/more", *own]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_misses_a_file_breaks_or_scrolls_sideways(
    tab: Tab, node: str, width: int
) -> None:
    tab.page.set_viewport_size({"width": width, "height": 844})
    for path in main_pages(node):
        tab.visit(path)
        expect(tab.page.locator("h1").first).to_be_visible()
        needed = tab.page.locator("[hx-get], [hx-post]").count() > 0
        assert tab.page.evaluate("'htmx' in window") == needed, path
        wide = "document.documentElement.scrollWidth > innerWidth"
        assert not tab.page.evaluate(wide), f"{path} is wider than {width}"
        assert tab.troubles == [], path


LEAVES = (
    "/login",
    "/market/ada/echo",
    "/market/ada/echo/delete",
    "/vmm/i1/delete",
    "/admin/accounts/ada",
    "/state/instance/i1",
    "/state/?kind=agent",
    "/api/market_run_task",
    "/repairs/paper",
)


@pytest.fixture(scope="module")
def axe() -> str:
    return (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()


def serious_on(page: Page, *rules: str) -> list[str]:
    """What axe finds on the page that keeps people from using it, by all its rules or
    by these."""
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_finds_nothing_serious_on_any_page(tab: Tab, node: str, axe: str) -> None:
    for path in [*main_pages(node), *LEAVES]:
        tab.visit(path)
        tab.page.evaluate(axe)
        for width, scheme in LOOKS:
            tab.page.set_viewport_size({"width": width, "height": 844})
            tab.page.emulate_media(color_scheme=scheme)
            rules = () if scheme == "light" else ("color-contrast",)  # all it changes
            assert serious_on(tab.page, *rules) == [], f"{path} at {width}, {scheme}"


def test_the_first_page_is_light(tab: Tab) -> None:
    """All bytes of the dashboard, its style, scripts and picture, uncompressed."""
    sizes: dict[str, int] = {}
    tab.page.on("response", lambda got: sizes.update({got.url: size_of(got)}))
    tab.visit("/")
    assert len(sizes) > 4
    assert sum(sizes.values()) < 150_000, sizes


def size_of(answer: Any) -> int:
    """Bytes of an answer; of one without end none."""
    streams = "event-stream" in answer.headers.get("content-type", "")
    return 0 if streams else len(answer.body())


def test_the_dashboard_follows_what_happens(tab: Tab) -> None:
    tab.visit("/")
    expect(tab.page.locator("h1")).to_have_text("The instance is healthy")
    state.change("instance", "i1", state="unhealthy", reason="it hangs")
    expect(tab.page.locator("h1")).to_have_text("0 of 1 instance is healthy")
    expect(tab.page.locator("#answer")).to_contain_text("echo is unhealthy: it hangs.")
    store.write(clock.now(), {("node", "cpu"): 77.0})
    expect(tab.page.locator("#figure-cpu b")).to_have_text("77 %")
    chart = tab.page.locator('.chart[data-metrics="cpu"]')
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart).to_have_attribute(
        "aria-label", "CPU: now 77 %, in the last hour between 20 % and 77 %"
    )
    counted = tab.page.locator('nav.side a[href="/vmm/"] .count')
    expect(counted).to_have_text("1")
    record = state.find("instance", "i1")
    assert record
    state.put("instance", "i2", record.body)
    expect(counted).to_have_text("2")
    assert tab.troubles == []


def test_charts_are_zoomed_and_read_together_also_by_keyboard(tab: Tab) -> None:
    now = clock.now()
    for ago in range(3000, 0, -10):
        values = {("process/dns", "process_cpu"): 7.0, ("node", "dns_queries"): 3.0}
        store.write(now - ago, values | {("node", "dns_failed"): 1.0})
    tab.visit("/services/form-dns")
    queries, cpu = (
        tab.page.locator("figure", has=tab.page.locator(f'[data-metrics="{metrics}"]'))
        for metrics in ("dns_queries,dns_failed", "process_cpu")
    )
    expect(queries.locator("canvas")).to_be_visible()
    queries.locator(".chart").scroll_into_view_if_needed()
    over = queries.locator(".u-over").bounding_box()
    assert over
    middle = over["y"] + over["height"] / 2
    tab.page.mouse.move(over["x"] + over["width"] / 2, middle)
    expect(queries.locator(".legend")).to_contain_text("DNS queries 3/s")
    expect(cpu.locator(".legend")).to_contain_text("CPU of the process 7 %")
    whole = tab.page.get_by_role("button", name="Show all of it")
    expect(whole).to_be_hidden()
    with tab.page.expect_response(lambda got: "process_cpu" in got.url):
        tab.page.mouse.down()
        tab.page.mouse.move(over["x"] + over["width"] * 0.8, middle, steps=3)
        tab.page.mouse.up()
    expect(whole).to_be_visible()
    for chart in (queries, cpu):
        zoomed = re.compile("in what is shown")
        expect(chart.locator(".chart")).to_have_attribute("aria-label", zoomed)
    queries.locator(".chart").focus()
    tab.page.keyboard.press("Home")
    expect(cpu.locator(".legend")).to_contain_text("CPU of the process 7 %")
    tab.page.keyboard.press("Escape")
    expect(whole).to_be_hidden()
    cpu.locator("summary").press("Enter")
    expect(cpu.locator("tbody tr").first).to_contain_text("7 %")
    assert tab.troubles == []


def test_without_javascript_the_last_values_stand_there(
    chromium: Browser, address: str, logged_in: FlaskClient, node: str
) -> None:
    cookie = logged_in.get_cookie("formation")
    assert cookie is not None
    context = chromium.new_context(base_url=address, java_script_enabled=False)
    context.add_cookies([{"name": "formation", "value": cookie.value, "url": address}])
    page = context.new_page()
    page.goto("/")
    expect(page.locator(".chart td").first).to_have_text("20 %")
    page.get_by_role("link", name="Month").click()
    expect(page.locator('[aria-current="true"]', has_text="Month")).to_be_visible()
    context.close()


def test_where_streams_fail_the_page_asks(tab: Tab) -> None:
    tab.page.route("**/live/events*", lambda route: route.fulfill(status=503))
    tab.visit("/")
    state.change("instance", "i1", state="unhealthy", reason="it hangs")
    expect(tab.page.locator("h1")).to_have_text(
        "0 of 1 instance is healthy", timeout=10_000
    )


def test_an_operation_can_be_canceled_from_a_part_that_was_swapped_in(
    tab: Tab, node: str
) -> None:
    tab.visit("/")
    expect(tab.page.locator("#running")).to_contain_text("Deploying echo")
    operations.Operation.update(title="Deploying echo 2").execute()
    expect(tab.page.locator("#running")).to_contain_text("Deploying echo 2")
    tab.page.click("text=Cancel")
    tab.page.wait_for_url(f"**/operations/{node}")
    assert operations.get(node).cancel == 1
    assert tab.troubles == []


def test_who_logged_out_elsewhere_is_led_to_the_log_in(
    tab: Tab, logged_in: FlaskClient
) -> None:
    from appliance.admin import sessions

    tab.visit("/")
    expect(tab.page.locator("h1")).to_have_text("The instance is healthy")
    sessions.Session.delete().execute()
    state.change("instance", "i1", state="unhealthy", reason="it hangs")
    expect(tab.page.locator("h1")).to_have_text("Log in to this node")
