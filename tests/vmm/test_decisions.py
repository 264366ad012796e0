"""What is decided about instances, without a machine."""

import pytest

from appliance.vmm.capacity import Room, missing
from appliance.vmm.reconcile import decide

ROOM = Room(4096, 1024, 16, 2, 50)


@pytest.mark.parametrize(
    ("desired", "recorded", "domain", "action"),
    [
        ("running", "healthy", "running", "probe"),
        ("running", "healthy", "off", "start"),
        ("running", "healthy", "absent", "lost"),
        ("running", "booting", "off", "none"),
        ("stopped", "healthy", "running", "stop"),
        ("stopped", "stopped", "off", "none"),
    ],
)
def test_desired_against_actual(
    desired: str, recorded: str, domain: str, action: str
) -> None:
    assert decide(desired, recorded, domain) == action


def test_what_is_missing_is_said() -> None:
    assert missing(ROOM, 1024, 1, 5) == []
    assert "3072 are free" in missing(ROOM, 4096, 1, 5)[0]
    assert "14 may be promised" in missing(ROOM, 512, 64, 5)[0]
