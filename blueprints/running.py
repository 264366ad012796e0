"""What belongs to a service that does not run is refused.

Its status is not, and neither are administration and its pages, so that it can be
looked at and started again.
"""

from __future__ import annotations

from appliance.config import settings
from appliance.problems import Unavailable
from appliance.service import at_path, read_status

RUNS = ("running", "degraded")
AGAIN_S = 5


def must_run(path: str) -> None:
    """Raise Unavailable where the API at `path` is that of a service that does not."""
    service = at_path(path)
    if service is None or service.always:
        return
    status = read_status(settings(), service)
    if status.state not in RUNS:
        why = f": {status.reason}" if status.reason else ""
        raise Unavailable(
            "service-not-running",
            f"{service.title} ({service.name}) is {status.state}{why}.",
            retry_after=AGAIN_S,
        )
