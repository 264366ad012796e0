"""Does libvirt have machines of the node that no record knows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from appliance import vmm
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings
from appliance.operations import Run
from appliance.problems import Conflict

EACH = 3  # more are one issue
WHY = (
    "and the node has no instance of that id: the record was lost, a deletion was cut "
    "short, or a node was here before."
)


def find(settings: Settings) -> Iterator[Issue]:
    strays = vmm.strays()
    if len(strays) > EACH:
        yield together(strays)
        return
    for id_, word in strays.items():
        yield Issue(
            "warning",
            "A machine that no record knows",
            f"libvirt has formation-{id_} ({word}), {WHY}",
            "Look what is on it before it goes: virsh console, or its disk in "
            f"{settings.instances_dir / id_}.",
            subject=id_,
            fix=Fix(
                "Remove it", losses(f"The machine formation-{id_} is ended", "its")
            ),
            state="stray",
        )


def together(strays: Mapping[str, str]) -> Issue:
    named = ", ".join(f"{id_} ({word})" for id_, word in sorted(strays.items()))
    return Issue(
        "warning",
        f"{len(strays)} machines that no record knows",
        f"libvirt has them as formation-ID, {WHY} They are {named}.",
        "Look what is on them before they go: virsh list --all.",
        fix=Fix(
            "Remove them all", losses(f"{len(strays)} machines are ended", "their")
        ),
        state=named,
    )


def losses(what: str, whose: str) -> str:
    return f"{what}, and {whose} disk is deleted. Volumes stay."


def mend(run: Run, subject: str) -> None:
    strays = vmm.strays()
    if subject and subject not in strays:
        raise Conflict("machine-known", f"{subject} is an instance again.")
    gone = [subject] if subject else sorted(strays)
    for number, id_ in enumerate(gone):
        run.check()
        run.progress(number / len(gone), id_)
        vmm.delete(id_)
        run.log(f"formation-{id_} and its disk are gone")


REPAIR = Repair("machines", "Machines without a record", find, mend)
