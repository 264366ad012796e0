"""The machine's network by systemd-networkd: systemd.network(5).

The file that holds now is in /run and lasts until the machine stops; the one that is
kept is in /etc/formation, from where formation-machine.service copies it at each start.
So what was never kept is gone after a restart too.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance.admin.machine.wish import Network
from appliance.problems import Invalid, Problem
from appliance.service import write_json

KEPT, NOW = Path("/etc/formation/network"), Path("/run/systemd/network")
NAME = "50-formation.network"
CARDS = Path("/sys/class/net")
OURS = ("lo", "formation", "fbuild", "vnet", "virbr", "wg")
ETHERNET = "1"


def file_text(network: Network) -> str:
    """The whole file. Pure."""
    match = f"Name={network.interface}" if network.interface else "Type=ether\nKind=!*"
    lines = ["[Match]", match, "", "[Link]", "RequiredForOnline=no", "", "[Network]"]
    if network.method == "dhcp":
        lines += ["DHCP=yes"]
    else:
        lines += [f"Address={network.address}"]
        lines += [f"Gateway={network.gateway}"] if network.gateway else []
    lines += [f"DNS={address}" for address in network.dns]
    lines += ["MulticastDNS=yes", "LLMNR=no"]
    if network.method == "dhcp":
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac"]
        lines += ["UseDNS=no"] if network.dns else []
    return "\n".join(["# By Formation: form machine set", *lines, ""])


def cards() -> list[str]:
    """Names of this machine's network cards, without bridges of the node's own."""
    found = []
    for card in sorted(CARDS.iterdir()) if CARDS.is_dir() else []:
        kind = card / "type"
        if card.name.startswith(OURS) or not kind.exists():
            continue
        if kind.read_text().strip() == ETHERNET and not (card / "bridge").exists():
            found.append(card.name)
    return found


def resolved(network: Network, known: list[str]) -> Network:
    """With the card that is meant; raises Invalid. Pure."""
    names = ", ".join(known) or "none"
    if network.interface and network.interface not in known:
        text = f"There is no card {network.interface!r}; there are: {names}."
        raise Invalid(text, interface=text)
    if network.method == "dhcp" or network.interface:
        return network
    if len(known) != 1:
        text = f"Say which card gets the address; there are: {names}."
        raise Invalid(text, interface=text)
    return network.model_copy(update={"interface": known[0]})


def present() -> str | None:
    """The file that holds now, where there is one."""
    try:
        return (NOW / NAME).read_text()
    except FileNotFoundError:
        return None


def hold(text: str | None) -> None:
    """Let this hold from now on until the next start; None: as the image has it."""
    NOW.mkdir(parents=True, exist_ok=True)
    file = NOW / NAME
    if text is None:
        file.unlink(missing_ok=True)
    else:
        draft = file.with_suffix(".new")
        draft.write_text(text)
        draft.chmod(0o644)
        draft.replace(file)
    networkctl("reload")


def networkctl(verb: str) -> None:
    done = subprocess.run(
        ["networkctl", verb], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        why = done.stderr.strip()[:200]
        raise Problem("network-failed", f"networkctl {verb}: {why}")


def keep(network: Network) -> None:
    """What holds now holds after the next start too."""
    text = present()
    KEPT.mkdir(parents=True, exist_ok=True)
    KEPT.parent.chmod(0o755)
    if text is None:
        (KEPT / NAME).unlink(missing_ok=True)
        return
    draft = KEPT / f".{NAME}"
    draft.write_text(text)
    draft.chmod(0o644)
    draft.replace(KEPT / NAME)
    write_json(KEPT / "network.json", network.model_dump(mode="json"))


def kept() -> Network:
    try:
        return Network.model_validate_json((KEPT / "network.json").read_text())
    except (OSError, ValueError):
        return Network()
