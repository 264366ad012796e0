"""Signatures of requests: what holds, and everything that does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import http_sf
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from appliance import clock, identity
from appliance.admin import nonces, signatures
from appliance.admin.signatures import Message
from appliance.config import Settings
from appliance.problems import Problem

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = identity.raw_public(KEY)
NODE, HERE = identity.fingerprint(PUBLIC), "ab" * 32
URL = "https://node.example:8443/api/v1/vmm/instances?limit=2&of=a%2Fb"
BODY = b'{"a": 1}'


def find_key(node: str) -> bytes | None:
    return PUBLIC if node == NODE else None


def signed(key: Ed25519PrivateKey = KEY, **changed: Any) -> Message:
    """A signed request; `changed` are members of it before it is signed."""
    message = Message("POST", URL, {})
    vars(message).update(changed)
    signatures.sign(message, BODY, NODE, key, HERE)
    return message


def check(message: Message, receiver: str = HERE) -> signatures.Signature:
    return signatures.verify(message, receiver, find_key)


def digest_of(body: bytes) -> str:
    return http_sf.ser({"sha-256": (sha256(body).digest(), {})})


def refused(message: Message, receiver: str = HERE) -> str:
    with pytest.raises(Problem) as caught:
        check(message, receiver)
    assert (caught.value.name, caught.value.status) == ("signature-refused", 401)
    return caught.value.detail


def test_what_was_signed_for_this_node_holds() -> None:
    found = check(signed())
    assert found.node == NODE
    signatures.must_match(found.digest, io.BytesIO(BODY))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("method", "DELETE"),
        ("url", URL.replace("node.example", "other.example")),
        ("url", URL.replace(":8443", "")),
        ("url", URL.replace("vmm", "pack")),
        ("url", URL.replace("%2F", "/")),
        ("url", URL.replace("limit=2", "limit=3")),
        ("url", URL + "&x"),
        ("url", URL.split("?")[0]),
        ("url", URL.replace("/api", "//api")),
        ("url", "nonsense"),
        ("url", ""),
    ],
)
def test_what_was_altered_is_refused(member: str, value: str) -> None:
    message = signed()
    setattr(message, member, value)
    refused(message)


def test_what_was_sent_to_another_node_is_refused() -> None:
    refused(signed(), receiver="cd" * 32)
    refused(signed(), receiver="")


def test_another_key_is_refused() -> None:
    refused(signed(key=OTHER))


def test_a_node_that_is_not_known_is_refused() -> None:
    with pytest.raises(Problem, match="key"):
        signatures.verify(signed(), HERE, lambda node: None)


@pytest.mark.parametrize("body", [b"", BODY + b" ", b"x" * 200_000])
def test_another_body_is_refused(body: bytes) -> None:
    digest = check(signed()).digest
    with pytest.raises(Problem, match="body"):
        signatures.must_match(digest, io.BytesIO(body))


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha-256",
        "sha-256=1",
        "sha-256=:AAAA:",
        "md5=:AAAA:",
        "sha-512=:AAAA:",
        "sha-256=:AAAA:, md5=:AAAA:",
        "sha-256=:AAAA:, sha-256=:BBBB:",
        "\xff",
    ],
)
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(Problem) as caught:
        signatures.must_match(digest, io.BytesIO(b""))
    assert caught.value.name == "signature-refused"


def test_a_digest_that_was_exchanged_is_refused() -> None:
    message = signed()
    message.headers["Content-Digest"] = digest_of(b"other")
    refused(message)


Change = Callable[[dict[str, Any], list[Any]], object]


def forged(change: Change, alg: str | None = None) -> Message:
    """Signed with the right key, but in another form: `change` gets the parameters and
    the covered components."""
    message = Message("POST", URL, {"Content-Digest": digest_of(BODY)})
    now = int(clock.now())
    params: dict[str, Any] = {
        "created": now,
        "keyid": NODE,
        "expires": now + 60,
        "nonce": "n" * 24,
        "tag": signatures.tag(HERE),
    }
    covered: list[Any] = list(signatures.COVERED)
    if alg:
        params["alg"] = alg
    change(params, covered)
    said = ([(name, {}) for name in covered], params)
    values = {
        "@method": "POST",
        "@authority": "node.example:8443",
        "@path": "/api/v1/vmm/instances",
        "@query": "?limit=2&of=a%2Fb",
        "@scheme": "https",
        "content-digest": message.headers["Content-Digest"],
    }
    text = http_sf.ser({"a": said}).removeprefix("a=")
    lines = [f'"{name}": {values[name]}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {text}'])
    message.headers["Signature-Input"] = f"a={text}"
    signature = KEY.sign(base.encode())
    message.headers["Signature"] = http_sf.ser({"a": (signature, {})})
    return message


def later(seconds: int) -> Change:
    def change(params: dict[str, Any], covered: list[Any]) -> None:
        params["created"] += seconds
        params["expires"] += seconds

    return change


def test_the_plain_form_holds() -> None:
    assert check(forged(lambda params, covered: None)).node == NODE
    assert check(forged(lambda params, covered: None, alg="ed25519")).node == NODE
    assert check(forged(later(-30))).node == NODE
    assert check(forged(later(30))).node == NODE


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(later(-200), id="expired"),
        pytest.param(later(-(10**9)), id="long ago"),
        pytest.param(later(120), id="future"),
        pytest.param(later(10**13), id="beyond time"),
        pytest.param(lambda p, c: p.update(expires=p["created"] + 301), id="long"),
        pytest.param(lambda p, c: p.update(expires=p["created"]), id="no time"),
        pytest.param(lambda p, c: p.pop("expires"), id="endless"),
        pytest.param(lambda p, c: p.pop("created"), id="no beginning"),
        pytest.param(lambda p, c: p.pop("nonce"), id="no nonce"),
        pytest.param(lambda p, c: p.update(nonce="short"), id="short nonce"),
        pytest.param(lambda p, c: p.update(nonce="n" * 65), id="long nonce"),
        pytest.param(lambda p, c: p.update(nonce=12), id="no string"),
        pytest.param(lambda p, c: p.pop("keyid"), id="nobody"),
        pytest.param(lambda p, c: p.update(keyid="ab" * 32), id="somebody else"),
        pytest.param(lambda p, c: p.update(keyid=7), id="a number"),
        pytest.param(lambda p, c: p.pop("tag"), id="to nobody"),
        pytest.param(lambda p, c: p.update(tag="formation:"), id="to all"),
        pytest.param(lambda p, c: p.update(created="now"), id="a word"),
        pytest.param(lambda p, c: p.update(more="x"), id="unknown parameter"),
        pytest.param(lambda p, c: c.append("@scheme"), id="too much"),
        pytest.param(lambda p, c: c.append("@method"), id="twice"),
        *(
            pytest.param(lambda p, c, name=name: c.remove(name), id=f"no {name}")
            for name in signatures.COVERED
        ),
    ],
)
def test_what_has_not_our_form_is_refused_though_the_key_is_right(
    change: Change,
) -> None:
    refused(forged(change))


@pytest.mark.parametrize(
    "alg", ["hmac-sha256", "none", "ED25519", "rsa-v1_5-sha256", "ecdsa-p256-sha256"]
)
def test_another_algorithm_is_refused(alg: str) -> None:
    refused(forged(lambda params, covered: None, alg=alg))


def test_a_signature_by_hmac_with_the_public_key_is_refused() -> None:
    import hmac

    message = forged(lambda params, covered: None, alg="hmac-sha256")
    code = hmac.digest(PUBLIC, b"x", "sha256")
    message.headers["Signature"] = http_sf.ser({"a": (code, {})})
    refused(message)


@pytest.mark.parametrize("header", ["Signature", "Signature-Input"])
def test_a_header_that_is_there_twice_is_refused(header: str) -> None:
    message = signed()
    once = message.headers[header]
    message.headers[header] = f"{once}, {once}"
    assert "twice" in refused(message)


def test_a_second_signature_is_refused() -> None:
    message, other = signed(), forged(lambda params, covered: None)
    for header in ("Signature", "Signature-Input"):
        message.headers[header] += f", {other.headers[header]}"
    assert "one member" in refused(message)


@pytest.mark.parametrize("header", ["Signature", "Signature-Input", "Content-Digest"])
@pytest.mark.parametrize("value", [None, "", "x", "formation=:", "a=:AA==:", "\xff"])
def test_a_header_that_is_missing_or_broken_is_refused(
    header: str, value: str | None
) -> None:
    message = signed()
    del message.headers[header]
    if value is not None:
        message.headers[header] = value
    refused(message)


@given(
    st.text(st.characters(codec="latin-1"), max_size=80),
    st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]),
)
def test_whatever_stands_in_a_header_is_refused_with_a_sentence(
    text: str, header: str
) -> None:
    message = signed()
    message.headers[header] = text
    refused(message)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True),
        st.one_of(
            st.integers(-(10**15) + 1, 10**15 - 1),
            st.booleans(),
            st.binary(max_size=70),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(["@method", "@status", "@query-param", "date"])),
)
def test_any_parameters_and_components_are_refused_with_a_sentence(
    params: dict[str, Any], covered: list[str]
) -> None:
    message = signed()
    said = ([(name, {}) for name in covered], params)
    message.headers["Signature-Input"] = http_sf.ser({"formation": said})
    refused(message)


def test_a_nonce_is_taken_once_and_forgotten_when_its_time_is_over(
    settings: Settings,
) -> None:
    soon = clock.now() + 60
    nonces.use(NODE, "a" * 20, soon)
    nonces.use(HERE, "a" * 20, soon)
    with pytest.raises(Problem, match="used before"):
        nonces.use(NODE, "a" * 20, soon)
    nonces.use(NODE, "old", clock.now() - 1)
    nonces.use(NODE, "b" * 20, soon)
    assert nonces.Nonce.select().count() == 3


def test_a_node_that_sends_too_much_must_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonces, "MOST", 2)
    for nonce in ("a", "b"):
        nonces.use(NODE, nonce, clock.now() + 60)
    with pytest.raises(Problem) as caught:
        nonces.use(NODE, "c", clock.now() + 60)
    assert caught.value.status == 429
    nonces.use(HERE, "c", clock.now() + 60)


def test_a_nonce_is_kept_until_its_signature_is_too_old_for_anybody() -> None:
    found = check(signed())
    made = datetime.now(UTC) + timedelta(seconds=signatures.LIFETIME_S)
    assert found.until > made.timestamp() + signatures.SKEW_S
