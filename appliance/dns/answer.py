"""From the bytes of a query to the bytes of its answer (RFC 1035, 2308)."""

from __future__ import annotations

import struct

from dnslib import AAAA, NS, QTYPE, RCODE, RR, SOA, A, DNSHeader, DNSRecord
from dnslib.dns import DNSError

from appliance.dns.zone import Zone

PLAIN_UDP = 512
__all__ = ["AAAA", "answer", "parse"]


def parse(query: bytes) -> DNSRecord | None:
    """The query, or None for what is none."""
    try:
        record = DNSRecord.parse(query)
    except (DNSError, ValueError, IndexError, struct.error, UnicodeError):
        return None
    if record.header.qr or len(record.questions) != 1:
        return None
    return record


def form_error(query: bytes) -> bytes:
    """FORMERR with the query's id; nothing for less than a header."""
    if len(query) < 12:
        return b""
    header = DNSHeader(
        id=struct.unpack("!H", query[:2])[0], qr=1, rcode=RCODE.FORMERR, q=0
    )
    return bytes(DNSRecord(header).pack())


def answer(zone: Zone, record: DNSRecord, ttl: int) -> DNSRecord:
    """The zone's own answer: addresses, NODATA or NXDOMAIN with SOA."""
    reply = record.reply(aa=1, ra=1)
    if record.header.opcode:
        reply.header.rcode = RCODE.NOTIMP
        return reply
    question = record.q
    name = str(question.qname).rstrip(".").lower()
    found = zone.lookup(name)
    kind = QTYPE.get(question.qtype)
    if found and kind in ("A", "ANY"):
        for address in found:
            reply.add_answer(RR(question.qname, QTYPE.A, ttl=ttl, rdata=A(address)))
        return reply
    if name == zone.apex and kind == "SOA":
        reply.add_answer(_soa(zone, ttl))
        return reply
    if name == zone.apex and kind == "NS":
        rdata = NS(f"ns.{zone.apex}")
        reply.add_answer(RR(zone.apex, QTYPE.NS, ttl=ttl, rdata=rdata))
        return reply
    if found is None:
        reply.header.rcode = RCODE.NXDOMAIN
    reply.add_auth(_soa(zone, ttl))
    return reply


def _soa(zone: Zone, ttl: int) -> RR:
    times = (zone.serial & 0xFFFFFFFF, 3600, 600, 86400, ttl)
    rdata = SOA(f"ns.{zone.apex}", f"hostmaster.{zone.apex}", times)
    return RR(zone.apex, QTYPE.SOA, ttl=ttl, rdata=rdata)
