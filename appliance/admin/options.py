"""Every setting as a person is asked for it; read from the declarations in config.py.

Pure. A setting that is declared there is on the page, in the API and in `form
settings` by that alone.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from appliance.config import Settings

Kind = Literal["whole", "number", "choice", "switch", "list", "text"]


@dataclass(frozen=True)
class Option:
    """One setting. `restart` names the processes that must be restarted (or `node`)
    before it applies; none: a reload is enough. `set_up`: only set-up asks for it."""

    name: str
    section: str
    key: str
    help: str
    kind: Kind
    default: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    restart: tuple[str, ...] = ()
    set_up: bool = False

    @property
    def applies(self) -> str:
        """When a change counts, in words."""
        if self.set_up:
            return "counts until set-up is done; later changes do nothing"
        if "node" in self.restart:
            return "applies once the node is started again"
        if self.restart:
            names = " and ".join(f"formation-{name}" for name in self.restart)
            return f"applies once {names} is restarted"
        return "applies at once"


@cache
def options() -> Mapping[str, Option]:
    """All settings by name, `section.key`, in the order of their declaration."""
    return {option.name: option for option in _all()}


def sections() -> dict[str, str]:
    """Sections with their meaning; the empty name is that of the folders."""
    found = {}
    for name, field in Settings.model_fields.items():
        if section := _section(field):
            found[name] = (section.__doc__ or "").strip()
    return found | {"": "Where the node keeps its things."}


def _all() -> Iterator[Option]:
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is None:
            yield option("", name, field)
            continue
        for key, inner in section.model_fields.items():
            yield option(name, key, inner)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def option(section: str, key: str, field: FieldInfo) -> Option:
    """What a field declares."""
    extra = field.json_schema_extra
    said: Mapping[str, Any] = extra if isinstance(extra, dict) else {}
    kind = field.annotation
    limits = {type(limit): limit for limit in field.metadata}
    least = limits[Ge].ge if Ge in limits else None
    return Option(
        name=f"{section}.{key}" if section else key,
        section=section,
        key=key,
        help=field.description or "",
        kind=_kind(kind),
        default=shown(field.default),
        choices=tuple(map(str, get_args(kind))) if _is_choice(kind) else (),
        least=least,
        most=limits[Le].le if Le in limits else None,
        restart=tuple(said.get("restart", ())),
        set_up=bool(said.get("set_up")),
    )


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _kind(kind: Any) -> Kind:
    if _is_choice(kind):
        return "choice"
    if get_origin(kind) in (list, tuple, set, frozenset):
        return "list"
    inner = set(get_args(kind)) - {type(None)}
    if get_origin(kind) in (Union, types.UnionType) and len(inner) == 1:
        return _kind(inner.pop())
    simple: dict[Any, Kind] = {bool: "switch", int: "whole", float: "number"}
    return simple.get(kind, "text")


def shown(value: Any) -> str:
    """A value as it stands in its field; lists have a line for each."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set | frozenset):
        return "\n".join(map(str, value))
    return str(value)


def typed(option: Option, text: str) -> Any:
    """What TOML keeps for what was typed; where that does not fit, the text itself,
    which is then refused with a sentence."""
    text = text.replace("\r\n", "\n").strip()
    try:
        match option.kind:
            case "whole":
                return int(text)
            case "number":
                return int(text) if text.isdecimal() else float(text)
            case "switch":
                return {"true": True, "false": False}.get(text, text)
            case "list":
                return [line.strip() for line in text.splitlines() if line.strip()]
    except ValueError:
        return text
    return text
