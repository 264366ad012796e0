"""The pass phrase as the older network had it: in the environment."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from appliance import older
from appliance.config import Settings

VARIABLE = "FORMATION_NODE__PASSPHRASE_FILE"


def adopt(settings: Settings, environ: MutableMapping[str, str]) -> str:
    """Move PACK_MANAGER_PASSWORD into a file of root's in the run folder (memory,
    where /run is), so that no child's environment holds it. What to say of it;
    empty where there is none."""
    phrase = older.take_passphrase(environ)
    if phrase is None:
        return ""
    if settings.node.passphrase_file is not None:
        return "PACK_MANAGER_PASSWORD is not used: node.passphrase_file is set."
    path = settings.run_dir / "passphrase"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "w") as file:
        file.write(phrase)
    environ[VARIABLE] = str(path)
    return (
        "PACK_MANAGER_PASSWORD is the pass phrase. A file of root's is safer: name it "
        "in node.passphrase_file."
    )
