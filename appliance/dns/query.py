"""What a datagram or a message on TCP asks (RFC 1035, 6891). Hostile bytes end here."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dnslib import QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from dnslib.dns import DNSError

PLAIN = 512
OURS = 1232  # what fits every path without fragments (DNS flag day 2020)
RESPONSE = 0x8000


@dataclass(frozen=True)
class Edns:
    """The sender's OPT record."""

    size: int
    version: int
    wants_dnssec: bool
    has_options: bool


@dataclass(frozen=True)
class Query:
    """One question. `name` is lower case and without the last dot; `question` keeps
    the letters' case, which an answer must repeat."""

    id: int
    question: DNSQuestion
    name: str
    recursive: bool
    unchecked: bool
    edns: Edns | None

    @property
    def limit(self) -> int:
        """The longest answer that the asker takes by UDP."""
        return min(max(self.edns.size, PLAIN), OURS) if self.edns else PLAIN

    @property
    def key(self) -> tuple[object, ...]:
        """The same for all that an upstream answers in the same way."""
        signed = self.edns and self.edns.wants_dnssec
        flags = (self.recursive, self.unchecked, self.edns is None, signed)
        return (self.name, self.question.qtype, self.question.qclass, *flags)


class Refused(Exception):
    """No query. `reply` is what its sender deserves: perhaps nothing."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__()
        self.reply = reply


def parse(packet: bytes) -> Query:
    """The query; raises Refused for all else. An answer gets no answer, or two
    servers could talk to each other for ever."""
    if len(packet) < 12:
        raise Refused
    id_, flags = struct.unpack("!HH", packet[:4])
    if flags & RESPONSE:
        raise Refused
    if flags >> 11 & 15:
        raise Refused(_bare(id_, flags, RCODE.NOTIMP))
    malformed = Refused(_bare(id_, flags, RCODE.FORMERR))
    try:
        record = DNSRecord.parse(packet)
        question, edns = _question(record), _edns(record)
        name = str(question.qname).rstrip(".").lower()
    except (
        DNSError,
        ValueError,
        IndexError,
        TypeError,
        struct.error,
        RecursionError,
    ):
        raise malformed from None
    header = record.header
    return Query(id_, question, name, bool(header.rd), bool(header.cd), edns)


def _question(record: DNSRecord) -> DNSQuestion:
    (question,) = record.questions
    return question


def _edns(record: DNSRecord) -> Edns | None:
    found = [extra for extra in record.ar if extra.rtype == QTYPE.OPT]
    if not found:
        return None
    (opt,) = found
    return Edns(
        size=opt.rclass,
        version=opt.ttl >> 16 & 0xFF,
        wants_dnssec=bool(opt.ttl & 0x8000),
        has_options=bool(opt.rdata),
    )


def _bare(id_: int, flags: int, code: int) -> bytes:
    """A reply without sections: never longer than what it answers."""
    header = DNSHeader(id=id_, bitmap=flags & 0x7900, qr=1, rcode=code)
    return bytes(DNSRecord(header).pack())
