"""A line of a log as an entry: when, how severe, what, of which request.

Pure. Understood are our own JSON and text (structlog), gunicorn's, supervisord's,
Caddy's JSON, libvirtd's and the journal's export as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from appliance import clock
from appliance.plain import harmless

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)
LONGEST = 4000
_SAID: dict[str, Level] = {
    "debug": "debug",
    "trac": "debug",
    "trace": "debug",
    "blat": "debug",
    "debg": "debug",
    "info": "info",
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "erro": "error",
    "error": "error",
    "crit": "error",
    "critical": "error",
    "exception": "error",
    "fatal": "error",
    "panic": "error",
}
_ZONE = r"(?:Z| ?[+-]\d\d:?\d\d)?"
_TIME = rf"(?P<time>\d{{4}}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{{1,6}})?{_ZONE})"
_PLAIN = (
    re.compile(rf"\[{_TIME}\] \[\d+\] \[(?P<level>[A-Z]+)\] (?P<text>.*)", re.DOTALL),
    re.compile(rf"{_TIME}: \d+: (?P<level>\w+) : (?P<text>.*)", re.DOTALL),
    re.compile(rf"{_TIME} \[(?P<level>\w+) *\] (?P<text>.*)", re.DOTALL),
    re.compile(rf"{_TIME} (?P<level>[A-Z]{{4}}) (?P<text>.*)", re.DOTALL),
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OURS = frozenset({"event", "level", "timestamp", "request_id", "exception"})
_CADDYS = frozenset({"msg", "level", "ts", "logger"})
_KNOWN = frozenset("01234567")
_PRIORITIES: tuple[Level, ...] = (*("error",) * 4, "warning", "info", "info", "debug")


@dataclass(frozen=True)
class Entry:
    """`place` tells entries of one moment apart; later lines have higher ones."""

    process: str
    time: float
    level: Level
    text: str
    request: str = ""
    place: int = 0

    @property
    def key(self) -> tuple[float, str, int]:
        return self.time, self.process, self.place


def moment(text: str) -> float:
    """Seconds since the epoch of RFC 3339, or of how long ago: 90s, 10m, 2h, 3d; raises
    ValueError."""
    ago = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if ago:
        return clock.now() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no time: 10m, 2h or 3d ago, or 2026-01-02T03:04:05Z"
        ) from None


def parse(process: str, line: str) -> Entry | None:
    """The entry that a line begins; None where it goes on with the one before."""
    line = line.rstrip("\n")
    if line.startswith("{"):
        return _of_json(process, line)
    for pattern in _PLAIN:
        found = pattern.fullmatch(line)
        if found:
            time, level = _moment(found["time"]), _SAID.get(found["level"].lower())
            if time is not None:
                return Entry(process, time, level or "info", shown(found["text"]))
    return None


def _of_json(process: str, line: str) -> Entry | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if "event" in found:
        text = _with_rest(found["event"], found, _OURS)
        text += _traceback(found.get("exception"))
        time = _moment(str(found.get("timestamp", "")))
    elif "msg" in found:
        logger = f"{found['logger']}: " if found.get("logger") else ""
        text = _with_rest(f"{logger}{found['msg']}", found, _CADDYS)
        time = _number(found.get("ts"))
    else:
        return None
    if time is None:
        return None
    level = _SAID.get(str(found.get("level", "info")).lower(), "info")
    request = str(found.get("request_id", ""))[:64]
    return Entry(process, time, level, shown(text), shown(request))


def of_journal(process: str, document: Mapping[str, Any]) -> Entry | None:
    """An entry of `journalctl -o json`; what it holds is parsed like a line."""
    said, micros = (
        document.get("MESSAGE"),
        _number(document.get("__REALTIME_TIMESTAMP")),
    )
    if isinstance(said, list):  # bytes that are no text
        said = bytes(b for b in said if isinstance(b, int) and 0 <= b < 256)
        said = said.decode(errors="replace")
    if not isinstance(said, str) or micros is None:
        return None
    own = parse(process, said)
    if own is not None:
        return replace(own, time=micros / 1e6)
    priority = str(document.get("PRIORITY", "6"))
    level = _PRIORITIES[int(priority)] if priority in _KNOWN else "info"
    return Entry(process, micros / 1e6, level, shown(said))


def shown(text: str) -> str:
    """What came from anywhere, harmless for pages and terminals, and bounded."""
    return harmless(text[:LONGEST])


def _with_rest(text: Any, found: Mapping[str, Any], known: frozenset[str]) -> str:
    rest = (
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in found.items()
        if key not in known
    )
    return " ".join((str(text), *rest))


def _traceback(found: Any) -> str:
    """Of structlog's form of a traceback: files, lines and what was raised."""
    if not isinstance(found, list):
        return f"\n{found}" if found else ""
    lines = []
    for one in found:
        if isinstance(one, dict):
            for frame in one.get("frames", [])[-8:]:
                where = f"{frame.get('filename')}:{frame.get('lineno')}"
                lines.append(f"  {where} in {frame.get('name')}")
            lines.append(f"  {one.get('exc_type')}: {one.get('exc_value')}")
    return "".join(f"\n{line}" for line in lines)


def _moment(text: str) -> float | None:
    text = text.replace(",", ".").replace(" +", "+").replace(" -", "-")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp()  # supervisord writes the local time


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
