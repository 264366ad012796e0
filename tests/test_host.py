"""Services wait for what they need, say for what, and start when it is there."""

from __future__ import annotations

import socket

import pytest

from appliance.config import Settings
from appliance.host import Host, is_reachable
from appliance.service import choose, read_status, services


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def waiting_for(settings: Settings, *places: str) -> Settings:
    node = settings.node.model_copy(update={"wait_for": list(places)})
    return settings.model_copy(update={"node": node})


def test_until_set_up_is_done_every_service_waits(settings: Settings) -> None:
    Host(settings, "web").tick()
    status = read_status(settings, services()["admin"])
    assert (status.state, status.reason) == ("waiting", "the set-up is not done")


def test_a_service_waits_for_the_places_of_the_setting(
    settings: Settings, listener: socket.socket
) -> None:
    place = f"127.0.0.1:{listener.getsockname()[1]}"
    choose(settings, ["form-pack"])
    host = Host(waiting_for(settings, place), "jobs")
    with listener:
        assert is_reachable(place)
    host.tick()
    status = read_status(settings, services()["form-pack"])
    assert (status.state, status.reason) == ("waiting", f"{place} does not answer")


def test_state_and_administration_wait_for_no_place(settings: Settings) -> None:
    choose(settings, [])
    Host(waiting_for(settings, "127.0.0.1:1"), "web").tick()
    assert read_status(settings, services()["admin"]).state == "running"


@pytest.mark.parametrize("place", ["", "host", "127.0.0.1:x", "127.0.0.1:99999"])
def test_what_is_no_place_is_not_reachable(place: str) -> None:
    assert not is_reachable(place)
