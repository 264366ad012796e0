"""Acts that are asked about first: a page that says what will be missing, and the way
to the operation, or the sentence why not. Works without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, redirect, render_template

from appliance.problems import Problem


def asked(what: str, name: str, verb: str, title: str, without: str) -> str:
    return _page(what, name, verb, title, without, "")


def told(what: str, name: str, verb: str, submit: Callable[[], str]) -> Any:
    try:
        return follow(submit())
    except Problem as problem:
        answer = Response(_page(what, name, verb, name, "", problem.detail))
        answer.status_code = problem.status
        return answer


def follow(operation: str) -> Any:
    return redirect(f"/operations/{operation}", 303)


def _page(what: str, name: str, verb: str, title: str, without: str, error: str) -> str:
    return render_template(
        "services/confirm.html",
        what=what,
        name=name,
        verb=verb,
        title=title,
        without=without,
        error=error,
    )
