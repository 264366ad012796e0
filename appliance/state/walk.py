"""Walking linked records both ways, by indexed queries."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.state.links import LINKS, members_for, target_of
from appliance.state.records import Record
from appliance.state.store import Reader

MOST = 200  # back links by one member that are shown


@dataclass(frozen=True)
class Reference:
    """One end of a link: `by` is the member that refers; `living` says whether the
    record at this end is there."""

    by: str
    kind: str
    id: str
    living: bool = True


def links(reader: Reader, record: Record) -> list[Reference]:
    """The records that this one refers to."""
    found = []
    for link in LINKS:
        target = target_of(link, record) if link.kind == record.kind else None
        if target is not None:
            living = reader.find(link.target, target) is not None
            found.append(Reference(link.name, link.target, target, living))
    return found


def linked_from(reader: Reader, kind: str, id_: str) -> list[Reference]:
    """The records that refer to this one, at most `MOST` by each member."""
    found = []
    for link in LINKS:
        members = members_for(link, id_) if link.target == kind else None
        if members is not None:
            records = reader.select(link.kind, members, limit=MOST)
            found += [Reference(link.name, link.kind, r.id) for r in records]
    return found


def dangling(reader: Reader, record: Record) -> list[Reference]:
    """The links of a record that lead nowhere."""
    return [found for found in links(reader, record) if not found.living]
