"""What every command of `form` uses: plain errors, calls to the node, its words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def plain_errors(command: Command) -> Command:
    """What goes wrong becomes one sentence on stderr and status 1; Ctrl-C is 130."""

    @wraps(command)
    def guarded(*arguments: Any, **named: Any) -> Any:
        from appliance.plain import harmless

        try:
            return command(*arguments, **named)
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:  # who read it has enough: click ends quietly
            raise
        except Exception as error:
            text = sentence(error)
            if text is None:
                raise
            raise click.ClickException(harmless(text)) from None

    return guarded  # type: ignore[return-value]


def sentence(error: Exception) -> str | None:
    """What a person is told of an error; None where it is a defect of ours."""
    from appliance.problems import Problem, is_disk_full

    if isinstance(error, Problem):
        return f"{error.title}: {error.detail}"
    if is_disk_full(error):
        return "The disk is full; form storage shows what takes it."
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = " Try it as root." if isinstance(error, PermissionError) else ""
        return f"{where}{error.strerror or error}.{hint}"
    return of_database(error) or of_settings(error)


def of_database(error: Exception) -> str | None:
    from peewee import DatabaseError

    if not isinstance(error, DatabaseError):
        return None
    return (
        f"The node's database cannot be used now ({error}); nothing was changed. If it "
        "is locked, another program has it: try again when that has ended."
    )


def of_settings(error: Exception) -> str | None:
    """A setting that is wrong, in the file or the environment."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return None
    wrong = (
        f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
    )
    return f"The settings are wrong: {'; '.join(wrong)}."


def say(text: str, err: bool = False, end: str = "\n") -> None:
    """Print what may come from a guest: no escape sequence reaches the terminal."""
    from appliance.plain import harmless

    click.echo(harmless(text) + end, nl=False, err=err)


def at(root: str, *names: str) -> str:
    """The address below `root` of what a person names so, whatever is in the names."""
    from urllib.parse import quote

    from appliance.problems import Invalid

    for name in names:
        if name in ("", ".", ".."):
            raise Invalid(f"{name!r} is the name of nothing.")
    return "/".join((root, *(quote(name, safe="") for name in names)))


@contextmanager
def answered(method: str, path: str, **arguments: Any) -> Iterator[Any]:
    """The node's answer over the CLI socket; a problem document becomes a Problem."""
    import httpx

    from appliance.admin import serving
    from appliance.config import usable
    from appliance.problems import Problem, Unavailable, from_document

    config = usable()
    socket = config.run_dir / "cli.sock"
    serving.wait_while_starting(config, socket.name)
    serving.wait_while_beginning(config, path, partial(say, err=True))
    transport = httpx.HTTPTransport(uds=str(socket))
    try:
        with (
            httpx.Client(transport=transport, timeout=3700) as client,
            client.stream(method, f"http://localhost{path}", **arguments) as answer,
        ):
            if answer.status_code >= 400:
                answer.read()
                raise from_document(document_of(answer))
            yield answer
    except httpx.InvalidURL as error:
        raise Problem(
            "name-invalid", f"No such name can be asked for: {error}"
        ) from None
    except httpx.TransportError as error:
        raise Unavailable(
            "node-unavailable", f"{socket}: {error}. Does form serve run?"
        ) from None


def document_of(answer: Any) -> Any:
    from appliance.problems import Problem

    try:
        return answer.json()
    except ValueError:
        text = f"The node answered {answer.status_code} without JSON."
        raise Problem("node-nonsense", text) from None


def call(method: str, path: str, **arguments: Any) -> Any:
    """Ask the node and return its document."""
    with answered(method, path, **arguments) as answer:
        answer.read()
        return document_of(answer)


def events(method: str, path: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
    """(kind, body) of a stream as they come."""
    import json

    headers, kind = {"Accept": "text/event-stream"}, ""
    with answered(method, path, headers=headers, **arguments) as answer:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


def follow(id_: str) -> None:
    """Print an operation's steps and log until it ends; its failure is ours."""
    from threading import Event

    from appliance.problems import from_document

    shown: dict[str, str] = {}
    pause, seen, operation = Event(), 0, at("/api/v1/operations", id_)
    try:
        while True:
            found = patiently("GET", operation)
            path = f"{operation}/log?after={seen}"
            for row in patiently("GET", path)["lines"]:
                seen = row["id"]
                say(f"    {row['line']}")
            for step in found["steps"]:
                if shown.get(step["name"], "todo") != step["state"]:
                    shown[step["name"]] = step["state"]
                    click.echo(f"{step['title']}: {step['state']}")
            if found["state"] not in ("queued", "working"):
                break
            pause.wait(0.2)
    except KeyboardInterrupt:
        click.echo(f"\nIt goes on by itself. Look: form operations show {id_}")
        click.echo(f"End it: form operations cancel {id_}")
        sys.exit(130)
    if found["error"]:
        raise from_document(found["error"])
    for key, value in found["result"].items():
        click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def patiently(method: str, path: str) -> Any:
    """`call`, again for half a minute while formation-web restarts."""
    from threading import Event

    from appliance.problems import Unavailable

    for _ in range(60):
        try:
            return call(method, path)
        except Unavailable:
            Event().wait(0.5)
    return call(method, path)
