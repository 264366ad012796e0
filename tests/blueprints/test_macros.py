"""The parts that pages are made of, each with good and with odd values: they show
what they are given, as text, and never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g
from markupsafe import Markup, escape

from appliance.metrics import Point
from appliance.service import Chart
from blueprints.lists import Page, PageQuery

from .conftest import Person
from .test_browser import LOOKS, axe, chromium, serious_on
from .test_metrics import INSTANCE

__all__ = ["axe", "chromium"]
UI = Path(__file__).parents[2] / "templates" / "ui"
ODD = """<script>alert("1")</script>' onload='x&amp;"""
CHOSEN = ("ranges",)  # it shows one of its own words
VOID = {"input", "br", "meta", "link", "img", "hr"}
STEP = {"name": "a", "title": ODD, "state": "now", "progress": 0.4, "detail": ODD}
STEP |= {"started": 1.0, "ended": 3.5}
STEPS = {"steps": [{**STEP, "state": how} for how in ("done", "now", "failed", "todo")]}
IDLE: dict[str, Any] = {"steps": []}
HOT = {("i1", "cpu"): Point(1, 120.4), ("i1", "memory"): Point(1, 5e9)}


COLUMNS = ("agent", "name", "scopes", "expires", "used")


def listed(rows: list[Any], **query: Any) -> Page[Any]:
    asked = PageQuery(**query)
    return Page(rows, 120, asked, COLUMNS, "/vmm/")


def instance(**body: Any) -> Any:
    return SimpleNamespace(id="i1", body=INSTANCE | body)


GOOD, BAD = instance(), instance(name=ODD, state="failed", reason=ODD, address=ODD)
ROWS = [
    SimpleNamespace(name=ODD, kind=ODD, text=f"`{ODD}`", depth=2, required=False),
    SimpleNamespace(name="id", kind="string", text="", depth=0, required=True),
]
END = {"kind": "agent", "id": ODD}
ENDS: dict[str, Any] = {
    "links": [
        SimpleNamespace(**END, living=True),
        SimpleNamespace(**END, living=False),
    ],
    "linked_from": [],
    "hidden": {"links": 1, "linked_from": 0},
}
NO_ENDS: dict[str, Any] = {"links": [], "linked_from": [], "hidden": ENDS["hidden"]}
ITEM = {"users": [ODD], "over": False, "unused": False}
CPU = Chart(ODD, ("cpu",), 100)

TOKEN = SimpleNamespace(
    id="t1", name="ci", scopes='["read"]', expires=9e9, used=None, created=1.0
)
ODD_TOKEN = SimpleNamespace(**{**vars(TOKEN), "name": ODD, "expires": None, "used": 1})

Calls = tuple[tuple[Any, ...], ...]
CASES: Mapping[str, Mapping[str, Calls]] = {
    "macros.html": {
        "state": (("healthy",), ("failed", ODD), (ODD,), ("",)),
        "csrf_field": (("",), (ODD,)),
        "field": (
            ("name", "Name", {}, {}),
            ("name", ODD, {"name": ODD}, {"name": ODD}, "text", ODD),
            ("pass", "Word", {"pass": None}, {}, "password", ODD, "off", True),
        ),
        "error": (({}, "name"), ({"name": ODD}, "name")),
        "steps": ((STEPS,), (IDLE,)),
        "when": ((1.0,), (None,), (0, ODD), (9e9,)),
        "lasts": ((1.0,), (9e9,)),
        "progress": ((STEPS,), (IDLE,)),
    },
    "machine.html": {
        "zone_field": (
            ({}, {}, []),
            ({"time_zone": ODD}, {"time_zone": ODD}, [ODD, "UTC"]),
        ),
        "network_fields": (
            ({}, {}, []),
            (
                {"method": "static", "interface": ODD, "address": ODD},
                {"network": ODD, "interface": ODD, "address": ODD},
                [{"name": ODD}],
            ),
        ),
    },
    "lists.html": {
        "head": (
            (listed([]), "name", "Name"),
            (listed([], sort="-name", q=ODD), "name", ODD, "hide-s"),
        ),
        "filter": ((listed([]), "things"), (listed([], q=ODD, sort=ODD), ODD)),
        "pager": ((listed([1]),), (listed([1], q=ODD, offset=7, limit=1),)),
    },
    "instances.html": {
        "column": ((None, "agent", "Agent"), (listed([]), "agent", ODD, "n")),
        "instance_table": (
            ([GOOD, BAD], HOT, "None yet."),
            ([GOOD, BAD], {}, "None yet.", listed([GOOD, BAD])),
            ([], {}, ODD),
            ([], {}, "None yet.", listed([], q=ODD)),
            ([], {}, "None yet.", listed([], offset=500)),
        ),
    },
    "charts.html": {
        "chart": (
            ("i1", ("cpu", "memory"), "CPU", 100, HOT),
            (ODD, (ODD,), ODD, None, {}, "tall", False),
        ),
        "ranges": (("hour",), ("year",), (ODD,)),
    },
    "measurements.html": {
        "measurements": (([], {}, "hour"), ([("i1", CPU), (ODD, CPU)], HOT, "day")),
    },
    "links.html": {"linked": ((ENDS,), (NO_ENDS,))},
    "tokens.html": {
        "token_table": (
            (listed([TOKEN, ODD_TOKEN]), 9, "/account", True, ODD, "None yet."),
            (listed([TOKEN]), 1, "/account", False, "", "None yet."),
            (listed([], q=ODD), 9, "/account", True, "", "None yet."),
            (listed([]), 0, "/account", True, "", ODD),
        ),
    },
    "api.html": {"method": (("GET",), (ODD,)), "members": ((ROWS,), ([],))},
    "storage.html": {
        "collect": (
            ("c", {"unused_bytes": 5e9}, True),
            (ODD, {"over_bytes": 0}, False),
        ),
        "unmeasured": ((ODD,),),
        "users": (
            (ITEM,),
            ({**ITEM, "users": [], "over": True},),
            ({**ITEM, "users": [], "unused": True},),
            ({**ITEM, "users": []},),
        ),
        "when": ((1.0,),),
    },
}
ALL = [
    (file, name, number)
    for file, macros in CASES.items()
    for name, calls in macros.items()
    for number in range(len(calls))
]


class Balance(HTMLParser):
    """Every element ends, and none is a script or has a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag


