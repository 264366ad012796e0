"""Uploads and contexts go when their deployment is over; tasks after their days."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import clock, market, operations
from appliance.config import Settings
from appliance.market import leftovers, tasks
from appliance.market.tasks import Task, TaskEvent
from appliance.operations import Kind, Operation, Step


@pytest.fixture
def later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node whose files are all older than the time of grace."""
    nothing = Kind("deploy", (Step("plan", "Plan", lambda run: None),))
    monkeypatch.setattr(operations, "kinds", lambda: {"deploy": nothing})
    monkeypatch.setattr(leftovers, "GRACE_S", -1.0)
    return settings


def deployment(upload: Path) -> str:
    upload.write_bytes(b"x")
    params = {"upload": str(upload)}
    return operations.submit(
        "deploy", title="D", subject="", params=params, account="1"
    )


def test_only_deployments_at_work_keep_theirs(later: Settings) -> None:
    uploads, contexts = later.data_dir / "uploads", later.data_dir / "contexts"
    over, at_work = (deployment(uploads / name) for name in ("over", "at_work"))
    Operation.update(state="failed").where(Operation.id == over).execute()
    for name in (over, at_work, "crashed"):
        (contexts / name / "deep").mkdir(parents=True)
    (uploads / "crashed").write_bytes(b"x")
    (contexts / "link").symlink_to("/etc")
    assert market.sweep(later) == 5
    assert [path.name for path in contexts.iterdir()] == [at_work]
    assert [path.name for path in uploads.iterdir()] == ["at_work"]
    assert Path("/etc/passwd").exists()


def test_an_upload_is_there_before_its_operation(
    later: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE_S", 60.0)
    (later.data_dir / "uploads" / "fresh").write_bytes(b"x")
    assert market.sweep(later) == 0


def ended(days_ago: float) -> Task:
    wish = {"input": 1, "metadata": {}, "timeout_s": 60}
    task = tasks.create("ada", "echo", "1", "c", wish)
    for kind in ("delta", "log", "state"):
        tasks.say(task.id, kind, {"text": "x"})
    tasks.end(task.id, "completed", output=1)
    at = clock.now() - days_ago * 86400
    Task.update(ended=at).where(Task.id == task.id).execute()
    return task


def test_tasks_go_after_their_days_with_their_events(settings: Settings) -> None:
    old, new = ended(31), ended(0)
    wish = {"input": 1, "metadata": {}, "timeout_s": 60}
    waiting = tasks.create("ada", "echo", "1", "c", wish)
    assert market.trim_tasks(30) == 1
    assert {row.id for row in Task.select()} == {new.id, waiting.id}
    assert TaskEvent.select().where(TaskEvent.task == old.id).count() == 0


def test_what_a_task_streamed_goes_a_day_after_its_end(settings: Settings) -> None:
    yesterday, today = ended(1.1), ended(0.1)
    market.trim_tasks(30)
    kinds = [kind for _, kind, _ in tasks.events(yesterday.id)]
    assert kinds == ["state", "result"]
    assert len(tasks.events(today.id)) == 4
