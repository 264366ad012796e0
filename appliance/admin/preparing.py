"""What a node needs before its processes start, however they are kept.

`form serve` prepares it at its start; under systemd formation-prepare.service does, by
`form prepare`, and leaves there what units cannot read in the settings themselves.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance import pack, reloading, wishes
from appliance.admin.caddy import caddyfile, ensure_certificate
from appliance.admin.serving import RUN_DIR, TARGET, accepts
from appliance.admin.users import ensure_users
from appliance.config import DEFAULT_FILE, Settings
from appliance.launcher import PHRASE
from appliance.layout import assign, prepare
from appliance.problems import Problem
from appliance.service import forget_statuses

DATA_DIR, GROUP = Path("/var/lib/formation"), "formation"
CREDENTIALS, DROP_INS = Path("/run/credstore"), Path("/run/systemd/system")
DROP_IN = "50-formation-settings.conf"
SERVICES = ("state", "jobs", "dns", "web", "gateway", "caddy")


def prepare_node(settings: Settings) -> None:
    """Folders, users, certificate, Caddy's file; the last run's words are forgotten."""
    prepare(settings)
    wishes.forget(settings)
    forget_statuses(settings)
    ensure_certificate(settings)
    ensure_users(settings)
    assign(settings)
    (settings.run_dir / "Caddyfile").write_text(caddyfile(settings))
    started = reloading.started(settings)
    reloading.write(settings, reloading.NODE, reloading.Report(started))


def prepare_units(settings: Settings) -> None:
    """What the settings say of users, folders and the pass phrase, for systemd."""
    if settings.run_dir != RUN_DIR:
        raise Problem(
            "run-dir-moved",
            f"run_dir is {settings.run_dir}: the sockets that systemd keeps are in "
            f"{RUN_DIR}. Take that setting away.",
        )
    DEFAULT_FILE.parent.mkdir(exist_ok=True)  # formation-jobs sees only what is there
    pack.settle_for_all(settings)
    hand_over_phrase(settings, CREDENTIALS)
    if write_drop_ins(drop_ins(settings), DROP_INS):
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def must_be_alone(supervisor: Path) -> None:
    """Raise where form serve runs; take away what one left that died."""
    if accepts(supervisor):
        raise Problem(
            "serves-already",
            "form serve runs on this machine: end it (Ctrl-C), then systemctl start "
            f"{TARGET} goes on with its node.",
        )
    supervisor.unlink(missing_ok=True)


def hand_over_phrase(settings: Settings, folder: Path) -> None:
    """Where formation-state's unit takes it from; the file itself stays where it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / PHRASE).unlink(missing_ok=True)
    if settings.node.passphrase_file is not None:
        (folder / PHRASE).symlink_to(settings.node.passphrase_file)


def drop_ins(settings: Settings) -> dict[str, str]:
    """Unit and text, for settings that are not what the units have."""
    found = {}
    if settings.auth.operator_group != GROUP:
        text = f"[Socket]\nSocketGroup={settings.auth.operator_group}\n"
        found["formation-cli.socket"] = text
    for name in SERVICES:
        if moved := moved_folders(settings, name):
            text = f"[Service]\nReadWritePaths={' '.join(map(str, moved))}\n"
            found[f"formation-{name}.service"] = text
    return found


def moved_folders(settings: Settings, name: str) -> list[Path]:
    """Where the process writes, and its unit does not know."""
    found = [settings.data_dir] if settings.data_dir != DATA_DIR else []
    if name == "jobs":
        vmm = settings.vmm
        found += [place for place in (vmm.images_dir, vmm.instances_dir) if place]
    return found


def write_drop_ins(wanted: dict[str, str], folder: Path) -> bool:
    """Write those, and remove former ones; whether anything changed."""
    texts = {folder / f"{unit}.d" / DROP_IN: text for unit, text in wanted.items()}
    former = {file: file.read_text() for file in folder.glob(f"*.d/{DROP_IN}")}
    for file in former.keys() - texts.keys():
        file.unlink()
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return former != texts