def rendered(app: Flask, file: str, name: str, number: int) -> str:
    made = app.jinja_env.get_template(f"ui/{file}")
    module = made.make_module(dict(app.jinja_env.globals) | {"may": lambda role: True})
    return str(getattr(module, name)(*CASES[file][name][number]))


@pytest.fixture
def request_of(app: Flask, ada: Person) -> Iterator[Flask]:
    with app.test_request_context("/vmm/?q=x"):
        g.account = ada.account
        yield app


def test_every_macro_has_its_cases() -> None:
    there = {
        file.name: set(re.findall(r"{% macro (\w+)", file.read_text()))
        for file in UI.glob("*.html")
    }
    assert {name: macros for name, macros in there.items() if macros} == {
        name: set(macros) for name, macros in CASES.items()
    }


def test_what_macros_are_given_is_text_and_their_elements_end(
    request_of: Flask,
) -> None:
    for file, name, number in ALL:
        found, balance = rendered(request_of, file, name, number), Balance()
        balance.feed(found)
        assert (balance.open, balance.handlers) == ([], []), (name, found)
        assert "<script" not in found, (name, found)
        if "<script>" in str(CASES[file][name][number]) and name not in CHOSEN:
            assert "&lt;script&gt;" in found or "%3Cscript" in found, (name, found)


def test_an_error_sits_at_its_field_and_what_was_typed_is_kept(
    request_of: Flask,
) -> None:
    found = rendered(request_of, "macros.html", "field", 1)
    assert f'value="{escape(ODD)}"' in found
    assert 'aria-invalid="true"' in found
    assert 'aria-describedby="name-note"' in found and 'id="name-note"' in found
    assert found.count(str(escape(ODD))) == 3  # label, value, error: help gives way


def test_a_state_is_a_word_with_a_mark_and_its_reason(request_of: Flask) -> None:
    assert rendered(request_of, "macros.html", "state", 0) == (
        '<span class="state good">healthy</span>'
    )
    bad = rendered(request_of, "macros.html", "state", 1)
    assert bad.startswith('<span class="state bad">failed: &lt;script')


def test_a_head_says_how_the_list_is_sorted_and_leads_the_other_way(
    request_of: Flask,
) -> None:
    plain = rendered(request_of, "lists.html", "head", 0)
    assert "aria-sort" not in plain and "sort=name" in plain
    sorted_ = rendered(request_of, "lists.html", "head", 1)
    assert 'aria-sort="descending"' in sorted_ and "sort=name" in sorted_


@pytest.mark.browser
def test_axe_finds_nothing_serious_in_any_of_them(
    request_of: Flask, chromium: Any, axe: str
) -> None:
    parts = (
        f"<div><table>{html}</table></div>"
        if html.lstrip().startswith("<th")
        else f"<div>{html}</div>"
        for html in (rendered(request_of, *one) for one in alone())
    )
    look = (UI.parent / "static" / "look.css").read_text()
    page = chromium.new_page()
    page.set_content(
        f'<!doctype html><html lang="en"><title>Parts</title><style>{look}</style>'
        f"<main><h1>Parts</h1>{Markup('').join(map(Markup, parts))}</main>"
    )
    page.evaluate(axe)
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        assert serious_on(page) == [], f"at {width}, {scheme}"
    page.close()


def alone() -> Iterator[tuple[str, str, int]]:
    """One case of each, so that no two elements have one id."""
    for file, macros in CASES.items():
        for name in macros:
            yield file, name, int(name == "measurements")
