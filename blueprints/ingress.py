"""Which of our sockets a request came by, and what Caddy says of its client.

Only Caddy may open `web.sock` and `gateway.sock`, and the kernel is asked whether it is
Caddy indeed. It drops the forwarding headers that a client sent and sets its own
(`appliance/admin/caddy.py`). On any other socket they count for nothing, save that
they tell of a proxy on the way: who comes by one is not trusted for its address.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

from appliance.config import settings
from appliance.layout import CADDY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FROM_CADDY = frozenset({"web.sock", "gateway.sock"})
PROXIED = "HTTP_FORMATION_PROXIED"
"""Caddy's: not empty where its client sent a header of `TELLING`."""
TELLING = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")
BY_PROXY = "formation.by_proxy"


def socket_name(environ: Mapping[str, Any]) -> str:
    """The file name of the Unix socket that took the request; else empty."""
    link = environ.get("gunicorn.socket")
    if not isinstance(link, socket.socket) or link.family != socket.AF_UNIX:
        return ""
    path = Path(str(link.getsockname()))
    return path.name if path.parent == settings().run_dir else ""


def peer(environ: Mapping[str, Any]) -> tuple[int, int]:
    """uid and gid at the other end of the Unix socket (unix(7), SO_PEERCRED)."""
    link = environ["gunicorn.socket"]
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, gid = struct.unpack("3i", raw)
    return uid, gid


def is_from_caddy(environ: Mapping[str, Any]) -> bool:
    named = socket_name(environ) in FROM_CADDY
    return named and peer(environ)[0] in _caddys()


@cache
def _caddys() -> frozenset[int]:
    """root's uid, ours, and Caddy's: nobody else may speak for clients."""
    own = {0, os.geteuid()}
    try:
        return frozenset(own | {pwd.getpwnam(CADDY).pw_uid})
    except KeyError:
        return frozenset(own)


def behind_caddy(plain: WSGIApplication) -> WSGIApplication:
    """The app with client address and scheme as Caddy saw them, where it asks."""
    proxied = ProxyFix(plain, x_for=1, x_proto=1)

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        caddys = is_from_caddy(environ)
        told = (PROXIED,) if caddys else (PROXIED, *TELLING)
        environ[BY_PROXY] = any(environ.get(name) for name in told)
        return (proxied if caddys else plain)(environ, start)

    return app
