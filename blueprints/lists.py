"""Lists: filtered, sorted and paged on the server, the same for pages and API.

A `ListQuery` says what is asked for, `listed` gives that part of the rows as a
`Page`; the macros in templates/ui/lists.html draw its heads and its pager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import Response, request
from pydantic import Field

from appliance.problems import Invalid
from blueprints.shapes import Query

Row = TypeVar("Row")
Columns = Mapping[str, Callable[[Row], Any]]
LIMIT, MOST, SHOWN = 500, 1000, 50


class ListQuery(Query):
    """What part of a list is asked for."""

    q: str = Field("", max_length=200, description="Only rows that have this text.")
    sort: str = Field("", description="A column to sort by; `-` before it: downwards.")
    limit: int = Field(LIMIT, ge=1, le=MOST, description="Rows at once.")
    offset: int = Field(0, ge=0, le=10**9, description="Rows to leave out before.")


class PageQuery(ListQuery):
    """The same of a page, which shows fewer at once."""

    limit: int = Field(SHOWN, ge=1, le=MOST)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of a list, of `total` that fit; its links lead to `path`, where else than
    the request's."""

    rows: list[Row]
    total: int
    query: ListQuery
    names: tuple[str, ...]
    path: str = ""

    @property
    def column(self) -> str:
        return self.query.sort.removeprefix("-")

    @property
    def is_downwards(self) -> bool:
        return self.query.sort.startswith("-")

    @property
    def first(self) -> int:
        return self.query.offset + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.query.offset + len(self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out, so that nothing need be said of it."""
        return not self.query.q and self.total == len(self.rows)

    def sorted_by(self, name: str) -> str:
        """Where the list is sorted by this column, the other way if it is already."""
        again = name == self.column and not self.is_downwards
        return self.link(sort=f"-{name}" if again else name, offset=0)

    @property
    def before(self) -> str | None:
        """Where the rows before these are."""
        if not self.query.offset:
            return None
        return self.link(offset=max(0, self.query.offset - self.query.limit))

    @property
    def after(self) -> str | None:
        """Where the rows after these are."""
        return self.link(offset=self.last) if self.last < self.total else None

    def link(self, **changed: Any) -> str:
        path = self.path or request.path
        kept = self.asked if self.path else request.args.to_dict()
        asked = {**kept, **changed}
        known = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{known}" if known else path

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, by parameter."""
        return self.query.model_dump(exclude_unset=True)


def listed(
    rows: Iterable[Row], query: ListQuery, columns: Columns[Row], path: str = ""
) -> Page[Row]:
    """The part of `rows` that is asked for; raises Invalid for a column that is not
    there. Rows of equal value keep their order."""
    name = query.sort.removeprefix("-")
    if name and name not in columns:
        known = ", ".join(columns)
        raise Invalid(f"sort: one of {known}; not {name[:60]!r}.", sort="not known")
    found = [row for row in rows if fits(row, query.q, columns)]
    if name:
        value = columns[name]
        downwards = query.sort.startswith("-")
        found.sort(key=lambda row: order(value(row)), reverse=downwards)
    part = found[query.offset : query.offset + query.limit]
    return Page(part, len(found), query, tuple(columns), path)


def fits(row: Row, text: str, columns: Columns[Row]) -> bool:
    """Whether one of the row's columns has the text, in whatever case."""
    wanted = text.casefold()
    values = (column(row) for column in columns.values()) if wanted else ()
    return not wanted or any(wanted in str(value).casefold() for value in values)


def order(value: Any) -> tuple[int, float, str]:
    """A key that any two values can be compared by: nothing, numbers, texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, str(value).casefold()


def paged(answer: Response, page: Page[Any]) -> Response:
    """The API's answer with links to the parts beside it (RFC 8288) and the total."""
    links = {"prev": page.before, "next": page.after}
    said = [f'<{link}>; rel="{rel}"' for rel, link in links.items() if link]
    if said:
        answer.headers["Link"] = ", ".join(said)
    answer.headers["X-Total-Count"] = str(page.total)
    return answer


PAGED = {
    "Link": "The parts before and after this one (`prev`, `next`).",
    "X-Total-Count": "How many rows fit.",
}
