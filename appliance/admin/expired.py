"""Sessions, attempts, nonces and tokens whose time is over."""

from __future__ import annotations

from appliance import clock
from appliance.admin.nonces import Nonce
from appliance.admin.second_factor import PendingLogin
from appliance.admin.sessions import Session
from appliance.admin.throttle import WINDOW_S, Attempt
from appliance.admin.tokens import ApiToken

TOKEN_KEPT_S = 30 * 86400.0  # so that its owner sees that it expired


def forget() -> int:
    """Drop them; says how many sessions went."""
    now = clock.now()
    PendingLogin.delete().where(PendingLogin.expires < now).execute()
    Attempt.delete().where(Attempt.time < now - WINDOW_S).execute()
    Nonce.delete().where(Nonce.until < now).execute()
    ApiToken.delete().where(ApiToken.expires < now - TOKEN_KEPT_S).execute()
    return int(Session.delete().where(Session.expires < now).execute())
