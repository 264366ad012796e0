"""From a query's bytes to its answer: who is answered what, and how long."""

from __future__ import annotations

import struct

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from appliance.dns.answer import answer, fit, refusal, reply_to
from appliance.dns.query import OURS, Query, Refused, parse
from appliance.dns.zone import Named, Zone, make_zone

ZONE = make_zone(
    "formation.internal",
    [
        Named("ada", "echo", "10.42.0.2", True),
        Named("ada", "ill", "10.42.0.3", False),
        Named("bob", "echo", "10.42.0.4", True),
        *(Named("ada", "many", f"10.42.1.{n}", True) for n in range(1, 60)),
    ],
    7,
)


def query(name: str, kind: str = "A", *extra: EDNS0, class_: str = "IN") -> Query:
    record = DNSRecord.question(name, kind, class_)
    record.add_ar(*extra)
    return parse(bytes(record.pack()))


def ask(name: str, kind: str = "A", zone: Zone = ZONE) -> DNSRecord:
    return DNSRecord.parse(answer(zone, query(name, kind), 5).pack())


def test_a_healthy_agent_has_its_address_under_both_names() -> None:
    for name in ("echo.formation.internal", "ECHO.ada.formation.internal"):
        assert str(ask(name).rr[0].rdata) == "10.42.0.2"
    assert str(ask("echo.bob.formation.internal").rr[0].rdata) == "10.42.0.4"


def test_a_short_name_stays_with_who_claimed_it() -> None:
    named = [
        Named("ada", "echo", "10.42.0.2", True),
        Named("bob", "echo", "10.42.0.4", True),
    ]
    zone = make_zone("formation.internal", named, 7, {"echo": "bob"})
    assert zone.lookup("echo.formation.internal") == ("10.42.0.4",)
    assert zone.holders == {"echo": "bob"}


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("ill.formation.internal", "A", RCODE.NOERROR),
        ("echo.formation.internal", "AAAA", RCODE.NOERROR),
        ("ada.formation.internal", "A", RCODE.NOERROR),
        ("formation.internal", "A", RCODE.NOERROR),
        ("nobody.formation.internal", "A", RCODE.NXDOMAIN),
        ("nobody.formation.internal", "ANY", RCODE.NXDOMAIN),
    ],
)
def test_without_an_answer_there_is_the_soa(name: str, kind: str, code: int) -> None:
    reply = ask(name, kind)
    assert (reply.header.rcode, len(reply.rr)) == (code, 0)
    assert QTYPE[reply.auth[0].rtype] == "SOA"
    assert reply.auth[0].ttl == 5


@pytest.mark.parametrize(
    ("kind", "found"), [("SOA", ["SOA"]), ("NS", ["NS"]), ("ANY", ["SOA", "NS"])]
)
def test_the_apex_has_its_own_records(kind: str, found: list[str]) -> None:
    reply = ask("formation.internal", kind)
    assert [QTYPE[rr.rtype] for rr in reply.rr] == found


def test_any_is_answered_with_what_there_is() -> None:
    reply = ask("echo.formation.internal", "ANY")
    assert [str(rr.rdata) for rr in reply.rr] == ["10.42.0.2"]


def test_the_letters_of_the_question_are_repeated() -> None:
    reply = ask("eChO.FormATION.internal")
    assert str(reply.q.qname) == "eChO.FormATION.internal."
    assert str(reply.rr[0].rname) == "eChO.FormATION.internal."


def test_flags_are_the_askers_and_not_more() -> None:
    record = DNSRecord.question("echo.formation.internal")
    record.header.rd, record.header.ad, record.header.z = 0, 1, 1
    reply = answer(ZONE, parse(bytes(record.pack())), 5, ra=False)
    header = reply.header
    assert (header.rd, header.ra, header.aa, header.ad, header.z) == (0, 0, 1, 0, 0)


def test_opt_is_answered_with_opt_and_its_do_bit() -> None:
    reply = answer(ZONE, query("echo.formation.internal", "A", EDNS0(udp_len=4096)), 5)
    (opt,) = reply.ar
    assert (opt.rtype, opt.rclass, opt.ttl) == (QTYPE.OPT, OURS, 0)
    signed = query("echo.formation.internal", "A", EDNS0(udp_len=4096, flags="do"))
    assert answer(ZONE, signed, 5).ar[0].ttl == 0x8000
    assert answer(ZONE, query("echo.formation.internal"), 5).ar == []


def test_an_unknown_version_of_edns_is_said_so() -> None:
    asked = query("echo.formation.internal", "A", EDNS0(udp_len=4096, version=1))
    code = refusal(asked)
    assert code == 16
    reply = reply_to(asked, code, ra=True)
    assert (reply.header.rcode, reply.ar[0].ttl >> 24) == (0, 1)


@pytest.mark.parametrize(
    ("size", "limit"), [(None, 512), (0, 512), (900, 900), (65535, OURS)]
)
def test_the_size_that_is_offered_is_honoured(size: int | None, limit: int) -> None:
    opt = [] if size is None else [EDNS0(udp_len=size)]
    assert query("echo.formation.internal", "A", *opt).limit == limit


