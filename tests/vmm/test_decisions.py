"""What is decided about instances, without a machine."""

import pytest

from appliance.vmm.capacity import Room, missing
from appliance.vmm.reconcile import Backoff, decide

ROOM = Room(4096, 1024, 16, 2, 100, 30, 20)


@pytest.mark.parametrize(
    ("desired", "domain", "attended", "action"),
    [
        ("running", "running", False, "probe"),
        ("running", "off", False, "start"),
        ("running", "absent", False, "lost"),
        ("running", "off", True, "none"),
        ("stopped", "running", False, "stop"),
        ("stopped", "off", False, "none"),
        ("deleted", "running", False, "delete"),
        ("deleted", "absent", False, "delete"),
        ("deleted", "running", True, "none"),
    ],
)
def test_desired_against_actual(
    desired: str, domain: str, attended: bool, action: str
) -> None:
    assert decide(desired, domain, attended) == action


def test_a_guest_that_keeps_ending_is_started_ever_more_seldom() -> None:
    backoff, now, pauses = Backoff(), 0.0, []
    for _ in range(9):
        backoff.started(now)
        pauses.append(backoff.not_before - now)
        now = backoff.not_before
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    backoff.healthy(now + 30)
    assert backoff.starts == 9
    backoff.healthy(now + 61)
    assert backoff.starts == 0


def test_what_is_missing_is_said() -> None:
    assert missing(ROOM, 1024, 1, 5) == []
    assert "3072 are free" in missing(ROOM, 4096, 1, 5)[0]
    assert "14 may be promised" in missing(ROOM, 512, 64, 5)[0]
    (disk,) = missing(ROOM, 512, 1, 71)
    assert "71 GiB of disk are asked for and 70 may be promised: 30 of 100" in disk
    assert missing(ROOM, 512, 1, 70) == []


def test_a_node_that_promised_too_much_says_zero() -> None:
    room = Room(100, 200, 1, 2, 5, 30, -1)
    assert [text.split(" and ")[1][:5] for text in missing(room, 1, 1, 1)] == [
        "0 are",
        "0 may",
        "0 may",
    ]
