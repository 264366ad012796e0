"""How many requests this process answered, written down for those who measure."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from flask import Response

from appliance.service import write_json

_lock = threading.Lock()
_counted: Counter[str] = Counter(answered=0, failed=0)


def count(answer: Response) -> Response:
    """After each request."""
    with _lock:
        _counted["answered"] += 1
        _counted["failed"] += answer.status_code >= 500
    return answer


def now() -> dict[str, int]:
    """Since the process began; `failed` are those with 5xx."""
    with _lock:
        return dict(_counted)


def report(run_dir: Path, process: str) -> None:
    write_json(run_dir / process / "requests.json", now())
