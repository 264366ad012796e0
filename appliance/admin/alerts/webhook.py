"""An alert as an HTTP request: Standard Webhooks, ntfy or Slack.

https://github.com/standard-webhooks/standard-webhooks: the signature is HMAC-SHA256
over id, time and body.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass, field
from email.header import Header

import httpx

from appliance.admin.alerts.message import MARKS, Message
from appliance.admin.alerts.targets import signing_key

TIMEOUT_S = 10.0
PRIORITIES = {"info": "3", "warning": "4", "critical": "5"}
TAGS = {"firing": "rotating_light", "resolved": "white_check_mark", "test": "bell"}


@dataclass(frozen=True)
class Request:
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def request(message: Message, shape: str, secret: str, now: float) -> Request:
    """What is posted, in the shape that the other end understands."""
    return {"standard": standard, "ntfy": ntfy, "slack": slack}[shape](
        message, secret, int(now)
    )


def standard(message: Message, secret: str, time: int) -> Request:
    document = {
        "type": f"alert.{message.news}",
        "timestamp": message.since,
        "data": {
            "node": message.node,
            "rule": message.rule,
            "title": message.title,
            "subject": message.subject_of,
            "value": message.value,
            "severity": message.severity,
            "runbook": message.runbook,
        },
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(time),
    }
    key = signing_key(secret)
    if key:
        headers["webhook-signature"] = signature(key, message.id, time, body)
    return Request(body, headers)


def signature(key: bytes, id_: str, time: int, body: bytes) -> str:
    signed = f"{id_}.{time}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def ntfy(message: Message, secret: str, time: int) -> Request:
    """Posted to a topic's address; the secret is an access token."""
    resolved = message.news == "resolved"
    headers = {
        "Title": ascii_header(message.subject),
        "Priority": "2" if resolved else PRIORITIES[message.severity],
        "Tags": TAGS[message.news],
        "Content-Type": "text/plain; charset=utf-8",
    }
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return Request(message.text.encode(), headers)


def ascii_header(text: str) -> str:
    """The text, in encoded words (RFC 2047) where it is not ASCII."""
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=900).encode()


def slack(message: Message, secret: str, time: int) -> Request:
    """An incoming webhook; its address is its secret."""
    text = f"*{MARKS[message.news]}: {escaped(message.title)}*\n"
    text += f"{escaped(message.node)} · {escaped(message.subject_of)} · "
    text += f"{escaped(message.value)} · {message.severity}"
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    return Request(body, {"Content-Type": "application/json"})


def escaped(text: str) -> str:
    """Slack's three characters of control."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def post(url: str, made: Request) -> str:
    """Post it; what the other end said. Raises httpx.HTTPError; redirects are not
    followed."""
    with (
        httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
        client.stream("POST", url, content=made.body, headers=made.headers) as answer,
    ):
        if not answer.is_success:
            text = f"answered {answer.status_code}"
            raise httpx.HTTPStatusError(text, request=answer.request, response=answer)
    return f"answered {answer.status_code}"
