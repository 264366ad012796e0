"""`form machine`: the machine's own settings, on the appliance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from appliance.terminal import call, follow, plain_errors, say

API = "/api/v1/admin/machine"


@click.group()
def machine() -> None:
    """The machine itself: time zone, host name, network, SSH keys."""


@machine.command("show")
@plain_errors
def machine_show() -> None:
    """How the machine is set."""
    found = call("GET", API)
    network = found["network"]
    fixed = f"{network['address']} by {network['gateway'] or 'no gateway'}"
    say(f"host name   {found['host_name']} {found['mdns_name']}".rstrip())
    say(f"time zone   {found['time_zone']}")
    for card in found["cards"]:
        state = "up" if card["is_up"] else "down"
        say(
            f"card        {card['name']} {state} {' '.join(card['addresses'])}".rstrip()
        )
    if found["managed"]:
        say(f"network     {'DHCP' if network['method'] == 'dhcp' else fixed}")
        for key in found["ssh_keys"]:
            say(f"ssh key     {key['fingerprint']} {key['comment']}".rstrip())
        if not found["ssh_keys"]:
            say("ssh         off: no key is given")
    if found["pending_s"] is not None:
        say(f"The network returns in {found['pending_s']} s: form machine keep")


@machine.command("set")
@click.option("--time-zone", help="Such as Europe/Berlin.")
@click.option("--host-name", help="NAME; in this network NAME.local.")
@click.option("--dhcp", is_flag=True, help="Let the network give the address.")
@click.option("--address", help="A static one with its prefix: 192.168.1.20/24.")
@click.option("--gateway", help="The router's address.")
@click.option("--dns", multiple=True, help="A DNS server; may be repeated.")
@click.option("--interface", default="", help="The card; else the only one.")
@click.option(
    "--ssh-key",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A .pub file; may be repeated. These keys and no others log in as root.",
)
@click.option("--no-ssh", is_flag=True, help="End SSH.")
@plain_errors
def machine_set(
    dhcp: bool,
    address: str | None,
    gateway: str | None,
    dns: tuple[str, ...],
    interface: str,
    key_files: tuple[Path, ...],
    no_ssh: bool,
    **named: str | None,
) -> None:
    """Change what is named; the rest stays.

    A changed network returns by itself after a minute: form machine keep.
    """
    wish: dict[str, Any] = {name: value for name, value in named.items() if value}
    if dhcp or address or gateway or dns:
        method = "dhcp" if dhcp or not address else "static"
        wish["network"] = {"method": method, "interface": interface, "dns": list(dns)}
        wish["network"] |= {"address": address} if address else {}
        wish["network"] |= {"gateway": gateway} if gateway else {}
    if key_files or no_ssh:
        lines = [line for file in key_files for line in file.read_text().splitlines()]
        wish["ssh_keys"] = [line for line in lines if line.strip()]
    if not wish:
        raise click.UsageError("Name what is to be set; --help says what can be.")
    follow(call("PATCH", API, json=wish)["id"])


@machine.command("keep")
@plain_errors
def machine_keep() -> None:
    """Keep a changed network, which returns by itself else."""
    call("POST", f"{API}/keep")
    click.echo("It is kept.")


@machine.command("firewall")
@click.option("--load", is_flag=True, help="Put them into force, as root.")
@plain_errors
def machine_firewall(load: bool) -> None:
    """Print the rules of the appliance's firewall."""
    from appliance.admin.machine import changing, firewall
    from appliance.config import usable

    config = usable()
    if load:
        changing.must_be_managed()
        firewall.refresh(config)
        return
    click.echo(firewall.rules(config).strip())
