"""Every command of `form`: help, and bad input or no node, without a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from appliance import cli, terminal
from appliance.admin.support import parts
from appliance.cli import main
from appliance.config import Settings
from tests.commands.test_commands import agent as agent  # noqa: PLC0414
from tests.market.agents import Agent

BAD = ("no-such", "a/b/c/d", "-1", "ä ö\n\x07?#%", "")


def commands(
    group: click.Group = main, *before: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """(words, command) of every command and group."""
    for name, command in sorted(group.commands.items()):
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


ALL = {" ".join(words): command for words, command in commands()}
LEAVES = {
    name: command
    for name, command in ALL.items()
    if not isinstance(command, click.Group) and name != "serve"
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing runs operations here, and no command becomes another program; what one
    writes into its folder goes with the test, a bundle holds little, and an editor
    leaves the text as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(parts, "PARTS", {"services.json": parts.states})

    def become(*of: object) -> None:
        raise click.ClickException("that is not done here")

    monkeypatch.setattr(terminal, "patiently", become)
    monkeypatch.setattr(cli, "make_base", become)

    for name in ("execv", "execvp"):
        monkeypatch.setattr(os, name, become)


def wishes(command: click.Command, value: str) -> Iterator[list[str]]:
    """The command with this value for every argument, and so for each option."""
    arguments = [value for p in command.params if isinstance(p, click.Argument)]
    needed: list[str] = []
    for p in command.params:
        if isinstance(p, click.Option) and p.required:
            needed += [p.opts[-1], value]
    yield [*needed, "--", *arguments]
    for p in command.params:
        if isinstance(p, click.Option):
            given = [p.opts[-1]] if p.is_flag else [f"{p.opts[0]}", value]
            if p.opts[0] not in ("-f",):
                yield [*needed, *given, "--", *arguments]


def must_be_a_sentence(done: Result) -> None:
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(
        done.exception
    )
    assert "Traceback" not in done.output
    if done.exit_code:
        assert done.output.strip()


@pytest.mark.parametrize("name", ALL)
def test_help_says_what_a_command_does(name: str) -> None:
    done = CliRunner().invoke(main, [*name.split(), "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 2
    assert ALL[name].help or ALL[name].short_help


@pytest.mark.parametrize("name", ALL)
def test_an_option_that_is_none_is_refused(name: str) -> None:
    done = CliRunner().invoke(main, [*name.split(), "--nonsense"])
    assert done.exit_code == 2
    assert "No such option" in done.output


@pytest.mark.parametrize("name", LEAVES)
def test_without_a_node_every_command_ends_with_a_sentence(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("No such file or directory")

    nowhere = httpx.MockTransport(refuse)
    monkeypatch.setattr(httpx, "HTTPTransport", lambda uds: nowhere)
    for wish in wishes(LEAVES[name], "no-such"):
        done = CliRunner().invoke(main, [*name.split(), *wish], input="")
        must_be_a_sentence(done)


@pytest.mark.parametrize("name", LEAVES)
def test_bad_input_is_answered_with_a_sentence(name: str, agent: Agent) -> None:
    for value in BAD:
        for wish in wishes(LEAVES[name], value):
            must_be_a_sentence(
                CliRunner().invoke(main, [*name.split(), *wish], input="")
            )
