"""Which of our sockets a request came by, and what Caddy says of its client.

Only Caddy's user may open `web.sock` and `gateway.sock`; Caddy drops the forwarding
headers that a client sent and sets its own. On any other socket they count for nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FROM_CADDY = frozenset({"web.sock", "gateway.sock"})


def socket_name(environ: Mapping[str, Any]) -> str:
    """The file name of the Unix socket that took the request; else empty."""
    link = environ.get("gunicorn.socket")
    if not isinstance(link, socket.socket) or link.family != socket.AF_UNIX:
        return ""
    return Path(str(link.getsockname())).name


def behind_caddy(plain: WSGIApplication) -> WSGIApplication:
    """The app with client address and scheme as Caddy saw them, where it asks."""
    proxied = ProxyFix(plain, x_for=1, x_proto=1)

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        caddys = socket_name(environ) in FROM_CADDY
        return (proxied if caddys else plain)(environ, start)

    return app
