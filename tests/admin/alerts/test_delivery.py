"""Telling people: real servers, signatures, retries, and no secret anywhere."""

from __future__ import annotations

import base64
import hmac
import json
import smtplib
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from appliance import clock, identity
from appliance.admin.alerts import delivery, mail, message, targets
from appliance.admin.alerts.evaluation import Alert
from appliance.admin.alerts.targets import Mail
from appliance.config import Settings
from appliance.problems import Invalid, Problem
from appliance.state.server import StateServer

from .servers import MailServer, WebServer, certificate, serving

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ALERT = Alert("hot", "node", "firing", "critical", "It is hot <b>", "95", 0, 9, 5)
MADE = message.of(ALERT, "alert-1-firing", "cellar", "firing", "disk-full")
MAIL = {
    "kind": "email",
    "host": "mail.example.com",
    "port": 587,
    "tls": "starttls",
    "sender": "node@example.com",
    "to": "ada@example.com, bo@example.com",
    "user": "node",
}


@pytest.fixture
def node(settings: Settings, records: StateServer) -> Settings:
    identity.sealing_key(settings)
    return settings


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving(WebServer(200)) as server:
        yield server


def hook(node: Settings, url: str, kind: str = "standard", secret: str = "") -> None:
    targets.put(node, "hook", {"kind": kind, "url": url, "secret": secret})


def test_a_webhook_is_signed_as_standard_webhooks_says(
    node: Settings, web: WebServer
) -> None:
    hook(node, f"{web.url}/in", secret=SECRET)
    delivery.queue(1, ALERT, "firing")
    assert delivery.deliver(node) == 1
    ((path, headers, body),) = web.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"k" * 32, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (path, headers["webhook-id"]) == ("/in", "alert-1-firing")
    document = json.loads(body)
    assert document["type"] == "alert.firing"
    assert document["data"]["title"] == "It is hot <b>"
    (row,) = delivery.lately()
    assert (row.state, row.outcome, row.tries) == ("delivered", "answered 200", 1)


def test_ntfy_and_slack_get_what_they_understand(
    node: Settings, web: WebServer
) -> None:
    for kind, secret in (("ntfy", "tk_secret"), ("slack", "")):
        hook(node, f"{web.url}/{kind}", kind, secret)
        delivery.send(node, targets.get("hook"), MADE)
    (_, ntfy, text), (_, _, slack) = web.got
    assert ntfy["title"] == "[cellar] Alert: It is hot <b>"
    assert (ntfy["priority"], ntfy["authorization"]) == ("5", "Bearer tk_secret")
    assert b"Value:    95" in text
    assert "It is hot &lt;b&gt;" in json.loads(slack)["text"]


def test_a_title_in_any_script_reaches_ntfy(node: Settings, web: WebServer) -> None:
    hook(node, web.url, "ntfy")
    delivery.send(node, targets.get("hook"), message.trial("t", "Keller-Süd", 0))
    assert web.got[0][1]["title"].startswith("=?utf-8?")


