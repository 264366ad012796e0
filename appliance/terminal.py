"""What every command of `form` uses: plain errors, and calls to the node."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def plain_errors(command: Command) -> Command:
    """A Problem becomes one sentence on stderr and status 1."""

    @wraps(command)
    def guarded(*arguments: Any, **named: Any) -> Any:
        from appliance.problems import Problem

        try:
            return command(*arguments, **named)
        except Problem as problem:
            raise click.ClickException(f"{problem.title}: {problem.detail}") from None

    return guarded  # type: ignore[return-value]


def call(method: str, path: str, **arguments: Any) -> Any:
    """Ask the node over the CLI socket; a problem document becomes a Problem."""
    import httpx

    from appliance.admin.serving import wait_while_starting
    from appliance.config import settings
    from appliance.problems import Problem, Unavailable, from_document

    socket = settings().run_dir / "cli.sock"
    wait_while_starting(settings(), socket.name)
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), timeout=3700
        ) as client:
            answer = client.request(method, f"http://node{path}", **arguments)
            answer.read()
    except httpx.TransportError as error:
        raise Unavailable(
            "node-unavailable", f"{socket}: {error}. Does form serve run?"
        ) from None
    try:
        document = answer.json()
    except ValueError:
        text = f"The node answered {answer.status_code} without JSON."
        raise Problem("node-nonsense", text) from None
    if answer.status_code >= 400:
        raise from_document(document)
    return document
