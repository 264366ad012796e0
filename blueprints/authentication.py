"""Who calls: found in one way for every service, page and process.

A caller presents an API token or a node's signature; or it is known by the peer of the
CLI socket, by its session, or, where the settings say so, by its address. What is
presented and wrong is refused: nothing else is tried then. Nothing that a client says
of where it comes from counts (`ingress`).
"""

from __future__ import annotations

import grp
import pwd
import secrets
import tempfile
from typing import IO, cast

from flask import g, request

from appliance import identity, state, trust
from appliance.admin import accounts, nonces, sessions, tokens
from appliance.config import settings
from appliance.problems import Problem
from blueprints.ingress import BY_PROXY, peer, socket_name

COOKIE = "formation"
"""The session's; over TLS with a prefix, see `cookie`."""
SAFE = ("GET", "HEAD", "OPTIONS")
SIGNED = "formation.signature"
IN_MEMORY = 1 << 20  # bytes of a signed body; more of it lies in a file


def caller() -> accounts.Account | None:
    """The account behind this request, or None. `g.via` says which setting let it in
    without a log-in, if one did."""
    g.via = ""
    token = request.headers.get("Authorization")
    is_signed = "Signature" in request.headers or "Signature-Input" in request.headers
    g.presented = bool(token) or is_signed
    if token and is_signed:
        raise Problem(
            "credentials-ambiguous",
            "Send a token or a signature, not both.",
            status=401,
        )
    if is_signed:
        return by_signature()
    if token is not None:
        return by_token(token)
    return by_socket() or by_session() or by_address()


def cookie(name: str, prefix: str = "__Host-") -> str:
    """The name that a cookie has here: over TLS with a prefix by which the browser
    takes it from this host and over TLS alone (RFC 6265bis)."""
    return prefix + name if request.is_secure else name


def session_token() -> str:
    """What the browser holds of its session; empty where it has none."""
    return request.cookies.get(cookie(COOKIE), "")


def by_token(header: str) -> accounts.Account | None:
    scheme, _, token = header.partition(" ")
    g.bearer = tokens.find(token.strip()) if scheme.lower() == "bearer" else None
    return g.bearer.account if g.bearer else None


def by_session() -> accounts.Account | None:
    session = sessions.find(session_token(), remote_address())
    if session is None:
        return None
    g.csrf, g.session = session.csrf, session
    account = accounts.find(session.account)
    if request.method not in SAFE and not _csrf_is(session.csrf):
        g.account = account
        raise Problem(
            "csrf", "The page is out of date: reload it and try again.", status=403
        )
    return account


def _csrf_is(expected: str) -> bool:
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    return secrets.compare_digest(sent.encode(), expected.encode())


def by_socket() -> accounts.Account | None:
    """The operator, when root or the operators' group is at the CLI socket."""
    if socket_name(request.environ) != "cli.sock":
        return None
    uid, gid = peer(request.environ)
    if uid == 0 or _in_group(uid, gid):
        return accounts.operator()
    return None


def _in_group(uid: int, gid: int) -> bool:
    try:
        group = grp.getgrnam(settings().auth.operator_group)
        return gid == group.gr_gid or pwd.getpwuid(uid).pw_name in group.gr_mem
    except KeyError:
        return False


def by_address() -> accounts.Account | None:
    """By `auth.loopback_trust` and `auth.trusted_addresses`; never what came by another
    proxy, what another site's page sent, or a guest."""
    auth, address = settings().auth, remote_address()
    if request.environ.get(BY_PROXY) or _is_of_other_site() or _is_guest(address):
        return None
    if trust.is_loopback(address):
        role = auth.loopback_trust
        return None if role == "off" else trusted("loopback trust", role)
    found = trust.role_of_address(address, auth.trusted_addresses)
    return trusted("trusted address", found) if found else None


def _is_of_other_site() -> bool:
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def _is_guest(address: str) -> bool:
    found = trust.canonical(address)
    return found is not None and found in settings().formnet.cidr


def by_signature() -> accounts.Account | None:
    """By `auth.trusted_nodes`: a node that has a record here."""
    from appliance.admin import signatures

    found = request.environ.get(SIGNED)
    if found is None:  # else it is asked once more whether it still may
        message = signatures.Message(request.method, _url(), _signature_headers())
        receiver = identity.node_id(settings()) or ""
        found = signatures.verify(message, receiver, trusted_key)
        nonces.use(found.node, found.nonce, found.until)
        signatures.must_match(found.digest, _kept_body())
        request.environ["wsgi.input"].seek(0)
        request.environ[SIGNED] = found
    role = trust.role_of_node(found.node, settings().auth.trusted_nodes)
    return trusted(f"node {found.node[:12]}", role) if role else None


def trusted_key(node: str) -> bytes | None:
    """The raw public key of a node that is known, and trusted by the settings."""
    if trust.role_of_node(node, settings().auth.trusted_nodes) is None:
        return None
    record = state.find("node", node)
    try:
        key = bytes.fromhex(str(record.body.get("public_key", ""))) if record else b""
    except ValueError:
        return None
    return key if identity.fingerprint(key) == node else None


def _url() -> str:
    """As it was sent, byte for byte."""
    target = str(request.environ.get("RAW_URI", ""))
    return f"{request.scheme}://{request.headers.get('Host', '')}{target}"


def _signature_headers() -> dict[str, str]:
    names = ("Signature", "Signature-Input", "Content-Digest")
    return {name: request.headers[name] for name in names if name in request.headers}


def _kept_body() -> IO[bytes]:
    """The body, laid where the view finds it again."""
    body = cast(IO[bytes], tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
    g.body = body
    while piece := request.stream.read(64 << 10):
        body.write(piece)
    body.seek(0)
    request.environ["wsgi.input"] = body
    vars(request._get_current_object()).pop("stream")  # type: ignore[attr-defined]
    return body


def forget_body(error: BaseException | None = None) -> None:
    """After each request: what a signed one brought goes."""
    if "body" in g:
        g.body.close()


def trusted(via: str, role: str) -> accounts.Account | None:
    """Who acts without an account of its own: the first operator, as on the CLI
    socket, or an auditor who is nobody here."""
    g.via = via
    if role == "operator":
        return accounts.operator()
    return accounts.Account(f"trusted:{via}", via, (role,))


def is_account() -> bool:
    """Whether the caller has an account, and so things of its own."""
    return not str(g.account.id).startswith("trusted:")


def remote_address() -> str:
    """The client's address: the peer's, or what Caddy saw (see `ingress`)."""
    return request.remote_addr or "local"
