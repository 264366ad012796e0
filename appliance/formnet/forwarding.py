"""Forwarding of IPv4: on while the guests' network or a build needs it, and then as
it was before. Who needs it is written down, for we may be killed."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.config import Settings

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BEFORE, LOCK, HOLDER = "before", "lock", "for-"


def forwarding_folder(settings: Settings) -> Path:
    """Where this node keeps who needs it."""
    return settings.run_dir / "formnet" / "forwarding"


def need_forwarding(folder: Path, holder: str) -> bool:
    """Turn it on until `holder` leaves it; says whether it was off."""
    with _turn(folder):
        (folder / f"{HOLDER}{holder}").touch()
        before = FORWARDING.read_text()
        if before.strip() != "0":
            return False
        (folder / BEFORE).write_text(before)
        FORWARDING.write_text("1\n")
    return True


def leave_forwarding(folder: Path, holder: str) -> None:
    """Put it back, if we turned it on and nobody else needs it."""
    with _turn(folder):
        (folder / f"{HOLDER}{holder}").unlink(missing_ok=True)
        note = folder / BEFORE
        if note.exists() and not any(folder.glob(f"{HOLDER}*")):
            FORWARDING.write_text(note.read_text() or "0\n")
            note.unlink()


def forwarding_holders(folder: Path) -> list[str]:
    """Who needs it, as far as is known."""
    found = folder.glob(f"{HOLDER}*")
    return sorted(path.name.removeprefix(HOLDER) for path in found)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
