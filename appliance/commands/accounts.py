"""`form account`, `form token`, `form audit`, `form admin`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from appliance.terminal import answered, at, call, follow, plain_errors

ACCOUNTS = "/api/v1/admin/accounts"
TOKENS = "/api/v1/admin/tokens"


@click.group()
def account() -> None:
    """Accounts of this node."""


@account.command("list")
@plain_errors
def account_list() -> None:
    """List the accounts with their roles."""
    for item in call("GET", ACCOUNTS)["accounts"]:
        state = "" if item["has_password"] else "no password yet"
        state = "disabled" if item["disabled"] else state
        click.echo(f"{item['name']:24} {', '.join(item['roles']):24} {state}".rstrip())


@account.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="May be repeated.")
@click.option("--password", is_flag=True, help="Ask for a password; else a link.")
@click.option(
    "--agent",
    "agents",
    multiple=True,
    metavar="OWNER/NAME=RIGHT",
    help="A right that it begins with: call, view, manage. May be repeated.",
)
@plain_errors
def account_create(
    name: str, roles: tuple[str, ...], password: bool, agents: tuple[str, ...]
) -> None:
    """Create the account NAME: operator, developer, user, auditor."""
    body: dict[str, Any] = {"name": name, "roles": list(roles)}
    body["agents"] = dict(pair(text) for text in agents)
    if password:
        body["password"] = ask("Password")
    found = call("POST", ACCOUNTS, json=body)
    click.echo(f"{found['name']} is created.")
    say_link(found)


@account.command("roles")
@click.argument("name")
@click.argument("roles", nargs=-1, required=True)
@plain_errors
def account_roles(name: str, roles: tuple[str, ...]) -> None:
    """Give NAME these ROLES and no others."""
    found = call("PATCH", at(ACCOUNTS, name), json={"roles": list(roles)})
    click.echo(f"{name}: {', '.join(found['roles'])}")


@account.command("disable")
@click.argument("name")
@plain_errors
def account_disable(name: str) -> None:
    """Refuse the sessions, tokens and operations of NAME."""
    call("PATCH", at(ACCOUNTS, name), json={"disabled": True})
    click.echo(f"{name} is disabled; its instances go on.")


@account.command("enable")
@click.argument("name")
@plain_errors
def account_enable(name: str) -> None:
    """Let NAME in again."""
    call("PATCH", at(ACCOUNTS, name), json={"disabled": False})
    click.echo(f"{name} is enabled.")


@account.command("password")
@click.argument("name")
@plain_errors
def account_password(name: str) -> None:
    """Take the password of NAME away, for a link that sets a new one."""
    say_link(call("POST", at(ACCOUNTS, name, "password")))


@account.command("reset-second-factor")
@click.argument("name")
@plain_errors
def account_reset_second_factor(name: str) -> None:
    """Let NAME log in by the password alone, until a new authenticator is set up."""
    call("DELETE", at(ACCOUNTS, name, "second-factor"))
    click.echo(f"{name} has no second factor any more; its sessions have ended.")


@account.command("release")
@click.argument("name")
@plain_errors
def account_release(name: str) -> None:
    """Forget the failed log-ins of NAME, so that it may try again."""
    call("DELETE", at(ACCOUNTS, name, "lock"))
    click.echo(f"{name} may try again.")


@account.command("reset")
@click.argument("name")
@click.option("--password", is_flag=True, help="Ask for a password; else a link.")
@plain_errors
def account_reset(name: str, password: bool) -> None:
    """Take password and second factor of NAME away; as root, also while the node is
    down."""
    from appliance import clock, schema
    from appliance.admin import invitations, recovery
    from appliance.config import settings

    schema.open_all(settings())
    token = recovery.reset(name, ask("Password") if password else "")
    click.echo(f"{name} has no second factor any more; its sessions have ended.")
    if token:
        expires = clock.rfc3339(clock.now() + invitations.HOURS * 3600)
        say_link({"set_password": f"/password/{token}", "expires": expires})


@account.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors
def account_delete(name: str, yes: bool) -> None:
    """Delete NAME; its agents and instances go on."""
    left = call("GET", at(ACCOUNTS, name))["owns"]
    if left["agent"] or left["instance"]:
        click.echo(
            f"{name} owns {left['agent']} agents and {left['instance']} instances. "
            "They go on, and only operators can change them."
        )
    if not yes:
        click.confirm(f"Delete {name}?", abort=True)
    call("DELETE", at(ACCOUNTS, name))
    click.echo(f"{name} is deleted.")


def pair(text: str) -> tuple[str, str]:
    """`OWNER/NAME=RIGHT` as its two parts."""
    agent, _, right = text.partition("=")
    return agent, right


@account.command("export")
@click.argument("name")
@click.option(
    "--to", "path", type=click.Path(path_type=Path), help="The file; else NAME.zip."
)
@plain_errors
def account_export(name: str, path: Path | None) -> None:
    """Save all that is kept about NAME as JSON in a ZIP file, for its eyes alone."""
    import os

    path = path or Path(f"{name}.zip")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with (
        answered("GET", at(ACCOUNTS, name, "export")) as answer,
        os.fdopen(os.open(path, flags, 0o600), "wb") as file,
    ):
        for piece in answer.iter_bytes():
            file.write(piece)
    click.echo(f"{path} has all that is kept about {name}.")


@account.command("erase")
@click.argument("name")
@click.option("--hand-over-to", "heir", default="", help="Whose its agents become.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors
def account_erase(name: str, heir: str, yes: bool) -> None:
    """Erase NAME: its agents are deleted or handed over, nothing names it any more."""
    found = call("GET", at(ACCOUNTS, name, "erasure"))
    fate = f"go to {heir}" if heir else "are deleted with their volumes"
    for agent in found["agents"]:
        click.echo(f"{agent}")
    click.echo(f"{len(found['agents'])} agents {fate}; {found['tasks']} tasks stay.")
    if not yes:
        click.confirm(f"Erase {name}? This cannot be undone.", abort=True)
    body = {"confirm": name, "hand_over_to": heir}
    follow(call("POST", at(ACCOUNTS, name, "erasure"), json=body)["id"])


def say_link(found: dict[str, Any]) -> None:
    """The path of a link that sets a password, shown this once."""
    if "set_password" in found:
        click.echo("Open this at the node's address to set the password, once, before")
        click.echo(f"{found['expires']}: {found['set_password']}")


def ask(what: str) -> str:
    """Twice at a terminal, else a line of stdin; never an argument."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


