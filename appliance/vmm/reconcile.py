"""Desired against actual state of instances; `decide` is pure."""

from __future__ import annotations

from typing import Any, Literal

from appliance import events, state
from appliance.vmm import instances, libvirt
from appliance.vmm.health import probe_health

Action = Literal["start", "stop", "probe", "lost", "none"]


def decide(desired: str, recorded: str, domain: str) -> Action:
    """What to do with an instance whose domain is running, off or absent."""
    if recorded in ("created", "booting"):
        return "none"  # a deployment is at work on it
    if desired == "running":
        if domain == "running":
            return "probe"
        return "start" if domain == "off" else "lost"
    return "stop" if domain == "running" else "none"


def reconcile() -> None:
    """One round over this node's instances."""
    known = libvirt.states()
    for record in state.select("instance"):
        body = record.body
        action = decide(body["desired"], body["state"], known.get(record.id, "absent"))
        _act(action, record.id, body)


def _act(action: Action, instance: str, body: dict[str, Any]) -> None:
    if action == "start":
        instances.boot(instance)
        _say(instance, body, "unhealthy", "it was off and is being started")
    elif action == "stop":
        instances.shutdown(instance)
        _say(instance, body, "stopped", "")
    elif action == "lost":
        _say(instance, body, "failed", "its VM is gone; delete it and deploy again")
    elif action == "probe":
        ok, why = probe_health(body["address"], body["port"], body["health_path"])
        _say(instance, body, "healthy" if ok else "unhealthy", why)


def _say(instance: str, body: dict[str, Any], new: str, reason: str) -> None:
    if body["state"] == new and (body["reason"] == reason or new == "healthy"):
        return
    current = state.find("instance", instance)
    if current is None or current.body["state"] in ("created", "booting"):
        return
    state.change("instance", instance, state=new, reason=reason)
    if body["state"] != new:
        level = "info" if new in ("healthy", "stopped") else "warning"
        text = f"{body['name']} turned {new}{': ' + reason if reason else ''}"
        events.happened(text, service="vmm-service", subject=instance, level=level)