def test_what_does_not_fit_is_cut_to_a_reply_that_says_so() -> None:
    asked = query("many.ada.formation.internal")
    full = bytes(answer(ZONE, asked, 5).pack())
    assert len(full) > 512
    cut = DNSRecord.parse(fit(full, asked, 512, ra=True))
    assert (cut.header.qr, cut.header.tc, cut.header.aa) == (1, 1, 1)
    assert (cut.header.rcode, cut.rr, cut.q) == (0, [], asked.question)
    assert fit(full, asked, 65535, ra=True) == full


@pytest.mark.parametrize(
    ("kind", "class_", "code"),
    [
        ("TXT", "CH", RCODE.REFUSED),
        ("A", "Hesiod", RCODE.REFUSED),
        ("AXFR", "IN", RCODE.REFUSED),
        ("IXFR", "IN", RCODE.REFUSED),
        ("OPT", "IN", RCODE.FORMERR),
        ("A", "IN", None),
        ("ANY", "IN", None),
        ("HTTPS", "IN", None),
    ],
)
def test_other_classes_and_transfers_are_refused(
    kind: str, class_: str, code: int | None
) -> None:
    assert refusal(query("version.bind", kind, class_=class_)) == code


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    record = DNSRecord.question("echo.formation.internal")
    record.header.opcode = opcode
    with pytest.raises(Refused) as refused:
        parse(bytes(record.pack()))
    reply = DNSRecord.parse(refused.value.reply)
    assert (reply.header.rcode, reply.header.opcode) == (RCODE.NOTIMP, opcode)


def test_an_answer_gets_no_answer() -> None:
    record = DNSRecord.question("echo.formation.internal").reply()
    with pytest.raises(Refused) as refused:
        parse(bytes(record.pack()))
    assert refused.value.reply == b""


def test_two_questions_or_two_opts_are_malformed() -> None:
    two = DNSRecord(DNSHeader(), questions=[DNSQuestion("a."), DNSQuestion("b.")])
    opts = DNSRecord.question("a.")
    opts.add_ar(EDNS0(udp_len=512), EDNS0(udp_len=512))
    for record in (two, opts):
        with pytest.raises(Refused) as refused:
            parse(bytes(record.pack()))
        assert DNSRecord.parse(refused.value.reply).header.rcode == RCODE.FORMERR


def hostile() -> st.SearchStrategy[bytes]:
    """Packets that are nearly right: counts, pointers and lengths that lie."""
    header = st.tuples(
        st.integers(0, 65535),
        st.sampled_from([0, 0x100, 0x8000, 0x2800, 0x110]) | st.integers(0, 65535),
        *(st.sampled_from([0, 1, 2, 65535]) for _ in range(4)),
    ).map(lambda fields: struct.pack("!6H", *fields))
    names = st.sampled_from(
        [b"\0", b"\xc0\x0c", b"\xc0\x00", b"\x04echo\x09formation\x08internal\0"]
    ) | st.binary(max_size=80)
    question = st.tuples(
        names, st.sampled_from([b"\0\1\0\1", b"\0\xff\0\xff", b"\0\x29"])
    ).map(b"".join)
    opt = st.sampled_from(
        [b"\0\0\x29\x10\0\0\0\0\0\0\0", b"\0\0\x29\xff\xff\1\1\x80\0\0\4\0\n\0\0"]
    ) | st.binary(max_size=30)
    made = st.tuples(header, question, st.lists(opt, max_size=3).map(b"".join))
    return st.binary(max_size=600) | made.map(b"".join)


@given(hostile())
def test_hostile_bytes_never_raise_nor_are_amplified(packet: bytes) -> None:
    try:
        asked = parse(packet)
    except Refused as refused:
        assert len(refused.reply) <= max(len(packet), 0)
        return
    code = refusal(asked)
    if code is not None:
        assert len(reply_to(asked, code, ra=False).pack()) <= len(packet) + 11
    full = bytes(answer(ZONE, asked, 5).pack())
    assert len(fit(full, asked, asked.limit, ra=False)) <= asked.limit


@given(st.integers(1, 1300))
def test_pointers_that_chase_each_other_end(count: int) -> None:
    chain = b"".join(struct.pack("!H", 0xC000 | 12 + 2 * n) for n in range(count))
    packet = struct.pack("!6H", 1, 0, 1, 0, 0, 1) + b"\0\0\0\1\0\1" + chain
    for tail in (b"", b"\0\1\0\1\0\0\0\0\0\0"):
        try:
            parse(packet + tail)
        except Refused as refused:
            assert len(refused.reply) == 12


def test_the_class_any_is_the_internet_too() -> None:
    question = DNSQuestion("echo.formation.internal", QTYPE.A, 255)
    asked = parse(bytes(DNSRecord(DNSHeader(), q=question).pack()))
    assert refusal(asked) is None
