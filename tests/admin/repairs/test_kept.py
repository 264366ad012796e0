"""What checks find is kept, ignored until it changes, and forgotten when it is gone."""

from __future__ import annotations

import pytest

from appliance import clock
from appliance.admin.alerts import rules, signals
from appliance.admin.repairs import how_many, kept
from appliance.admin.repairs.issue import Fix, Issue
from appliance.config import Settings
from appliance.problems import Invalid, NotFound

FULL = Issue("critical", "Full", "97 % used", "Free some.", "data", Fix("Free it"))
SLOW = Issue("info", "Slow", "It is slow", "Wait.")


def test_the_worst_comes_first_and_each_has_its_id(settings: Settings) -> None:
    kept.keep("speed", "Speed", [SLOW])
    kept.keep("space", "Space", [FULL])
    assert [row.id for row in kept.found()] == ["space:data", "speed"]
    assert kept.get("space:data").button == "Free it"
    assert how_many(None) == 2
    assert kept.worst() == {"space": "critical", "speed": "info"}


def test_an_issue_that_is_gone_is_forgotten(settings: Settings) -> None:
    kept.keep("space", "Space", [FULL])
    kept.keep("space", "Space", [])
    assert kept.found() == []
    assert kept.worst() == {"space": "ok"}
    with pytest.raises(NotFound, match="space:data"):
        kept.get("space:data")


def test_rules_of_alerts_may_be_on_what_checks_find(settings: Settings) -> None:
    for issues, word in (([FULL, SLOW], "critical"), ([SLOW], "info"), ([], "ok")):
        kept.keep("space", "Space", issues)
        assert signals.read(settings)["repair", "space"] == word
    assert "repair" in rules.known_signals()


def test_an_issue_lasts_since_it_became_what_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    kept.keep("space", "Space", [FULL])
    now = 2000.0
    kept.keep("space", "Space", [FULL])
    assert kept.get("space:data").since == 1000.0
    worse = Issue("critical", "Full", "100 % used", "Free some.", "data")
    kept.keep("space", "Space", [worse])
    assert kept.get("space:data").since == 2000.0


def test_it_is_ignored_until_it_changes(settings: Settings) -> None:
    kept.keep("speed", "Speed", [SLOW])
    row = kept.ignore("speed", "ada", " it is  an old machine ")
    assert (row.ignored_by, row.ignored_why) == ("ada", "it is an old machine")
    kept.keep("speed", "Speed", [SLOW])
    assert kept.get("speed").is_ignored
    assert (how_many(None), kept.worst()["speed"]) == (0, "ok")
    other = Issue("warning", "Slow", "It is slower", "Wait.")
    kept.keep("speed", "Speed", [other])
    assert not kept.get("speed").is_ignored
    assert how_many(None) == 1


def test_what_only_counts_on_is_no_change(settings: Settings) -> None:
    """A figure in the text moves, and the state says that nothing else did."""
    for used in ("91", "92"):
        text = f"{used} % used"
        kept.keep("space", "Space", [Issue("warning", "Full", text, "", state="w")])
        if used == "91":
            kept.ignore("space", "ada", "")
    row = kept.get("space")
    assert (row.text, row.is_ignored) == ("92 % used", True)


def test_what_is_ignored_can_be_said_again(settings: Settings) -> None:
    kept.keep("speed", "Speed", [SLOW])
    kept.ignore("speed", "ada", "")
    assert not kept.heed("speed").is_ignored
    with pytest.raises(NotFound):
        kept.heed("nothing")
    with pytest.raises(Invalid, match="why"):
        kept.ignore("speed", "ada", "x" * 301)


def test_checks_that_there_are_no_more_leave_nothing(settings: Settings) -> None:
    kept.keep("speed", "Speed", [SLOW])
    kept.keep("space", "Space", [FULL])
    kept.forget_others(["space"])
    assert [row.id for row in kept.found()] == ["space:data"]
    assert [look.name for look in kept.looks()] == ["space"]


@pytest.mark.parametrize("subject", ["a/b", "a b", "ä", "x" * 101])
def test_a_subject_that_fits_no_address_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        Issue("info", "", "", "", subject)
