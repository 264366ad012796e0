"""A fix as an operation: look whether it is needed, do it, look whether it helped.

One at a time: many fixes are operations of other kinds, which they wait for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from appliance import events, operations
from appliance.admin.repairs import kept, looking
from appliance.admin.repairs.issue import Issue, Repair
from appliance.config import settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, NotFound, Problem, from_document


def request(id_: str, account: str, confirmed: bool) -> str:
    """Queue the fix of an issue; returns the operation's id. Raises NotFound, Conflict.

    `confirmed` says that who asks knows what it loses.
    """
    found = kept.get(id_)
    if not found.button:
        raise Conflict("repair-by-hand", f"The node cannot mend this: {found.cure}")
    if found.loses and not confirmed:
        raise Conflict(
            "repair-unconfirmed", f"{found.loses} Nothing was done: confirm it."
        )
    for other in operations.recent(limit=1000, live=True):
        if other.kind == FIX.name:
            raise Conflict(
                "repair-busy",
                f"{other.title!r} is under way; one thing is mended at a time.",
                operation=other.id,
            )
    return operations.submit(
        FIX.name,
        title=f"{found.button}: {found.title}"[:200],
        subject=id_,
        params={"mark": found.mark},
        account=account,
    )


def request_look(account: str) -> str:
    """Queue a look by all checks, unless one waits already."""
    for other in operations.recent(limit=1000, live=True):
        if other.kind == LOOK.name:
            return str(other.id)
    return operations.submit(
        LOOK.name, title="Checking the node", subject="", params={}, account=account
    )


def look_all(run: Run) -> None:
    done, number = 0, len(looking.repairs())

    def said(repair: Repair) -> None:
        nonlocal done
        run.check()
        run.progress(done / number, repair.title)
        done += 1

    for name, why in looking.look(settings(), said=said).items():
        run.log(f"{name} could not look: {why}")
    run.memory["result"] = {"repairs": kept.count()}


def look_again(run: Run) -> None:
    """Still so, and as it was when the fix was asked for?"""
    issue = _current(run)
    if issue is None:
        run.log("it is well already; nothing is done")
    elif issue.fix is None or (issue.fix.loses and issue.mark != run.params["mark"]):
        raise Conflict(
            "repair-changed",
            f"It is another by now: {issue.text} Nothing was done; look again.",
        )
    run.memory["gone"] = issue is None


def mend(run: Run) -> None:
    if run.memory["gone"]:
        return
    repair, subject = _named(run)
    if repair.mend is not None:
        repair.mend(run, subject)


def see(run: Run) -> None:
    """Has it helped? What is left is the operation's failure."""
    issue = _current(run)
    if issue is not None:
        raise Problem(
            "repair-helped-not",
            f"It was done, and did not help: {issue.text} {issue.cure}",
            status=409,
            title="It did not help",
        )
    events.happened(f"Mended: {run.subject}", service="admin", subject=run.subject)
    run.log("the check looked again, and finds it well")
    run.memory["result"] = {"helped": "yes"}


def _named(run: Run) -> tuple[Repair, str]:
    name, _, subject = run.subject.partition(":")
    found = looking.repairs().get(name)
    if found is None:
        raise NotFound("repair-unknown", f"There is no check {name[:60]!r}.")
    return found, subject


def _current(run: Run) -> Issue | None:
    repair, subject = _named(run)
    return looking.current(settings(), repair, subject)


def follow(run: Run, submit: Callable[[], str]) -> None:
    """Have another operation do it, and wait for its end; raises as it ended."""
    if "operation" not in run.memory:
        run.remember(operation=submit())
    id_, pause = run.memory["operation"], threading.Event()
    run.log(f"operation {id_} does it")
    while (row := operations.get(id_)).state in operations.LIVE:
        if run.should_end() and not run.is_ending():
            operations.cancel(id_)
        run.check()
        steps = json.loads(row.steps)
        now = next((step for step in steps if step["state"] == "now"), None)
        if now:
            run.progress(now["progress"], f"{now['title']} {now['detail']}".strip())
        pause.wait(0.2)
    if row.error:
        raise from_document(json.loads(row.error))


FIX = Kind(
    "repair",
    (
        Step("look", "Look", look_again),
        Step("mend", "Mend", mend),
        Step("see", "Look again", see),
    ),
    "operator",
)
LOOK = Kind("repairs-check", (Step("look", "Look", look_all),), "operator")
KINDS = (FIX, LOOK)
