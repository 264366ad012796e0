"""Who keeps the node's processes and engines running: supervisord, or systemd.

Both are asked through one interface; `current` picks the one of this machine. Needs
root. https://supervisord.org/api.html, systemctl(1).
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from appliance import bounds, clock
from appliance.config import Settings
from appliance.problems import EngineGone, NotFound, Problem
from appliance.provisions import Limits

TIMEOUT_S = 10.0
SHUTTING_DOWN = 6  # supervisor.xmlrpc.Faults.SHUTDOWN_STATE
SYSTEMD = Path("/run/systemd/system")
ENDING = "node-ending"
DROP_INS = Path("/etc/systemd/system")
STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "starting",
    "STOPPING": "stopping",
    "EXITED": "starting",  # all are brought back; who gives up says FATAL
    "FATAL": "failed",
    "STOPPED": "stopped",
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "inactive": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True)
class Kept:
    """A process as its keeper sees it; `pid` is 0 where none runs, `since` when it
    began (seconds since the epoch), 0 where that is unknown."""

    name: str
    state: str
    pid: int = 0
    since: float = 0.0
    said: str = ""


class Supervision(Protocol):
    """What keeps processes running. Raises EngineGone where it does not answer."""

    name: str

    def kept(self) -> list[Kept]: ...
    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...
    def signal(self, name: str, signal: str) -> None:
        """Send it a signal by its short name: HUP, TERM, …"""
        ...

    def enable(self, name: str, on: bool) -> None:
        """Let it start with the node from now on, or not."""
        ...

    def limit(self, name: str, limits: Limits) -> frozenset[str]:
        """Hold it to these limits, now and whenever it starts; returns those that can
        only begin with its next start."""
        ...

    def is_ending(self) -> bool:
        """Whether the whole node is being stopped."""
        ...


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = link = socket.socket(socket.AF_UNIX)
        link.settimeout(TIMEOUT_S)
        try:
            link.connect(str(self._path))
        except OSError:
            link.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        link = _UnixConnection(self._path)
        self._connection = host, link  # which `close` closes
        return link


class Supervisord:
    """supervisord(8) of `form serve`, by XML-RPC over its socket."""

    name = "supervisord"

    def __init__(self, path: Path) -> None:
        self._path = path

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(self._path)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != SHUTTING_DOWN:
                raise
            raise EngineGone(ENDING, "The node is being stopped.") from None
        except (OSError, http.client.HTTPException) as error:
            raise EngineGone(
                "supervisor-gone",
                f"supervisord does not answer ({error}). Does form serve run?",
            ) from None

    def kept(self) -> list[Kept]:
        return [
            Kept(
                item["name"],
                STATES.get(item["statename"], "failed"),
                item["pid"],
                float(item["start"]) if item["pid"] else 0.0,
                item["spawnerr"] or item["description"],
            )
            for item in self._call("getAllProcessInfo")
        ]

    def start(self, name: str) -> None:
        self._act("startProcess", name, {60})  # it runs already

    def stop(self, name: str) -> None:
        self._act("stopProcess", name, {70})  # it runs no more

    def signal(self, name: str, signal: str) -> None:
        self._act("signalProcess", name, set(), signal)

    def _act(self, method: str, name: str, fine: set[int], *more: Any) -> None:
        arguments = more if more else (False,)  # do not wait for it
        try:
            self._call(method, name, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in fine:
                return
            if fault.faultCode == 10:
                raise _unknown(name) from None
            raise Problem(
                "supervisor-refused", f"supervisord: {fault.faultString}."
            ) from None

    def enable(self, name: str, on: bool) -> None:
        """It reads the provisions itself when form serve starts."""

    def limit(self, name: str, limits: Limits) -> frozenset[str]:
        """`launch` does it at each start; here for the process that runs."""
        pid = next((kept.pid for kept in self.kept() if kept.name == name), 0)
        return bounds.hold(name, pid, limits) if pid else frozenset()

    def is_ending(self) -> bool:
        try:
            return int(self._call("getState")["statecode"]) < 0
        except EngineGone as gone:
            if gone.name != ENDING:
                raise
            return True


class Systemd:
    """systemd(1); a process is the unit formation-NAME, an engine its own."""

    name = "systemd"

    def __init__(self, units: Mapping[str, str]) -> None:
        self._units = units

    def kept(self) -> list[Kept]:
        return [self._look(name, unit) for name, unit in self._units.items()]

    def _look(self, name: str, unit: str) -> Kept:
        wanted = "LoadState,ActiveState,SubState,MainPID,ActiveEnterTimestampMonotonic"
        shown = _systemctl("show", unit, f"--property={wanted}")
        found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if found.get("LoadState") == "not-found":
            return Kept(name, "stopped", said=f"there is no unit {unit}")
        state = STATES.get(found["ActiveState"], "failed")
        began = int(found.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        pid = int(found.get("MainPID") or 0)
        since = clock.now() - clock.monotonic() + began if pid and began else 0.0
        return Kept(name, state, pid, since, found.get("SubState", ""))

    def start(self, name: str) -> None:
        wanted = self._with_sockets(name)
        _systemctl("reset-failed", *wanted, fine=True)  # or it is not even tried
        _systemctl("start", "--no-block", *wanted)

    def stop(self, name: str) -> None:
        _systemctl("stop", "--no-block", *self._with_sockets(name))

    def signal(self, name: str, signal: str) -> None:
        if signal == "TERM":  # which systemd would take for its wished end
            _systemctl("restart", "--no-block", self._unit(name))
            return
        unit = self._unit(name)
        _systemctl("kill", "--kill-whom=main", f"--signal={signal}", unit)

    def enable(self, name: str, on: bool) -> None:
        _systemctl("enable" if on else "disable", *self._with_sockets(name))

    def limit(self, name: str, limits: Limits) -> frozenset[str]:
        """By a drop-in, of which daemon-reload applies all but the limit of files."""
        unit = self._unit(name)
        file = DROP_INS / f"{unit}.d" / "60-formation-limits.conf"
        text = drop_in(limits)
        if text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        else:
            file.unlink(missing_ok=True)
        _systemctl("daemon-reload")
        family = bounds.together(self._look(name, unit).pid)
        return bounds.hold_files(family, limits.files)

    def _unit(self, name: str) -> str:
        if name not in self._units:
            raise _unknown(name)
        return self._units[name]

    def _with_sockets(self, name: str) -> list[str]:
        """Its unit, and those that would start it again when somebody calls."""
        unit = self._unit(name)
        asked = ("show", unit, "--property=TriggeredBy", "--value")
        return [*_systemctl(*asked).split(), unit]

    def is_ending(self) -> bool:
        """Where the machine is being stopped, or all units of the node."""
        try:
            if _systemctl("is-system-running", fine=True).strip() == "stopping":
                return True
            return _is_stopped(_systemctl("list-jobs", "--plain", "--no-legend"))
        except EngineGone:
            return False


def _is_stopped(jobs: str) -> bool:
    """Whether formation-jobs stops for good while its target is gone, by systemd's list
    of jobs: a restart of either is no end."""
    waits = {line.split()[1]: line.split()[2] for line in jobs.splitlines() if line}
    if waits.get("formation-jobs.service") != "stop":
        return False
    if "formation.target" in waits:
        return waits["formation.target"] == "stop"
    active = _systemctl("is-active", "formation.target", fine=True).strip()
    return active == "inactive"


def drop_in(limits: Limits) -> str:
    """The limits as systemd.resource-control(5) and systemd.exec(5) have them; empty
    where there are none."""
    wanted = {
        "CPUQuota": f"{limits.cpu_percent}%" if limits.cpu_percent else "",
        "MemoryMax": f"{limits.memory_mib}M" if limits.memory_mib else "",
        "TasksMax": str(limits.tasks or ""),
        "LimitNOFILE": str(limits.files or ""),
    }
    lines = [f"{name}={value}" for name, value in wanted.items() if value]
    return "\n".join(["[Service]", *lines, ""]) if lines else ""


def _systemctl(*arguments: str, fine: bool = False) -> str:
    done = subprocess.run(
        ["systemctl", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S * 3,
        check=False,
    )
    if done.returncode and not fine:
        raise EngineGone("systemd-refused", f"systemctl: {done.stderr.strip()[:300]}")
    return done.stdout


def _unknown(name: str) -> NotFound:
    return NotFound("process-unknown", f"No process of this node is named {name!r}.")


def current(settings: Settings, engines: Mapping[str, str]) -> Supervision:
    """supervisord where form serve runs, else systemd; `engines` are the units of
    what systemd keeps, by name."""
    path = settings.run_dir / "supervisor.sock"
    if path.exists() or not SYSTEMD.exists():
        return Supervisord(path)
    return Systemd(engines)
