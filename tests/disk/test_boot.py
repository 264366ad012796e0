"""The image boots as on somebody's machine: emulated, from a disk that is larger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.disk.machine import MIB, Appliance

pytestmark = [pytest.mark.vm, pytest.mark.image, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    found = Appliance(tmp_path_factory.mktemp("appliance"))
    found.start()
    yield found
    found.kill()


def test_the_first_page_is_the_wizard(appliance: Appliance) -> None:
    answer = appliance.page("/")
    assert answer.status_code == 200
    assert answer.url.path.startswith("/setup/")
    assert "Claim code" in answer.text


def test_nothing_failed_and_what_lasts_is_on_a_disk_that_grew(
    appliance: Appliance,
) -> None:
    told = appliance.told()
    assert told["failed"] == ""
    size, over = told["data"].split()
    assert int(size) > 7 * 1024 * MIB
    assert over == "overlay"
    assert told["root"] == "ro"


def test_a_start_that_was_good_is_tried_no_more(appliance: Appliance) -> None:
    """systemd-bless-boot takes the count of tries off the name."""
    assert "+" not in appliance.told()["entries"]
    assert ".efi" in appliance.told()["entries"]


def test_the_screen_leads_to_the_wizard(appliance: Appliance) -> None:
    assert "8443" in appliance.screen
    assert "Claim code" in appliance.screen


def test_nothing_listens_to_others_but_what_is_meant(appliance: Appliance) -> None:
    """Pages (HTTP/3 too), the card's lease, and names by multicast."""
    found = appliance.told()["ports"].replace("tcp ", "tcp/").replace("udp ", "udp/")
    others = [one for one in found.split() if "127.0.0." not in one]
    ends = {f"{one.partition('/')[0]} {one.rpartition(':')[2]}" for one in others}
    assert ends <= {"tcp 8443", "udp 8443", "udp 68", "udp 546", "udp 5353"}
