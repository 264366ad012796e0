"""Does libvirt have machines of the node that no record knows?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import vmm
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings
from appliance.operations import Run
from appliance.problems import Conflict


def find(settings: Settings) -> Iterator[Issue]:
    for id_, word in vmm.strays().items():
        yield Issue(
            "warning",
            "A machine that no record knows",
            f"libvirt has formation-{id_} ({word}), and the node has no instance of "
            "that id: its record was lost, or its deletion was cut short.",
            "Look what is on it before it goes: virsh console, or its disk in "
            f"{settings.instances_dir / id_}.",
            subject=id_,
            fix=Fix(
                "Remove it",
                f"The machine formation-{id_} is ended, and its disk is deleted. "
                "Volumes stay.",
            ),
            state="stray",
        )


def mend(run: Run, subject: str) -> None:
    if subject not in vmm.strays():
        raise Conflict("machine-known", f"{subject} is an instance again.")
    vmm.delete(subject)
    run.log(f"formation-{subject} and its disk are gone")


REPAIR = Repair("machines", "Machines without a record", find, mend)
