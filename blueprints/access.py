"""Who may call what. Every view says so; a test walks all routes.

Who calls is found in `authentication`. The rules are in `admin/rights.py`: a view
says its role with `requires`, and asks `must_see` or `must_change` of the agent that
it shows or changes something of, or of that thing's owner.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Response, g, redirect, request

from appliance import operations, state
from appliance.admin import accounts, hosts, rights, sessions
from appliance.admin.rights import may as may
from appliance.config import settings
from appliance.market.catalogue import find_agent
from appliance.problems import Problem
from blueprints.authentication import COOKIE as COOKIE
from blueprints.authentication import SAFE as SAFE
from blueprints.authentication import caller as caller
from blueprints.authentication import cookie as cookie
from blueprints.authentication import is_account
from blueprints.authentication import remote_address as remote_address
from blueprints.authentication import session_token as session_token
from blueprints.ingress import socket_name
from blueprints.running import must_run

View = TypeVar("View", bound=Callable[..., Any])
PROGRAMS = ("/api/v1/", "/metrics", "/healthz", "/readyz")


def public(view: View) -> View:
    """Anyone may call this."""
    vars(view)["access"] = "public"
    return view


def requires(role: str, *scopes: str, audited: bool = True) -> Callable[[View], View]:
    """Only accounts with this role; operators have all of them.

    A token needs one of the scopes; without any, what `rights.scope_of` says. What
    changes nothing although its method could is not `audited`.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            account = caller()
            if account is None:
                if not g.presented and is_page():
                    return redirect("/login")
                raise Problem(
                    "not-logged-in",
                    "Log in, or send an API token: Authorization: Bearer …",
                    status=401,
                )
            g.account = account
            if not may(account, role):
                raise Problem("not-allowed", f"This needs the role {role}.", status=403)
            if not is_account() and request.method not in SAFE:
                raise Problem(
                    "not-allowed", "Only an account of this node may.", status=403
                )
            _must_have_scope(scopes or (rights.scope_of(request.method, role),))
            must_run(request.path)
            return view(*arguments, **named)

        vars(guarded).update(access=role, audited=audited, scopes=scopes)
        return guarded  # type: ignore[return-value]

    return wrap


def is_page() -> bool:
    """Whether a person asked for a page, who is sent to log in."""
    return request.method == "GET" and not request.path.startswith(PROGRAMS)


def _must_have_scope(scopes: tuple[str, ...]) -> None:
    held = g.bearer.scopes if g.get("bearer") else rights.ALL_SCOPES
    if not held.intersection(scopes):
        wanted = " or ".join(scopes)
        raise Problem(
            "not-allowed", f"The token lacks the scope {wanted} for this.", status=403
        )


def may_see(of: str | None) -> bool:
    """Whether the caller may see an agent's things, or an account's."""
    return rights.may_see(g.account, of)


def may_change(of: str | None) -> bool:
    """Whether the caller may change an agent, or what is an account's."""
    return rights.may_change(g.account, of)


def may_know(agent: str) -> bool:
    """Whether the agent is in the caller's catalogue."""
    return rights.may_know(g.account, agent)


def may_call(agent: str) -> bool:
    """Whether the caller may give the agent tasks."""
    return rights.may_call(g.account, agent)


def must_see(of: str | None) -> None:
    if not may_see(of):
        raise not_yours(of)


def must_change(of: str | None) -> None:
    if not may_change(of):
        raise not_yours(of)


def known_agent(name: str, owner: str | None = None) -> state.Record:
    """The agent by full or short name, if the caller may know of it."""
    return find_agent(name, owner, may_know)


def callable_agent(name: str, owner: str | None = None) -> state.Record:
    """The agent that the caller gives a task by this name."""
    found = known_agent(name, owner)
    if not may_call(found.id):
        raise not_yours(found.id)
    return found


def not_yours(of: str | None) -> Problem:
    whose = f"This is {of.partition('/')[0]}'s" if of else "This is not yours"
    return Problem("not-allowed", f"{whose}; ask its owner or an operator.", status=403)


def may_see_operation(row: operations.Operation) -> bool:
    """Its own operations, and those on what it may see."""
    return row.account == g.account.id or may_see(operations.owner_of(row))


def refuse_other_names() -> None:
    """Before each request: a name that is not the node's is another site's, which
    resolves to this node (DNS rebinding). No browser comes by the CLI socket."""
    host = request.headers.get("Host", "")
    if not host or socket_name(request.environ) == "cli.sock":
        return
    if not hosts.is_ours(host, settings()):
        raise Problem(
            "other-name",
            f"This node does not go by the name {host[:64]}. Open it by its address, "
            "or let an operator add the name to http.host_names.",
            status=421,
        )


def refuse_other_sites() -> None:
    """Before each request: what another site's page makes a browser send is refused,
    log-in and set-up too (Fetch Metadata; older browsers send only Origin)."""
    if request.method in SAFE or "Authorization" in request.headers:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    same = origin is None or urlsplit(origin).netloc == request.host
    if site not in ("same-origin", "none") if site else not same:
        raise Problem(
            "other-site",
            "Another site's page sent this; nothing was changed. Open the node's own "
            "page and try again.",
            status=403,
        )


def start_session(answer: Response, account: accounts.Account) -> None:
    """Log the browser in: a fresh session, and the end of the one it had."""
    sessions.end(session_token())
    agent = request.headers.get("User-Agent", "")
    token = sessions.begin(account.id, remote_address(), agent)
    answer.set_cookie(
        cookie(COOKIE), token, httponly=True, samesite="Lax", secure=request.is_secure
    )
