"""Accounts, sessions, tokens, the audit log, measurements, storage."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from appliance.admin.accounts import ROLES
from appliance.admin.rights import SCOPES
from appliance.service import State
from blueprints.shapes import Answer, Moment, Query, Wish

Role = Annotated[str, Field(json_schema_extra={"enum": [*ROLES]})]
Scope = Annotated[str, Field(json_schema_extra={"enum": [*SCOPES]})]
"""Said in the document; that they are known is checked by who takes them."""


class ServiceStatus(Answer):
    name: str
    process: str
    state: State
    reason: str = Field(description="Empty when all is well.")
    since: float
    beat: float
    details: dict[str, Any]


class Me(Answer):
    id: str
    name: str
    roles: list[str]


class PasswordChange(Wish):
    present: str
    new: str


class ProofWish(Wish):
    password: str
    code: str = Field("", description="Where the account has a second factor.")


class Proved(Answer):
    proved_until: Moment


class Changed(Answer):
    changed: bool


class Session(Answer):
    id: str
    browser: str
    address: str
    created: Moment
    seen: Moment
    is_this: bool


class Sessions(Answer):
    sessions: list[Session]


class SecondFactor(Answer):
    on: bool
    recovery_codes: int = Field(description="How many are left.")


class SecretToConfirm(Answer):
    secret: str = Field(description="In base32, for an authenticator.")
    address: str = Field(description="The same as otpauth://, for a QR code.")


class Code(Wish):
    code: str = Field(description="Six digits of the authenticator.")


class RecoveryCodes(Answer):
    recovery_codes: list[str] = Field(description="Each is good for one log-in.")


class TokenWish(Wish):
    name: str = Field(description="What it is for.", min_length=1, max_length=80)
    scopes: list[Scope] = Field(description="One or more of what it may.")
    days: int | None = Field(None, description="How long it is good; null for ever.")


class Token(Answer):
    id: str
    name: str
    scopes: list[str]
    created: Moment
    expires: Moment | None
    used: Moment | None


class NewToken(Token):
    token: str = Field(description="Shown this once.")


class Tokens(Answer):
    tokens: list[Token]


class Account(Answer):
    id: str
    name: str
    roles: list[str]
    created: Moment
    disabled: Moment | None
    has_password: bool
    second_factor: bool = Field(description="Whether its log-in asks for a code.")


class Accounts(Answer):
    accounts: list[Account]


class Owned(Account):
    owns: dict[str, int] = Field(description="How many agents and instances.")
    locked_out: list[str] = Field(
        description="Where log-ins are refused from for now, since too many failed."
    )


class AccountWithTokens(Owned):
    tokens: list[Token]
    agents: dict[str, str] = Field(description="Rights on agents of others.")


class AccountWish(Wish):
    name: str
    roles: list[Role]
    password: str | None = Field(None, description="Without one, a link sets it.")
    agents: dict[str, str] = Field(
        default={},
        description="Rights on agents that it begins with: `OWNER/NAME` to `call`, "
        "`view` or `manage`.",
    )


class NewAccount(Owned):
    set_password: str | None = Field(None, description="Path of the link.")
    expires: Moment | None = None


class AccountChange(Wish):
    roles: list[Role] | None = None
    disabled: bool | None = None


class Link(Answer):
    set_password: str = Field(description="Path of the link that sets a password.")
    expires: Moment


class DeletedAccount(Answer):
    deleted: str
    left_behind: dict[str, int] = Field(description="What it owned, which goes on.")


class Erasure(Answer):
    account: str
    agents: list[str]
    instances: int
    tasks: int
    tokens: int
    sessions: int
    hindrance: str = Field(description="Why it cannot be; empty where it can.")


class ErasureWish(Wish):
    confirm: str = Field(description="The account's name, against slips.")
    hand_over_to: str = Field(
        "", description="Whose its agents become; left out, they are deleted."
    )


class AuditRow(Answer):
    id: int
    time: Moment
    account: str
    address: str
    action: str
    subject: str
    outcome: str
    hash: str = Field(description="Of this row and the one before; empty in old ones.")


class AuditVerification(Answer):
    faults: list[str] = Field(description="Empty where the log is whole.")
    rows: int
    signed: dict[str, Any] | None = Field(description="The ends as signed last.")


class Audit(Answer):
    rows: list[AuditRow]
    next: int | None = Field(description="Give it as `before` for more.")


class AuditQuery(Query):
    account: str = Field("", description="Only this account's.")
    text: str = Field("", description="Only rows that have this text.")
    outcome: str = Field("", description="How it ended, as `refused`.")
    since: str = Field("", alias="from", description="A day such as 2026-01-31.")
    to: str = Field("", description="The last day.")
    before: int | None = Field(None, ge=0, le=2**62, description="`next` of the last.")
    limit: int = Field(50, ge=1, description="Rows at once, 500 at most.")


class Latest(Answer):
    time: float
    value: float
    unit: str


class Metrics(Answer):
    subject: str
    metrics: dict[str, Latest]


class Series(Answer):
    subject: str
    metric: str
    title: str
    unit: str
    step: int | float
    points: list[tuple[float, float | None]]


class MetricsQuery(Query):
    subject: str = Field(
        "node", description="`node`, an instance's id, or `process/NAME`."
    )
    metric: str | None = Field(None, description="Without it the last of each.")
    start: str | None = Field(
        None, alias="from", description="Seconds since the epoch, or RFC 3339."
    )
    to: str | None = Field(None, description="The same; now if it is left out.")


class Part(Answer):
    title: str
    bytes: int
    bound: str


class Volume(Answer):
    owner: str
    agent: str
    name: str
    mount: str
    size: int
    bytes: int
    used: float | None
    users: list[str]


class Volumes(Answer):
    volumes: list[Volume]


class Storage(Answer):
    """What takes the node's disk, as it was measured last."""

    measured: float
    total: int
    free: int
    bound: int
    kept: int
    parts: list[Part]
    over_bytes: int
    unused_bytes: int
    volumes: list[Volume]


class Item(Answer):
    key: str
    title: str
    bytes: int
    used: float | None
    users: list[str]
    unused: bool
    over: bool


class Sums(Answer):
    kept: int
    bound: int
    over_bytes: int
    unused_bytes: int
    measured: float


class Images(Sums):
    images: list[Item]


class Layers(Sums):
    layers: list[Item]
