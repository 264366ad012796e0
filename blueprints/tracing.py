"""Every request has an id: in its answer, in all that is logged of it, and findable.

Routes are logged by their rule, never by their path: that may be a link that sets a
password. Nothing of a body is logged.
"""

from __future__ import annotations

import re
import time
from typing import Any

import structlog
from flask import Response, g, request

from appliance import clock

HEADER = "X-Request-ID"
FORM = re.compile(r"[A-Za-z0-9._-]{8,64}")
SAFE = ("GET", "HEAD", "OPTIONS")
log = structlog.get_logger()


def begin() -> None:
    """Before each request: take the caller's id where it is a plain one."""
    sent = request.headers.get(HEADER, "")
    g.request_id = sent if FORM.fullmatch(sent) else clock.new_id()
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def end(answer: Response) -> Response:
    """After each request: name it in the answer, and log how it went. Accounts are in
    logs by their ids, so that a person can be erased and the logs stay."""
    if "request_id" not in g:
        return answer
    answer.headers[HEADER] = g.request_id
    tell = log.debug
    if answer.status_code >= 500:
        tell = log.warning
    elif answer.status_code >= 400 or request.method not in SAFE:
        tell = log.info
    account = g.get("account")
    tell(
        "request",
        method=request.method,
        route=route(),
        status=answer.status_code,
        ms=round((time.monotonic() - g.began) * 1000),
        account=account.id if account else "",
    )
    return answer


def route() -> str:
    return request.url_rule.rule if request.url_rule else "unknown"


def bug(exc_info: Any) -> None:
    """What no handler expected, with its place and without the values there."""
    log.error("request.bug", method=request.method, route=route(), exc_info=exc_info)
