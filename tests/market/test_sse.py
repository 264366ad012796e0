"""Server-sent events: however the bytes are cut, the same events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.market.sse import Parser

TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def parse(*chunks: bytes) -> list[tuple[str, str]]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(st.lists(st.binary()))
def test_never_fails_and_cuts_do_not_matter(chunks: list[bytes]) -> None:
    assert parse(*chunks) == parse(b"".join(chunks))


@given(st.lists(TEXT, min_size=1), st.sampled_from(["\n", "\r", "\r\n"]), st.data())
def test_round_trip(lines: list[str], end: str, data: st.DataObject) -> None:
    text = f"event: delta{end}" + "".join(f"data: {line}{end}" for line in lines)
    raw = (text + end).encode()
    cut = data.draw(st.integers(0, len(raw)))
    assert parse(raw[:cut], raw[cut:]) == [("delta", "\n".join(lines))]


def test_comments_and_unfinished_events_are_left_out() -> None:
    assert parse(b": hello\n\ndata: 1\n\ndata: 2\n") == [("message", "1")]
