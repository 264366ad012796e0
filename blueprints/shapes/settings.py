"""Settings of the node, and changes of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from appliance.admin.options import Kind
from blueprints.shapes import Answer, Moment, Wish

Errors = dict[str, str]
WRONG = "What is wrong, by setting; with the whole file, by the empty name."


class Setting(Answer):
    name: str
    value: str = Field(description="As it stands in a field; lists have lines.")
    default: str
    source: Literal["default", "file", "environment"]
    variable: str | None = Field(description="Of the environment, which decides.")
    kind: Kind
    choices: list[str]
    help: str
    applies: str
    restart: list[str] = Field(description="What must be restarted first.")


class Settings(Answer):
    file: str
    text: str
    errors: Errors = Field(description=WRONG)
    settings: list[Setting]


class SettingsPatch(Wish):
    changes: dict[str, Any] = Field(
        description="New values by name; null goes back to the default."
    )
    why: str = ""


class SettingsText(Wish):
    text: str = Field(description="The whole file.")
    why: str = ""


class SettingsTrial(Wish):
    changes: dict[str, Any] | None = None
    text: str | None = None


class SettingDifference(Answer):
    name: str
    before: str
    after: str
    applies: str
    restart: list[str]


class SettingsPreview(Answer):
    errors: Errors = Field(description=WRONG)
    diff: list[str]
    changes: list[SettingDifference]


class SettingsChange(Answer):
    id: int
    time: Moment
    account: str = Field(description="Empty where the file was changed by hand.")
    why: str
    changed: list[str]
    diff: list[str]


class SettingsHistory(Answer):
    changes: list[SettingsChange]


class Why(Wish):
    why: str = ""
