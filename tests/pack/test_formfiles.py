"""Formfiles of the older network are read as they always were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.pack import as_document, check

FOLDER = Path(__file__).with_name("formfiles")
NAMES = sorted(path.stem for path in FOLDER.glob("*.formfile"))


@pytest.mark.parametrize("name", NAMES)
def test_an_older_formfile_is_read_unchanged(name: str) -> None:
    checked = check((FOLDER / f"{name}.formfile").read_bytes())
    assert checked.diagnostics == ()
    assert checked.formfile is not None
    document = json.loads(json.dumps(as_document(checked.formfile, whole=True)))
    for user in document["users"]:
        user["passwd_hash"] = (user["passwd_hash"] or "")[:2]
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    assert document == expected
