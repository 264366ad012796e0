"""Set-up: the claim code, the answers of each step, and the end of it."""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from peewee import FloatField, TextField
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from appliance import clock, events, formnet, identity, state
from appliance.admin import accounts, passwords, throttle
from appliance.admin.machine import changing, names, network, wish
from appliance.appliance_image import is_appliance
from appliance.config import Settings
from appliance.database import NodeModel
from appliance.problems import Invalid, Problem
from appliance.service import choose, chosen, services

STEPS = ("claim", "checks", "node", "machine", "account", "services", "done")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Answer(NodeModel):
    step = TextField(primary_key=True)
    answers = TextField()
    saved = FloatField()

    class Meta:
        table_name = "setting_answer"


class NodeAnswers(BaseModel):
    """Name, region, range and zone of the node."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=f"^{_LABEL}$")
    region: str = Field("", max_length=40)
    cidr: IPv4Network
    zone: str = Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$")

    @field_validator("cidr")
    @classmethod
    def wide_enough(cls, value: IPv4Network) -> IPv4Network:
        if value.prefixlen > 24 or not value.is_private:
            raise ValueError("a private range of /24 or wider is needed")
        return value


def is_done(settings: Settings) -> bool:
    return chosen(settings) is not None


def claim_file(settings: Settings) -> Path:
    return settings.data_dir / "node" / "claim"


def new_claim(settings: Settings) -> str:
    """A fresh claim code, kept where only our processes can read it."""
    code = "-".join(secrets.token_hex(2) for _ in range(3))
    path = claim_file(settings)
    path.touch(mode=0o600)
    path.write_text(code)
    return code


def claim(settings: Settings, code: str, address: str) -> None:
    """Check the code; failures are counted by address."""
    try:
        expected = claim_file(settings).read_text()
    except FileNotFoundError:
        expected = ""
    sent = code.strip().lower().encode()
    with throttle.attempt("claim", address):
        if not expected or not secrets.compare_digest(sent, expected.encode()):
            raise Invalid(
                "That is not the claim code. It is printed on the node's console at "
                "each start.",
                code="Not the code of this start.",
            )


def save(step: str, answers: dict[str, Any]) -> None:
    """Keep a step's answers; passwords come hashed."""
    row = Answer.insert(step=step, answers=json.dumps(answers), saved=clock.now())
    row.on_conflict_replace().execute()


def saved() -> dict[str, dict[str, Any]]:
    return {row.step: json.loads(row.answers) for row in Answer.select()}


def next_step() -> str:
    """The first step that is not answered yet; a power cut loses none."""
    answered = {"claim", *saved()}
    return next((step for step in steps() if step not in answered), STEPS[-1])


def steps() -> tuple[str, ...]:
    """The machine is asked about where the node sets it: on the appliance."""
    left_out = () if is_appliance() else ("machine",)
    return tuple(step for step in STEPS if step not in left_out)


def node_defaults(settings: Settings) -> dict[str, Any]:
    """What the node step proposes: a range that is free on this machine."""
    cidr, routes = settings.formnet.cidr, formnet.routes(settings.formnet.bridge)
    if formnet.clash(cidr, routes):
        cidr = formnet.free_range(routes) or cidr
    return {"cidr": str(cidr), "zone": settings.dns.zone}


def node_answers(settings: Settings, form: dict[str, Any]) -> dict[str, Any]:
    """Validated answers of the node step; raises Invalid with field errors."""
    try:
        found = NodeAnswers.model_validate(node_defaults(settings) | form)
        clash = formnet.clash(found.cidr, formnet.routes(settings.formnet.bridge))
        if clash:
            raise Invalid(f"{clash}.", cidr=f"{clash}.")
        return found.model_dump(mode="json")
    except ValidationError as error:
        wrong = {str(item["loc"][0]): item["msg"] for item in error.errors()}
        first = next(iter(wrong.items()))
        raise Invalid(f"{first[0]}: {first[1]}", **wrong) from None


