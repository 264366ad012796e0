"""Changes of the machine, as an operation of formation-jobs.

A changed network comes back by itself after a minute unless somebody says, by the new
address, that it is to be kept.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from appliance import clock, operations
from appliance.admin.machine import facts, names, network, ssh
from appliance.admin.machine.wish import Wish
from appliance.appliance_image import is_appliance
from appliance.config import Settings, settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, Problem

KEEP_S = 60.0
ELSEWHERE = (
    "This machine is no appliance: its time zone, host name, network, SSH and firewall "
    "are yours to set, and the node leaves them alone."
)


def must_be_managed() -> None:
    if not is_appliance():
        raise Conflict("not-appliance", ELSEWHERE)


def request(wish: Wish, account: str) -> str:
    """Queue the change; returns the operation's id. Raises Conflict elsewhere than on
    the appliance, Invalid where the card is not there."""
    must_be_managed()
    if wish.network is not None:
        network.resolved(wish.network, network.cards())
        if pending(settings()):
            raise Conflict(
                "network-pending",
                "A change of the network waits to be kept; keep it or wait a minute.",
            )
    return operations.submit(
        "machine-set",
        title="Changing the machine",
        subject=names.host_name(),
        params=wish.document(),
        account=account,
    )


def at_once(wish: Wish) -> None:
    """The change by who is root and waits for nobody: the seed file."""
    must_be_managed()
    set_names(wish)
    if wish.ssh_keys is not None:
        ssh.allow(wish.ssh_keys)
    if wish.network is not None:
        found = network.resolved(wish.network, network.cards())
        network.hold(network.file_text(found))
        network.keep(found)


def set_names(wish: Wish) -> None:
    if wish.time_zone is not None:
        names.set_time_zone(wish.time_zone)
    if wish.host_name is not None:
        names.set_host_name(wish.host_name)


def kept_file(config: Settings) -> Path:
    """Where formation-web says that the network is to be kept."""
    return config.run_dir / "web" / "network-kept"


def pending_file(config: Settings) -> Path:
    return config.run_dir / "jobs" / "network-pending.json"


def pending(config: Settings) -> float | None:
    """Until when a changed network waits to be kept."""
    try:
        until = float(json.loads(pending_file(config).read_text())["until"])
    except (OSError, ValueError, KeyError):
        return None
    return until if until > clock.now() else None


def keep(config: Settings) -> None:
    """Say that the network stays as it is now."""
    if pending(config) is None:
        raise Conflict("nothing-pending", "No change of the network waits to be kept.")
    kept_file(config).write_text("")


def do_names(run: Run) -> None:
    set_names(Wish.model_validate(run.params))


def do_ssh(run: Run) -> None:
    wish = Wish.model_validate(run.params)
    if wish.ssh_keys is not None:
        ssh.allow(wish.ssh_keys)
        run.log(f"{len(wish.ssh_keys)} keys may log in as root")


def do_network(run: Run) -> None:
    wish = Wish.model_validate(run.params)
    if wish.network is None:
        return
    found = network.resolved(wish.network, network.cards())
    if "before" not in run.memory:
        until = clock.now() + KEEP_S
        run.remember(before=network.present(), until=until)
    config = settings()
    kept_file(config).unlink(missing_ok=True)
    pending_file(config).write_text(json.dumps({"until": run.memory["until"]}))
    network.hold(network.file_text(found))
    facts.refresh(config)


def undo_network(run: Run) -> None:
    pending_file(settings()).unlink(missing_ok=True)
    if "before" in run.memory:
        network.hold(run.memory["before"])
        run.log("the network is as it was before")


def do_keep(run: Run) -> None:
    """Wait until somebody says so; raises Problem where nobody does."""
    wish = Wish.model_validate(run.params)
    if wish.network is None:
        return
    config, pause = settings(), threading.Event()
    while not kept_file(config).exists():
        left = run.memory["until"] - clock.now()
        run.progress(1 - max(left, 0) / KEEP_S, f"{max(left, 0):.0f} s left")
        run.check()
        if left <= 0:
            raise Problem(
                "network-returned",
                "Nobody kept the new network within a minute, so the former one is "
                "back. Keep it by the page Machine at the new address, by form machine "
                "keep, or at the console.",
            )
        pause.wait(0.2)
    network.keep(network.resolved(wish.network, network.cards()))
    for file in (kept_file(config), pending_file(config)):
        file.unlink(missing_ok=True)


def measure(run: Run) -> None:
    facts.refresh(settings())


KIND = Kind(
    "machine-set",
    (
        Step("names", "Set names", do_names),
        Step("ssh", "Set SSH keys", do_ssh),
        Step("network", "Change the network", do_network, undo_network),
        Step("keep", "Wait to be kept", do_keep),
        Step("measure", "Look", measure),
    ),
    "operator",
)
