"""A real Caddy before a real formation-web: whose address counts."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import config, identity, state
from appliance.admin import accounts
from appliance.admin.node_auth import NodeAuth
from appliance.config import Settings
from appliance.service import choose
from appliance.state.server import StateServer

from .serving import free_port, serving

READ, CHECK = "/api/v1/vmm/instances", "/api/v1/pack/check"
KEY = Ed25519PrivateKey.generate()
NODE = identity.fingerprint(identity.raw_public(KEY))


def outer_addresses() -> list[str]:
    """This machine's addresses that are not loopback: who comes to one of them comes
    from it."""
    nics = psutil.net_if_addrs().values()
    found = [one.address for nic in nics for one in nic if one.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")][:1]


@pytest.fixture
def door(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Caddy and formation-web, with loopback trust and a trusted node."""
    monkeypatch.setenv("FORMATION_HTTP__PORT", str(free_port()))
    monkeypatch.setenv("FORMATION_HTTP__HTTPS_PORT", str(free_port()))
    monkeypatch.setenv("FORMATION_AUTH__LOOPBACK_TRUST", "auditor")
    monkeypatch.setenv("FORMATION_AUTH__TRUSTED_NODES", f'["{NODE}=operator"]')
    config.settings.cache_clear()
    found = config.settings()
    identity.signing_key(found)
    accounts.create("ada", "", ("operator",))
    choose(found, [])
    state.put("node", NODE, {"public_key": identity.raw_public(KEY).hex()})
    with serving(found, "web", "caddy"):
        yield found


def client(url: str, auth: NodeAuth | None = None) -> httpx.Client:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return httpx.Client(base_url=url, verify=anybody, auth=auth, trust_env=False)


PROXIES = (
    {"X-Forwarded-For": "203.0.113.9"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 127.0.0.1"},
)


def test_who_is_here_is_known_by_the_connection_alone(door: Settings) -> None:
    http = door.http
    for url in (
        f"http://127.0.0.1:{http.port}",
        f"http://localhost:{http.port}",
        f"https://127.0.0.1:{http.https_port}",
    ):
        with client(url) as local:
            assert local.get(READ).status_code == 200, url
            for proxy in PROXIES:
                assert local.get(READ, headers=proxy).status_code == 401, proxy
    claims = ({}, {"X_Forwarded_For": "127.0.0.1"}, {"Formation-Proxied": ""}, *PROXIES)
    for address in outer_addresses():
        with client(f"https://{address}:{http.https_port}") as outside:
            for claim in claims:
                assert outside.get(READ, headers=claim).status_code == 401, claim
            renamed = {"SCRIPT_NAME": "/healthz", "Path_Info": "/healthz"}
            assert outside.get(READ, headers=renamed).status_code == 401


def test_a_signed_request_passes_the_front_door_once(door: Settings) -> None:
    url = f"https://127.0.0.1:{door.http.https_port}"
    auth = NodeAuth(KEY, identity.node_id(door) or "")
    with client(url, auth) as node:
        for path in (READ, f"{READ}?limit=2&sort=state", f"{READ}?q=a%2Fb%20c+d"):
            assert node.get(path).status_code == 200, path
        answer = node.post(CHECK, content=b"NAME a")
        assert answer.json()[0]["directive"] == "ENTRYPOINT"
        assert node.get(f"{READ}/a%2Fb").status_code == 404
    sent = answer.request
    with client(url) as thief:
        again = thief.post(CHECK, content=b"NAME a", headers=dict(sent.headers))
        assert again.status_code == 401
        assert "used before" in again.json()["detail"]
    with client(url, NodeAuth(KEY, "ab" * 32)) as misled:
        assert misled.get(READ).status_code == 401
