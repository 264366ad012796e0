"""What many people look at is rendered once per change, and sent to all of them.

A channel is one view for one audience. A single thread renders the channels that
somebody looks at whenever the node's databases or services' states changed; it ends
with the last viewer. Nothing here knows HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from peewee import PeeweeException

from appliance.problems import Problem, Unavailable

log = structlog.get_logger()
LOOK_S = 0.5
MOST = 64


@dataclass(frozen=True)
class Update:
    """HTML by the id of its element, and the last points of charts by subject."""

    fragments: Mapping[str, str]
    points: Mapping[str, Mapping[str, tuple[int, float]]] = field(default_factory=dict)

    def since(self, before: Update | None) -> Update:
        """What differs from `before`."""
        if before is None:
            return self
        fragments = {
            name: html
            for name, html in self.fragments.items()
            if before.fragments.get(name) != html
        }
        points = self.points if self.points != before.points else {}
        return Update(fragments, points)

    def __bool__(self) -> bool:
        return bool(self.fragments or self.points)


def is_final(error: Exception) -> bool:
    """Whether there is nothing more to see: it is gone, or no longer for these eyes."""
    return isinstance(error, Problem) and error.status in (403, 404)


@dataclass
class Channel:
    """`looks` is its own marker of changes, where the common one is not enough."""

    render: Callable[[], Update]
    looks: Callable[[], object] = int
    viewers: int = 0
    update: Update | None = None
    marker: object = None
    ended: bool = False


class Broadcast:
    """`marker` gives a value that differs when something may have changed; `done` is
    called by the rendering thread at its end."""

    def __init__(
        self,
        marker: Callable[[], object],
        most: int = MOST,
        done: Callable[[], object] = int,
    ) -> None:
        self._marker = marker
        self._most = most
        self._done = done
        self._joined = False
        self._channels: dict[Hashable, Channel] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def join(
        self,
        key: Hashable,
        render: Callable[[], Update],
        looks: Callable[[], object] = int,
    ) -> Viewer:
        """Look at a channel; raises Unavailable when too many look already."""
        with self._changed:
            if self.viewers() >= self._most:
                raise Unavailable(
                    "too-many-viewers",
                    f"{self._most} pages are followed live already; this one asks "
                    "from time to time instead.",
                    retry_after=60,
                )
            channel = self._channels.setdefault(key, Channel(render, looks))
            channel.viewers += 1
            self._joined = True
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._turn, name="broadcast", daemon=True
                )
                self._thread.start()
        return Viewer(self, key, channel)

    def viewers(self) -> int:
        return sum(channel.viewers for channel in self._channels.values())

    def leave(self, key: Hashable, channel: Channel) -> None:
        with self._changed:
            channel.viewers -= 1
            if not channel.viewers and self._channels.get(key) is channel:
                del self._channels[key]
            self._changed.notify_all()

    def wait(
        self, channel: Channel, seen: Update | None, seconds: float
    ) -> Update | None:
        """The channel's update once it is another than `seen`, else None."""
        with self._changed:
            self._changed.wait_for(
                lambda: channel.ended or channel.update is not seen, seconds
            )
            return channel.update

    def _turn(self) -> None:
        while channels := self._watched():
            for key, channel in channels:
                self._refresh(key, channel)
            with self._changed:
                self._changed.wait_for(lambda: self._joined, LOOK_S)
        self._done()

    def _watched(self) -> list[tuple[Hashable, Channel]]:
        with self._changed:
            self._joined = False
            if not self._channels:
                self._thread = None
            return list(self._channels.items())

    def _refresh(self, key: Hashable, channel: Channel) -> None:
        try:
            marker = self._marker(), channel.looks()
            if channel.ended or marker == channel.marker:
                return
            update: Update | None = channel.render()
            channel.marker = marker
        except (Problem, PeeweeException, OSError) as error:
            log.info("broadcast.late", channel=str(key), why=str(error))
            if not is_final(error):
                return
            update = None
        except Exception:  # noqa: BLE001 - one view's bug must not end the others
            log.exception("broadcast.bug", channel=str(key))
            update = None
        with self._changed:
            if update is None:
                channel.ended = True
                self._channels.pop(key, None)
            elif update != channel.update:
                channel.update = update
            self._changed.notify_all()


class Viewer:
    """One who looks at a channel; close it in the end."""

    def __init__(self, owner: Broadcast, key: Hashable, channel: Channel) -> None:
        self._owner, self._key, self._channel = owner, key, channel
        self._seen: Update | None = None

    @property
    def ended(self) -> bool:
        """Whether what is looked at is no more."""
        return self._channel.ended

    def next(self, seconds: float) -> Update | None:
        """What changed since the last call; None after `seconds` without any."""
        found = self._owner.wait(self._channel, self._seen, seconds)
        if found is None or found is self._seen:
            return None
        news, self._seen = found.since(self._seen), found
        return news

    def close(self) -> None:
        self._owner.leave(self._key, self._channel)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
