"""Linked records can be walked both ways, and by an index."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from appliance import state
from appliance.config import Settings
from appliance.identity import fingerprint
from appliance.state import inspection, walk
from appliance.state.links import LINKS, Link, members_for, target_of
from appliance.state.records import KINDS
from appliance.state.server import StateServer
from appliance.state.store import Reader

CHAIN = (
    ("account", "1", {"name": "ada"}),
    ("node", "n", {"name": "cellar"}),
    ("build", "b", {"image": "i"}),
    ("version", "ada/echo@0.1.0", {"agent": "ada/echo", "build_id": "b"}),
    ("agent", "ada/echo", {"owner": "1", "latest": "0.1.0"}),
    (
        "deployment",
        "d",
        {"account": "1", "agent": "ada/echo", "version": "0.1.0"},
    ),
    (
        "instance",
        "d",
        {"node": "n", "agent": "ada/echo", "version": "0.1.0", "deployment": "d"},
    ),
    ("domain", "echo.zone", {"agent": "ada/echo", "instance": "d"}),
    ("audit", "n", {"node": "n"}),
)


@pytest.fixture
def chain(records: StateServer, settings: Settings) -> Reader:
    for kind, id_, body in CHAIN:
        state.put(kind, id_, dict(body))
    return state.open_state(settings)


def test_every_link_leads_from_a_kind_to_a_kind() -> None:
    assert {link.kind for link in LINKS} | {link.target for link in LINKS} == set(KINDS)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.kind}-{link.name}")
def test_each_link_is_walked_there_and_back(chain: Reader, link: Link) -> None:
    (record,) = chain.select(link.kind, {})
    target = target_of(link, record)
    assert target
    there = walk.Reference(link.name, link.target, target)
    back = walk.Reference(link.name, link.kind, record.id)
    assert there in walk.links(chain, record)
    assert back in walk.linked_from(chain, link.target, target)


def test_from_the_account_every_record_is_reached(chain: Reader) -> None:
    reached, ahead = set(), {("account", "1")}
    while ahead:
        kind, id_ = ahead.pop()
        reached.add((kind, id_))
        record = chain.find(kind, id_)
        assert record
        ends = [*walk.links(chain, record), *walk.linked_from(chain, kind, id_)]
        ahead |= {(end.kind, end.id) for end in ends} - reached
    assert reached == {(kind, id_) for kind, id_, _ in CHAIN}


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.kind}-{link.name}")
def test_no_walk_back_scans_the_kind(chain: Reader, link: Link) -> None:
    plans: list[str] = []
    ask = chain.database.execute_sql

    class Watched:
        def execute_sql(self, query: str, values: tuple[object, ...]) -> object:
            plan = ask(f"explain query plan {query}", values).fetchall()
            plans.extend(row[3] for row in plan)
            return ask(query, values)

    members = members_for(link, "ada/echo@0.1.0" if len(link.members) > 1 else "x")
    assert members
    watched = Reader.__new__(Reader)
    watched.database = Watched()  # type: ignore[assignment]
    watched.select(link.kind, members)
    assert any("index record_" in p.lower() or "id=?" in p for p in plans), plans


def test_a_link_to_nowhere_is_shown_as_such(chain: Reader, settings: Settings) -> None:
    assert inspection.verify(settings, chain).dangling_links == ()
    state.remove("instance", "d")
    (domain,) = chain.select("domain", {})
    assert [e.kind for e in walk.dangling(chain, domain)] == ["instance"]
    found = inspection.verify(settings, chain)
    assert not found.is_fine
    assert found.dangling_links == (
        "domain echo.zone: instance leads to no instance d",
    )


def forge(settings: Settings, *statements: str) -> None:
    """Write past form-state, as who has the database's file can."""
    path = settings.data_dir / "state" / "state.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as link:
        for statement in statements:
            link.execute(statement)


def test_a_forged_row_is_found(chain: Reader, settings: Settings) -> None:
    assert inspection.verify(settings, chain).is_fine
    forge(
        settings,
        """update record set body='{"name": "eve"}' where kind='account'""",
        "update record set signature='zz' where kind='node'",
    )
    found = inspection.verify(settings, chain)
    assert found.wrong_signatures == ("account 1: forged", "node n: forged")


def test_a_stamp_that_was_used_twice_is_found(
    chain: Reader, settings: Settings
) -> None:
    forge(settings, "update header set seq=1 where kind='node'")
    assert len(inspection.verify(settings, chain).repeated_stamps) == 1


def test_a_node_whose_key_is_none_forges_nothing(
    chain: Reader, settings: Settings
) -> None:
    state.put("node", "odd", {"public_key": "abcd"})
    state.put("node", "worse", {"public_key": "no hex"})
    author = fingerprint(bytes.fromhex("abcd"))
    forge(settings, f"update record set author='{author}' where kind='account'")
    found = inspection.verify(settings, chain)
    assert found.wrong_signatures == ("account 1: forged",)
