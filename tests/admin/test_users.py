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


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made on a machine that has the group `formation` and most users."""
    found: list[str] = []
    monkeypatch.setattr(users, "_run", lambda *command: found.append(" ".join(command)))
    monkeypatch.setattr(users, "_is_group", lambda name: name == "formation")
    monkeypatch.setattr(users, "_is_user", lambda name: name != "formation-dns")
    monkeypatch.setattr(users, "_members", lambda group: ["formation-web"])
    return found


def test_only_what_is_missing_is_made(settings: Settings, made: list[str]) -> None:
    users.ensure_users(settings)
    assert [command.split()[-1] for command in made] == [
        "formation-node",
        "formation-dns",
    ]


def test_pages_may_read_the_log_folder_and_the_journal(
    settings: Settings, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_is_group", lambda name: True)
    monkeypatch.setattr(users, "_members", lambda group: [])
    users.ensure_users(settings)
    joined = [command.split()[3] for command in made if command.startswith("usermod")]
    assert joined == ["formation", "systemd-journal"]
