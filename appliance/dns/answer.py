"""From a query to the bytes of its answer (RFC 1035, 2308, 6303, 6891, 8482). Pure."""

from __future__ import annotations

from dnslib import (
    CLASS,
    EDNS0,
    NS,
    QTYPE,
    RCODE,
    RR,
    SOA,
    A,
    DNSHeader,
    DNSRecord,
)

from appliance.dns.query import OURS, Query
from appliance.dns.zone import Zone

BADVERS = 16
ANY_CLASS = 255
META = range(128, 255)  # transfers, keys and such; ANY is 255


def reply_to(query: Query, code: int = RCODE.NOERROR, *, ra: bool) -> DNSRecord:
    """An answer without records yet; OPT goes back to whom one came from."""
    header = DNSHeader(
        id=query.id,
        bitmap=0,
        qr=1,
        rd=int(query.recursive),
        cd=int(query.unchecked),
        ra=int(ra),
        rcode=code & 15,
    )
    reply = DNSRecord(header, q=query.question)
    if query.edns:
        flags = "do" if query.edns.wants_dnssec else ""
        reply.add_ar(EDNS0("", ext_rcode=code >> 4, flags=flags, udp_len=OURS))
    return reply


def refusal(query: Query) -> int | None:
    """The code for what nobody is answered here, or None."""
    if query.edns and query.edns.version:
        return BADVERS
    if query.question.qtype == QTYPE.OPT:
        return int(RCODE.FORMERR)
    if query.question.qclass not in (CLASS.IN, ANY_CLASS):
        return int(RCODE.REFUSED)
    return int(RCODE.REFUSED) if query.question.qtype in META else None


def answer(zone: Zone, query: Query, ttl: int, *, ra: bool = True) -> DNSRecord:
    """The zone's own answer: addresses, NODATA or NXDOMAIN with SOA."""
    reply = reply_to(query, ra=ra)
    reply.header.aa = 1
    name, kind = query.question.qname, query.question.qtype
    found = zone.lookup(query.name)
    at_apex = query.name == zone.apex
    if kind in (QTYPE.A, QTYPE.ANY):
        for address in found or ():
            reply.add_answer(RR(name, QTYPE.A, ttl=ttl, rdata=A(address)))
    if at_apex and kind in (QTYPE.SOA, QTYPE.ANY):
        reply.add_answer(_soa(zone, ttl))
    if at_apex and kind in (QTYPE.NS, QTYPE.ANY):
        reply.add_answer(RR(zone.apex, QTYPE.NS, ttl=ttl, rdata=NS(zone.apex)))
    if not reply.rr:
        reply.header.rcode = RCODE.NXDOMAIN if found is None else RCODE.NOERROR
        reply.add_auth(_soa(zone, ttl))
    return reply


def _soa(zone: Zone, ttl: int) -> RR:
    """The zone is its own primary server, as RFC 6303 has it for local zones."""
    times = (zone.serial & 0xFFFFFFFF, 3600, 600, 86400, ttl)
    rdata = SOA(zone.apex, f"hostmaster.{zone.apex}", times)
    return RR(zone.apex, QTYPE.SOA, ttl=ttl, rdata=rdata)


def fit(packet: bytes, query: Query, limit: int, *, ra: bool) -> bytes:
    """The packet, or a truncated reply that tells the asker to come by TCP."""
    if len(packet) <= limit:
        return packet
    reply = reply_to(query, packet[3] & 15, ra=ra)
    reply.header.tc = 1
    reply.header.aa = packet[2] >> 2 & 1
    return bytes(reply.pack())
