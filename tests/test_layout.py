"""Each folder belongs to the process that writes there, and is closed to others."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from peewee import SqliteDatabase

from appliance import layout
from appliance.config import Settings
from appliance.database import open_database

IDS = {"root": 0, layout.WEB: 64001, layout.STATE: 64002, layout.DNS: 64003}
IDS |= {layout.CADDY: 64004, layout.READERS: 64005, "formation": 64006}


@pytest.fixture(autouse=True)
def users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's users with ids that no machine has."""
    by_name = {name: SimpleNamespace(pw_uid=i, gr_gid=i) for name, i in IDS.items()}
    monkeypatch.setattr(pwd, "getpwnam", by_name.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", by_name.__getitem__)


def of(path: Path) -> tuple[int, int, str]:
    found = path.lstat()
    return found.st_uid, found.st_gid, oct(stat.S_IMODE(found.st_mode))


def test_every_folder_has_its_owner_group_and_mode(settings: Settings) -> None:
    layout.assign(settings)
    data, run = settings.data_dir, settings.run_dir
    assert of(data / "node") == (64001, 64001, "0o700")
    assert of(data / "state") == (64002, 64005, "0o2750")
    assert of(data / "keys") == (0, 0, "0o700")
    assert of(data / "tls") == (0, 64004, "0o750")
    assert of(run / "wake") == (0, 64005, "0o1770")
    assert of(settings.log_dir) == (0, 64006, "0o750")


def test_files_that_root_left_are_handed_over(settings: Settings) -> None:
    left = settings.data_dir / "node" / "claim"
    left.write_text("code")
    layout.assign(settings)
    assert of(left)[:2] == (64001, 64001)


def test_links_are_not_followed_and_not_handed_over(
    settings: Settings, tmp_path: Path
) -> None:
    precious = tmp_path / "shadow"
    precious.write_text("root's")
    folder = settings.data_dir / "node"
    (folder / "soft").symlink_to(precious)
    os.link(precious, folder / "hard")
    layout.assign(settings)
    assert of(precious)[:2] == (0, 0)


def test_a_database_that_root_makes_belongs_to_its_folders_owner(
    settings: Settings,
) -> None:
    layout.assign(settings)
    path = settings.data_dir / "node" / "new.db"
    database = SqliteDatabase(None)
    open_database(database, path, ("create table t (a);",))
    try:
        made = list(path.parent.glob("new.db*"))
        assert {of(file)[:2] for file in made} == {(64001, 64001)}
        assert len(made) == 3  # the database, its log and its index
    finally:
        database.close()
