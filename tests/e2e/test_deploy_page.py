"""The deploy page in a browser: the editor's marks and links, and uploads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from appliance import operations
from appliance.admin import accounts, sessions
from appliance.config import Settings
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import create_app
from tests.serving import served

from .conftest import ROOT

pytestmark = [pytest.mark.vm, pytest.mark.browser]
BAD = "NAME a\nMEM 128\nINSTALL python3 \\\n  Bad_Name\nENTRYPOINT x\n"


@pytest.fixture
def url(settings: Settings, records: StateServer) -> Iterator[str]:
    with served(create_app()) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["scripts", "plain"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def tab(url: str, settings: Settings, scripts: bool) -> Iterator[Page]:
    choose(settings, [])
    account = accounts.create("ada", "", ("operator",))
    cookie = sessions.begin(account.id, "127.0.0.1", "Firefox Linux")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        context = browser.new_context(
            java_script_enabled=scripts, viewport={"width": 390, "height": 800}
        )
        context.add_cookies([{"name": "formation", "value": cookie, "url": url}])
        page = context.new_page()
        page.goto(f"{url}/pack/deploy")
        yield page
        browser.close()


def submit(tab: Page) -> None:
    tab.click("button:has-text('Deploy')")


def test_mistakes_stand_beside_their_lines(tab: Page, scripts: bool) -> None:
    tab.fill("#formfile", BAD)
    if not scripts:
        submit(tab)
    expect(tab.locator("#findings .error")).to_have_count(2)
    expect(tab.locator("#editor .gutter .error")).to_have_text(["2", "4"])
    expect(tab.locator("#formfile")).to_have_value(BAD)
    tab.click("#findings a:has-text('Line 4')")
    if scripts:
        at = tab.evaluate("document.activeElement.selectionStart")
        assert BAD[at:].startswith("Bad_Name")
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
    else:
        assert tab.url.endswith("#line-4")


def test_a_folder_is_deployed(tab: Page) -> None:
    tab.set_input_files("#folder", ROOT / "examples/echo")
    submit(tab)
    tab.wait_for_url("**/operations/*")
    (operation,) = operations.recent()
    assert "NAME echo" in operation.params


def test_an_upload_with_mistakes_keeps_what_was_typed(
    tab: Page, tmp_path: Path
) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/Formfile").write_text(BAD)
    tab.fill("#formfile", "NAME typed")
    tab.set_input_files("#folder", tmp_path / "agent")
    submit(tab)
    expect(tab.locator(".gutter #uploaded-4.error")).to_be_visible()
    expect(tab.locator("#formfile")).to_have_value("NAME typed")
    assert operations.recent() == []


def test_what_is_no_archive_gets_a_sentence(tab: Page, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no archive")
    tab.set_input_files("#archive", tmp_path / "a.zip")
    submit(tab)
    expect(tab.locator("#upload-error")).to_contain_text("Not a readable")


@pytest.mark.parametrize("scripts", [True], indirect=True)
def test_what_is_too_large_is_not_even_sent(tab: Page, tmp_path: Path) -> None:
    limit = int(tab.get_attribute("#deploy", "data-limit-mib") or 0)
    with (tmp_path / "a.tar").open("wb") as file:
        file.truncate((limit + 1) << 20)
    tab.set_input_files("#archive", tmp_path / "a.tar")
    expect(tab.locator("#upload-error")).to_contain_text(f"at most {limit} MiB")
    submit(tab)
    expect(tab.locator("#upload-error")).to_contain_text(f"at most {limit} MiB")
    assert operations.recent() == []
