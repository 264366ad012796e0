"""What may be wished of the machine: one shape for page, API, command, wizard and seed.

Pure. What is left out stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    IPvAnyInterface,
    ValidationError,
    model_validator,
)

from appliance.problems import Invalid

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
MOST_KEYS = 50
SENTENCES = {
    "ip_any_address": "must be an address, such as 192.168.1.1",
    "ip_any_interface": "must be an address with its prefix, such as 192.168.1.20/24",
}


def zone_name(text: str) -> str:
    if text != "UTC" and text not in available_timezones():
        raise ValueError(f"{text[:64]!r} is no time zone, such as Europe/Berlin or UTC")
    return text


def host_label(text: str) -> str:
    """One label: with dots mDNS would not find it."""
    lowered = text.strip().lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", lowered):
        raise ValueError("must be one name of a-z, 0-9 and -, such as cellar")
    return lowered


def card_name(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", text):
        raise ValueError("must be the name of a network card, such as enp1s0")
    return text


def key_line(text: str) -> str:
    """A line as `ssh-keygen` leaves it in a .pub file; no options before it."""
    kind, _, rest = text.strip().partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind not in KEY_TYPES:
        raise ValueError(
            f"an SSH key begins with one of {', '.join(KEY_TYPES[:3])}, …: give the "
            "line of a .pub file"
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        blob = b""
    told = len(kind).to_bytes(4, "big") + kind.encode()
    if not blob.startswith(told) or len(blob) < len(told) + 32:
        raise ValueError("the SSH key is not whole: copy the whole line of a .pub file")
    if kind == "ssh-rsa" and len(blob) < 256:
        raise ValueError("an RSA key of less than 2048 bits is too weak")
    said = re.sub(r"[^\x21-\x7e ]", "", comment)[:100].strip()
    return f"{kind} {encoded} {said}".strip()


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Part):
    """How the machine gets its address."""

    method: Literal["dhcp", "static"] = "dhcp"
    interface: Annotated[str, AfterValidator(card_name)] = Field(
        "", description="The card; empty for the only one, by DHCP for all wired ones."
    )
    address: IPvAnyInterface | None = Field(
        None, description="With its prefix: 192.168.1.20/24."
    )
    gateway: IPvAnyAddress | None = None
    dns: list[IPvAnyAddress] = Field([], max_length=8)

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        if self.method == "dhcp":
            if self.address or self.gateway:
                raise ValueError("by DHCP neither address nor gateway is given")
            return self
        if self.address is None:
            raise ValueError("a static network needs an address: 192.168.1.20/24")
        network, ip = self.address.network, self.address.ip
        if network.num_addresses == 1 and network.version == 4:
            raise ValueError("the address needs its prefix: 192.168.1.20/24")
        if ip.is_loopback or ip.is_multicast or ip.is_unspecified:
            raise ValueError(f"{ip} cannot be this machine's address")
        if self.gateway is None:
            return self
        if self.gateway.version != ip.version or self.gateway not in network:
            raise ValueError(f"the gateway must be an address of {network}")
        if self.gateway == ip:
            raise ValueError("the gateway is another machine than this one")
        return self


class Wish(Part):
    """What is to be changed of the machine."""

    time_zone: Annotated[str, AfterValidator(zone_name)] | None = None
    host_name: Annotated[str, AfterValidator(host_label)] | None = None
    network: Network | None = None
    ssh_keys: list[Annotated[str, AfterValidator(key_line)]] | None = Field(
        None,
        max_length=MOST_KEYS,
        description="All that root may log in by; [] ends it.",
    )

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


def checked(answers: Mapping[str, Any]) -> Wish:
    """The wish, or Invalid with what is wrong by field."""
    try:
        return Wish.model_validate(dict(answers))
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for item in error.errors():
            words = map(str, item["loc"])
            said = item["msg"].removeprefix("Value error, ")
            text = SENTENCES.get(item["type"], said)
            wrong.setdefault(".".join(words) or "machine", f"{text}.")
        name, text = next(iter(wrong.items()))
        raise Invalid(f"{name}: {text}", **wrong) from None
