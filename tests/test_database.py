"""Connections of the databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from appliance.database import Connection


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_cannot_be_opened_is_one_error_only(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        Connection(tmp_path / "absent" / "node.db")
