"""What a node is installed with is what its code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("appliance", "blueprints", "jobs", "image")


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """Top-level modules of others that our packages import, at any depth."""
    found = set()
    for file in (f for name in OURS for f in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(OURS)


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {normal(re.split(r"[<>=\[; ]", d)[0]) for d in project["dependencies"]}


def pinned(lock: str) -> set[str]:
    lines = (ROOT / lock).read_text().splitlines()
    return {normal(line.split("==")[0]) for line in lines if "==" in line}


def test_every_import_is_a_declared_dependency() -> None:
    of = packages_distributions()
    needed = {normal(name) for module in imported() for name in of.get(module, [])}
    assert needed - declared() == set()


def test_every_declared_dependency_is_pinned_for_nodes() -> None:
    assert declared() - pinned("requirements.lock") == set()


def test_nothing_is_pinned_twice() -> None:
    assert pinned("requirements.lock") & pinned("requirements-dev.lock") == set()
