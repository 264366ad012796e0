"""The same key gives the first task again, and never two."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from appliance import clock
from appliance.market import idempotency, tasks
from appliance.market.idempotency import Idempotency
from appliance.problems import Problem


def make() -> tasks.Task:
    wish = tasks.validated({"input": 1}, 60)
    return tasks.create("ann", "echo", "0.1.0", "1", wish)


def prepare() -> Callable[[], tasks.Task]:
    return make


def test_the_first_task_again(settings: object) -> None:
    first, is_new = idempotency.first("1", "k", "d", prepare)
    again, is_newer = idempotency.first("1", "k", "d", prepare)
    assert (first.id, is_new, is_newer) == (again.id, True, False)
    other, _ = idempotency.first("2", "k", "d", prepare)
    assert other.id != first.id


def test_another_body_is_refused(settings: object) -> None:
    idempotency.first("1", "k", "d", prepare)
    with pytest.raises(Problem, match="another body") as refused:
        idempotency.first("1", "k", "other", prepare)
    assert (refused.value.name, refused.value.status) == ("idempotency-conflict", 422)


def test_while_the_first_is_being_taken_the_second_is_told(settings: object) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Callable[[], tasks.Task]:
        begun.set()
        go_on.wait(10)
        return make

    first = threading.Thread(
        target=idempotency.first, args=("1", "k", "d", slowly), daemon=True
    )
    first.start()
    assert begun.wait(5)
    with pytest.raises(Problem) as refused:
        idempotency.first("1", "k", "d", prepare)
    assert (refused.value.name, refused.value.status) == ("in-progress", 409)
    go_on.set()
    first.join(10)
    _, is_new = idempotency.first("1", "k", "d", prepare)
    assert not is_new
    assert tasks.Task.select().count() == 1


def test_a_request_that_is_refused_keeps_no_key(settings: object) -> None:
    def refuse() -> Callable[[], tasks.Task]:
        raise Problem("input-invalid", "no", status=422)

    with pytest.raises(Problem, match="no"):
        idempotency.first("1", "k", "d", refuse)
    assert idempotency.first("1", "k", "other", prepare)[1]


def test_a_reservation_whose_process_died_is_taken_over(settings: object) -> None:
    row = {"caller": "1", "key": "k", "body_digest": "d", "task": ""}
    Idempotency.create(**row, created=clock.now() - 61)
    assert idempotency.first("1", "k", "d", prepare)[1]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_keys_have_a_length(settings: object, key: str) -> None:
    with pytest.raises(Problem, match="1 to 255"):
        idempotency.first("1", key, "d", prepare)
