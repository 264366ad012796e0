"""One rendering per change for all who look, and nothing left when they have gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from appliance.problems import NotFound, Problem, Unavailable
from blueprints.broadcast import Broadcast, Update

WAIT_S = 10.0


class View:
    """A view that counts how often it was rendered."""

    def __init__(self) -> None:
        self.marker = 0
        self.html = {"a": "1", "b": "1"}
        self.rendered = 0
        self.error: Exception | None = None

    def render(self) -> Update:
        self.rendered += 1
        if self.error is not None:
            raise self.error
        return Update(dict(self.html))

    def change(self, **html: str) -> None:
        self.html |= html
        self.marker += 1


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def broadcast(view: View, ended: threading.Event) -> Iterator[Broadcast]:
    made = Broadcast(lambda: view.marker, most=3, done=ended.set)
    yield made
    assert made.viewers() == 0
    assert ended.wait(WAIT_S), "the rendering thread outlives its viewers"


def test_the_first_update_has_all_and_the_next_only_what_changed(
    broadcast: Broadcast, view: View
) -> None:
    with broadcast.join("view", view.render) as viewer:
        first = viewer.next(WAIT_S)
        assert first is not None
        assert first.fragments == {"a": "1", "b": "1"}
        view.change(b="2")
        second = viewer.next(WAIT_S)
        assert second is not None
        assert second.fragments == {"b": "2"}


def test_many_viewers_cost_one_rendering_a_change(
    broadcast: Broadcast, view: View
) -> None:
    viewers = [broadcast.join("view", view.render) for _ in range(3)]
    for viewer in viewers:
        assert viewer.next(WAIT_S)
    view.change(a="2")
    for viewer in viewers:
        assert viewer.next(WAIT_S)
    assert view.rendered == 2
    for viewer in viewers:
        viewer.close()


def test_who_joins_later_gets_all_without_a_rendering(
    broadcast: Broadcast, view: View
) -> None:
    with broadcast.join("view", view.render) as early:
        assert early.next(WAIT_S)
        with broadcast.join("view", view.render) as late:
            found = late.next(WAIT_S)
            assert found is not None
            assert found.fragments == view.html
    assert view.rendered == 1


def test_a_rendering_that_looks_the_same_is_not_sent(
    broadcast: Broadcast, view: View
) -> None:
    with broadcast.join("view", view.render) as viewer:
        assert viewer.next(WAIT_S)
        view.change(a="1")
        view.change(b="2")
        found = viewer.next(WAIT_S)
        assert found is not None
        assert found.fragments == {"b": "2"}
        assert viewer.next(0.01) is None


def test_audiences_are_rendered_apart(broadcast: Broadcast, view: View) -> None:
    other = View()
    other.html = {"a": "theirs"}
    with (
        broadcast.join("operators", view.render) as one,
        broadcast.join("dev", other.render) as two,
    ):
        first, second = one.next(WAIT_S), two.next(WAIT_S)
        assert first is not None
        assert second is not None
        assert (first.fragments["a"], second.fragments["a"]) == ("1", "theirs")


def test_viewers_are_bounded_and_their_places_come_free(
    broadcast: Broadcast, view: View
) -> None:
    viewers = [broadcast.join(number, view.render) for number in range(3)]
    with pytest.raises(Unavailable):
        broadcast.join("one more", view.render)
    viewers.pop().close()
    viewers.append(broadcast.join("one more", view.render))
    for viewer in viewers:
        viewer.close()


@pytest.mark.parametrize("error", [NotFound("gone", "x"), ValueError("a bug")])
def test_what_is_gone_or_broken_ends_for_its_viewers_alone(
    broadcast: Broadcast, view: View, error: Exception
) -> None:
    broken = View()
    broken.error = error
    with (
        broadcast.join("view", view.render) as well,
        broadcast.join("broken", broken.render) as ill,
    ):
        assert ill.next(WAIT_S) is None
        assert ill.ended
        assert well.next(WAIT_S)
        assert not well.ended


def test_trouble_that_passes_is_waited_for(broadcast: Broadcast, view: View) -> None:
    view.error = Problem("busy", "the database is locked")
    with broadcast.join("view", view.render) as viewer:
        until(lambda: view.rendered > 1)
        view.error = None
        assert viewer.next(WAIT_S)


def until(found: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(WAIT_S * 100)):
        if found():
            return
        pause.wait(0.01)
    pytest.fail("not in time")
