"""Secrets go through Caddy, web, gateway and state at work, and are in none of their
logs, nor in the audit log, the operations and the events; also when processes fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pyotp
import pytest

from appliance import audit, clock, config, identity, state
from appliance.admin import accounts, invitations, second_factor, sessions, tokens
from appliance.config import Settings
from appliance.service import choose, read_status, services, status_file

from .conftest import PASSWORD
from .serving import free_port, log_of, serving, until

PROCESSES = ("state", "web", "gateway", "caddy")
PLANTED = "planted-s3cret-nobody-may-find"
AGENT = "/api/v1/market/agents/ada/echo"


@pytest.fixture
def node(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As talkative as it can be."""
    monkeypatch.setenv("FORMATION_LOG__LEVEL", "debug")
    monkeypatch.setenv("FORMATION_HTTP__PORT", str(free_port()))
    monkeypatch.setenv("FORMATION_HTTP__HTTPS_PORT", str(free_port()))
    config.settings.cache_clear()
    found = config.settings()
    identity.sealing_key(found)
    return found


@pytest.fixture
def door(node: Settings) -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{node.http.port}"
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def dumped(settings: Settings) -> str:
    """All that is kept of what happened, in every log and table of it."""
    from appliance import database

    text = "".join(log_of(settings, name).read_text() for name in PROCESSES)
    for table in ("audit", "event", "operation", "operation_log", "setting_change"):
        text += repr(database.node.execute_sql(f"select * from {table}").fetchall())
    return text


def test_what_is_secret_is_in_no_log(node: Settings, door: httpx.Client) -> None:
    sent: dict[str, str] = {"planted": PLANTED, "password": PASSWORD}
    market = services()["marketplace"]
    choose(node, ["marketplace"])
    status_file(node, market).unlink()  # it is to say so itself
    with serving(node, *PROCESSES) as running:
        until(
            lambda: read_status(node, market).state == "running",
            log_of(node, "gateway"),
        )
        hashed = accounts.hash_password(PASSWORD)
        account = accounts.create("ada", hashed, ("operator",))
        state.put("agent", "ada/echo", {"owner_name": "ada", "name": "echo"})
        sent |= log_in(door, account)
        sent |= plant(door, account)
        for name in ("web", "gateway"):
            running[name].terminate()
            running[name].wait(20)
        for path in (f"/password/{PLANTED}", f"{AGENT}/run_task"):
            answer = door.post(path, content=PLANTED, headers=bearer(PLANTED))
            assert answer.status_code == 502  # which Caddy logs
        said = dumped(node)
    assert audit.count() >= 8
    for process, sign in (
        ("web", "request"),
        ("gateway", "run_task"),
        ("caddy", '"status":502'),
    ):
        assert sign in log_of(node, process).read_text()
    assert [name for name, secret in sent.items() if secret in said] == []


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(door: httpx.Client, account: accounts.Account) -> dict[str, str]:
    """By password and code; wrong ones before. What was secret of it."""
    secret = second_factor.begin(account.id)
    totp, now = pyotp.TOTP(secret), int(clock.now())
    recovery = second_factor.confirm(account.id, "ada", totp.at(now - 30), "192.0.2.1")
    door.post("/login", data={"name": "ada", "password": PLANTED})
    door.post("/login", data={"name": PLANTED, "password": PASSWORD})
    waits = door.post("/login", data={"name": "ada", "password": PASSWORD})
    assert waits.headers["Location"] == "/login/code"
    door.post("/login/code", data={"code": PLANTED})
    code = totp.at(int(clock.now()))
    answer = door.post("/login/code", data={"code": code})
    assert answer.headers["Location"] == "/"
    cookie = door.cookies["formation"]
    session = sessions.find(cookie)
    assert session
    return {
        "TOTP secret": secret,
        "code": f'"{code}"',
        "code in a form": f"code={code}",
        "recovery code": recovery[0],
        "waiting log-in": waits.cookies["formation-login"],
        "cookie": cookie,
        "CSRF token": session.csrf,
    }


def plant(door: httpx.Client, account: accounts.Account) -> dict[str, str]:
    """Everything else that is secret, where it belongs and where not."""
    token, _ = tokens.create(account, "test", ["admin"])
    link = invitations.create(account.name)
    auth: dict[str, Any] = {"headers": bearer(token)}
    wish = {"kind": "standard", "url": f"https://hook.example/{PLANTED}"}
    hook = {**wish, "secret": f"whsec_{PLANTED}"}
    mail = {"kind": "email", "host": "h", "user": "u", "secret": PLANTED}
    door.get("/api/v1/operations", **auth)
    door.get("/api/v1/operations", headers=bearer(PLANTED))
    door.get("/api/v1/operations", headers={"Signature": PLANTED})
    door.get(f"/api/v1/operations?token={PLANTED}", **auth)
    door.get(f"/password/{link}")
    door.get(f"/nowhere/{PLANTED}")
    assert door.put(f"{AGENT}/secrets/KEY", content=PLANTED, **auth).status_code == 200
    door.put(f"{AGENT}/secrets/not a name", content=PLANTED, **auth)
    door.put("/api/v1/admin/alerts/targets/hook", json=hook, **auth)
    door.put("/api/v1/admin/alerts/targets/mail", json=mail, **auth)
    door.post("/api/v1/admin/accounts", json={"name": PLANTED, "roles": 7}, **auth)
    for task in ("run_task", "submit_task"):
        door.post(f"{AGENT}/{task}", json={"input": {"key": PLANTED}}, **auth)
        door.post(f"{AGENT}/{task}", content=PLANTED, **auth)
    door.post("/api/v1/pack/check", content=f"SECRET {PLANTED}", **auth)
    text = f'[node]\npassphrase = "{PLANTED}"\n'
    door.put("/api/v1/admin/settings", json={"text": text}, **auth)
    body = {"present": PASSWORD, "new": PLANTED}
    door.post("/api/v1/admin/account/password", json=body, **auth)
    return {"API token": token, "link": link}
