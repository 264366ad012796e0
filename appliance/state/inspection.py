"""Looking at the records as a whole: counts, stamps, signatures, links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from appliance import identity
from appliance.config import Settings
from appliance.state.records import KINDS, Record, is_genuine
from appliance.state.store import Own, Reader
from appliance.state.walk import dangling

Verdict = Literal["genuine", "forged", "author unknown"]


@dataclass(frozen=True)
class Seen:
    """What is held of one author's incarnation: the highest seq, and how many of
    its records are still the newest of theirs."""

    author: str
    incarnation: str
    seq: int
    records: int


@dataclass(frozen=True)
class Overview:
    node: str | None
    own: Own | None
    counts: Mapping[str, int]
    deleted: int
    size_bytes: int
    integrity: str
    vector: tuple[Seen, ...]


@dataclass(frozen=True)
class Verification:
    """Everything that is not as it should be; all lists empty when all is well."""

    records: int
    wrong_signatures: tuple[str, ...]
    repeated_stamps: tuple[str, ...]
    dangling_links: tuple[str, ...]
    integrity: str

    @property
    def is_fine(self) -> bool:
        wrong = self.wrong_signatures + self.repeated_stamps + self.dangling_links
        return not wrong and self.integrity == "ok"


def overview(settings: Settings, reader: Reader) -> Overview:
    rows = reader.database.execute_sql(
        "select kind, deleted, count(*) from record group by kind, deleted"
    ).fetchall()
    living = {kind: count for kind, deleted, count in rows if not deleted}
    return Overview(
        identity.node_id(settings),
        reader.own(),
        {kind: living.get(kind, 0) for kind in KINDS},
        sum(count for _, deleted, count in rows if deleted),
        _size(settings),
        integrity(reader),
        vector(reader),
    )


def _size(settings: Settings) -> int:
    files = (settings.data_dir / "state").glob("state.db*")
    return sum(file.stat().st_size for file in files)


def integrity(reader: Reader) -> str:
    """`ok`, or what SQLite finds wrong with the file."""
    rows = reader.database.execute_sql("pragma quick_check(5)").fetchall()
    return "; ".join(str(row[0]) for row in rows)


def vector(reader: Reader) -> tuple[Seen, ...]:
    rows = reader.database.execute_sql(
        "select author, incarnation, max(seq), count(*) from record "
        "group by author, incarnation order by max(hlc)"
    )
    return tuple(Seen(*row) for row in rows)


def public_keys(settings: Settings, reader: Reader) -> dict[str, bytes]:
    """The keys of known authors by their ids: this node and those with a record."""
    own = settings.data_dir / "state" / "node.pub"
    texts = [own.read_text()] if own.exists() else []
    texts += [str(r.body.get("public_key", "")) for r in reader.select("node", {})]
    keys = {}
    for text in texts:
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            continue
        keys[identity.fingerprint(key)] = key
    return keys


def verdict(record: Record, keys: Mapping[str, bytes]) -> Verdict:
    """Whether the record is by the author that it names; checked, not believed."""
    key = keys.get(record.author)
    if key is None:
        return "author unknown"
    return "genuine" if is_genuine(record, key) else "forged"


def verify(settings: Settings, reader: Reader) -> Verification:
    """Check every signature, stamp and link."""
    keys = public_keys(settings, reader)
    count, wrong, lost = 0, [], []
    for record in reader.every():
        count += 1
        name = f"{record.kind} {record.id}"
        if (found := verdict(record, keys)) != "genuine":
            wrong.append(f"{name}: {found}")
        if not record.deleted:
            ends = dangling(reader, record)
            lost += [f"{name}: {e.by} leads to no {e.kind} {e.id}" for e in ends]
    return Verification(
        count, tuple(wrong), _repeated(reader), tuple(lost), integrity(reader)
    )


def _repeated(reader: Reader) -> tuple[str, ...]:
    """Seqs that were used twice, or that were never given out."""
    twice = reader.database.execute_sql(
        "select author, incarnation, seq, count(*) from header "
        "group by author, incarnation, seq having count(*) > 1"
    ).fetchall()
    found = [f"{row[0][:12]} {row[1]}: seq {row[2]} {row[3]} times" for row in twice]
    own = reader.own()
    for seen in vector(reader):
        if own and seen.incarnation == own.incarnation and seen.seq > own.seq:
            found.append(f"{seen.incarnation}: seq {seen.seq} was never given out")
    return tuple(found)
