"""A real Caddy before a real formation-web: whose address counts."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import config, identity, state
from appliance.admin import accounts
from appliance.admin.caddy import caddyfile, ensure_certificate
from appliance.admin.node_auth import NodeAuth
from appliance.admin.programs import programs
from appliance.admin.serving import accepts
from appliance.config import Settings
from appliance.service import choose
from appliance.state.server import StateServer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("caddy"), reason="Caddy is missing")
READ, CHECK = "/api/v1/vmm/instances", "/api/v1/pack/check"
KEY = Ed25519PrivateKey.generate()
NODE = identity.fingerprint(identity.raw_public(KEY))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    ensure_certificate(found)
    file = found.run_dir / "Caddyfile"
    file.write_text(caddyfile(found))
    web = next(program.command for program in programs(found) if program.name == "web")
    home = {"HOME": str(found.data_dir), "XDG_CONFIG_HOME": str(found.data_dir)}
    commands = (
        [*web, f"--bind=unix:{found.run_dir}/web.sock"],
        ["caddy", "run", "--config", str(file), "--adapter=caddyfile"],
    )
    environ = {**os.environ, **home, "FORMATION_PROCESS": "web"}
    with (found.log_dir / "door.log").open("w") as log:
        running = [
            subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log, stdout=log)
            for command in commands
        ]
    try:
        wait_for(found)
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait(20)


def wait_for(settings: Settings) -> None:
    pause = threading.Event()
    for _ in range(300):
        with socket.socket() as link:
            up = link.connect_ex(("127.0.0.1", settings.http.https_port)) == 0
        if up and accepts(settings.run_dir / "web.sock"):
            return
        pause.wait(0.1)
    pytest.fail((settings.log_dir / "door.log").read_text()[-2000:])


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
