"""Guests' bytes over the bridge: what it sends is what they get."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from appliance.config import Settings
from appliance.formnet import measures


def test_guests_get_what_the_bridge_sends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {settings.formnet.bridge: SimpleNamespace(bytes_sent=7, bytes_recv=3)}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: counted)
    found = {r.metric: (r.value, r.counter) for r in measures.read(settings)}
    assert found == {"guests_in": (7.0, True), "guests_out": (3.0, True)}
    counted.clear()
    assert list(measures.read(settings)) == []
