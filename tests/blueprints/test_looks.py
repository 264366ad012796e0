"""How pages look, held against pictures of how they looked: a change that nobody
meant is found.

The pictures are of coarse blocks, and text is written in blocks too (looks/blocks.py),
so that neither fonts nor the smoothing of an edge matter. After a change that was meant
`FORMATION_LOOKS=write pytest tests/blueprints/test_looks.py` makes them anew; look at
what `git diff` then says.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, BrowserContext, Page, expect

from appliance import clock, events, identity, operations, state
from appliance.admin import processes
from appliance.admin.alerts import store as alerts
from appliance.config import Settings
from appliance.metrics import METRICS, store
from appliance.service import services, write_json
from tests.conftest import say

from .conftest import Person
from .test_browser import LOOKS, address, chromium
from .test_metrics import INSTANCE
from .test_services import PROCESS

__all__ = ["address", "chromium"]
pytestmark = pytest.mark.browser
FOLDER = Path(__file__).parent / "looks"
NOW = 1_790_000_000.0
COARSE = 10  # pixels of a page that are one of its picture
APART = 20  # of 255: less is noise
SHARE = 0.004  # of the blocks may be further apart, as where a line of text breaks
HEIGHT = 840
CURE = "If that is meant: FORMATION_LOOKS=write pytest tests/blueprints/test_looks.py"
NO_BAR = ".side { visibility: hidden }"  # the dashboard's picture has it
PAGES = {
    "dashboard": "/",
    "instance": "/vmm/i1",
    "service": "/services/form-dns",
    "accounts": "/admin/accounts",
    "account": "/account",
}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which size does not depend on who tests."""
    memory = SimpleNamespace(total=16e9, used=5e9, percent=31.0)
    disk = SimpleNamespace(total=500e9, used=200e9, free=300e9, percent=40.0)
    for name, value in (
        ("virtual_memory", memory), ("disk_usage", disk), ("cpu_count", 4)
    ):  # fmt: skip
        monkeypatch.setattr(psutil, name, lambda *of, value=value: value)
    monkeypatch.setattr(alerts, "refresh", lambda *of: None)


@pytest.fixture
def node(settings: Settings, machine: None, ada: Person) -> None:
    """A node with whatever its pages show, the same each time."""
    for name in services():
        say(settings, name, "running")
    say(settings, "form-dns", "degraded", "no resolver answers")
    id_ = identity.node_id(settings) or ""
    state.put("node", id_, {"name": "cellar", "region": "eu", "cidr": "10.42.0.0/16"})
    agent = {"name": "echo", "owner_name": "ada", "description": "", "latest": "1"}
    state.put("agent", "ada/echo", agent)
    body = INSTANCE | {"port": 8000, "disk_gib": 4, "image": "ab", "deployment": "d"}
    state.put("instance", "i1", body)
    bad = {"name": "scribe", "state": "unhealthy", "reason": "GET /: it answers 500"}
    state.put("instance", "i2", body | bad)
    events.happened("The node was set up", service="admin")
    operations.submit(
        "stop", title="Stopping scribe", subject="i2", params={}, account="1"
    )
    report = {
        "looked": NOW,
        "keeper": "supervisord",
        "holds": [],
        "processes": [PROCESS],
    }
    write_json(processes.report_file(settings), report)
    subjects = {"node": METRICS, "i1": ("cpu", "memory", "net_in", "net_out", "tasks")}
    subjects |= {"process/dns": ("process_cpu", "process_memory")}
    for ago in range(3600, -1, -10):
        store.write(NOW - ago, {
            (of, metric): wave(ago, metric)
            for of, measured in subjects.items() for metric in measured
        })  # fmt: skip


def wave(ago: int, metric: str) -> float:
    size = {"percent": 50, "bytes": 4e9, "bytes/s": 3e6}.get(METRICS[metric].unit, 8)
    return size * (1 + 0.5 * math.sin(ago / 500 + len(metric)))


@pytest.fixture
def window(
    chromium: Browser, address: str, ada: Person, node: None
) -> Iterator[BrowserContext]:
    made = chromium.new_context(
        base_url=address, bypass_csp=True, locale="en-GB", timezone_id="UTC"
    )
    cookie = {"name": "formation", "value": ada.cookie, "url": address}
    made.add_cookies([cookie])  # type: ignore[list-item]
    made.set_default_timeout(20_000)
    yield made
    made.close()


def opened(window: BrowserContext, path: str) -> Page:
    page = window.new_page()
    page.clock.set_fixed_time(NOW)
    page.goto(path)
    font = base64.b64encode((FOLDER / "blocks.ttf").read_bytes()).decode()
    page.add_style_tag(
        content=f"@font-face {{ font-family: Blocks; src: url(data:;base64,{font}) }}"
        "* { font-family: Blocks !important; caret-color: transparent }"
        + ("" if path == "/" else NO_BAR)
    )
    page.evaluate("document.fonts.load('12px Blocks')")
    charts = page.locator(".chart")
    expect(page.locator(".chart canvas, .chart .empty")).to_have_count(charts.count())
    return page


def picture(page: Page, width: int, scheme: str) -> Image.Image:
    """What the window shows, coarsely."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.evaluate("() => new Promise(d => requestAnimationFrame(() => setTimeout(d)))")
    shot = Image.open(BytesIO(page.screenshot(animations="disabled")))
    return shot.convert("RGB").reduce(COARSE)


def kept(name: str, width: int, scheme: str) -> Path:
    return FOLDER / f"{name}-{width}-{scheme}.png"


def apart(found: Image.Image, known: Path) -> float:
    """The share of blocks that differ from the kept picture by more than noise."""
    before = Image.open(known).convert("RGB")
    assert found.size == before.size
    bands = ImageChops.difference(found, before).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    far = sum(most.histogram()[APART:])
    return far / (most.width * most.height)


def test_pages_look_as_they_did(window: BrowserContext) -> None:
    shares = {}
    for name, path in PAGES.items():
        page = opened(window, path)
        for width, scheme in LOOKS:
            found, known = picture(page, width, scheme), kept(name, width, scheme)
            if os.environ.get("FORMATION_LOOKS") == "write":
                found.save(known, optimize=True)
            shares[known.name] = apart(found, known)
        page.close()
    otherwise = {
        name: f"{share:.1%}" for name, share in shares.items() if share > SHARE
    }
    assert otherwise == {}, f"They look otherwise. {CURE}"


STYLES = (
    ".card { border-radius: 0; padding: 12px }",
    ":root { --accent: light-dark(#c02080, #ff9ad5) !important }",
    ".side { display: none }",
    "h1 { font-size: 34px !important }",
    ".state.bad { color: var(--good) !important; font-size: 24px }",
    ".figures { grid-template-columns: 1fr !important }",
)


def test_a_style_that_changed_is_found(window: BrowserContext) -> None:
    page = opened(window, "/")
    for style in STYLES:
        added = page.add_style_tag(content=style)
        shares = [
            apart(picture(page, width, scheme), kept("dashboard", width, scheme))
            for width, scheme in (LOOKS[0], LOOKS[2])
        ]
        assert max(shares) > 2 * SHARE, (style, shares)
        added.evaluate("element => element.remove()")
