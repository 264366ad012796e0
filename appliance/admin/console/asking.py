"""Questions on a terminal, line by line. Ctrl-C is click.Abort."""

from __future__ import annotations

import signal

import click

from appliance.terminal import say


def ask(what: str, proposed: str = "") -> str:
    return str(click.prompt(what, default=proposed or None, type=str)).strip()


def new_password() -> str:
    prompt = "New password"
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True))


def must_be_sure(question: str) -> None:
    if not click.confirm(question, default=False):
        raise click.Abort


def ask_key(text: str) -> str:
    return str(click.prompt(text, default="", show_default=False)).strip()


def answered_in(seconds: float, question: str) -> bool:
    """Whether somebody says yes before that; who is silent says no."""

    def too_late(*of: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        text = f"{question} Without an answer it returns in {seconds:.0f} s."
        return click.confirm(text, default=False)
    except TimeoutError:
        say("")
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
