"""Journeys of people who are let in: by invitation, by authenticator, by token."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from appliance import clock, shares, state
from appliance.config import Settings

from .conftest import PASSWORD, Person
from .test_browser import address, chromium
from .test_proof import age

__all__ = ["address", "chromium"]
pytestmark = pytest.mark.browser
FRESH = "plum tree over water"


@pytest.fixture
def context(chromium: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that has never been here."""
    made = chromium.new_context(base_url=address)
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def ada_page(chromium: Browser, address: str, ada: Person) -> Iterator[Page]:
    """The operator's browser, logged in; two agents are ada's."""
    for name in ("echo", "secretive"):
        owned = {"owner": ada.account.id, "owner_name": "ada", "name": name}
        state.put("agent", f"ada/{name}", {**owned, "latest": "1", "description": ""})
    made = chromium.new_context(base_url=address)
    made.add_cookies([{"name": "formation", "value": ada.cookie, "url": address}])
    yield made.new_page()
    made.close()


def log_in(page: Page, name: str, password: str) -> None:
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_developer_is_invited_and_sees_what_was_shared_alone(
    settings: Settings, ada_page: Page, context: BrowserContext
) -> None:
    age(settings)  # the operator's log-in was a while ago
    ada_page.goto("/admin/accounts")
    ada_page.get_by_label("Name").fill("hal")
    ada_page.get_by_label("developer").check()
    ada_page.get_by_text("Agents that it may use").click()
    ada_page.get_by_label("ada/echo").select_option("call")
    ada_page.get_by_role("button", name="Add the account").click()
    ada_page.get_by_label("Password of ada").fill(PASSWORD)
    ada_page.get_by_role("button", name="Go on").click()
    link = urlsplit(ada_page.locator("#link pre").inner_text().strip()).path

    page = context.new_page()
    page.goto(link)
    page.get_by_label("Password").fill(FRESH)
    page.get_by_label("The same again").fill(FRESH)
    page.get_by_role("button", name="Set it").click()
    log_in(page, "hal", FRESH)
    page.get_by_role("link", name="Agents").first.click()
    expect(page.get_by_role("link", name="ada/echo")).to_be_visible()
    expect(page.get_by_text("secretive")).to_have_count(0)
    page.get_by_role("link", name="ada/echo").click()
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)
    hidden = page.goto("/market/ada/secretive")
    assert hidden is not None and hidden.status == 404
    expect(page.get_by_role("link", name="Accounts")).to_have_count(0)

    shares.take("ada/echo", shares.on("ada/echo")[0].account)
    gone = page.goto("/market/ada/echo")
    assert gone is not None and gone.status == 404


def test_the_first_log_in_sets_up_an_authenticator_which_the_next_asks_for(
    ada: Person, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, "ada", PASSWORD)
    page.goto("/account")
    page.get_by_role("link", name="Ask for a code at log-in too").click()
    page.get_by_role("button", name="Set it up").click()
    totp = pyotp.TOTP(page.locator("span.mono").inner_text())
    expect(page.locator("svg")).to_be_visible()
    now = int(clock.now())
    page.get_by_label("six digits").fill(totp.at(now - 30))
    page.get_by_role("button", name="Turn it on").click()
    codes = page.locator("pre.log").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("button", name="Log out").click()

    log_in(page, "ada", PASSWORD)
    code = page.get_by_label("Six digits")
    code.fill("000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".error")).to_be_visible()
    assert page.goto("/account") and page.url.endswith("/login")
    log_in(page, "ada", PASSWORD)
    code.fill(totp.at(now))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_a_token_in_use_is_revoked_and_its_next_request_is_refused(
    settings: Settings,
    ada_page: Page,
    context: BrowserContext,
) -> None:
    age(settings)
    ada_page.goto("/account")
    ada_page.get_by_label("What it is for").fill("a robot")
    ada_page.get_by_label("deploy").check()
    ada_page.get_by_role("button", name="Make the token").click()
    ada_page.get_by_label("Password of ada").fill(PASSWORD)
    ada_page.get_by_role("button", name="Go on").click()
    expect(ada_page.get_by_text("The token a robot")).to_be_visible()
    token = ada_page.locator("#token pre").inner_text().strip()
    bearer = {"Authorization": f"Bearer {token}"}

    def use() -> int:
        return context.request.get("/api/v1/vmm/instances", headers=bearer).status

    assert use() == 200
    ada_page.goto("/account")
    ada_page.get_by_role("row", name="a robot").get_by_role("button").click()
    expect(ada_page.get_by_text("No tokens yet")).to_be_visible()
    assert use() == 401


def test_a_fragment_that_needs_a_proof_becomes_the_form_and_goes_on(
    settings: Settings, ada_page: Page
) -> None:
    ada_page.goto("/pack/deploy")  # a page with htmx
    age(settings)
    ada_page.evaluate(
        """() => htmx.ajax("POST", "/account/tokens", {
          source: "main", target: "main", swap: "innerHTML",
          values: {name: "a robot", scopes: "admin", days: "1"},
        })"""
    )
    ada_page.get_by_label("Password of ada").fill(PASSWORD)
    ada_page.get_by_role("button", name="Go on").click()
    expect(ada_page.get_by_text("The token a robot")).to_be_visible()
