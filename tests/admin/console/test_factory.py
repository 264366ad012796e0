"""The wish for a factory reset, as the firmware keeps it for systemd-repart."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.admin.console import factory
from appliance.problems import Conflict
from tests.admin.machine.conftest import on_appliance as on_appliance
from tests.admin.machine.conftest import told as told


@pytest.mark.usefixtures("on_appliance")
def test_it_is_a_variable_of_the_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "efivars"
    folder.mkdir()
    monkeypatch.setattr(factory, "VARIABLES", folder)
    for _ in range(2):  # asking twice is fine
        factory.must_be_possible()
        factory.request()
    (file,) = folder.iterdir()
    assert file.name.startswith("FactoryReset-8cf2644b-")
    attributes, text = file.read_bytes()[:4], file.read_bytes()[4:]
    assert attributes == b"\x07\0\0\0"
    assert text.decode("utf-16-le") == "1\0"


@pytest.mark.usefixtures("on_appliance")
def test_a_machine_of_bios_says_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "VARIABLES", tmp_path / "none")
    with pytest.raises(Conflict, match="write the image"):
        factory.must_be_possible()
