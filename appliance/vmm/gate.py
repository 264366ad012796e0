"""The gate that whoever starts a machine passes: once closed, no guest comes up.

What is inside when it closes is waited for, so that after `close` the machines that
run are all that will.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from appliance.problems import EngineGone

_changed = threading.Condition()
_inside = 0
_is_open = True


@contextlib.contextmanager
def passed() -> Iterator[None]:
    """Start a machine inside; raises EngineGone where the gate is closed."""
    global _inside
    with _changed:
        if not _is_open:
            raise EngineGone(
                "vmm-stopped", "vmm-service is stopped, so no machine is started."
            )
        _inside += 1
    try:
        yield
    finally:
        with _changed:
            _inside -= 1
            _changed.notify_all()


def is_open() -> bool:
    return _is_open


def open_() -> None:
    global _is_open
    with _changed:
        _is_open = True


def close() -> None:
    """Nobody passes any more; returns when nobody is inside."""
    global _is_open
    with _changed:
        _is_open = False
        _changed.wait_for(lambda: _inside == 0)
