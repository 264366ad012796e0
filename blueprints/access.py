"""Who may call what. Every view says so; a test walks all routes.

A caller is known by session, API token, or the CLI socket's peer credentials;
never by anything else that it sends.
"""

from __future__ import annotations

import grp
import pwd
import socket
import struct
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import g, redirect, request

from appliance.admin import accounts
from appliance.config import settings
from appliance.problems import Problem
from blueprints.ingress import socket_name

View = TypeVar("View", bound=Callable[..., Any])
COOKIE = "formation"
PROGRAMS = ("/api/", "/metrics")
SAFE = ("GET", "HEAD", "OPTIONS")
GRANTS = {
    "operator": {"operator", "developer", "auditor", "account"},
    "developer": {"developer", "account"},
    "auditor": {"auditor", "account"},
}


def public(view: View) -> View:
    """Anyone may call this."""
    vars(view)["access"] = "public"
    return view


def requires(role: str) -> Callable[[View], View]:
    """Only accounts with this role; operators have all of them."""

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            account = caller()
            if account is None:
                if request.method == "GET" and not request.path.startswith(PROGRAMS):
                    return redirect("/login")
                raise Problem(
                    "not-logged-in",
                    "Log in, or send an API token: Authorization: Bearer …",
                    status=401,
                )
            if not may(account, role):
                raise Problem("not-allowed", f"This needs the role {role}.", status=403)
            g.account = account
            return view(*arguments, **named)

        vars(guarded)["access"] = role
        return guarded  # type: ignore[return-value]

    return wrap


def may(account: accounts.Account, role: str) -> bool:
    return any(role in GRANTS.get(own, set()) for own in account.roles)


def caller() -> accounts.Account | None:
    """The account behind this request, or None."""
    header = request.headers.get("Authorization", "")
    if header.startswith("Bearer "):
        return accounts.by_token(header.removeprefix("Bearer ").strip())
    local = by_socket()
    if local is not None:
        return local
    session = accounts.session(request.cookies.get(COOKIE, ""))
    if session is None:
        return None
    g.csrf = session.csrf
    if request.method not in SAFE and not _csrf_is(session.csrf):
        raise Problem(
            "csrf", "The page is out of date: reload it and try again.", status=403
        )
    return accounts.find(session.account)


def _csrf_is(expected: str) -> bool:
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    return sent == expected


def by_socket() -> accounts.Account | None:
    """The operator, when root or the operators' group is at the CLI socket."""
    if socket_name(request.environ) != "cli.sock":
        return None
    link = request.environ["gunicorn.socket"]
    _, uid, gid = struct.unpack(
        "3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    )
    if uid == 0 or _in_group(uid, gid):
        return accounts.operator()
    return None


def _in_group(uid: int, gid: int) -> bool:
    try:
        group = grp.getgrnam(settings().auth.operator_group)
        return gid == group.gr_gid or pwd.getpwuid(uid).pw_name in group.gr_mem
    except KeyError:
        return False


def remote_address() -> str:
    """The client's address: the peer's, or what Caddy saw (see `ingress`)."""
    return request.remote_addr or "local"
