"""Formfiles on the disk of the person who wrote them."""

from __future__ import annotations

from pathlib import Path

from appliance.pack.formfile import Diagnostic
from appliance.pack.parser import LONGEST, Checked, check

NAME = "Formfile"


def check_file(path: Path) -> Checked:
    """Check a Formfile, or that of a folder, beside the files that it copies.
    What cannot be read is a finding as well."""
    file = path / NAME if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST + 1)
    except OSError as error:
        why = f"{file}: {error.strerror or error}"
        hint = f"Name a Formfile, or a folder that holds one named {NAME}."
        return Checked(None, (Diagnostic(1, 1, "error", "", "readable", why, hint),))
    return check(text, file.parent)
