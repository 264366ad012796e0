"""`form run` and `form tasks`: calling agents."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from appliance.terminal import at, call, events, plain_errors, say

GOES_ON = 3


@click.command()
@click.argument("agent")
@click.option(
    "--input", "source", required=True, help="JSON, or @FILE, or - for stdin."
)
@click.option("--timeout", default=60, show_default=True, help="The deadline, seconds.")
@click.option("--stream", is_flag=True, help="Print what comes as it comes.")
@click.option("--wait", type=click.IntRange(0, 300), help="Seconds; then only its id.")
@plain_errors
def run(agent: str, source: str, timeout: int, stream: bool, wait: int | None) -> None:
    """Call AGENT (NAME or OWNER/NAME) with one task and print its output.

    Status 0: it answered. 1: it did not, and a sentence says why. 3: after --wait
    it goes on; its id is printed (form tasks show ID).
    """
    path = at("/api/v1/market/agents", *agent.split("/"), "run_task")
    wish = {"input": value_of(source), "timeout_s": timeout}
    if stream:
        return show_events(path, wish)
    prefer = {} if wait is None else {"Prefer": f"wait={wait}"}
    task = call("POST", path, json=wish, headers=prefer)
    if task["state"] != "completed":
        click.echo(task["id"])
        sys.exit(GOES_ON)
    return say(compact(task["output"]))


def value_of(source: str) -> Any:
    """The JSON of --input: itself, a file's, or that of stdin."""
    from appliance.problems import Invalid

    try:
        if source == "-":
            text = sys.stdin.read()
        elif source.startswith("@"):
            with open(source[1:], encoding="utf-8") as file:  # noqa: PTH123
                text = file.read()
        else:
            text = source
        return json.loads(text)
    except OSError as error:
        raise Invalid(f"--input: {source[1:]}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        example = 'Texts stand in double quotes: --input \'{"text": "hi"}\''
        raise Invalid(f"--input is not JSON ({error}). {example}") from None


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def show_events(path: str, wish: Any) -> None:
    """Texts of deltas as they come, then the output where none came."""
    from appliance.problems import from_document

    streamed = False
    for kind, body in events("POST", path, json=wish):
        if kind == "error":
            raise from_document(body)
        if kind == "log":
            say(body if isinstance(body, str) else compact(body), err=True)
        if kind == "delta":
            streamed = True
            say(text_of(body), end="")
        if kind == "result":
            say("" if streamed else compact(body["output"]))


def text_of(delta: Any) -> str:
    """The text of a delta, else the whole of it."""
    found = delta.get("text") if isinstance(delta, dict) else delta
    return found if isinstance(found, str) else compact(delta) + "\n"


@click.group()
def tasks() -> None:
    """Tasks that were given to agents."""


@tasks.command("list")
@click.option("--agent", default="", help="Of one agent: NAME or OWNER/NAME.")
@click.option("--state", default="", help="In one state: submitted, working, …")
@click.option("--caller", default="", help="Given by this account.")
@click.option("--all", "everybody", is_flag=True, help="Of all that you may see.")
@plain_errors
def tasks_list(agent: str, state: str, caller: str, everybody: bool) -> None:
    """The newest first: yours, or with --caller or --all those of others."""
    query = {"agent": agent, "state": state, "caller": caller}
    query["all"] = "1" if everybody else "0"
    for task in call("GET", "/api/v1/market/tasks", params=query)["tasks"]:
        name = f"{task['agent']['owner']}/{task['agent']['name']}"
        why = task["error"]["detail"] if task["error"] else ""
        say(
            f"{task['id']} {task['state']:10} {task['created']} {name} "
            f"{task['caller']} {why}".rstrip()
        )


@tasks.command("show")
@click.argument("task")
@click.option("--wait", type=click.IntRange(0, 300), default=0, help="Seconds.")
@plain_errors
def tasks_show(task: str, wait: int) -> None:
    """The whole of TASK, as JSON."""
    found = call("GET", at("/api/v1/market/tasks", task), params={"wait": wait})
    say(json.dumps(found, ensure_ascii=False, indent=2))


@tasks.command("cancel")
@click.argument("task")
@plain_errors
def tasks_cancel(task: str) -> None:
    """End TASK, if it has not ended."""
    found = call("POST", at("/api/v1/market/tasks", task, "cancel"))
    click.echo(f"{task} {found['state']}")
