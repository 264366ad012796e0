"""Caddy of a running node follows the settings, without a restart.

It closes the connections that clients keep open: one that uses such a one just then
must ask again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from appliance.admin.caddy import caddyfile
from appliance.admin.serving import accepts
from appliance.config import Settings
from appliance.problems import Problem

RELOAD_S = 30.0


def follow(settings: Settings, log: Callable[[str], object]) -> None:
    """Write Caddy's file where it is another by now, and let a running Caddy read it;
    raises Problem with what it says, and the former file is back."""
    path, wanted = settings.run_dir / "Caddyfile", caddyfile(settings)
    if not path.exists() or path.read_text() == wanted:
        return
    before = path.read_text()
    path.write_text(wanted)
    admin = settings.run_dir / "caddy" / "admin.sock"
    if not accepts(admin):
        log("Caddy does not run; it reads its new addresses when it starts")
        return
    done = subprocess.run(
        ["caddy", "reload", f"--config={path}", "--adapter=caddyfile"]
        + [f"--address=unix/{admin}"],
        capture_output=True,
        text=True,
        timeout=RELOAD_S,
        check=False,
    )
    if done.returncode:
        path.write_text(before)
        said = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise Problem(
            "front-door",
            f"The settings are written, but Caddy goes on at its former addresses: "
            f"{said[:300]} Choose others, or free these and save again.",
            status=502,
        )
    log(f"Caddy listens at port {settings.http.https_port}")
