"""Starting, stopping, restarting, reloading and enabling services, as operations.

formation-jobs writes the wish down and waits until the service's own process says
that it is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from appliance import clock, events, wake
from appliance.admin import verbs
from appliance.config import settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, NotFound, Problem
from appliance.service import (
    Service,
    Status,
    choose,
    chosen,
    read_status,
    services,
)
from appliance.wishes import Verb, Wish, ask, should_run, wishes

WAIT_S = 60.0


def known(name: str) -> Service:
    """The service of this name; raises NotFound."""
    found = services().get(name)
    if found is None:
        names = ", ".join(services())
        raise NotFound(
            "service-unknown", f"There is no service {name!r}; there are {names}."
        )
    return found


def request(name: str, verb: str, account: str) -> str:
    """Queue the act and return the operation's id; raises NotFound, Conflict."""
    service = known(name)
    must_be_sensible(service, verb)
    return verbs.submit("service-control", name, name, verb, account)


def must_be_sensible(service: Service, verb: str) -> None:
    verbs.must_be_known("service", verb)
    if chosen(settings()) is None:
        raise Conflict("setup-incomplete", "The set-up is not done; services wait.")
    if service.always and verb in ("stop", "disable"):
        raise Conflict(
            "service-needed",
            f"The node cannot be looked after without {service.name}; restart it "
            "instead.",
        )
    runs = should_run(settings(), wishes(settings()), service.name)
    if not runs and verb in ("restart", "reload"):
        raise Conflict(
            "service-stopped", f"{service.name} does not run; start it instead."
        )


def write_down(run: Run) -> None:
    """Keep what is asked; the counts make sure that no crash asks twice."""
    service, verb = known(run.subject), _verb(run)
    if verb in ("enable", "disable"):
        return _enable(service, verb == "enable")
    if "asked" not in run.memory:
        before = wishes(settings()).get(service.name, Wish())
        run.remember(asked=clock.now(), before=[before.restarts, before.reloads])
    restarts, reloads = run.memory["before"]
    members: dict[Verb, dict[str, bool | int]] = {
        "start": {"run": True},
        "stop": {"run": False},
        "restart": {"restarts": restarts + 1},
        "reload": {"reloads": reloads + 1},
    }
    ask(settings(), service.name, **members[verb])
    wake.notify(settings().run_dir, service.process, "wish")
    return None


def _verb(run: Run) -> Verb:
    verb: Verb = run.params["verb"]
    return verb


def _enable(service: Service, on: bool) -> None:
    """For the next start of the node; what runs now goes on so."""
    ask(
        settings(),
        service.name,
        run=should_run(settings(), wishes(settings()), service.name),
    )
    others = (chosen(settings()) or frozenset()) - {service.name}
    choose(settings(), others | {service.name} if on else others)


def settle(run: Run) -> None:
    """Wait for the service; raises Problem with its reason where it does not do it."""
    service, verb = known(run.subject), _verb(run)
    has_done, pause = _goal(service, verb), threading.Event()
    end = run.memory.get("asked", clock.now()) + WAIT_S
    while not has_done(status := read_status(settings(), service)):
        run.check()
        run.progress(None, f"{status.state}: {status.reason}".rstrip(": "))
        if clock.now() > end:
            raise Problem(
                "service-slow",
                f"{service.name} is {status.state} ({status.reason or 'no reason'}) "
                f"{WAIT_S:.0f} s later; form logs {service.process} says more.",
                status=504,
            )
        pause.wait(0.2)
    text = f"{service.title} {verbs.DONE[verb]}"
    events.happened(text, service="admin", subject=service.name)
    run.memory["result"] = {"state": read_status(settings(), service).state}


def _goal(service: Service, verb: Verb) -> Callable[[Status], bool]:
    wish = wishes(settings()).get(service.name, Wish())

    def acknowledged(status: Status) -> bool:
        done = Wish(**status.details.get("done", {}))
        return (done.restarts, done.reloads) == (wish.restarts, wish.reloads)

    goals: dict[Verb, Callable[[Status], bool]] = {
        "start": lambda status: status.state in ("running", "degraded"),
        "stop": lambda status: status.state == "stopped",
        "restart": lambda s: acknowledged(s) and s.state in ("running", "degraded"),
        "reload": acknowledged,
    }
    return goals.get(verb, lambda status: True)


CONTROL = Kind(
    "service-control",
    (
        Step("ask", "Ask", write_down),
        Step("settle", "Wait for it", settle),
    ),
    "operator",
)
