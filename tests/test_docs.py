"""The docs name every service, directive, command and section of settings."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from appliance.admin.options import options
from appliance.cli import main
from appliance.config import Settings
from appliance.pack.directives import DIRECTIVES
from appliance.service import services
from tests.reference import PAGES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NO_SETTINGS = ("node.db", "state.db", "auth.bypass")
SECTIONS = {name.partition(".")[0] for name in options() if "." in name}


@pytest.mark.parametrize("file", PAGES)
def test_a_reference_page_is_what_the_code_says(file: str, settings: Settings) -> None:
    written = (DOCS / file).read_text()
    assert written == PAGES[file](), "python -m tests.reference writes it anew"


def test_every_service_is_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert [name for name in services() if f"| {name} |" not in text] == []


def test_every_directive_has_its_row() -> None:
    text = (DOCS / "formfile.md").read_text()
    assert [name for name in DIRECTIVES if f"| `{name}` |" not in text] == []


def test_every_command_and_section_is_in_operations() -> None:
    text = (DOCS / "operations.md").read_text()
    for name, command in main.commands.items():
        assert f"form {name}" in text
        if isinstance(command, click.Group):
            assert all(verb in text for verb in command.commands)
    sections = [
        name for name, field in Settings.model_fields.items() if field.annotation
    ]
    assert [s for s in sections if "_dir" not in s and f"| `{s}` |" not in text] == []


def quoted(file: str) -> list[str]:
    """What stands between backticks on a page."""
    return re.findall(r"`([^`\n]+)`", (DOCS / file).read_text())


@pytest.mark.parametrize("file", ["asvs.md", "security.md"])
def test_files_and_tests_that_are_named_exist(file: str) -> None:
    folders = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
    named = [text for text in quoted(file) if text.startswith(folders)]
    assert named
    for text in named:
        path, _, test = text.partition("::")
        assert (ROOT / path).exists(), text
        assert not test or f"def {test}(" in (ROOT / path).read_text(), text


@pytest.mark.parametrize("file", ["asvs.md", "security.md"])
def test_settings_that_are_named_exist(file: str) -> None:
    named = [text for text in quoted(file) if re.fullmatch(r"[a-z]+\.[a-z_]+", text)]
    named = [text for text in named if text.split(".")[0] in SECTIONS]
    assert named
    assert [text for text in named if text not in {*options(), *NO_SETTINGS}] == []


def test_each_requirement_of_level_1_is_answered_once() -> None:
    text = (DOCS / "asvs.md").read_text()
    first, second = text.partition("## Level 2")[::2]
    rows = re.findall(r"^\| ([\d.]+) \|[^|]+\| (\S+) \|[^|]+\|$", first, re.M)
    numbers = [number for number, _ in rows]
    assert len(numbers) == len(set(numbers)) == 70
    assert {met for _, met in rows} == {"yes", "partly", "no", "–"}
    more = re.findall(r"^\| ([\d.]+) \|", second, re.M)
    assert more and not set(more) & set(numbers) and len(more) == len(set(more))
