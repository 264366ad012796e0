"""`form pack check`: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import main

KEYS = {"line", "column", "level", "directive", "rule", "message", "hint"}
GOOD = "NAME a\nENTRYPOINT x\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["pack", "check", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "Formfile"


def test_a_fine_formfile_is_an_empty_list(file: Path) -> None:
    file.write_text(GOOD)
    done = run(file, "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert run(file).output == ""


def test_a_folder_stands_for_its_formfile(file: Path) -> None:
    file.write_text(GOOD + "COPY a /a")
    assert "no such file" in run(file.parent, "--json").stdout
    (file.parent / "a").touch()
    assert run(file.parent, "--json").exit_code == 0


def test_errors_end_with_status_1(file: Path) -> None:
    file.write_text("NAME a\nMEM 128\nENTRYPOINT x\n")
    done = run(file, "--json")
    (found,) = json.loads(done.stdout)
    assert done.exit_code == 1
    assert set(found) == KEYS
    assert (found["line"], found["column"], found["level"]) == (2, 5, "error")
    assert found["message"] == "MEM 128: at least 512 (MiB)"
    assert "2:5 error: MEM 128: at least 512" in run(file).stderr


def test_warnings_do_not_fail(file: Path) -> None:
    file.write_text("NAME A\nENTRYPOINT x\n")
    done = run(file, "--json")
    (found,) = json.loads(done.stdout)
    assert (done.exit_code, found["level"]) == (0, "warning")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "readable"),
        (b"\x7fELF\0\0", "text"),
        (b"\xff\xfe", "utf-8"),
        (b"RUN " + b"x" * (1 << 20), "size"),
        (b"", "required"),
    ],
    ids=["missing", "binary", "not-text", "mebibyte", "empty"],
)
@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_what_is_no_formfile_is_a_finding(
    file: Path, content: bytes | None, rule: str, whole: bool
) -> None:
    if content is not None:
        file.write_bytes(content)
    path = file.parent if whole else file
    done = run(path, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["rule"] == rule
    assert "error: " in run(path).stderr


def test_the_examples_are_fine() -> None:
    for folder in (Path(__file__).parents[2] / "examples").iterdir():
        assert run(folder, "--json").stdout == "[]\n"
