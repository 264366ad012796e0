"""Signs a node's requests to another one: `httpx.Client(auth=NodeAuth(…))`."""

from __future__ import annotations

from collections.abc import Generator

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import identity
from appliance.admin import signatures


class NodeAuth(httpx.Auth):
    """The requests of the node that has this key, to the node of the id `receiver`."""

    requires_request_body = True

    def __init__(self, key: Ed25519PrivateKey, receiver: str) -> None:
        self._key = key
        self._node = identity.fingerprint(identity.raw_public(key))
        self._receiver = receiver

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        url = str(request.url.copy_with(fragment=None))
        message = signatures.Message(request.method, url, {})
        signatures.sign(message, request.content, self._node, self._key, self._receiver)
        request.headers.update(message.headers)
        yield request
