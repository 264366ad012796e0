"""A change of the settings as an operation: checked again, written, and read by all.

Web validates and asks; the file is root's, so formation-jobs writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import structlog

from appliance import audit, clock, operations, reloading, wake
from appliance.admin import accounts, front_door, settings_file, settings_history
from appliance.admin.configuration import changes, difference, must_be_right
from appliance.admin.options import Option, options
from appliance.config import load, settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, Invalid, Problem

LONGEST_WHY = 300
READ_S = 20.0
log = structlog.get_logger()


def submit(account: accounts.Account, text: str, tag: str, why: str) -> str:
    """Queue the change of the file from the state `tag` to `text`; raises Invalid,
    Conflict."""
    found, why = settings_file.read(), " ".join(why.split())
    settings_file.must_be(found, tag)
    if len(why) > LONGEST_WHY:
        sentence = f"Say why in at most {LONGEST_WHY} characters."
        raise Invalid(f"Nothing was changed. {sentence}", why=sentence)
    must_be_right(text)
    if text == found.text:
        raise Conflict("settings-same", "The settings are like that already.")
    names = [change.option.name for change in changes(found.text, text)]
    return operations.submit(
        "settings",
        title="Changing the settings",
        subject=", ".join(names)[:200] or "comments alone",
        params={"text": text, "tag": tag, "why": why},
        account=account.id,
    )


def check(run: Run) -> None:
    """Still right, and the file still the one that was opened?"""
    found = settings_file.read()
    must_be_right(run.params["text"])
    settings_file.must_be(found, run.params["tag"])
    run.memory["before"] = found.text
    for line in difference(found.text, run.params["text"])[2:]:
        run.log(line)


def write(run: Run) -> None:
    """Write the file; a crash after that finds it written."""
    before, text = run.memory["before"], run.params["text"]
    found = settings_file.read()
    if found.text != text:
        settings_file.must_be(found, run.params["tag"])
        settings_file.write(found.path, text)
    account = accounts.find(run.account)
    name, why = account.name if account else run.account, run.params["why"]
    settings_history.note(name, why, run.id, before, text)
    told = [str(change) for change in changes(before, text)] or ["comments alone"]
    for line in told:
        audit.note(name, "local", "settings", line[:300], "done")
    log.info("settings.written", account=run.account, changed=told)
    run.log(f"{found.path} is written")


def reload(run: Run) -> None:
    """Every process that runs reads them; what waits for a restart is said."""
    config, asked = settings(), run.memory.get("asked")
    if asked is None:
        asked = reloading.ask(config)
        run.remember(asked=asked)
    waiting = {name for name in wake.PROCESSES if wake.is_there(config.run_dir, name)}
    pause, end = threading.Event(), clock.now() + READ_S
    while waiting and clock.now() < end:
        run.check()
        for name in sorted(waiting):
            found = reloading.read(config, name)
            if found and found.answered >= asked:
                waiting.remove(name)
                run.log(f"formation-{name}: {found.trouble or 'has read them'}")
        pause.wait(0.05)
    for name in sorted(waiting):
        run.log(f"formation-{name} has not read them yet; form logs {name} says why")
    front_door.follow(load(), run.log)
    for name, names in pending().items():
        run.log(f"{', '.join(names)}: once {title(name)} is restarted")


def pending() -> dict[str, list[str]]:
    """The settings that count only once something is restarted, by what that is."""
    found: dict[str, list[str]] = {}
    try:
        now = reloading.started(load())
    except Problem:  # wrong ones are not taken at all
        return found
    for option in options().values():
        for process in option.restart:
            report = reloading.read(settings(), process)
            if report and at(report.started, option) != at(now, option):
                found.setdefault(process, []).append(option.name)
    return found


def title(process: str) -> str:
    return "the node" if process == reloading.NODE else f"formation-{process}"


def at(values: Mapping[str, Any], option: Option) -> Any:
    """A setting's value in a report's settings."""
    inner = values.get(option.section, {}) if option.section else values
    return inner.get(option.key)


KIND = Kind(
    "settings",
    (
        Step("check", "Check", check),
        Step("write", "Write", write),
        Step("reload", "Let all read them", reload),
    ),
    "operator",
    private=("text",),
)
