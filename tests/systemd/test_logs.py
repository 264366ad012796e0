"""What a real systemd's journal holds of a unit is read, by whom the pages run as."""

from __future__ import annotations

from pathlib import Path
from subprocess import run

import pytest

from appliance.admin.logs import Journal, Wanted

pytestmark = pytest.mark.vm
READER = "exec setpriv --reuid=nobody --regid=nogroup --groups={} journalctl "
LINE = '{"event": "it began", "level": "warning", "timestamp": "2026-01-01T00:00:00Z"}'


def reader(folder: Path, groups: str) -> Journal:
    """As a user without rights but these groups."""
    file = folder / f"journalctl-{groups}"
    file.write_text("#!/bin/sh\n" + READER.format(groups) + '"$@"\n')
    file.chmod(0o755)
    return Journal({"libvirtd": "formation-said.service"}, str(file))


def test_the_group_of_the_journal_is_all_that_its_reader_needs(
    machine: None, tmp_path: Path
) -> None:
    said = ["systemd-run", "--wait", "--quiet", "--unit=formation-said", "echo", LINE]
    run(said, check=True)
    run(["journalctl", "--sync"], check=True)
    found = list(reader(tmp_path, "systemd-journal").newest("libvirtd", Wanted()))
    assert ("it began", "warning") in [(entry.text, entry.level) for entry in found]
    assert not list(reader(tmp_path, "nogroup").newest("libvirtd", Wanted()))
