"""Lists are filtered, sorted and paged alike, by pages and API."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from appliance import clock, state
from appliance.admin import tokens
from appliance.metrics import store
from appliance.problems import Invalid
from blueprints.lists import ListQuery, listed

from .conftest import Person
from .test_metrics import INSTANCE

ROWS = st.lists(st.tuples(st.text(), st.none() | st.integers() | st.text()))
COLUMNS: Any = {"name": lambda row: row[0], "value": lambda row: row[1]}


@given(ROWS, st.sampled_from(["", "name", "-name", "value", "-value"]))
def test_sorting_loses_no_row_and_parts_make_the_whole(rows: Any, sort: str) -> None:
    whole = listed(rows, ListQuery(sort=sort), COLUMNS).rows
    assert len(whole) == len(rows) and all(row in rows for row in whole)
    parts = [
        listed(rows, ListQuery(sort=sort, limit=2, offset=at), COLUMNS).rows
        for at in range(0, len(rows), 2)
    ]
    assert [row for part in parts for row in part] == whole


@given(ROWS, st.text(max_size=3))
def test_a_filter_keeps_what_has_the_text_in_any_case(rows: Any, text: str) -> None:
    found = listed(rows, ListQuery(q=text), COLUMNS)
    fitting = [r for r in rows if any(text.casefold() in str(c).casefold() for c in r)]
    assert (found.rows, found.total) == (fitting, len(fitting))


def test_an_unknown_column_is_named_with_those_there_are() -> None:
    with pytest.raises(Invalid, match="one of name, value; not 'size'"):
        listed([], ListQuery(sort="-size"), COLUMNS)


@pytest.fixture
def agents(ada: Person) -> None:
    for name in ("cat", "ant", "bee"):
        body = {"name": name, "owner_name": "ada", "description": f"The {name}"}
        state.put("agent", f"ada/{name}", body | {"latest": "1.0.0"})


def names(ada: Person, query: str) -> list[str]:
    answer = ada.browser.get(f"/api/v1/market/agents?{query}").get_json()
    return [agent["name"] for agent in answer["agents"]]


def test_the_api_sorts_filters_and_links_to_the_next_part(
    ada: Person, agents: None
) -> None:
    assert names(ada, "sort=-name") == ["cat", "bee", "ant"]
    assert names(ada, "q=THE+B") == ["bee"]
    answer = ada.browser.get("/api/v1/market/agents?limit=1&offset=1&sort=name")
    assert [agent["name"] for agent in answer.get_json()["agents"]] == ["bee"]
    assert answer.headers["X-Total-Count"] == "3"
    before, after = answer.headers["Link"].split(", ")
    assert before == '</api/v1/market/agents?limit=1&sort=name>; rel="prev"'
    assert after == '</api/v1/market/agents?limit=1&offset=2&sort=name>; rel="next"'


@pytest.mark.parametrize(
    "path", ["/market/", "/admin/accounts", "/dns/", "/vmm/", "/account"]
)
@pytest.mark.parametrize("query", ["sort=colour", "limit=0", "offset=x", "limit=9999"])
def test_a_page_says_what_is_wrong_with_what_was_asked(
    ada: Person, path: str, query: str
) -> None:
    answer = ada.browser.get(f"{path}?{query}")
    assert (answer.status_code, query.split("=")[0] in answer.text) == (422, True)


def test_a_page_has_heads_that_sort_and_a_pager(ada: Person, agents: None) -> None:
    page = ada.browser.get("/market/?limit=2&sort=name").text
    assert '<th aria-sort="ascending">' in page
    assert 'href="/market/?limit=2&amp;sort=-name"' in page
    assert "1 to 2 of 3" in page
    assert 'rel="next" href="/market/?limit=2&amp;sort=name&amp;offset=2"' in page
    last = ada.browser.get("/market/?limit=2&sort=name&offset=2").text
    assert "3 to 3 of 3" in last and 'rel="next"' not in last and "ada/cat" in last


def test_a_filter_that_nothing_fits_says_so_and_leads_back(
    app: Flask, ada: Person, agents: None
) -> None:
    page = ada.browser.get("/market/?q=<dog>").text
    assert "No agent has “&lt;dog&gt;”" in page and 'href="/market/"' in page
    assert "No account has" in ada.browser.get("/admin/accounts?q=zz").text


@pytest.fixture
def instances(ada: Person) -> None:
    for name, cpu in (("cat", 5.0), ("ant", 70.0), ("bee", 20.0)):
        body = INSTANCE | {"name": name, "agent": f"ada/{name}"}
        state.put("instance", name, body)
        store.write(clock.now(), {(name, "cpu"): cpu})


def order_of(page: str, *names: str) -> list[str]:
    return sorted(names, key=lambda name: page.index(f'href="/vmm/{name}"'))


def test_instances_are_sorted_also_by_what_they_use(
    ada: Person, instances: None
) -> None:
    names = ("ant", "bee", "cat")
    page = ada.browser.get("/vmm/?sort=-cpu").text
    assert order_of(page, *names) == ["ant", "bee", "cat"]
    page = ada.browser.get("/vmm/?sort=-agent").text
    assert order_of(page, *names) == ["cat", "bee", "ant"]
    page = ada.browser.get("/vmm/?q=ada/b&limit=2").text
    assert "1 to 1 of 1" in page and "/vmm/ant" not in page


def test_a_part_of_the_instances_is_followed_as_it_was_asked_for(
    ada: Person, instances: None
) -> None:
    page = ada.browser.get("/vmm/?sort=-cpu&limit=2").text
    asked = re.search('data-of="([^"]*)"', page)
    assert asked
    of = quote(unescape(asked[1]))
    parts = ada.browser.get(f"/live/parts?view=instances&of={of}").get_json()
    table = parts["fragments"]["list"]
    assert table.strip() in page
    assert order_of(table, "ant", "bee") == ["ant", "bee"] and "/vmm/cat" not in table
    assert 'rel="next" href="/vmm/?sort=-cpu&amp;limit=2&amp;offset=2"' in table
    wrong = ada.browser.get("/live/parts?view=instances&of=sort%3Dcolour")
    assert wrong.status_code == 422


def test_tokens_have_heads_that_sort_and_a_filter(ada: Person) -> None:
    for number in range(6):
        tokens.create(ada.account, f"program {number}", ["read"])
    page = ada.browser.get("/account?sort=-name&limit=4").text
    assert page.index("program 5") < page.index("program 2")
    assert "program 1" not in page and "1 to 4 of 6" in page
    assert 'placeholder="Filter tokens"' in page
    page = ada.browser.get("/account?q=nothing").text
    assert "No token has “nothing”" in page and "No tokens yet" not in page
