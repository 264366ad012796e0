"""Runbooks: what to do when an alert fires, one Markdown file each, on the node."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.problems import NotFound

FOLDER = Path(__file__).parents[3] / "docs" / "runbooks"


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.md"))


def text(name: str) -> str:
    """The file's Markdown; raises NotFound."""
    if not re.fullmatch(r"[a-z0-9-]+", name) or name not in names():
        raise NotFound("runbook-unknown", f"There is no runbook {name[:60]!r}.")
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("# ")


def as_html(markdown: str) -> str:
    """HTML of Markdown (CommonMark); HTML in it is shown as text."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).render(markdown))
