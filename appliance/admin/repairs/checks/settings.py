"""Is the settings file right, and do all processes follow it?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from appliance import audit, clock, reloading, wake
from appliance.admin import accounts, settings_change, settings_file, settings_history
from appliance.admin.configuration import errors
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings
from appliance.operations import Run
from appliance.problems import Conflict, Problem

SHOWN = 5
ASIDE = ".wrong"
WHY = "back to the last good file"


def find(config: Settings) -> Iterator[Issue]:
    try:
        found = settings_file.read()
    except Problem as problem:
        yield Issue(
            "critical",
            "The settings file cannot be read",
            f"{problem.detail} Processes go on with the former settings, and none can "
            "start again.",
            "Give it back its owner and mode, or take it away for the defaults.",
        )
        return
    wrong = errors(found.text)
    if wrong:
        yield of_file(str(found.path), wrong)
        return
    for name in wake.PROCESSES:
        report = reloading.read(config, name)
        if report and report.trouble:
            yield of_process(name, report.trouble)


def of_file(path: str, wrong: dict[str, str]) -> Issue:
    lines = [f"{name}: {why}" if name else why for name, why in wrong.items()]
    said = "; ".join(lines[:SHOWN])
    good = last_good()
    return Issue(
        "critical",
        "The settings file is wrong",
        f"{path}: {said} Processes go on with the former settings, and none can start "
        "again.",
        "Correct it: Settings, Text.",
        fix=Fix(
            "Go back to the last good one",
            f"The file is as it was on {clock.rfc3339(good[0])} again; the present one "
            f"is kept beside it, with {ASIDE} at the end of its name.",
        )
        if good
        else None,
        link="/admin/settings/text",
    )


def last_good() -> tuple[float, str] | None:
    """When the node wrote the newest file that is right, and that file."""
    for row in settings_history.newest():
        if not errors(row.after):
            return row.time, row.after
    return None


def of_process(name: str, trouble: str) -> Issue:
    return Issue(
        "warning",
        f"formation-{name} goes on with former settings",
        f"It could not take the new ones: {trouble}",
        "Let it read them again; its log says more.",
        subject=name,
        fix=Fix("Let all read them"),
        link=f"/admin/logs?process={name}",
    )


def mend(run: Run, subject: str) -> None:
    """Back to the last good file, or another reading of the one that is right."""
    if not subject:
        found, good = settings_file.read(), last_good()
        if good is None:
            raise Conflict("settings-unknown", "The node kept no file that is right.")
        if errors(found.text):
            aside = found.path.with_name(f"{found.path.name}{ASIDE}")
            shutil.copyfile(found.path, aside)
            aside.chmod(0o600)
            settings_file.write(found.path, good[1])
            account = accounts.find(run.account)
            name = account.name if account else run.account
            settings_history.note(name, WHY, run.id, found.text, good[1])
            audit.note(name, "local", "settings", WHY, "done")
            run.log(f"{found.path} is as it was on {clock.rfc3339(good[0])}")
    settings_change.reload(run)


REPAIR = Repair("settings", "Settings file", find, mend)