@click.group()
def token() -> None:
    """API tokens of the operator that the command line acts as."""


@token.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="May be repeated."
)
@click.option("--days", type=int, help="Until it ends; else never.")
@plain_errors
def token_create(name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token and print it, this once. Scopes: read, tasks, deploy, admin."""
    body = {"name": name, "scopes": list(scopes), "days": days}
    click.echo(call("POST", TOKENS, json=body)["token"])


@token.command("list")
@plain_errors
def token_list() -> None:
    """List the tokens: what they may, when they end and were last used."""
    for item in call("GET", TOKENS)["tokens"]:
        click.echo(
            f"{item['id']} {item['name']:20} {', '.join(item['scopes']):16} "
            f"ends {item['expires'] or 'never'}, used {item['used'] or 'never'}"
        )


@token.command("revoke")
@click.argument("id_", metavar="ID")
@plain_errors
def token_revoke(id_: str) -> None:
    """End the token ID."""
    call("DELETE", at(TOKENS, id_))
    click.echo("It is revoked.")


@click.group(invoke_without_command=True)
@click.option("--account", "name", default="", help="Only what this account did.")
@click.option("--text", default="", help="Only lines that hold this.")
@click.option("--outcome", default="", help="done, refused, throttled or failed.")
@click.option("--from", "since", default="", help="From this day, 2026-01-31.")
@click.option("--to", "until", default="", help="To the end of this day.")
@click.option("-n", "--lines", default=50, show_default=True)
@click.pass_context
@plain_errors
def audit(context: click.Context, /, lines: int, **wish: str) -> None:
    """Print who changed what and what was refused, the newest first."""
    if context.invoked_subcommand is not None:
        return
    named = {"name": "account", "since": "from", "until": "to"}
    wanted = {named.get(key, key): value for key, value in wish.items()}
    wanted["limit"] = str(lines)
    for row in call("GET", "/api/v1/admin/audit", params=wanted)["rows"]:
        who = f"{row['account'] or '-'} {row['address']}"
        click.echo(
            f"{row['time']} {who} {row['action']} {row['subject']} {row['outcome']}"
        )


@audit.command("verify")
@plain_errors
def audit_verify() -> None:
    """Check that no row was changed, taken out or put in; status 1 when one was."""
    found = call("GET", "/api/v1/admin/audit/verification")
    for fault in found["faults"]:
        click.echo(fault, err=True)
    upto = (
        f"signed up to row {found['signed']['last']}" if found["signed"] else "unsigned"
    )
    verdict = "not whole" if found["faults"] else "whole"
    click.echo(f"{found['rows']} rows, {upto}: the log is {verdict}")
    sys.exit(1 if found["faults"] else 0)


@click.group()
def admin() -> None:
    """The node itself."""


@admin.command("seal-keys")
@click.option(
    "--from",
    "old",
    type=click.Path(path_type=Path),
    help="File with the pass phrase that they are sealed by now.",
)
@plain_errors
def seal_keys(old: Path | None) -> None:
    """Seal the node's keys anew by the pass phrase of node.passphrase_file.

    Without that setting they are written unsealed. Stop the node first.
    """
    from appliance import identity
    from appliance.admin.serving import is_running
    from appliance.config import settings
    from appliance.problems import Conflict

    config = settings()
    if is_running(config):
        raise Conflict(
            "node-runs",
            "Stop the node first (systemctl stop formation.target, or Ctrl-C of form "
            "serve): it holds the keys.",
        )
    done = identity.reseal(config, identity.read_passphrase(old) if old else None)
    how = "sealed" if identity.passphrase(config) else "not sealed"
    click.echo(f"Keys that are {how} now: {done}.")
