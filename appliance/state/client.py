"""Reading and writing records from any process of the node.

Reads go to state.db; writes go to formation-state over its Unix socket, one JSON
object a line each way.
"""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from appliance import identity
from appliance.config import Settings, settings
from appliance.problems import EngineGone, from_document
from appliance.state.records import Record
from appliance.state.store import Reader

_reader: tuple[Path, Reader] | None = None


def open_state(config: Settings) -> Reader:
    """Open state.db for reading; later calls reuse it."""
    global _reader
    path = config.data_dir / "state" / "state.db"
    if _reader is None or _reader[0] != path:
        _reader = (path, Reader(path))
    return _reader[1]


def own_node(config: Settings) -> dict[str, Any]:
    """What this node's own record says; empty until set-up is done."""
    id_ = identity.node_id(config)
    record = open_state(config).find("node", id_) if id_ else None
    return record.body if record else {}


def find(kind: str, id_: str) -> Record | None:
    """The record, or None when there is none or it was deleted."""
    return open_state(settings()).find(kind, id_)


def select(kind: str, **equals: Any) -> list[Record]:
    """Records of a kind whose body has these members, in the ids' order."""
    return open_state(settings()).select(kind, equals)


def count(kind: str) -> int:
    """How many records of a kind there are."""
    return open_state(settings()).count(kind)


def changed_marker() -> int:
    """A number that changes when any record did."""
    return open_state(settings()).marker()


def put(kind: str, id_: str, body: dict[str, Any]) -> Record:
    """Write a record; durable and signed when this returns."""
    return _ask({"kind": kind, "id": id_, "body": body, "deleted": False})


def change(kind: str, id_: str, **members: Any) -> Record:
    """Replace some members of a record's body; others that write to it at the
    same time lose nothing. Raises NotFound."""
    return _ask({"kind": kind, "id": id_, "body": members, "merge": True})


def remove(kind: str, id_: str) -> None:
    """Leave a tombstone; nothing happens when the record is not there."""
    if find(kind, id_) is not None:
        _ask({"kind": kind, "id": id_, "body": {}, "deleted": True})


def forget(name: str) -> int:
    """Erase what deleted records still tell of the account of this name, which had
    them; says how many there were. For formation-jobs alone."""
    return int(_talk({"forget": name})["forgotten"])


def _ask(request: dict[str, Any]) -> Record:
    return Record(**_talk(request)["record"])


def _talk(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of formation-state; raises its problem."""
    path = settings().run_dir / "state.sock"
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(str(path))
            with contextlib.suppress(
                BrokenPipeError
            ):  # it refused at once, and says why
                link.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(link.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise EngineGone(
            "state-unavailable",
            f"formation-state does not answer ({error}); nothing was changed. Its log "
            "says why: form logs state.",
        ) from None
    if "problem" not in answer:
        return answer
    problem = from_document(answer["problem"])
    if problem.status == 503:  # it may be over soon: steps of operations wait
        raise EngineGone(problem.name, problem.detail)
    raise problem
