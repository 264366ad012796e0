"""The settings file as text: its values, changes to it, and what is wrong with it.

Pure. tomlkit keeps comments and order where a value changes.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_settings import EnvSettingsSource
from tomlkit.exceptions import TOMLKitError

from appliance.admin.options import Option, options, shown, typed
from appliance.config import Settings
from appliance.older import ALIASES, translate
from appliance.problems import Invalid

Source = Literal["default", "file", "environment"]
LONGEST = 256 << 10
SAID = {
    "int_parsing": "It must be a whole number.",
    "int_type": "It must be a whole number.",
    "int_from_float": "It must be a whole number.",
    "float_parsing": "It must be a number.",
    "float_type": "It must be a number.",
    "bool_parsing": "It must be true or false.",
    "bool_type": "It must be true or false.",
    "string_type": "It must be text, in quotes.",
    "list_type": "It must be a list.",
}
"""Of pydantic's kinds of errors, those that it words for programmers."""


@dataclass(frozen=True)
class Entry:
    """A setting with the value that counts, and where that comes from."""

    option: Option
    value: str
    source: Source
    variable: str = ""


@dataclass(frozen=True)
class Change:
    """A setting whose value in the file (or by default) becomes another."""

    option: Option
    before: str
    after: str

    def __str__(self) -> str:
        sides = (side.replace("\n", ", ") or "nothing" for side in self.sides)
        return f"{self.option.name}: {' → '.join(sides)}"

    @property
    def sides(self) -> tuple[str, str]:
        return self.before, self.after


def digest(text: str) -> str:
    """What tells one state of the file from another."""
    return sha256(text.encode()).hexdigest()[:32]


def entries(text: str, environ: Mapping[str, str] = os.environ) -> list[Entry]:
    """Every setting; text that is no TOML counts as empty."""
    values, held = file_values(text), environment(environ)
    return [_entry(option, values, held) for option in options().values()]


def _entry(
    option: Option, values: Mapping[str, Any], held: Mapping[str, tuple[str, Any]]
) -> Entry:
    if option.name in held:
        variable, value = held[option.name]
        return Entry(option, shown(value), "environment", variable)
    if option.name in values:
        return Entry(option, shown(values[option.name]), "file")
    return Entry(option, option.default, "default")


def file_values(text: str) -> dict[str, Any]:
    """What the file says, by the settings' names."""
    try:
        return dict(_flat(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        return {}


def environment(environ: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """(variable, value) of each setting that the environment decides."""
    found: dict[str, tuple[str, Any]] = {}
    older = {".".join(path): variable for variable, path in ALIASES.items()}
    for name, value in _flat(translate(environ).values):
        found[name] = (older[name], value)
    spelled = {variable.upper(): variable for variable in environ}
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items()}
    for name, value in _flat(source()):
        variable = f"FORMATION_{name.replace('.', '__').upper()}"
        whole = f"FORMATION_{name.partition('.')[0].upper()}"
        found[name] = (spelled.get(variable, whole), value)
    return found


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def changed(text: str, wanted: Mapping[str, Any]) -> str:
    """The file with other values; None takes a setting out of it, so that its default
    counts again. Raises Invalid for names that are no settings."""
    unknown = [name for name in wanted if name not in options()]
    if unknown:
        raise Invalid(
            f"There is no setting {unknown[0]!r}{near(unknown[0])}; nothing was "
            "changed.",
            **dict.fromkeys(unknown, "There is no such setting."),
        )
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        sentence = f"The file is not TOML: {error}. Correct its text first."
        raise Invalid(sentence) from None
    for name, value in wanted.items():
        try:
            _place(document, options()[name], value)
        except (TOMLKitError, TypeError, AttributeError):
            sentence = "It cannot be that, or its section is no table in the file."
            raise Invalid(
                f"Nothing was changed. {name}: {sentence}", **{name: sentence}
            ) from None
    return tomlkit.dumps(document)


def _place(document: Any, option: Option, value: Any) -> None:
    if not option.section:
        table = document
    elif option.section in document:
        table = document[option.section]
    elif value is None:
        return
    else:
        table = document[option.section] = tomlkit.table()
        table = document[option.section]
    if value is None:
        table.pop(option.key, None)
    else:
        table[option.key] = value


def typed_in(
    text: str, form: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """What a form asks to change: fields that no longer show what they showed. An
    empty field takes the setting out of the file."""
    wanted: dict[str, Any] = {}
    for entry in entries(text, environ):
        name = entry.option.name
        if name not in form or entry.source == "environment":
            continue
        new = form[name].replace("\r\n", "\n").strip()
        if new != entry.value:
            wanted[name] = typed(entry.option, new) if new else None
    return wanted


def errors(text: str) -> dict[str, str]:
    """What is wrong, by setting; what is wrong with the whole is under the empty name.

    The file is judged by itself: the environment may go.
    """
    if len(text) > LONGEST:
        return {"": f"The file has more than {LONGEST >> 10} KiB."}
    try:
        _file_model().model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return {"": f"This is not TOML: {error}."}
    except ValidationError as error:
        return dict(_sentences(error))
    return {}


@cache
def _file_model() -> type[BaseModel]:
    """The settings as the file alone has them."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in Settings.model_fields.items()
    }
    return create_model("File", __config__=ConfigDict(extra="forbid"), **fields)


def _sentences(error: ValidationError) -> Iterator[tuple[str, str]]:
    for item in error.errors():
        name = ".".join(map(str, item["loc"][:2]))
        if item["type"] == "extra_forbidden":
            yield name, f"There is no such setting{near(name)}."
            continue
        yield name, SAID.get(item["type"], _sentence(item["msg"]))


def _sentence(said: str) -> str:
    said = said.removeprefix("Value error, ").replace(
        "Input should be", "It must be", 1
    )
    return f"{said[:1].upper()}{said[1:]}."


def near(name: str) -> str:
    """`; do you mean …?` where a setting is named nearly so."""
    found = difflib.get_close_matches(name, options(), 1, 0.75)
    return f" (do you mean {found[0]}?)" if found else ""


def must_be_right(text: str) -> None:
    """Raise Invalid with a sentence for each setting that is wrong."""
    wrong = errors(text)
    if wrong:
        said = "; ".join(
            f"{name}: {why}" if name else why for name, why in wrong.items()
        )
        raise Invalid(f"Nothing was changed. {said}", **wrong)


def changes(before: str, after: str) -> list[Change]:
    """The settings whose value differs between two states of the file."""
    old, new = file_values(before), file_values(after)
    found = []
    for option in options().values():
        change = Change(option, _value(option, old), _value(option, new))
        if change.before != change.after:
            found.append(change)
    return found


def touched(before: str, after: str) -> set[str]:
    """The sections in which two states of the file differ; none of a text that is no
    configuration."""
    if errors(after):
        return set()
    return {change.option.name.partition(".")[0] for change in changes(before, after)}


def _value(option: Option, values: Mapping[str, Any]) -> str:
    return shown(values[option.name]) if option.name in values else option.default


def difference(before: str, after: str) -> list[str]:
    """A unified diff's lines; none where nothing changes."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "now", "then", lineterm=""
    )
    return list(lines)