def machine_proposals() -> dict[str, Any]:
    """What the machine step proposes and offers: the machine as it is."""
    return {
        "now": {"time_zone": names.time_zone(), "host_name": names.host_name()},
        "zones": sorted(available_timezones()),
        "cards": [{"name": name} for name in network.cards()],
    }


def machine_answers(form: Any) -> dict[str, Any]:
    """Validated answers of the machine step; raises Invalid, or Conflict elsewhere."""
    form = table(form, "machine")
    if not form:
        return {}
    changing.must_be_managed()
    found = wish.checked(form)
    if found.network is not None:
        network.resolved(found.network, network.cards())
    return found.document()


def account_answers(
    name: str, password: str, again: str | None = None
) -> dict[str, Any]:
    """Name and hash of the operator; raises Invalid with all that is wrong."""
    name, wrong = name.strip().lower(), {}
    if not re.fullmatch(_LABEL, name):
        sentence = "The name becomes part of DNS names: a-z, 0-9 and - only."
        wrong["name"] = (sentence, "a-z, 0-9 and - only.")
    wrong |= passwords.wrong_with(password, name)
    passwords.refuse(wrong | passwords.wrong_again(password, again))
    return {"name": name, "password_hash": accounts.hash_password(password, name)}


def finish(settings: Settings) -> accounts.Account:
    """Turn the answers into records and let the chosen services start."""
    answers = saved()
    for step in ("node", "account", "services"):
        if step not in answers:
            raise Problem("setup-incomplete", f"The step {step!r} is not answered yet.")
    operator = accounts.operator() or accounts.create(
        answers["account"]["name"], answers["account"]["password_hash"], ("operator",)
    )
    node = answers["node"]
    id_ = identity.node_id(settings) or ""
    public = (settings.data_dir / "state" / "node.pub").read_text().strip()
    block = formnet.network(settings.formnet.bridge, IPv4Network(node["cidr"])).block
    state.put("node", id_, {**node, "public_key": public, "cidr_block": str(block)})
    Answer.delete().where(Answer.step == "account").execute()
    choose(settings, answers["services"]["chosen"])
    claim_file(settings).unlink(missing_ok=True)
    events.happened("The node was set up", service="admin", subject=node["name"])
    if answers.get("machine"):
        changing.request(wish.checked(answers["machine"]), operator.id)
    return operator


def from_file(settings: Settings, path: Path) -> accounts.Account:
    """Unattended set-up from a TOML file with the wizard's answers."""
    if is_done(settings):
        raise Problem("setup-done", "This node is set up already.", status=410)
    try:
        answers = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Problem("setup-file", f"{path}: {error}") from None
    return from_answers(settings, answers, str(path))


def from_answers(
    settings: Settings, answers: dict[str, Any], where: str
) -> accounts.Account:
    """The same from what `where` holds; nothing is kept of what is wrong somewhere."""
    for step, found in steps_of(settings, answers, where).items():
        save(step, found)
    return finish(settings)


def steps_of(
    settings: Settings, answers: dict[str, Any], where: str
) -> dict[str, dict[str, Any]]:
    """The answers of each step, checked; raises Problem."""
    try:
        operator = table(answers["account"], "account")
        return {
            "machine": machine_answers(answers.get("machine", {})),
            "node": node_answers(settings, table(answers["node"], "node")),
            "account": account_answers(
                str(operator["name"]), str(operator["password"])
            ),
            "services": {"chosen": chosen_services(answers, where)},
        }
    except KeyError as error:
        raise Problem(
            "setup-file", f"{where}: [node] and [account] are needed; missing {error}"
        ) from None


def table(found: Any, name: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Invalid(f"[{name}] is a table of names and values.")
    return dict(found)


def chosen_services(answers: dict[str, Any], where: str) -> list[str]:
    """Names of services; all where none are named."""
    wanted = table(answers.get("services", {}), "services")
    names = wanted.get("chosen", list(services()))
    if not isinstance(names, list):
        raise Invalid("[services] chosen is a list of names.")
    unknown = sorted({str(name) for name in names} - set(services()))
    if unknown:
        raise Problem("setup-file", f"{where}: no service is named {unknown[0]}")
    return list(names)
