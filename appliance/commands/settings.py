"""`form settings`: see and change the node's settings."""

from __future__ import annotations

import json
from typing import Any

import click

from appliance.terminal import answered, at, call, follow, plain_errors, say

SETTINGS = "/api/v1/admin/settings"
why = click.option("--why", default="", help="For the history.")


@click.group("settings")
def settings_group() -> None:
    """Settings of this node."""


@settings_group.command("list")
@click.argument("section", default="")
@click.option("--changed", is_flag=True, help="Only what is not its default.")
@plain_errors
def settings_list(section: str, changed: bool) -> None:
    """List the settings (of SECTION) with their values and where these come from."""
    for item in read()[0]["settings"]:
        name = item["name"]
        if section and name != section and not name.startswith(f"{section}."):
            continue
        if not changed or item["source"] != "default":
            value = item["value"].replace("\n", ", ") or "-"
            say(f"{name:28} {value:32} {item['variable'] or item['source']}")


@settings_group.command("get")
@click.argument("name")
@click.option("-v", "--verbose", is_flag=True, help="With all that is known of it.")
@plain_errors
def settings_get(name: str, verbose: bool) -> None:
    """Print the value of the setting NAME, as in dns.ttl."""
    from appliance.problems import NotFound

    found = [item for item in read()[0]["settings"] if item["name"] == name]
    if not found:
        raise NotFound("setting-unknown", f"There is no setting {name!r}.")
    if not verbose:
        return say(found[0]["value"])
    for key, value in found[0].items():
        say(f"{key:10} {', '.join(value) if isinstance(value, list) else value}")
    return None


@settings_group.command("set")
@click.argument("changes", metavar="NAME=VALUE...", nargs=-1, required=True)
@why
@plain_errors
def settings_set(changes: tuple[str, ...], why: str) -> None:
    """Change settings; NAME= alone goes back to the default. Lists are a,b,c."""
    found, tag = read()
    body = {"changes": wanted(changes, found), "why": why}
    follow(call("PATCH", SETTINGS, json=body, headers={"If-Match": tag})["id"])


@settings_group.command("diff")
@click.argument("changes", metavar="NAME=VALUE...", nargs=-1)
@click.option("--change", "id_", help="A change of the history instead.")
@plain_errors
def settings_diff(changes: tuple[str, ...], id_: str | None) -> None:
    """Show what a change would be, or was; nothing is changed."""
    from appliance.problems import Invalid, NotFound

    if id_:
        rows = call("GET", f"{SETTINGS}/history")["changes"]
        lines = [row["diff"] for row in rows if str(row["id"]) == id_]
        if not lines:
            raise NotFound("change-unknown", f"There is no change {id_!r}.")
        return say("\n".join(lines[0]))
    body = {"changes": wanted(changes, read()[0])}
    found = call("POST", f"{SETTINGS}/preview", json=body)
    if found["errors"]:
        said = "; ".join(f"{name}: {text}" for name, text in found["errors"].items())
        raise Invalid(said)
    say("\n".join(found["diff"]) or "Nothing differs.")
    for change in found["changes"]:
        say(f"{change['name']} {change['applies']}")
    return None


@settings_group.command("history")
@plain_errors
def settings_history() -> None:
    """List the changes, the newest first: when, who, what and why."""
    for row in call("GET", f"{SETTINGS}/history")["changes"]:
        what = "; ".join(row["changed"]) or "comments alone"
        said = f" ({row['why']})" if row["why"] else ""
        say(f"{row['id']} {row['time']} {row['account'] or '-'} {what}{said}")


@settings_group.command("rollback")
@click.argument("change")
@why
@plain_errors
def settings_rollback(change: str, why: str) -> None:
    """Make the settings what they were before CHANGE."""
    path = f"{at(f'{SETTINGS}/history', change)}/rollback"
    follow(call("POST", path, json={"why": why})["id"])


@settings_group.command("edit")
@why
@plain_errors
def settings_edit(why: str) -> None:
    """Change the file's text in your editor ($EDITOR)."""
    found, tag = read()
    text = click.edit(found["text"], extension=".toml", require_save=True)
    if text is None or text == found["text"]:
        click.echo("Nothing was changed.")
        return
    body = {"text": text, "why": why}
    follow(call("PUT", SETTINGS, json=body, headers={"If-Match": tag})["id"])


def read() -> tuple[Any, str]:
    """The settings and their state's tag."""
    with answered("GET", SETTINGS) as answer:
        answer.read()
        return answer.json(), str(answer.headers["ETag"])


def wanted(changes: tuple[str, ...], found: Any) -> dict[str, Any]:
    """What NAME=VALUE words ask for; the node says what is wrong with it."""
    from appliance.problems import Invalid

    kinds = {item["name"]: item["kind"] for item in found["settings"]}
    values: dict[str, Any] = {}
    for change in changes:
        name, sign, text = change.partition("=")
        if not sign:
            raise Invalid(f"{change!r}: write NAME=VALUE, as in dns.ttl=10.")
        values[name.strip()] = value(kinds.get(name.strip(), "text"), text.strip())
    return values


def value(kind: str, text: str) -> Any:
    """What is typed as JSON has it; where it does not fit, the text."""
    if not text:
        return None
    if kind == "list":
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in ("whole", "number", "switch"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
