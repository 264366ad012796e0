"""The node's processes and engines: what each is, uses and does.

formation-jobs looks, as root, and writes it down for all to read; acts on them are
operations.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import psutil

from appliance import clock, events, operations, supervision
from appliance.admin.programs import Program, programs, units
from appliance.config import Settings, settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, EngineGone, NotFound, Problem, Unavailable
from appliance.service import write_json
from appliance.supervision import Kept

Document = dict[str, Any]
WAIT_S = 60.0
CONNECTIONS = 200
VERBS = ("start", "stop", "restart", "reload")
TITLES = {
    "start": "Starting",
    "stop": "Stopping",
    "restart": "Restarting",
    "reload": "Reloading",
}


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
    return {
        "looked": clock.now(),
        "keeper": keeper.name,
        "processes": [
            seen(program, kept.get(program.name, Kept(program.name, "stopped")))
            for program in programs(config)
        ],
    }


def seen(program: Program, kept: Kept) -> Document:
    return {
        "name": program.name,
        "title": program.title,
        "user": program.user,
        "without": program.without,
        "may_stop": program.may_stop,
        "may_reload": program.may_reload,
        "state": kept.state,
        "pid": kept.pid,
        "since": kept.since,
        "said": kept.said,
        **usage(kept.pid),
    }


def usage(pid: int) -> Document:
    """Memory in bytes, tasks, open files and connections, with its children's."""
    found: Document = {"memory": 0, "tasks": 0, "files": 0, "connections": []}
    try:
        root = psutil.Process(pid) if pid else None
        family = [root, *root.children(recursive=True)] if root else []
    except psutil.Error:
        family = []
    for process in family:
        try:
            found["memory"] += process.memory_info().rss
            found["tasks"] += process.num_threads()
            found["files"] += process.num_fds()
            found["connections"] += connections(process)
        except psutil.Error:  # it ended meanwhile
            continue
    del found["connections"][CONNECTIONS:]
    return found


def connections(process: psutil.Process) -> list[Document]:
    """What it listens on and is connected to over IP."""
    return [
        {
            "kind": "tcp" if link.type == 1 else "udp",
            "local": _place(link.laddr),
            "remote": _place(link.raddr),
            "state": "listening" if link.status == "LISTEN" else link.status.lower(),
        }
        for link in process.net_connections("inet")
    ]


def _place(address: Any) -> str:
    if not address:
        return ""
    host = f"[{address.ip}]" if ":" in address.ip else address.ip
    return f"{host}:{address.port}"


def known(name: str) -> Program:
    """The program of this name; raises NotFound."""
    found = next((p for p in programs(settings()) if p.name == name), None)
    if found is None:
        names = ", ".join(p.name for p in programs(settings()))
        raise NotFound(
            "process-unknown", f"There is no process {name!r}; there are {names}."
        )
    return found


def request(name: str, verb: str, account: str) -> str:
    """Queue the act; returns the operation's id. Raises NotFound, Conflict."""
    must_be_sensible(known(name), verb)
    return operations.submit(
        "process-control",
        title=f"{TITLES[verb]} formation-{name}",
        subject=name,
        params={"verb": verb},
        account=account,
    )


def must_be_sensible(program: Program, verb: str) -> None:
    if verb not in VERBS:
        raise NotFound(
            "verb-unknown", f"A process cannot {verb!r}; it can {', '.join(VERBS)}."
        )
    if verb == "stop" and not program.may_stop:
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
    elif kept.pid == run.memory["pid"]:
        keeper.signal(name, "TERM")


def settle(run: Run) -> None:
    """Wait until it is so; raises Problem with what its keeper says otherwise."""
    name, verb = run.subject, run.params["verb"]
    pause, end = threading.Event(), clock.now() + WAIT_S
    while True:
        run.check()
        kept = _kept(name)
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
    past = {"stop": "was stopped", "start": "was started"}.get(verb, f"was {verb}ed")
    events.happened(f"formation-{name} {past}", service="admin", subject=name)
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
