"""The navigation: the pages that services declare, in order, and the node's head.

To add a page to it, declare a `Page` in the `pages` of its service.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

from flask import Blueprint, render_template

from appliance import formnet, state
from appliance.admin import accounts, rights
from appliance.config import settings
from appliance.service import Eyes, Page, Status, chosen, read_status, services
from blueprints.access import may, requires

blueprint = Blueprint("navigation", __name__)
HEADINGS = ("", "Network", "Federation", "Administration")
WORDS = {
    "good": "All services run",
    "wait": "Some services do not run yet",
    "bad": "Some services are not well",
}
MARKS = {"running": "good", "failed": "bad", "degraded": "bad"}


@dataclass(frozen=True)
class Link:
    """A page as one line; `current` is what aria-current says, or empty."""

    page: Page
    current: Literal["page", "true", ""]
    count: int | None
    id: str


@dataclass(frozen=True)
class Head:
    """The node at the top of the side bar."""

    name: str
    where: str
    mark: str
    words: str


def order(page: Page) -> tuple[int, str, int, str]:
    """Known headings first, then those of plug-ins by name."""
    known = page.heading in HEADINGS
    place = HEADINGS.index(page.heading) if known else len(HEADINGS)
    return place, page.heading, page.rank, page.title


def pages(account: accounts.Account) -> list[Page]:
    """What this account may open, in order."""
    declared = [page for service in services().values() for page in service.pages]
    return sorted((p for p in declared if may(account, p.role)), key=order)


def currency(page: Page, path: str) -> Literal["page", "true", ""]:
    """Whether `path` is this page, or lies below it."""
    if path == page.path:
        return "page"
    below = page.path != "/" and path.startswith(page.path.rstrip("/") + "/")
    return "true" if below else ""


def groups(account: accounts.Account, path: str) -> list[tuple[str, list[Link]]]:
    """(heading, links) in order; at most one link is current, and what is counted is
    what the account may see."""
    seen, shown = eyes(account), pages(account)
    near = [page for page in shown if currency(page, path)]
    nearest = max(near, key=lambda page: len(page.path), default=None)
    links = [
        Link(
            page,
            currency(page, path) if page is nearest else "",
            page.count(seen) if page.count else None,
            count_id(page),
        )
        for page in shown
    ]
    by_heading = groupby(links, key=lambda link: link.page.heading)
    return [(heading, list(found)) for heading, found in by_heading]


def eyes(account: accounts.Account) -> Eyes:
    return Eyes(
        may(account, "auditor"),
        partial(rights.may_know, account),
        partial(rights.may_see, account),
    )


def counts(account: accounts.Account) -> dict[str, str]:
    """Of each page that lists things how many, by the id of the element beside it."""
    seen = eyes(account)
    counted = (page for page in pages(account) if page.count)
    return {count_id(p): str(p.count(seen)) for p in counted if p.count}


def count_id(page: Page) -> str:
    return f"count-{page.path.strip('/').replace('/', '-')}"


def mark_of(statuses: Iterable[Status]) -> str:
    """The worst of the services' marks: bad, else wait, else good."""
    marks = {MARKS.get(status.state, "wait") for status in statuses}
    return next((mark for mark in ("bad", "wait") if mark in marks), "good")


def head() -> Head:
    """Name, address and region from the Node record, and how its services are."""
    config = settings()
    wanted = chosen(config) or frozenset()
    found = [s for s in services().values() if s.name in wanted]
    mark = mark_of(read_status(config, service) for service in found)
    node = state.own_node(config)
    where = (formnet.own_network(config).gateway, node.get("region"))
    joined = " · ".join(part for part in where if part)
    return Head(node.get("name") or "This node", joined, mark, WORDS[mark])


@blueprint.get("/more")
@requires("account")
def more() -> str:
    """All pages, for small screens whose bar holds only a few."""
    return render_template("admin/more.html")
