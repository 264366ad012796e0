"""Agents' cards (`GET /agent`): fetched once an instance, bounded, not trusted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from appliance import clock, state
from appliance.call import Broken, Call, NotHttp, TooLarge
from appliance.market.answers import parsed
from appliance.problems import Problem

FETCH_S = 5.0
AGAIN_S = 30.0
BYTES = 256 * 1024
MOST = 512


@dataclass(frozen=True)
class Card:
    """`members` is empty, and `problem` says why, where there is no card."""

    members: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    fetched: float = 0.0

    @property
    def streaming(self) -> bool:
        return self.members.get("streaming") is True

    @property
    def repeatable(self) -> bool:
        return self.members.get("repeatable") is True

    def serves(self, now: float) -> bool:
        """Whether it counts still; a failure is looked at again after a while."""
        return not self.problem or now - self.fetched < AGAIN_S


class Cards:
    """The last ones, by instance; an instance is of one version for its life."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Card] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, instance: state.Record) -> Card:
        """The instance's card, or that of one of the same version."""
        keys = instance.id, f"{instance.body['agent']}@{instance.body['version']}"
        known = self._find(keys[0])
        if known is None or not known.serves(clock.now()):
            known = fetch(instance)
            self._keep(keys[0], known)
            if not known.problem:
                self._keep(keys[1], known)
        if known.problem:
            return self._find(keys[1]) or known
        return known

    def _find(self, key: str) -> Card | None:
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def _keep(self, key: str, card: Card) -> None:
        with self._lock:
            self._known[key] = card
            while len(self._known) > MOST:
                self._known.popitem(last=False)


def fetch(instance: state.Record) -> Card:
    """Ask the instance for its card; whatever it answers, this returns."""
    now = clock.now()
    where = instance.body["address"], instance.body["port"]
    try:
        with Call(*where, now + FETCH_S, BYTES) as call:
            answer = call.send("GET", "/agent")
            if answer.status != 200:
                return Card({}, f"GET /agent answers {answer.status}", now)
            members = parsed(b"".join(call.chunks(answer)))
    except TimeoutError:
        return Card({}, f"GET /agent does not answer within {FETCH_S:g} s", now)
    except TooLarge:
        return Card({}, f"GET /agent has more than {BYTES >> 10} KiB", now)
    except (Broken, NotHttp) as error:
        return Card({}, f"GET /agent: {error}", now)
    except Problem:
        return Card({}, "GET /agent is not JSON", now)
    if not isinstance(members, dict):
        return Card({}, "GET /agent is not a JSON object", now)
    return Card(members, "", now)
