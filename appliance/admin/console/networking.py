"""The console's dialog about the machine's network."""

from __future__ import annotations

import click

from appliance.admin.console.asking import answered_in, ask, ask_key
from appliance.terminal import say


def network() -> None:
    """By DHCP or static; what is not kept at once is taken back."""
    from appliance.admin.machine import changing, wish
    from appliance.admin.machine import network as machine

    changing.must_be_managed()
    show_cards()
    wished = wish.checked({"network": asked_network(machine.cards())}).network
    assert wished is not None
    found = machine.resolved(wished, machine.cards())
    before = machine.present()
    machine.hold(machine.file_text(found))
    try:
        say("It is changed. Look whether the node is reached by it.")
        keeps = answered_in(changing.KEEP_S, "Keep it?")
    except BaseException:
        machine.hold(before)
        raise
    if not keeps:
        machine.hold(before)
        say("The network is as it was before.")
        return
    machine.keep(found)
    say("It is kept.")


def show_cards() -> None:
    from appliance.admin.machine import facts

    for card in facts.cards():
        state = "up" if card["is_up"] else "down"
        say(f" {card['name']:10} {state:5} {' '.join(card['addresses'])}")


def asked_network(cards: list[str]) -> dict[str, object]:
    way = click.prompt(
        "dhcp or static", type=click.Choice(["dhcp", "static"]), default="dhcp"
    )
    found: dict[str, object] = {"method": way}
    if way == "static":
        found["interface"] = ask("Card", cards[0] if len(cards) == 1 else "")
        found["address"] = ask("Address with prefix, such as 192.168.1.20/24")
        if gateway := ask_key("Gateway; empty for none"):
            found["gateway"] = gateway
        found["dns"] = ask_key("DNS servers").replace(",", " ").split()
    return found
