"""Runs the checks, and keeps what they find. In formation-jobs, which is root."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import structlog

from appliance.admin.repairs import checks, kept
from appliance.admin.repairs.issue import SEVERITIES, Issue, Repair
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import plugins

log = structlog.get_logger()
MOST = 20
MORE_OF, MORE = "and-more", "Mend those that are listed; the others follow."


@cache
def repairs() -> Mapping[str, Repair]:
    """Every check by name: a module each, and those of plug-ins."""
    modules = (m.name for m in iter_modules(checks.__path__, f"{checks.__name__}."))
    own = [import_module(name).REPAIR for name in modules]
    return {one.name: one for one in (*own, *added())}


def added() -> Iterable[Repair]:
    """What packages add; one that is broken must not keep the node's own from it."""
    try:
        return plugins("formation.repairs").values()
    except Exception:  # noqa: BLE001
        log.exception("repairs.unloaded")
        return ()


def refresh(settings: Settings) -> None:
    """All of them look."""
    look(settings)


def look(
    settings: Settings,
    names: Iterable[str] = (),
    said: Callable[[Repair], object] = id,
) -> dict[str, str]:
    """Let these checks look, or all; returns why some could not, by name. `said` is
    told of each before it looks."""
    known, trouble = repairs(), {}
    for name in names or known:
        said(known[name])
        why = _look(settings, known[name])
        if why:
            trouble[name] = why
    kept.forget_others(known)
    return trouble


def _look(settings: Settings, repair: Repair) -> str:
    """Keep what it finds, or return why it could not look: one that is broken must not
    end the others."""
    try:
        issues = list(repair.find(settings))
    except Exception as error:  # noqa: BLE001
        why = sentence(error)
        log.warning("repairs.unseen", check=repair.name, why=why)
        kept.looked(repair.name, repair.title, why)
        return why
    kept.keep(repair.name, repair.title, bounded(issues))
    return ""


def sentence(error: Exception) -> str:
    known = isinstance(error, Problem)
    return str(error) if known else f"{type(error).__name__}: {error}"


def bounded(issues: list[Issue]) -> list[Issue]:
    """The worst of them, and one that says how many more there are."""
    worst = sorted(issues, key=lambda one: SEVERITIES.index(one.severity))
    left = worst[MOST:]
    if not left:
        return worst
    titles = ", ".join(sorted({one.title for one in left})[:5])
    text = f"{len(left)} more were found: {titles}."
    more = Issue("info", "And more of the kind", text, MORE, MORE_OF, state="more")
    return [*worst[:MOST], more]


def find_all(settings: Settings) -> dict[str, list[Issue] | str]:
    """What each finds now, or why it cannot look; nothing of it is kept."""
    found: dict[str, list[Issue] | str] = {}
    for name, repair in repairs().items():
        try:
            found[name] = list(repair.find(settings))
        except Exception as error:  # noqa: BLE001 - one that is broken ends no other
            found[name] = f"could not look: {sentence(error)}"
    return found


def current(settings: Settings, repair: Repair, subject: str) -> Issue | None:
    """What the check says of a subject now; raises what it raises."""
    issues = list(repair.find(settings))
    kept.keep(repair.name, repair.title, bounded(issues))
    return next((one for one in issues if one.subject == subject), None)