def test_what_fails_is_tried_again_later_and_later_and_given_up(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now() + 60
    with serving(WebServer(500)) as web:
        hook(node, web.url)
        delivery.add(MADE, "hook")
        for tries in range(1, delivery.TRIES + 1):
            monkeypatch.setattr(clock, "now", partial(float, now))
            delivery.deliver(node)
            assert delivery.deliver(node) == 0
            assert len(web.got) == tries
            now += delivery.pause(tries) + 1
    (row,) = delivery.lately()
    assert (row.state, row.tries) == ("failed", delivery.TRIES)
    assert row.outcome == "answered 500"
    assert delivery.pause(1) < delivery.pause(2) <= delivery.pause(99)


def test_a_delivery_that_failed_at_first_arrives_with_the_same_id(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(WebServer(503, 204)) as web:
        hook(node, web.url)
        delivery.add(MADE, "hook")
        delivery.deliver(node)
        later = clock.now() + 20
        monkeypatch.setattr(clock, "now", lambda: later)
        assert delivery.deliver(node) == 1
        assert len({headers["webhook-id"] for _, headers, _ in web.got}) == 1


def test_redirects_are_not_followed(node: Settings) -> None:
    with serving(WebServer(307)) as web:
        hook(node, f"{web.url}/in")
        delivery.add(MADE, "hook")
        assert delivery.deliver(node) == 0
        assert [path for path, _, _ in web.got] == ["/in"]


def test_nothing_listens_is_a_sentence_in_the_log_of_deliveries(
    node: Settings,
) -> None:
    hook(node, "http://127.0.0.1:9/secret-path")
    delivery.add(MADE, "hook")
    with structlog.testing.capture_logs() as lines:
        delivery.deliver(node)
    (row,) = delivery.lately()
    assert (row.state, row.tries) == ("queued", 1)
    assert "refused" in row.outcome
    assert "secret-path" not in row.outcome + str(lines)


def test_a_target_that_was_removed_is_not_tried(node: Settings) -> None:
    hook(node, "http://127.0.0.1:9/")
    delivery.add(MADE, "hook")
    targets.forget("hook")
    delivery.deliver(node)
    assert delivery.lately()[0].state == "failed"


def server_at(port: int, tls: str = "starttls", user: str = "node") -> Mail:
    to = "ada@example.com, bo@example.com"
    return Mail("127.0.0.1", port, tls, "node@example.com", to, user)


def test_a_mail_goes_by_starttls_with_log_in(tmp_path: Path) -> None:
    context, trusting = certificate(tmp_path)
    with serving(MailServer(context)) as server:
        where = server_at(server.server_address[1])
        assert mail.send(MADE, where, "hunter2", trusting) == "taken by the mail server"
    (text,) = server.mails
    assert "Subject: [cellar] Alert: It is hot <b>" in text
    assert "/alerts/runbooks/disk-full" in text
    assert server.login == "\0node\0hunter2"
    assert server.said.index("STARTTLS") < server.said.index("data")
    receivers = [line.lower() for line in server.said]  # Pythons differ in the case
    assert [line for line in receivers if line.startswith("rcpt")] == [
        "rcpt to:<ada@example.com>",
        "rcpt to:<bo@example.com>",
    ]


def test_a_certificate_that_is_not_trusted_ends_it_before_the_password(
    tmp_path: Path,
) -> None:
    context, _ = certificate(tmp_path)
    with serving(MailServer(context)) as server:
        server.handle_error = lambda request, address: None
        with pytest.raises(ssl.SSLError):
            mail.send(MADE, server_at(server.server_address[1]), "hunter2")
    assert (server.login, server.mails) == ("", [])


def test_a_server_without_starttls_gets_nothing() -> None:
    with serving(MailServer(None)) as server, pytest.raises(smtplib.SMTPException):
        mail.send(MADE, server_at(server.server_address[1]), "hunter2")
    assert (server.login, server.mails) == ("", [])


def test_what_the_mail_server_refuses_is_said(node: Settings) -> None:
    with serving(MailServer(None, "550 no such person")) as server:
        wish: dict[str, Any] = {**MAIL, "host": "127.0.0.1", "tls": "none", "user": ""}
        wish["port"] = server.server_address[1]
        targets.put(node, "post", wish)
        delivery.add(MADE, "post")
        delivery.deliver(node)
    assert "no such person" in delivery.lately()[0].outcome


def test_a_secret_is_sealed_kept_and_never_sent_elsewhere(node: Settings) -> None:
    targets.put(node, "post", {**MAIL, "secret": "hunter2"})
    targets.put(node, "post", {**MAIL, "to": "cy@example.com"})
    assert targets.secret(node, "post") == "hunter2"
    database = b"".join(p.read_bytes() for p in (node.data_dir / "node").iterdir())
    assert b"hunter2" not in database
    assert "hunter2" not in str(targets.document(targets.get("post")))
    targets.put(node, "post", {**MAIL, "host": "mail.other.example"})
    assert targets.secret(node, "post") == ""


def test_the_path_of_a_webhook_is_not_shown(node: Settings) -> None:
    hook(node, "https://user:pw@hooks.example/T00/B00/xyz", "slack")
    shown = targets.document(targets.get("hook"))
    assert shown["host"] == "hooks.example"
    assert "xyz" not in str(shown)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"kind": ["email"]}, "kind"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"port": "587"}, "port"),
        ({"tls": "maybe"}, "tls"),
        ({"tls": "none"}, "tls"),
        ({"sender": "ada"}, "sender"),
        ({"sender": "ada@example.com\r\nBcc: x@example.com"}, "sender"),
        ({"to": ""}, "to"),
        ({"to": "ada@example.com, nobody"}, "to"),
        ({"to": 5}, "to"),
        ({"secret": "two\nlines"}, "secret"),
        ({"secret": 5}, "secret"),
        ({"url": "https://example.com"}, "url"),
    ],
)
def test_a_wrong_mail_target_is_refused(
    node: Settings, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        targets.put(node, "post", {**MAIL, **change})
    assert field in caught.value.members["errors"]
    assert targets.every() == []


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "https://", "file:///etc/passwd", "http://x:99999/", "http://[x"],
)
def test_a_wrong_address_is_refused(node: Settings, url: str) -> None:
    with pytest.raises(Invalid, match="url"):
        targets.put(node, "hook", {"kind": "slack", "url": url})


@pytest.mark.parametrize("secret", ["short", "whsec_x", "whsec_YWJj"])
def test_a_signing_secret_that_is_none_is_refused(node: Settings, secret: str) -> None:
    wish = {"kind": "standard", "url": "https://example.com/", "secret": secret}
    with pytest.raises(Invalid, match="whsec_"):
        targets.put(node, "hook", wish)


class Trial:
    """As much of a run as the test's step needs."""

    id, subject = "01test", "hook"

    def __init__(self) -> None:
        self.memory: dict[str, Any] = {}
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)


def test_the_test_says_how_it_went(node: Settings, web: WebServer) -> None:
    hook(node, web.url)
    run: Any = Trial()
    delivery.send_trial(run)
    assert run.lines == ["hook: answered 200"]
    assert json.loads(web.got[0][2])["type"] == "alert.test"
    hook(node, "http://127.0.0.1:9/")
    with pytest.raises(Problem, match="could not be told"):
        delivery.send_trial(run)
    assert [row.state for row in delivery.lately()] == ["failed", "delivered"]
