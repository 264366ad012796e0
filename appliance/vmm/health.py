"""Does an instance answer its health check?

One request on a connection of its own; no redirect is followed and no body read:
a guest may be hostile.
"""

from __future__ import annotations

from appliance import clock
from appliance.call import Broken, Call, NotHttp

TIMEOUT_S = 2.0


def probe_health(address: str, port: int, path: str) -> tuple[bool, str]:
    """Whether `GET path` answers 2xx or 3xx within TIMEOUT_S, else why not."""
    try:
        with Call(address, port, clock.now() + TIMEOUT_S, 0) as call:
            status = call.send("GET", path).status
    except TimeoutError:
        return False, f"GET {path}: no answer within {TIMEOUT_S:g} s"
    except (Broken, NotHttp) as error:
        return False, f"GET {path}: {error}"
    if 200 <= status < 400:
        return True, ""
    return False, f"GET {path} answers {status}"
