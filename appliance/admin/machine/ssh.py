"""Who may log in as root by SSH: off until a key is given, and never by password.

The keys are in a file of the node's own; formation-ssh.service serves them, and does
not start while there is none.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from appliance.problems import Problem

KEYS = Path("/etc/formation/ssh/authorized_keys")
UNIT = "formation-ssh.service"
PORT = 22


@dataclass(frozen=True)
class Key:
    """`fingerprint` is as ssh-keygen -l shows it."""

    line: str
    kind: str
    fingerprint: str
    comment: str


def parsed(line: str) -> Key:
    kind, encoded, *comment = line.split(" ", 2)
    digest = sha256(base64.b64decode(encoded)).digest()
    print_ = base64.b64encode(digest).decode().rstrip("=")
    return Key(line, kind, f"SHA256:{print_}", comment[0] if comment else "")


def lines() -> list[str]:
    try:
        return KEYS.read_text().splitlines()
    except FileNotFoundError:
        return []


def allow(keys: Iterable[str]) -> None:
    """Let root in by these keys and no others; by none: SSH ends."""
    text = "".join(f"{key}\n" for key in dict.fromkeys(keys))
    KEYS.parent.mkdir(parents=True, exist_ok=True)
    KEYS.parent.chmod(0o755)
    draft = KEYS.with_suffix(".new")
    draft.write_text(text)
    draft.chmod(0o600)
    if text:
        draft.replace(KEYS)
    else:
        draft.unlink()
        KEYS.unlink(missing_ok=True)
    _systemctl("restart" if text else "stop")


def _systemctl(verb: str) -> None:
    done = subprocess.run(
        ["systemctl", verb, UNIT], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = done.stderr.strip()[:200]
        raise Problem("ssh-failed", f"systemctl {verb} {UNIT}: {why}")
