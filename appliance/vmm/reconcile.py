"""Desired against actual state of instances; `decide` and `Backoff` are pure."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from appliance import clock, events, operations, state
from appliance.problems import Problem
from appliance.vmm import instances, libvirt
from appliance.vmm.health import probe_health

Action = Literal["start", "stop", "probe", "lost", "delete", "none"]
LONGEST_S = 60.0
WORKERS = 8
FAILURES = 3


def decide(desired: str, domain: str, attended: bool) -> Action:
    """What to do with an instance whose domain is running, off or absent;
    `attended` says that an operation is at work on it."""
    if attended:
        return "none"
    if desired == "deleted":
        return "delete"
    if desired == "running":
        if domain == "running":
            return "probe"
        return "start" if domain == "off" else "lost"
    return "stop" if domain == "running" else "none"


@dataclass
class Backoff:
    """Pauses between the starts of a guest that keeps ending: 1, 2, 4 … 60 s."""

    starts: int = 0
    not_before: float = 0.0

    def started(self, now: float) -> None:
        self.not_before = now + min(LONGEST_S, 2.0**self.starts)
        self.starts += 1

    def healthy(self, now: float) -> None:
        if now > self.not_before + LONGEST_S:
            self.starts = 0


class Reconciler:
    """Makes actual what is desired. What takes long runs beside the round, one
    act an instance at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="reconcile")
        self._acts: dict[str, Future[None]] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._failures: Counter[str] = Counter()

    def round(self) -> str:
        """Look at every instance; returns what went wrong since the last round."""
        trouble = self._collect()
        known = libvirt.states()
        live = operations.recent(limit=1000, live=True)
        attended = {row.id for row in live} | {row.subject for row in live}
        for record in state.select("instance"):
            if record.id in self._acts:
                continue
            action = decide(
                record.body["desired"],
                known.get(record.id, "absent"),
                record.id in attended,
            )
            if action != "none":
                self._acts[record.id] = self._pool.submit(self._act, action, record)
        return trouble

    def stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self) -> str:
        trouble = ""
        for instance in [i for i, act in self._acts.items() if act.done()]:
            error = self._acts.pop(instance).exception()
            if isinstance(error, Problem):
                trouble = f"{instance}: {error}"
            elif error is not None:
                raise error
        return trouble

    def _act(self, action: Action, record: state.Record) -> None:
        instance, body = record.id, record.body
        instances.tend_console(instance)
        backoff = self._backoffs.setdefault(instance, Backoff())
        if action == "start":
            self._start(instance, body, backoff)
        elif action == "stop":
            instances.shutdown(instance)
            _say(instance, body, "stopped", "")
        elif action == "lost":
            _say(instance, body, "failed", "its VM is gone; delete it and deploy again")
        elif action == "delete":
            instances.shutdown(instance)
            instances.delete(instance)
            instances.forget(instance)
            del self._backoffs[instance]
        else:
            self._probe(instance, body, backoff)

    def _probe(self, instance: str, body: dict[str, Any], backoff: Backoff) -> None:
        """A healthy instance turns unhealthy after FAILURES probes in a row, so that
        one slow answer does not take its name away."""
        _note_guest_agent(instance, body)
        ok, why = probe_health(body["address"], body["port"], body["health_path"])
        if ok:
            del self._failures[instance]
            backoff.healthy(clock.now())
            _say(instance, body, "healthy", "")
            return
        self._failures[instance] += 1
        if body["state"] != "healthy" or self._failures[instance] >= FAILURES:
            _say(instance, body, "unhealthy", why)

    def _start(self, instance: str, body: dict[str, Any], backoff: Backoff) -> None:
        if clock.now() < backoff.not_before:
            return
        again = f" (start {backoff.starts + 1})" if backoff.starts else ""
        _say(instance, body, "unhealthy", f"it was off and is being started{again}")
        backoff.started(clock.now())
        instances.boot(instance)


def _note_guest_agent(instance: str, body: dict[str, Any]) -> None:
    answers = libvirt.guest_agent_answers(instance)
    if body.get("guest_agent") != answers:
        state.change("instance", instance, guest_agent=answers)


def _say(instance: str, body: dict[str, Any], new: str, reason: str) -> None:
    if body["state"] == new and (body["reason"] == reason or new == "healthy"):
        return
    if state.find("instance", instance) is None:
        return
    state.change("instance", instance, state=new, reason=reason)
    if body["state"] != new:
        level = "info" if new in ("healthy", "stopped") else "warning"
        text = f"{body['name']} turned {new}{': ' + reason if reason else ''}"
        events.happened(text, service="vmm-service", subject=instance, level=level)
