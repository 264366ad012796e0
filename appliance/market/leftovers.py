"""Uploads and contexts whose deployment is over, also after a crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from appliance import clock, operations
from appliance.config import Settings

GRACE_S = 3600.0  # an upload is there before its operation


def sweep(settings: Settings) -> int:
    """Remove what no operation at work needs; says how many."""
    live = operations.recent(limit=1000, live=True)
    uploads = {json.loads(row.params).get("upload") for row in live}
    before = clock.now() - GRACE_S
    gone = [
        path
        for path in _older(settings.data_dir / "contexts", before)
        if path.name not in {row.id for row in live}
    ]
    gone += [
        path
        for path in _older(settings.data_dir / "uploads", before)
        if str(path) not in uploads
    ]
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(gone)


def _older(folder: Path, before: float) -> Iterable[Path]:
    for path in folder.glob("*"):
        try:
            if path.lstat().st_ctime < before:
                yield path
        except FileNotFoundError:
            continue
