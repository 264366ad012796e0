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
    if not runs(settings):
        log("Caddy does not run; it reads its new addresses when it starts")
        return
    said = _reload(settings)
    if said:
        path.write_text(before)
        raise Problem(
            "front-door",
            f"The settings are written, but Caddy goes on at its former addresses: "
            f"{said[:300]} Choose others, or free these and save again.",
            status=502,
        )
    log(f"Caddy listens at port {settings.http.https_port}")


def read_anew(settings: Settings, log: Callable[[str], object]) -> None:
    """Let a running Caddy read its file and its certificate again; raises Problem."""
    if not runs(settings):
        log("Caddy does not run; it reads the certificate when it starts")
        return
    said = _reload(settings, "--force")
    if said:
        text = f"Caddy goes on with its former certificate: {said[:300]}"
        raise Problem("front-door", text, status=502)
    log("Caddy has read it")


def runs(settings: Settings) -> bool:
    return accepts(settings.run_dir / "caddy" / "admin.sock")


def _reload(settings: Settings, *how: str) -> str:
    """What Caddy says against it; empty where it did."""
    admin = settings.run_dir / "caddy" / "admin.sock"
    command = ["caddy", "reload", f"--config={settings.run_dir / 'Caddyfile'}"]
    command += ["--adapter=caddyfile", f"--address=unix/{admin}", *how]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RELOAD_S, check=False
    )
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or ["no reason"])[-1]
