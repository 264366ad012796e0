"""What people do on the pages, from one page to the next, by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from appliance import operations, runner
from appliance.admin import settings_history

from .test_alerts import hot
from .test_browser import Tab, address, chromium, node, tab
from .test_logs import line, log
from .test_settings import file

__all__ = ["address", "chromium", "file", "hot", "log", "node", "tab"]
pytestmark = pytest.mark.browser
ACTIVE = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const style = getComputedStyle(at), before = window.lastActive;
  window.lastActive = at;
  return {
    text: (at.textContent || at.getAttribute("aria-label") || "").trim(),
    inMain: document.querySelector("main").contains(at),
    isSeen: box.bottom > 0 && box.top < innerHeight && box.width > 0,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    isLater: !before || !!(before.compareDocumentPosition(at) & 4),
  };
}"""


def work_off(page: Page) -> None:
    """Do the operation whose page is open, as formation-jobs would."""
    page.wait_for_url("**/operations/*")
    id_ = page.url.rpartition("/")[2]
    runner.execute(id_, "jobs")
    assert operations.get(id_).state == "completed"


def test_a_setting_is_changed_and_rolled_back(tab: Tab, file: Path) -> None:
    before, page = file.read_text(), tab.page
    tab.visit("/admin/settings")
    page.get_by_label("ttl", exact=True).fill("60")
    page.get_by_role("button", name="Look at the change").click()
    expect(page.locator("h1")).to_have_text("1 setting changes")
    expect(page.locator("pre.diff")).to_contain_text("ttl = 60")
    page.get_by_label("Why").fill("names change often")
    page.get_by_role("button", name="Save").click()
    work_off(page)
    assert "ttl = 60" in file.read_text()
    tab.visit("/admin/settings/history")
    expect(page.locator("h2").first).to_contain_text("ada")
    expect(page.locator("h2").first).to_contain_text("names change often")
    page.get_by_role("button", name="Go back to before this").click()
    work_off(page)
    assert file.read_text() == before
    assert len(settings_history.newest()) == 2
    assert tab.troubles == []


def test_a_log_is_followed_to_the_line_that_was_waited_for(tab: Tab, log: Path) -> None:
    page = tab.page
    tab.visit("/admin/logs")
    page.get_by_label("Process", exact=True).select_option("web")
    page.get_by_label("Text").fill("guest")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#lines")).to_contain_text("Nothing fits")
    with log.open("a") as end:
        end.write(line("another") + line("the guest <answers>", "warning"))
    expect(page.locator("#lines")).to_contain_text("the guest <answers>")
    expect(page.locator("#lines")).not_to_contain_text("another")
    assert tab.troubles == []


def test_an_alert_is_silenced_and_heard_again(tab: Tab, hot: None) -> None:
    page = tab.page
    tab.visit("/")
    page.get_by_role("link", name=re.compile("^Alerts")).click()
    expect(page.locator("h1")).to_have_text("One alert fires")
    page.get_by_label("Rule", exact=True).select_option("memory-short")
    page.get_by_label("Why").fill("a big build")
    page.get_by_role("button", name="Silence").click()
    expect(page.locator("h1")).to_have_text("No alert fires")
    expect(page.locator("#alerts-silences")).to_contain_text("a big build (ada)")
    page.get_by_role("button", name="End", exact=True).click()
    expect(page.locator("h1")).to_have_text("One alert fires")
    assert tab.troubles == []


def test_by_keyboard_one_skips_to_the_page_and_always_sees_where_one_is(
    tab: Tab,
) -> None:
    page = tab.page
    tab.visit("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip the navigation")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    charts = 0
    for _ in range(12):
        at = page.evaluate(ACTIVE)
        assert at["inMain"] and at["isSeen"] and at["ring"] and at["isLater"], at
        charts += page.locator(".chart:focus").count()
        page.keyboard.press("Tab")
    assert charts == 5


def test_by_keyboard_an_instance_is_found_and_asked_to_be_deleted(tab: Tab) -> None:
    """From the list by its filter to the page that asks, and back."""
    page = tab.page
    tab.visit("/vmm/")
    page.get_by_label("Filter instances").focus()
    page.keyboard.type("echo")
    page.keyboard.press("Enter")
    page.wait_for_url("**/vmm/?q=echo")
    page.get_by_role("link", name="State").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("State")
    page.locator("td a", has_text="echo").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Delete").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/vmm/i1/delete")
    leave = page.locator("main").get_by_role("link").last
    leave.focus()
    assert page.evaluate(ACTIVE)["ring"]
