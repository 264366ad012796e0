"""The node's processes and engines: what each is, uses and does.

formation-jobs looks, as root, and writes it down for all to read; acts on them are
operations.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from appliance import bounds, clock, events, supervision
from appliance.admin import verbs
from appliance.admin.connections import connections, family
from appliance.admin.programs import Program, known, programs, units
from appliance.config import Settings, settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, EngineGone, Problem, Unavailable
from appliance.provisions import Provision, provide, provisions
from appliance.service import write_json
from appliance.supervision import Kept

Document = dict[str, Any]
WAIT_S = 60.0
CONNECTIONS = 200


def report_file(config: Settings) -> Path:
    return config.run_dir / "jobs" / "processes.json"


def report(config: Settings) -> Document:
    """The last look; raises Unavailable before the first."""
    try:
        document: Document = json.loads(report_file(config).read_text())
    except (OSError, ValueError):
        raise Unavailable(
            "processes-unseen",
            "Nobody has looked at the processes yet: formation-jobs does as soon as it "
            "runs.",
        ) from None
    return document


def refresh(config: Settings) -> None:
    """Look, and write it where all can read."""
    write_json(report_file(config), look(config))


def look(config: Settings) -> Document:
    """What keeps them, and each with what it uses; those of systemd too."""
    keeper = supervision.current(config, units(config))
    kept = {item.name: item for item in keeper.kept()}
    provided = provisions(config)
    return {
        "looked": clock.now(),
        "keeper": keeper.name,
        "holds": list(bounds.held()),
        "processes": [
            seen(
                program,
                kept.get(program.name, Kept(program.name, "stopped")),
                provided.get(program.name, Provision()),
            )
            for program in programs(config)
        ],
    }


def seen(program: Program, kept: Kept, provided: Provision) -> Document:
    return {
        "name": program.name,
        "title": program.title,
        "user": program.user,
        "without": program.without,
        "may_stop": program.may_stop,
        "may_reload": program.may_reload,
        "may_limit": program.may_limit,
        "enabled": provided.enabled,
        "limits": asdict(provided.limits),
        "state": kept.state,
        "pid": kept.pid,
        "since": kept.since,
        "said": kept.said,
        **usage(kept.pid),
    }


def usage(pid: int) -> Document:
    """Seconds of CPU, bytes of memory, tasks, open files and connections, with those
    of its children that are its own: guests and builds are not."""
    found: Document = {"cpu_s": 0.0, "memory": 0, "tasks": 0, "files": 0}
    found["connections"] = []
    own = frozenset(bounds.together(pid))
    for process in family(pid):
        if process.pid not in own:
            continue
        try:
            found["cpu_s"] += sum(process.cpu_times()[:2])
            found["memory"] += process.memory_info().rss
            found["tasks"] += process.num_threads()
            found["files"] += process.num_fds()
            found["connections"] += connections(process)
        except psutil.Error:  # it ended meanwhile
            continue
    del found["connections"][CONNECTIONS:]
    return found


def one(config: Settings, name: str) -> Document:
    """One of the report; raises NotFound, Unavailable."""
    known(config, name)
    found: list[Document] = report(config)["processes"]
    return next(item for item in found if item["name"] == name)


def request(name: str, verb: str, account: str) -> str:
    """Queue the act; returns the operation's id. Raises NotFound, Conflict."""
    must_be_sensible(known(settings(), name), verb)
    return verbs.submit("process-control", f"formation-{name}", name, verb, account)


def must_be_sensible(program: Program, verb: str) -> None:
    verbs.must_be_known("process", verb)
    if verb in ("stop", "disable") and not program.may_stop:
        raise Conflict(
            "process-needed",
            f"Without {program.name} nobody could start it again: {program.without} "
            "Restart it instead.",
        )
    if verb == "reload" and not program.may_reload:
        raise Conflict(
            "process-reloads-not", f"{program.name} cannot reload; restart it instead."
        )


def act(run: Run) -> None:
    """Ask its keeper; a restart is an end from which it is brought back, so that
    formation-jobs can do it to itself."""
    name, verb = run.subject, run.params["verb"]
    keeper = supervision.current(settings(), units(settings()))
    kept = next((k for k in keeper.kept() if k.name == name), Kept(name, "stopped"))
    if "pid" not in run.memory:
        run.remember(pid=kept.pid, asked=clock.now())
    if verb == "start" or (verb == "restart" and not kept.pid):
        keeper.start(name)
    elif verb == "stop":
        keeper.stop(name)
    elif verb == "reload":
        keeper.signal(name, "HUP")
    elif verb in ("enable", "disable"):
        provide(settings(), name, enabled=verb == "enable")
        keeper.enable(name, verb == "enable")
    elif kept.pid == run.memory["pid"]:
        keeper.signal(name, "TERM")


def settle(run: Run) -> None:
    """Wait until it is so; raises Problem with what its keeper says otherwise."""
    name, verb = run.subject, run.params["verb"]
    pause, end = threading.Event(), clock.now() + WAIT_S
    while True:
        run.check()
        kept = _kept(name)
        if verb in ("enable", "disable"):
            break
        if verb == "stop" and kept.state == "stopped":
            break
        is_new = verb != "restart" or kept.pid != run.memory["pid"]
        if verb != "stop" and kept.state == "running" and is_new:
            break
        if clock.now() > end or kept.state == "failed":
            raise Problem(
                "process-failed",
                f"formation-{name} is {kept.state} ({kept.said}); form logs {name} "
                "says why.",
                status=502,
            )
        run.progress(None, kept.state)
        pause.wait(0.2)
    refresh(settings())
    text = f"formation-{name} {verbs.DONE[verb]}"
    events.happened(text, service="admin", subject=name)
    run.memory["result"] = {"pid": kept.pid, "state": kept.state}


def _kept(name: str) -> Kept:
    keeper = supervision.current(settings(), units(settings()))
    try:
        return next(k for k in keeper.kept() if k.name == name)
    except StopIteration:
        raise EngineGone("process-unkept", f"{keeper.name} keeps no {name}.") from None


PROCESS = Kind(
    "process-control",
    (Step("ask", "Ask its keeper", act), Step("settle", "Wait for it", settle)),
    "operator",
)
