"""The node's users can look at what they run, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.admin import users
from appliance.config import Settings
from appliance.problems import Problem


def test_a_closed_folder_on_the_way_is_named_with_its_cure(tmp_path: Path) -> None:
    closed = tmp_path / "home" / "checkout"
    closed.mkdir(parents=True)
    tmp_path.chmod(0o711)
    closed.parent.chmod(0o700)
    with pytest.raises(Problem, match=r"home is closed to others.*chmod o\+rx"):
        users.must_be_readable(closed)


def test_only_what_is_missing_is_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(users, "_run", lambda *command: made.append(command[-1]))
    monkeypatch.setattr(users, "_is_group", lambda name: name == "formation")
    monkeypatch.setattr(users, "_is_user", lambda name: name != "formation-dns")
    users.ensure_users(settings)
    assert made == ["formation-node", "formation-dns"]
