"""formation-jobs does nothing for an account whose right has ended."""

from __future__ import annotations

import threading

import pytest

from appliance import operations, runner
from appliance.admin import accounts
from appliance.config import Settings
from appliance.operations import Kind, Run, Step
from appliance.state.server import StateServer
from jobs.__main__ import new_runner


@pytest.mark.parametrize("disabled", [False, True])
def test_an_operation_runs_only_for_who_still_may(
    settings: Settings,
    state_server: StateServer,
    monkeypatch: pytest.MonkeyPatch,
    disabled: bool,
) -> None:
    done, ended = list[str](), threading.Event()

    def do(run: Run) -> None:
        done.append(run.id)

    kinds = {"act": Kind("act", (Step("act", "Act", do),))}
    monkeypatch.setattr(operations, "kinds", lambda: kinds)
    accounts.create("ada", "", ["operator"])
    bo = accounts.create("bo", "", ["developer"])
    id_ = operations.submit("act", title="", subject="", params={}, account=bo.id)
    accounts.disable("bo", disabled)
    end = runner._end
    monkeypatch.setattr(runner, "_end", lambda *of: (end(*of), ended.set())[0])
    mine = new_runner(settings)
    mine.round()
    assert ended.wait(30)
    mine.stop()
    assert operations.get(id_).state == ("failed" if disabled else "completed")
    assert done == ([] if disabled else [id_])
