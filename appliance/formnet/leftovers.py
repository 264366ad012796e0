"""Bridges of ours that nobody uses: of a name that was changed, or of formnet while it
is switched off."""

from __future__ import annotations

from typing import Any

from appliance.config import Settings
from appliance.formnet.bridge import dissolve, own_network


def leftovers(settings: Settings, runs: bool) -> list[str]:
    """Their names; `runs` says whether formnet should run. None has a guest."""
    from pyroute2 import IPRoute

    bridge, gateway = settings.formnet.bridge, own_network(settings).gateway
    with IPRoute() as link:
        found = [
            item.get_attr("IFLA_IFNAME")
            for item in link.get_links(kind="bridge")
            if not link.link_lookup(master=item["index"])
            and gateway in addresses(link, item["index"])
        ]
    return [name for name in found if name != bridge or not runs]


def addresses(link: Any, index: int) -> set[str]:
    return {item.get_attr("IFA_ADDRESS") for item in link.get_addr(index=index)}


def remove_leftover(settings: Settings, name: str) -> None:
    """With the rules and forwarding, where it is the present one."""
    from pyroute2 import IPRoute

    if name == settings.formnet.bridge:
        return dissolve(settings)
    with IPRoute() as link:
        for index in link.link_lookup(ifname=name):
            link.link("del", index=index)
    return None
