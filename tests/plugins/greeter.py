"""An example plug-in: a service with a page and a check, and nothing else.

Installed as a package with the entry points beside it, it shows up in the
registry, the wizard, the status endpoints and the CLI by its declaration alone.
"""

from __future__ import annotations

from flask import Blueprint

from appliance.config import Settings
from appliance.service import Check, Service, State, Verdict
from blueprints.access import public


class GreeterRuntime:
    def __init__(self, settings: Settings) -> None:
        self._greets = False

    def start(self) -> None:
        self._greets = True

    def stop(self) -> None:
        self._greets = False

    def reload(self) -> None:
        return None

    def status(self) -> tuple[State, str]:
        return ("running", "") if self._greets else ("stopped", "nobody is greeted")


SERVICE = Service(
    name="greeter",
    title="Greeter",
    segment="greeter",
    process="jobs",
    runtime=GreeterRuntime,
    summary="Greets whoever asks.",
)
CHECK = Check("manners", "Manners", lambda settings: Verdict(True, "very good"))
blueprint = Blueprint("greeter", __name__)


@blueprint.get("/greeter/")
@public
def page() -> str:
    return "Good day"
