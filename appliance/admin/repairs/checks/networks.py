"""Is something left of networks that nobody uses any more?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import formnet, pack
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings, settings
from appliance.operations import Run
from appliance.wishes import should_run, wishes

BUILDS = "builds"


def find(config: Settings) -> Iterator[Issue]:
    dead = pack.dead_networks(config)
    if dead:
        yield left(
            f"Builds that were killed left {', '.join(dead)} with their nft tables.",
            BUILDS,
        )
    runs = should_run(config, wishes(config), "formnet")
    for bridge in formnet.leftovers(config, runs):
        why = "the guests' network is switched off" if not runs else "it was renamed"
        yield left(f"The bridge {bridge} is there, though {why}.", bridge, bridge)


def left(text: str, subject: str, bridge: str = "") -> Issue:
    loses = f"The bridge {bridge} goes, with its address." if bridge else ""
    return Issue(
        "info",
        "A network is left over",
        f"{text} Nobody is plugged into it.",
        "It can go; nothing that runs uses it.",
        subject=subject,
        fix=Fix("Remove it", loses),
    )


def mend(run: Run, subject: str) -> None:
    config = settings()
    if subject == BUILDS:
        pack.sweep_networks(config)
    elif subject in formnet.leftovers(config, runs(config)):
        formnet.remove_leftover(config, subject)
    run.log(f"{subject}: removed")


def runs(config: Settings) -> bool:
    return should_run(config, wishes(config), "formnet")


REPAIR = Repair("networks", "Networks left over", find, mend)
