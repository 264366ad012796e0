"""A layer that was made again is another one to all that is built on it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.pack.build import BuildRequest, _Builder
from appliance.pack.formfile import Run, Step
from appliance.pack.store import Store

INSTALL, FIRST, SECOND = Run("install"), Run("first"), Run("second")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildRequest:
    """Builds in a folder, whose steps do nothing."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "manifest.json").write_text(json.dumps({"digest": "b" * 64}))
    monkeypatch.setattr(_Builder, "_run", lambda *of: None)
    monkeypatch.setattr(_Builder, "_outside", None)
    module = sys.modules[_Builder.__module__]
    monkeypatch.setattr(module, "stages", lambda *of: ())
    formfile: Any = SimpleNamespace(base="debian:13")
    return BuildRequest(
        formfile, None, "0" * 64, base, tmp_path / "d", tmp_path / "i",
        start_id=os.getuid(),
    )  # fmt: skip


def keys(request: BuildRequest, *steps: Step, refresh: bool = False) -> list[str]:
    """The layers that a build of these steps stands on, the lowest first."""
    from dataclasses import replace

    wanted = replace(request, refresh=refresh)
    lines: list[str] = []
    with closing(_Builder(wanted, lines.append, lambda: False)) as builder:
        builder._base()
        for step in steps:
            builder._step(step)
        return [Path(layer).name for layer in builder._lowers[::-1]]


def test_the_same_steps_take_the_layers_that_are_there(request_: BuildRequest) -> None:
    before = keys(request_, INSTALL, FIRST)
    assert keys(request_, INSTALL, FIRST) == before
    assert keys(request_, INSTALL, SECOND)[:2] == before[:2]


def test_layers_are_counted_as_made_or_cached(request_: BuildRequest) -> None:
    for made, cached in ((2, 0), (0, 2)):
        with closing(_Builder(request_, lambda line: None, lambda: False)) as builder:
            builder._base()
            for step in (INSTALL, FIRST):
                builder._step(step)
            assert (builder._tally.made, builder._tally.cached) == (made, cached)


def test_what_stands_on_a_refreshed_layer_is_built_anew(request_: BuildRequest) -> None:
    other = keys(request_, INSTALL, SECOND)
    refreshed = keys(request_, INSTALL, FIRST, refresh=True)
    assert refreshed[:2] == other[:2]  # the base and the layer that was replaced
    again = keys(request_, INSTALL, SECOND)
    assert again[:2] == other[:2]
    assert again[2] != other[2]
    assert keys(request_, INSTALL, SECOND) == again
    assert keys(request_, INSTALL, FIRST) == refreshed


def test_a_layer_that_was_collected_and_made_again_is_another_one(
    request_: BuildRequest,
) -> None:
    before = keys(request_, INSTALL, FIRST)
    store = Store(request_.layers_dir, os.getuid())
    assert store.remove(before[1])
    after = keys(request_, INSTALL, FIRST)
    assert after[1] == before[1]
    assert after[2] != before[2]


def test_a_layer_from_before_generations_is_still_taken(
    request_: BuildRequest,
) -> None:
    before = keys(request_, INSTALL)
    note = request_.layers_dir / f"{before[1]}.json"
    about = json.loads(note.read_text())
    del about["generation"]
    note.write_text(json.dumps(about))
    made = note.with_suffix("").stat().st_ino
    assert keys(request_, INSTALL, FIRST)[1] == before[1]
    assert note.with_suffix("").stat().st_ino == made


def test_a_layer_whose_note_is_lost_is_made_again(request_: BuildRequest) -> None:
    before = keys(request_, INSTALL)
    note = request_.layers_dir / f"{before[1]}.json"
    note.unlink()  # a crash was between the layer and its note
    made = note.with_suffix("").stat().st_ino
    assert keys(request_, INSTALL) == before
    assert note.exists()
    assert note.with_suffix("").stat().st_ino != made
    assert Store(request_.layers_dir, os.getuid()).hold(before[1])


def test_a_notes_draft_is_swept_away(request_: BuildRequest) -> None:
    keys(request_, INSTALL)
    draft = request_.layers_dir / f"{'c' * 64}.json.new"
    draft.write_text("half")
    Store(request_.layers_dir, os.getuid()).sweep()
    assert not draft.exists()
