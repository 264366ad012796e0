"""`form serve`: our processes and the engines in the foreground (supervisord).

For machines without systemd: a container, CI, or a look before installing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from appliance.admin.launch import order
from appliance.admin.preparing import prepare_node
from appliance.admin.programs import Program, programs
from appliance.admin.serving import begin_at_once, must_be_root
from appliance.admin.users import must_be_readable
from appliance.config import Settings
from appliance.problems import Problem
from appliance.provisions import Provision, provisions
from appliance.service import write_json

ORDERS = "programs.json"


def supervisor_conf(settings: Settings, items: tuple[Program, ...]) -> str:
    """The configuration file of supervisord(8)."""
    run, log = settings.run_dir, settings.log_dir
    launch = f"{sys.executable} -m appliance.admin.launch {run / ORDERS}"
    provided = provisions(settings)
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
            f"command={launch} {item.name}",
            "directory=/",  # not a home, where its user cannot be
            f"priority={item.priority}",
            f"stopwaitsecs={item.stop_wait_s}",
            f"autostart={str(provided.get(item.name, Provision()).enabled).lower()}",
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
    must_be_root("serve")
    supervisord = shutil.which("supervisord", path="/usr/bin:/bin:/usr/local/bin")
    if supervisord is None:
        raise Problem(
            "supervisor-missing",
            "supervisord is not installed: apt install supervisor.",
        )
    must_be_readable(Path(sys.executable).parent)
    must_be_readable(Path(__file__))
    prepare_node(settings)
    items = programs(settings)
    orders = {item.name: order(settings, item) for item in items}
    write_json(settings.run_dir / ORDERS, orders, 0o600)
    file = settings.run_dir / "supervisord.conf"
    file.write_text(supervisor_conf(settings, items))
    sys.stdout.flush()
    begin_at_once(settings)
    os.execv(supervisord, [supervisord, "-n", "-c", str(file)])  # noqa: S606
