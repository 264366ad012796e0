"""The docs name every service, directive, command and section of settings."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from appliance.cli import main
from appliance.config import Settings
from appliance.pack.directives import DIRECTIVES
from appliance.service import services
from tests.reference import PAGES

DOCS = Path(__file__).parents[1] / "docs"


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
