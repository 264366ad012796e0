"""`form serve`: our processes and the engines in the foreground (supervisord).

For machines without systemd: a container, CI, or a look before installing.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from appliance.admin.caddy import caddyfile, ensure_certificate
from appliance.config import Settings
from appliance.layout import prepare
from appliance.problems import Problem

THREADS = {"web": 32, "gateway": 256}
"""A request that waits for a task holds a thread (`market.calls`)."""


@dataclass(frozen=True)
class Program:
    """One supervised process; a lower priority starts earlier, stops later."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_wait_s: int = 10


def gunicorn(settings: Settings, process: str, sockets: tuple[str, ...]) -> Program:
    binds = [f"--bind=unix:{settings.run_dir / name}" for name in sockets]
    command = (
        sys.executable,
        "-m",
        "gunicorn",
        "--config=python:blueprints.gunicorn",
        f"--env=FORMATION_PROCESS={process}",
        f"--threads={THREADS[process]}",
        *binds,
        "blueprints.wsgi:app",
    )
    return Program(process, command, 30)


def programs(settings: Settings, caddy: Path) -> tuple[Program, ...]:
    """What runs, engines first."""
    python = sys.executable
    ours = (
        Program("state", (python, "-m", "appliance.state"), 20),
        Program("jobs", (python, "-m", "jobs"), 25, stop_wait_s=60),
        Program("dns", (python, "-m", "appliance.dns"), 30),
        gunicorn(settings, "web", ("web.sock", "cli.sock")),
        gunicorn(settings, "gateway", ("gateway.sock",)),
        Program(
            "caddy", ("caddy", "run", "--config", str(caddy), "--adapter=caddyfile"), 40
        ),
    )
    if Path("/run/systemd/system").exists():
        return ours
    libvirt = Program("libvirtd", (python, "-m", "appliance.vmm.engine"), 10, 20)
    return (libvirt, *ours)


def supervisor_conf(settings: Settings, items: tuple[Program, ...]) -> str:
    """The configuration file of supervisord(8)."""
    run, log = settings.run_dir, settings.log_dir
    parts = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f'environment=XDG_CONFIG_HOME="{settings.data_dir / "caddy"}"',
        "user=root",
        f"logfile={log / 'supervisord.log'}",
        f"logfile_maxbytes={settings.admin.log_mib}MB",
        "logfile_backups=2",
        f"pidfile={run / 'supervisord.pid'}",
        "[unix_http_server]",
        f"file={run / 'supervisor.sock'}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory="
        "supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]",
        f"serverurl=unix://{run / 'supervisor.sock'}",
    ]
    for item in items:
        parts += [
            f"[program:{item.name}]",
            f"command={' '.join(item.command)}",
            f"priority={item.priority}",
            f"stopwaitsecs={item.stop_wait_s}",
            "autorestart=true",
            "startretries=30",
            "startsecs=1",
            "redirect_stderr=true",
            f"stdout_logfile={log / (item.name + '.log')}",
            f"stdout_logfile_maxbytes={settings.admin.log_mib}MB",
            "stdout_logfile_backups=2",
        ]
    return "\n".join(parts) + "\n"


def serve(settings: Settings) -> None:
    """Write the configurations and become supervisord."""
    if os.geteuid() != 0:
        raise Problem("root-needed", "form serve needs root: sudo form serve.")
    supervisord = shutil.which("supervisord", path="/usr/bin:/bin:/usr/local/bin")
    if supervisord is None:
        raise Problem(
            "supervisor-missing",
            "supervisord is not installed: apt install supervisor.",
        )
    prepare(settings)
    ensure_certificate(settings)
    caddy = settings.run_dir / "Caddyfile"
    caddy.write_text(caddyfile(settings))
    file = settings.run_dir / "supervisord.conf"
    file.write_text(supervisor_conf(settings, programs(settings, caddy)))
    sys.stdout.flush()
    os.execv(supervisord, [supervisord, "-n", "-c", str(file)])  # noqa: S606
