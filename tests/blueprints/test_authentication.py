"""Who calls: by signature, by address, by nothing that a client says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from appliance import audit, config, identity, state
from appliance.admin import signatures
from appliance.config import Settings
from appliance.state.server import StateServer

from .conftest import Person
from .test_access import routes

KEY = Ed25519PrivateKey.generate()
PUBLIC = identity.raw_public(KEY)
NODE = identity.fingerprint(PUBLIC)
TOKENS_API = "/api/v1/admin/tokens"
READ, CHANGE = "/api/v1/vmm/instances", "/api/v1/pack/check"
OUTSIDE = "203.0.113.9"
Configure = Callable[..., None]


@pytest.fixture
def configure(settings: Settings) -> Configure:
    def write(**auth: object) -> None:
        lines = [f"{key} = {value!r}" for key, value in auth.items()]
        config.config_file().write_text("\n".join(["[auth]", *lines]))
        config.reload()

    return write


@pytest.fixture
def known(records: StateServer, settings: Settings) -> str:
    """A node with a record here, beside this one; its id."""
    identity.signing_key(settings)
    state.put("node", NODE, {"name": "far", "public_key": PUBLIC.hex()})
    return NODE


def signed(
    path: str,
    method: str = "GET",
    body: bytes = b"",
    host: str = "localhost",
    key: Ed25519PrivateKey = KEY,
) -> dict[str, str]:
    """The headers of a signed request."""
    receiver = identity.node_id(config.settings()) or ""
    message = signatures.Message(method, f"http://{host}{path}", {})
    node = identity.fingerprint(identity.raw_public(key))
    signatures.sign(message, body, node, key, receiver)
    return message.headers


def come_from(address: str) -> dict[str, str]:
    return {"REMOTE_ADDR": address}


def test_a_node_that_is_known_is_nobody_until_it_is_trusted(
    ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    assert nobody.get(READ, headers=signed(READ)).status_code == 401
    configure(trusted_nodes=[known])
    assert nobody.get(READ, headers=signed(READ)).status_code == 200


def test_a_node_that_is_trusted_is_nobody_until_it_is_known(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    identity.signing_key(config.settings())
    configure(trusted_nodes=[f"{NODE}=operator"])
    for record in ({}, {"public_key": "zz"}, {"public_key": "ab" * 32}):
        state.put("node", NODE, record)
        answer = nobody.get(READ, headers=signed(READ))
        assert answer.status_code == 401
        assert answer.get_json()["type"] == "/problems/signature-refused"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_trusted_node_reads_all_and_changes_nothing(
    app: Flask, ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_nodes=[known])
    for method, path, _, access in routes(app):
        if access != "public" and method != "GET":
            answer = nobody.open(path, method=method, headers=signed(path, method))
            assert answer.status_code == 403, f"{method} {path}"


def test_a_node_that_is_trusted_as_operator_acts_as_the_first_one(
    ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_nodes=[f"{known}=operator"])
    body = b"NAME a"
    headers = signed(CHANGE, "POST", body)
    answer = nobody.post(CHANGE, data=body, headers=headers)
    assert answer.get_json()[0]["directive"] == "ENTRYPOINT"
    made = signed(TOKENS_API, "POST", b"{}")
    nobody.post(TOKENS_API, data=b"{}", headers=made)
    row = audit.rows(1)[0]
    assert (row.account, row.action) == ("ada", f"POST {TOKENS_API}")
    assert row.address == f"127.0.0.1 (node {NODE[:12]})"


def test_a_request_is_taken_once(
    ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_nodes=[known])
    headers = signed(READ)
    assert nobody.get(READ, headers=headers).status_code == 200
    again = nobody.get(READ, headers=headers)
    assert again.status_code == 401
    assert "used before" in again.get_json()["detail"]


def test_what_is_altered_on_the_way_is_refused(
    ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_nodes=[f"{known}=operator"])
    path = f"{READ}?limit=1"
    for other in (READ, f"{READ}?limit=2", f"{path}&x=1", f"{path}?"):
        answer = nobody.get(other, headers=signed(path))
        assert answer.status_code == 401, other
    assert nobody.delete(path, headers=signed(path)).status_code in (401, 405)
    moved = {**signed(path), "Host": "127.0.0.1:8443"}
    assert nobody.get(path, headers=moved).status_code == 401
    for body in (b"NAME b", b"", b"NAME a "):
        headers = signed(CHANGE, "POST", b"NAME a")
        answer = nobody.post(CHANGE, data=body, headers=headers)
        assert answer.status_code == 401
        assert "body" in answer.get_json()["detail"]
    assert nobody.get(path, headers=signed(path)).status_code == 200


def test_a_refused_signature_is_in_the_audit_log_and_nothing_else_is_tried(
    ada: Person, known: str, configure: Configure
) -> None:
    configure(trusted_nodes=[known], loopback_trust="operator")
    other = Ed25519PrivateKey.generate()
    for headers in (
        signed(READ, key=other),
        {"Signature": ""},
        {"Signature-Input": ""},
    ):
        answer = ada.browser.get(READ, headers=headers)
        assert answer.status_code == 401
        assert (audit.rows(1)[0].action, audit.rows(1)[0].outcome) == (
            f"GET {READ}",
            "refused",
        )
    both = {**signed(READ), **ada.bearer()}
    assert ada.browser.get(READ, headers=both).status_code == 401


TOKENS = [
    "Bearer form_wrong",
    "Bearer",
    "Basic YWRhOnB3",
    "Digest x",
    "",
    "bearer form_x",
]


def test_a_wrong_token_is_refused_whatever_else_comes_with_it(
    ada: Person, configure: Configure
) -> None:
    configure(loopback_trust="operator")
    for header in TOKENS:
        answer = ada.browser.get(READ, headers={"Authorization": header})
        assert answer.status_code == 401, header


def test_a_signed_upload_reaches_the_view_whole(
    ada: Person, known: str, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_nodes=[f"{known}=operator"])
    body = b"# " + b"x" * (2 << 20) + b"\nNAME a"
    headers = signed(CHANGE, "POST", body)
    answer = nobody.post(CHANGE, data=body, headers=headers)
    assert answer.status_code in (200, 413, 422)
    form = b"csrf=&name=x"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/account/tokens"
    page = nobody.post(path, data=form, headers={**signed(path, "POST", form), **kind})
    assert page.status_code == 422
    assert 'value="x"' in page.text  # the form was read


CLAIMS = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": "127.0.0.1, 127.0.0.1"},
    {"X-Forwarded-For": f"{OUTSIDE}, 127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1;host=localhost;proto=https"},
    {"Via": "1.1 localhost"},
    {"Host": "127.0.0.1"},
    {"Host": "localhost"},
    {"Host": "[::1]:8443"},
    {"Origin": "http://localhost"},
    {"Formation-Proxied": ""},
    {"Client-IP": "127.0.0.1", "True-Client-IP": "127.0.0.1"},
    {"Remote-Addr": "127.0.0.1", "Remote_Addr": "127.0.0.1"},
]


def test_nobody_becomes_local_or_trusted_by_what_it_says(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(loopback_trust="operator", trusted_addresses=["192.0.2.0/24=operator"])
    for claims in CLAIMS:
        for address in ("127.0.0.1", "192.0.2.1"):
            claim = {k: v.replace("127.0.0.1", address) for k, v in claims.items()}
            outside = come_from(OUTSIDE)
            answer = nobody.get(READ, headers=claim, environ_overrides=outside)
            assert answer.status_code in (401, 421), claim


@pytest.mark.parametrize(
    ("setting", "reads", "changes"),
    [("off", 401, 401), ("auditor", 200, 403), ("operator", 200, 422)],
)
def test_loopback_is_trusted_as_the_setting_says(
    ada: Person,
    nobody: FlaskClient,
    configure: Configure,
    setting: str,
    reads: int,
    changes: int,
) -> None:
    configure(loopback_trust=setting)
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        here = come_from(address)
        assert nobody.get(READ, environ_overrides=here).status_code == reads
        made = nobody.post(TOKENS_API, json={}, environ_overrides=here)
        assert made.status_code == changes
    for address in (OUTSIDE, "::1%lo", "", "unix:", "::ffff:203.0.113.9"):
        there = come_from(address)
        assert nobody.get(READ, environ_overrides=there).status_code == 401


def test_a_chain_of_proxies_is_not_trusted(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(loopback_trust="operator", trusted_addresses=["192.0.2.7=operator"])
    for peer in ("127.0.0.1", "192.0.2.7"):
        comes = come_from(peer)
        assert nobody.get(READ, environ_overrides=comes).status_code == 200
        for told in (
            {"X-Forwarded-For": OUTSIDE},
            {"Via": "1.1 x"},
            {"Forwarded": "x"},
        ):
            answer = nobody.get(READ, headers=told, environ_overrides=comes)
            assert answer.status_code == 401, told


def test_guests_are_never_trusted_for_their_address(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(trusted_addresses=["10.0.0.0/8=operator"])
    for address, status in (("10.1.2.3", 200), ("10.42.0.9", 401)):
        answer = nobody.get(READ, environ_overrides=come_from(address))
        assert answer.status_code == status


def test_another_sites_page_in_a_trusted_browser_gets_nothing(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(loopback_trust="operator")
    for site, status in (("cross-site", 401), ("same-site", 401), ("none", 200)):
        answer = nobody.get(READ, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert nobody.post(CHANGE, headers=headers).status_code in (401, 403)
    rebound = {"Host": "rebound.evil.example"}
    assert nobody.get(READ, headers=rebound).status_code == 421


def test_a_session_counts_before_the_address(
    ada: Person, bo: Person, configure: Configure
) -> None:
    configure(loopback_trust="operator")
    assert bo.browser.get("/api/v1/admin/account").get_json()["name"] == "bo"
    answer = bo.browser.post(CHANGE, data=b"NAME a")
    assert answer.get_json()["type"] == "/problems/csrf"


def test_pages_work_for_who_is_let_in_without_an_account(
    app: Flask, ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(loopback_trust="auditor")
    for method, path, rule, access in routes(app):
        wanted = method == "GET" and access in ("account", "auditor")
        if wanted and not rule.arguments:
            answer = nobody.get(path)
            answer.close()
            assert answer.status_code not in (302, 401, 403, 500), path


def test_each_use_is_logged_and_changes_and_first_reads_are_audited(
    ada: Person, nobody: FlaskClient, configure: Configure
) -> None:
    configure(loopback_trust="operator")
    with capture_logs() as logs:
        for _ in range(3):
            nobody.get(READ)
        nobody.post(TOKENS_API, json={})
    uses = [line for line in logs if line["event"] == "auth.bypass"]
    assert [use["what"] for use in uses] == [f"GET {READ}"] * 3 + [f"POST {TOKENS_API}"]
    assert {use["via"] for use in uses} == {"loopback trust"}
    found = [(row.action, row.subject, row.address) for row in audit.rows(9)]
    here = "127.0.0.1 (loopback trust)"
    assert found == [
        (f"POST {TOKENS_API}", "", here),
        ("read without a log-in", f"GET {READ}", here),
    ]
    with capture_logs() as logs:
        ada.browser.get(READ)
        nobody.get(READ, headers=ada.bearer())
    assert [line for line in logs if line["event"] == "auth.bypass"] == []


WAYS: dict[str, Any] = {
    "a wrong token": lambda path, method: {"Authorization": "Bearer form_wrong"},
    "a signature of a stranger": lambda path, method: signed(
        path, method, key=Ed25519PrivateKey.generate()
    ),
    "headers of a proxy": lambda path, method: {"X-Forwarded-For": "127.0.0.1"},
}


def test_no_route_answers_by_any_wrong_way(
    app: Flask,
    ada: Person,
    known: str,
    nobody: FlaskClient,
    configure: Configure,
) -> None:
    configure(trusted_nodes=[known], loopback_trust="operator")
    found = [(m, path) for m, path, _, access in routes(app) if access != "public"]
    for way in WAYS.values():
        for method, path in found:
            answer = nobody.open(
                path,
                method=method,
                headers=way(path, method),
                environ_overrides=come_from(OUTSIDE),
            )
            assert answer.status_code in (302, 401), f"{method} {path}"
