"""Records: what there is, one of them with its links both ways, and whether all of
them are genuine."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint, g, jsonify, render_template, request

from appliance import clock
from appliance.config import settings
from appliance.problems import Invalid, NotFound
from appliance.state import Record, inspection, open_state, walk
from appliance.state.records import KINDS, seconds
from appliance.state.store import Header
from blueprints.access import may, may_know, may_see, not_yours, requires
from blueprints.contract import answers, asks
from blueprints.shapes.state import (
    Overview,
    Records,
    RecordsQuery,
    Verification,
    WholeRecord,
)

blueprint = Blueprint("state", __name__)
API = "/api/v1/state"
PAGE = 100
PUBLIC = ("node", "account")  # what all may see
CATALOGUE = ("agent", "version", "build", "domain")  # for those who know the agent


def find(kind: str, id_: str) -> Record:
    """The record or its tombstone; raises NotFound."""
    found = open_state(settings()).find(kind, id_, deleted=True)
    seen = found is not None and is_seen(found)
    if found is None or (kind in CATALOGUE and not seen):
        raise NotFound("record-unknown", f"There is no {kind} {id_}.")
    if not seen:
        raise not_yours(subject(found))
    return found


def is_seen(record: Record) -> bool:
    """Whether the record is for the caller to see."""
    if record.kind in PUBLIC:
        return True
    if record.kind == "build":
        made = open_state(settings()).select("version", {"build_id": record.id})
        return may(g.account, "auditor") or any(map(is_seen, made))
    if record.kind in CATALOGUE:
        return may_know(subject(record) or "")
    return may_see(subject(record))


def subject(record: Record) -> str | None:
    """The agent that a record is about, or the name of the account that owns it."""
    if record.kind in ("agent", "version"):
        return record.id.partition("@")[0]
    return record.body.get("agent") or record.body.get("owner_name")


def listed(kind: str, after: str) -> tuple[str, list[Record], str | None]:
    """The kind that was asked for, its records, and the id that `after` goes on
    from; None where that was all."""
    if kind not in KINDS:
        raise Invalid(f"kind is one of {', '.join(KINDS)}; not {kind!r}.")
    found = open_state(settings()).select(kind, {}, after=after, limit=PAGE + 1)
    following = found[PAGE - 1].id if len(found) > PAGE else None
    seen = [r for r in found[:PAGE] if is_seen(r)]
    return kind, seen, following


def document(record: Record | Header) -> dict[str, Any]:
    """A record, or a header of one, as the API shows it."""
    time = clock.rfc3339(seconds(record.hlc))
    return {**asdict(record), "hlc": str(record.hlc), "time": time}


def whole(record: Record) -> dict[str, Any]:
    """A record with everything that can be said of it."""
    reader = open_state(settings())
    keys = inspection.public_keys(settings(), reader)
    ends = ends_of(record.kind, record.id)
    return {
        **document(record),
        "verdict": inspection.verdict(record, keys),
        "headers": [document(h) for h in reader.headers(record.kind, record.id)],
        "links": [asdict(end) for end in ends["links"]],
        "linked_from": [asdict(end) for end in ends["linked_from"]],
        "hidden": ends["hidden"],
    }


@blueprint.app_template_global()
def ends_of(kind: str, id_: str) -> dict[str, Any]:
    """Both ends of a record's links, for any page; those that the caller may not see
    are only counted, in `hidden`."""
    reader = open_state(settings())
    record = reader.find(kind, id_)
    links = walk.links(reader, record) if record else []
    linked_from = walk.linked_from(reader, kind, id_)
    shown = {
        "links": [end for end in links if is_shown(end)],
        "linked_from": [end for end in linked_from if is_shown(end)],
    }
    hidden = {
        "links": len(links) - len(shown["links"]),
        "linked_from": len(linked_from) - len(shown["linked_from"]),
    }
    return {**shown, "hidden": hidden}


def is_shown(end: walk.Reference) -> bool:
    """Whether the caller may follow a link to this end."""
    if end.kind in PUBLIC:
        return True
    record = open_state(settings()).find(end.kind, end.id)
    return record is None or is_seen(record)


@blueprint.app_template_global()
def records_of(operation: dict[str, Any]) -> list[Record]:
    """The living records that an operation made or is about."""
    result, subject = operation["result"] or {}, operation["subject"]
    version = f"{result.get('agent')}@{result.get('version')}"
    wanted = [("agent", result.get("agent") or subject), ("version", version)]
    wanted += [("deployment", operation["id"]), ("instance", operation["id"])]
    wanted += [("instance", subject)]
    found = [open_state(settings()).find(*key) for key in dict.fromkeys(wanted)]
    return [record for record in found if record and is_seen(record)]


@blueprint.app_template_global()
def room_of(kind: str, id_: str) -> str | None:
    """The page where a person works with what a record describes."""
    rooms = {"agent": "/market/", "instance": "/vmm/"}
    return f"{rooms[kind]}{id_}" if kind in rooms else None


@blueprint.get("/state/")
@requires("account")
def page() -> Any:
    if "kind" in request.args:
        kind, records, following = listed(
            request.args["kind"], request.args.get("after", "")
        )
        return render_template(
            "state/kind.html",
            kind=kind,
            records=records,
            following=following,
            seconds=seconds,
        )
    return render_template("state/index.html", found=seen_overview(), seconds=seconds)


def seen_overview() -> inspection.Overview:
    """With the counts of what the caller may see."""
    reader = open_state(settings())
    found = inspection.overview(settings(), reader)
    if may(g.account, "auditor"):
        return found
    counts = {k: sum(map(is_seen, reader.select(k, {}))) for k in found.counts}
    return replace(found, counts=counts)


@blueprint.get("/state/verification")
@requires("auditor")
def verification_page() -> Any:
    found = inspection.verify(settings(), open_state(settings()))
    return render_template("state/verification.html", found=found)


@blueprint.get("/state/<kind>/<path:id_>")
@requires("account")
def record_page(kind: str, id_: str) -> Any:
    record = find(kind, id_)
    return render_template(
        "state/record.html", record=record, whole=whole(record), seconds=seconds
    )


@blueprint.get(f"{API}/overview")
@requires("account")
@answers(Overview)
def overview() -> Any:
    """How many records you may see, by kind, and what is held of each author."""
    found = asdict(seen_overview())
    if found["own"]:
        found["own"]["hlc"] = str(found["own"]["hlc"])
    return jsonify(found)


@blueprint.get(f"{API}/records")
@requires("account")
@asks(RecordsQuery)
@answers(Records)
def records(query: RecordsQuery) -> Any:
    """Records of the kind `kind`, a hundred at a time; `next` is the next `after`."""
    _, found, following = listed(query.kind, query.after)
    return jsonify(records=[document(record) for record in found], next=following)


@blueprint.get(f"{API}/records/<kind>/<path:id_>")
@requires("account")
@answers(WholeRecord)
def show(kind: str, id_: str) -> Any:
    """A record with its verdict, history and links both ways."""
    return jsonify(whole(find(kind, id_)))


@blueprint.get(f"{API}/verification")
@requires("auditor")
@answers(Verification)
def verification() -> Any:
    """Check every signature, stamp and link of the records."""
    found = inspection.verify(settings(), open_state(settings()))
    return jsonify(**asdict(found), is_fine=found.is_fine)
