"""A change of the settings as an operation: checked again, written, and read by all.

Web validates and asks; the file is root's, so formation-jobs writes it.
"""

from __future__ import annotations

import structlog

from appliance import events, operations
from appliance.admin import accounts, settings_file, settings_history
from appliance.admin.configuration import changes, difference, must_be_right
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, Invalid

LONGEST_WHY = 300
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
        events.audit(name, "local", "settings", line[:300], "done")
    log.info("settings.written", account=name, changed=told)
    run.log(f"{found.path} is written")


KIND = Kind(
    "settings",
    (Step("check", "Check", check), Step("write", "Write", write)),
    "operator",
    private=("text",),
)
