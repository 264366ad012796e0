"""The launcher of a packaged node: which release runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_IN = "/usr/lib/formation/release"


class Place:
    """A node's folders, with the launcher made to look there."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.python = folder / "python3.13"
        self.python.write_text('#!/bin/sh\necho "$0" "$@"\n')
        self.python.chmod(0o755)
        self.built_in = self.release(folder / "built-in")
        self.script = folder / "formation-run"
        text = (ROOT / "image/package/formation-run").read_text()
        assert BUILT_IN in text
        self.script.write_text(text.replace(BUILT_IN, str(self.built_in)))
        (self.data / "releases").mkdir(parents=True)

    def release(self, folder: Path, python: str = "3.13") -> Path:
        (folder / f"lib/python{python}/site-packages/appliance").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "bin/python").symlink_to(self.python)
        (folder / "release.json").write_text("{}")
        return folder

    def choose(self, release: Path | str) -> None:
        (self.data / "releases/current").symlink_to(release)

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        place = {"FORMATION_DATA_DIR": str(self.data), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            ["sh", str(self.script), *words],
            env={**place, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def ran(self, *words: str, **environment: str) -> Path:
        """The release that was chosen; it got the words."""
        program, *given = self.run(*words, **environment).stdout.split()
        assert given == ["-I", "-m", "appliance.launcher", *words]
        return Path(program).parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_built_in_release_runs_where_no_other_came(place: Place) -> None:
    assert place.ran("form", "status") == place.built_in


def test_the_current_release_runs_by_its_own_path(place: Place) -> None:
    """So that what runs stays with it when the link moves on."""
    newer = place.release(place.data / "releases/0.2.0")
    place.choose("0.2.0")
    assert place.ran("state") == newer


@pytest.mark.parametrize("fault", ["gone", "no release.json", "no python", "other"])
def test_a_release_that_cannot_run_here_is_passed_over(
    place: Place, fault: str
) -> None:
    newer = place.release(
        place.data / "releases/0.2.0", "3.11" if fault == "other" else "3.13"
    )
    place.choose("0.3.0" if fault == "gone" else "0.2.0")
    if fault == "no release.json":
        (newer / "release.json").unlink()
    if fault == "no python":
        (newer / "bin/python").unlink()
    assert place.ran("web") == place.built_in


def test_another_release_is_tried_by_its_folder(place: Place, tmp_path: Path) -> None:
    staged = place.release(tmp_path / "staged")
    assert place.ran("dns", FORMATION_RELEASE=str(staged)) == staged
    done = place.run("dns", FORMATION_RELEASE=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "is no release for this machine's Python" in done.stderr


def test_where_nothing_can_run_a_sentence_says_so(place: Place) -> None:
    (place.built_in / "release.json").unlink()
    done = place.run("state")
    assert done.returncode == 1
    assert "Install the package formation of this Debian again" in done.stderr
