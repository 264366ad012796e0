"""What a process logs of a bug: where it was, and nothing that it held."""

from __future__ import annotations

import pytest
import structlog

from appliance.config import Settings
from appliance.process import set_up_logging


@pytest.mark.parametrize("format_", ["json", "text"])
def test_a_bug_is_logged_without_the_values_around_it(
    settings: Settings, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    log = settings.log.model_copy(update={"format": format_})
    set_up_logging(settings.model_copy(update={"log": log}))
    secret = "".join(["s3cret", "-value"])
    try:
        raise KeyError("image")
    except KeyError:
        structlog.get_logger().exception("operation.bug")
    structlog.reset_defaults()
    said = "".join(capsys.readouterr())
    assert "KeyError" in said
    assert secret not in said
