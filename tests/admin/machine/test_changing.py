"""Changes of the machine: done, kept, taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import clock, operations, runner
from appliance.admin.machine import changing, facts, network, ssh, wish
from appliance.config import Settings
from appliance.problems import Conflict, Invalid
from tests.admin.machine.test_wish import KEY, STATIC

Told = Callable[[], list[str]]


@pytest.fixture
def node(settings: Settings, on_appliance: Path) -> Settings:
    return settings


def done(**answers: Any) -> dict[str, Any]:
    """The operation of the wish, executed to its end."""
    id_ = changing.request(wish.checked(answers), "")
    runner.execute(id_, "w")
    return operations.as_document(operations.get(id_))


def test_names_and_keys_are_set_and_seen(node: Settings, told: Told) -> None:
    found = done(time_zone="Europe/Berlin", host_name="cellar", ssh_keys=[KEY, KEY])
    assert found["state"] == "completed"
    assert told() == [
        "timedatectl set-timezone Europe/Berlin",
        "hostnamectl set-hostname cellar",
        "systemctl restart formation-ssh.service",
    ]
    assert ssh.lines() == [KEY]
    assert ssh.KEYS.stat().st_mode & 0o777 == 0o600
    seen = facts.report(node)
    assert [key["comment"] for key in seen["ssh_keys"]] == ["ada@laptop"]
    assert KEY.split()[1] not in str(seen)


def test_the_last_key_ends_ssh(node: Settings, told: Told) -> None:
    done(ssh_keys=[KEY])
    done(ssh_keys=[])
    assert told()[-1] == "systemctl stop formation-ssh.service"
    assert not ssh.KEYS.exists()


def test_what_is_not_named_is_not_touched(node: Settings, told: Told) -> None:
    assert done(time_zone="UTC")["state"] == "completed"
    assert told() == ["timedatectl set-timezone UTC"]
    assert not network.NOW.exists()


def begun(**answers: Any) -> tuple[str, threading.Thread]:
    id_ = changing.request(wish.checked(answers), "")
    thread = threading.Thread(target=runner.execute, args=(id_, "w"))
    thread.start()
    return id_, thread


def await_pending(node: Settings) -> None:
    pause, end = threading.Event(), clock.monotonic() + 20
    while changing.pending(node) is None:
        assert clock.monotonic() < end
        pause.wait(0.01)


def test_a_network_that_is_kept_stays_after_the_next_start(
    node: Settings, told: Told
) -> None:
    id_, thread = begun(network=STATIC)
    await_pending(node)
    assert not network.KEPT.exists()
    with pytest.raises(Conflict, match="waits to be kept"):
        changing.request(wish.checked({"network": STATIC}), "")
    changing.keep(node)
    thread.join()
    assert operations.get(id_).state == "completed"
    kept = (network.KEPT / network.NAME).read_text()
    assert kept == network.present()
    assert "Address=192.168.1.20/24" in kept
    assert told() == ["networkctl reload"]
    assert facts.report(node)["network"]["address"] == "192.168.1.20/24"
    assert changing.pending(node) is None


def test_a_network_that_nobody_keeps_comes_back(
    node: Settings, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "KEEP_S", 0.01)
    found = done(network=STATIC)
    assert found["state"] == "failed"
    assert "former one is back" in found["error"]["detail"]
    assert network.present() is None
    assert not network.KEPT.exists()
    assert told() == ["networkctl reload"] * 2
    with pytest.raises(Conflict, match="No change"):
        changing.keep(node)


def test_it_comes_back_to_what_was_kept_before(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, thread = begun(network=STATIC)
    await_pending(node)
    changing.keep(node)
    thread.join()
    before = network.present()
    monkeypatch.setattr(changing, "KEEP_S", 0.01)
    done(network={**STATIC, "address": "192.168.1.99/24"})
    assert network.present() == before


def test_a_crash_while_it_waits_loses_nothing(
    node: Settings, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next runner waits on, and knows what was before."""
    monkeypatch.setattr(changing, "KEEP_S", 0.2)
    id_ = changing.request(wish.checked({"network": STATIC}), "")

    def crash(_: str, step: str) -> None:
        if step == "network":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.execute(id_, "w", crash)
    assert network.present() is not None
    operations.Operation.update(state="queued").execute()
    runner.execute(id_, "w2")
    assert operations.get(id_).state == "failed"
    assert network.present() is None


def test_a_refusal_of_systemd_is_said_and_the_network_comes_back(
    node: Settings, on_appliance: Path
) -> None:
    (on_appliance / "told.refuse").touch()
    found = done(host_name="cellar")
    assert found["state"] == "failed"
    assert "hostnamectl set-hostname cellar" in found["error"]["detail"]
    found = done(network=STATIC)
    assert found["state"] == "failed"
    assert network.present() is None


def test_a_card_that_is_not_there_begins_nothing(node: Settings, told: Told) -> None:
    with pytest.raises(Invalid, match="no card 'eth7'"):
        changing.request(wish.checked({"network": {**STATIC, "interface": "eth7"}}), "")
    assert operations.recent() == []
    assert told() == []


def test_elsewhere_nothing_is_changed_and_it_says_so(
    settings: Settings, told: Told
) -> None:
    for act in (changing.request, lambda wanted, _: changing.at_once(wanted)):
        with pytest.raises(Conflict, match="no appliance"):
            act(wish.checked({"time_zone": "UTC"}), "")
    facts.refresh(settings)
    assert facts.report(settings)["managed"] is False
    assert told() == []


def test_bridges_of_the_node_are_no_cards(node: Settings) -> None:
    for name in ("formation0", "lo", "vnet3"):
        (network.CARDS / name).mkdir()
        (network.CARDS / name / "type").write_text("1\n")
    (network.CARDS / "br0" / "bridge").mkdir(parents=True)
    (network.CARDS / "br0" / "type").write_text("1\n")
    assert network.cards() == ["eth0", "eth1"]
