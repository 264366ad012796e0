"""Requests that nodes sign: HTTP Message Signatures (RFC 9421) with Ed25519.

One strict form: a single signature over method, authority, path, query and the body's
digest (RFC 9530), with times, nonce, the signer's id as `keyid` and the receiver's in
`tag`: what was sent to one node is worth nothing at another. Whether a nonce was used
before is asked in `nonces`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import IO, Any, cast

import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    VerifyResult,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from appliance.problems import Problem

COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
HEADERS = ("Signature", "Signature-Input", "Content-Digest")
SKEW_S = 60  # between two nodes' clocks
LIFETIME_S = 60  # of what we sign
LONGEST_S = 300  # of what we take
NONCE = range(16, 65)  # characters
PIECE = 64 << 10


@dataclass
class Message:
    """A request as it is signed: `url` is absolute, as it was sent."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Signature:
    """A signature that holds: whose, and until when its nonce counts as used."""

    node: str
    nonce: str
    until: float
    digest: str


def refused(why: str) -> Problem:
    text = f"The request's signature is not taken: {why}."
    return Problem("signature-refused", text, status=401)


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, find: Callable[[str], bytes | None]) -> None:
        self._find = find

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        raw = self._find(key_id)
        return Ed25519PublicKey.from_public_bytes(raw) if raw else None


class _Own(HTTPSignatureKeyResolver):
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self._key


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=SKEW_S)


def tag(node: str) -> str:
    """What names the receiver in the signature."""
    return f"formation:{node}"


def sign(
    message: Message, body: bytes, node: str, key: Ed25519PrivateKey, receiver: str
) -> None:
    """Add the headers that say that `node`, which has this key, sends it."""
    now = datetime.now(UTC)
    HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519, key_resolver=_Own(key)
    ).sign(
        message,
        key_id=node,
        created=now,
        expires=now + timedelta(seconds=LIFETIME_S),
        nonce=secrets.token_urlsafe(24),
        label="formation",
        tag=tag(receiver),
        covered_component_ids=COVERED[:-1],
        body=body,
    )


def verify(
    message: Message, receiver: str, find_key: Callable[[str], bytes | None]
) -> Signature:
    """Who signed it, for this receiver and now; raises signature-refused.

    `find_key` has the raw public key of a node that may sign; the body is not looked
    at here: `must_match` does.
    """
    _must_be_single(message.headers)
    verifier = _Verifier(
        signature_algorithm=algorithms.ED25519, key_resolver=_Keys(find_key)
    )
    try:
        (found,) = verifier.verify(
            message,
            max_age=timedelta(seconds=LONGEST_S),
            expect_tag=tag(receiver),
            require_components=COVERED,
        )
    except HTTPMessageSignaturesException as error:
        raise refused(str(error)[:200]) from None
    return _checked(found, message.headers["Content-Digest"])


def _must_be_single(headers: Mapping[str, str]) -> None:
    """Several signatures, or one that is there twice, are not taken apart."""
    for name in HEADERS[:2]:
        if len(_members(name, headers.get(name, ""))) != 1:
            raise refused(f"{name} must have one member")


def _members(name: str, text: str) -> dict[str, Any]:
    """A dictionary of structured fields (RFC 9651); none may be there twice."""

    def refuse(key: str, context: str) -> None:
        raise refused(f"{name} has {key[:40]} twice")

    try:
        found = http_sf.parse(
            text.encode("latin-1"), tltype="dictionary", on_duplicate_key=refuse
        )
    except ValueError:
        raise refused(f"{name} cannot be read") from None
    return cast(dict[str, Any], found)


def _checked(found: VerifyResult, digest: str) -> Signature:
    """What our form asks for beyond the RFC."""
    said, extra = found.parameters, set(found.covered_components)
    expires, created, nonce = (said.get(n) for n in ("expires", "created", "nonce"))
    if not isinstance(expires, int) or not isinstance(created, int):
        raise refused("it must say when it was created and when it expires")
    if not 0 < expires - created <= LONGEST_S:
        raise refused(f"it must expire within {LONGEST_S} s of its creation")
    if not isinstance(nonce, str) or len(nonce) not in NONCE:
        raise refused(f"its nonce must have {NONCE[0]} to {NONCE[-1]} characters")
    if extra - {f'"{name}"' for name in (*COVERED, "@signature-params")}:
        raise refused(f"it must cover {', '.join(COVERED)} and nothing else")
    until = expires + 2.0 * SKEW_S
    return Signature(str(said["keyid"]), nonce, until, digest)


def must_match(digest: str, body: IO[bytes]) -> None:
    """Raise signature-refused unless the body, read from here on, has this digest."""
    wanted = _members("Content-Digest", digest)
    if set(wanted) != {"sha-256"}:
        raise refused("Content-Digest must be one of sha-256")
    found = sha256()
    while piece := body.read(PIECE):
        found.update(piece)
    if wanted["sha-256"][0] != found.digest():
        raise refused("the body is not the one that was signed")
