"""Which records refer to which. Pure; walking both ways follows from one table."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.state.records import Record


@dataclass(frozen=True)
class Link:
    """Records of `kind` refer to one of kind `target` by these members of their
    body: several are joined by `@`, and `id` stands for the record's own."""

    kind: str
    members: tuple[str, ...]
    target: str

    @property
    def name(self) -> str:
        return "@".join(self.members)


LINKS = (
    Link("agent", ("owner",), "account"),
    Link("agent", ("id", "latest"), "version"),
    Link("version", ("agent",), "agent"),
    Link("version", ("build_id",), "build"),
    Link("deployment", ("account",), "account"),
    Link("deployment", ("agent",), "agent"),
    Link("deployment", ("agent", "version"), "version"),
    Link("instance", ("node",), "node"),
    Link("instance", ("agent",), "agent"),
    Link("instance", ("agent", "version"), "version"),
    Link("instance", ("deployment",), "deployment"),
    Link("domain", ("agent",), "agent"),
    Link("domain", ("instance",), "instance"),
    Link("audit", ("node",), "node"),
)


def target_of(link: Link, record: Record) -> str | None:
    """The id that a record refers to by this link, or None where it does not."""
    own = {**record.body, "id": record.id}
    values = [own.get(member) for member in link.members]
    if not all(isinstance(value, str) and value for value in values):
        return None
    return "@".join(map(str, values))


def members_for(link: Link, target: str) -> dict[str, str] | None:
    """What a record must have to refer to `target`; None where none can."""
    values = target.rsplit("@", len(link.members) - 1)
    if len(values) != len(link.members):
        return None
    return dict(zip(link.members, values, strict=True))
