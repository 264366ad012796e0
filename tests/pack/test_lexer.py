"""Lines and words, as a shell would see them, each with its place."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.pack.lexer import Line, Unclosed, lines, words

SHELL = st.text(st.sampled_from("ab=:/#\"'\\ \t$é"), max_size=30)


def only(text: str) -> Line:
    (line,) = lines(text)
    return line


@given(SHELL)
def test_words_are_those_of_shlex(rest: str) -> None:
    bare = rest.strip(" \t")
    text = f"RUN {bare}|"  # no backslash at the end, where a line would go on
    line = only(text)
    try:
        expected = shlex.split(bare + "|")
    except ValueError:
        with pytest.raises(Unclosed):
            words(line)
    else:
        assert [word.text for word in words(line)] == expected


@given(SHELL)
def test_a_words_place_is_its_text(rest: str) -> None:
    line = only(f"  X {rest}|")
    try:
        found = words(line)
    except Unclosed:
        return
    for word in found:
        written = line.text[word.start : word.end]
        assert shlex.split(written) == [word.text]


def test_comments_and_blank_lines_are_skipped() -> None:
    text = "# one\n\n   \n\t# two\nNAME a\n   # three\n"
    assert [(line.directive, line.number) for line in lines(text)] == [("NAME", 5)]


def test_a_sign_inside_a_line_is_no_comment() -> None:
    assert [w.text for w in words(only("TAGS a #b"))] == ["a", "#b"]


def test_any_run_of_blanks_separates() -> None:
    line = only(" \tINSTALL \t  python3\t\tcurl  \t")
    assert line.directive == "INSTALL"
    assert [w.text for w in words(line)] == ["python3", "curl"]
    assert line.rest == "python3\t\tcurl"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_ends_in_a_backslash_goes_on(end: str) -> None:
    text = f"INSTALL python3 \\{end}  curl \\{end}\tjq{end}NAME a"
    first, second = lines(text)
    assert [w.text for w in words(first)] == ["python3", "curl", "jq"]
    places = [first.place(w.start) for w in words(first)]
    assert [(p.line, p.column) for p in places] == [(1, 9), (2, 3), (3, 2)]
    assert second.number == 4


def test_a_continued_line_is_joined_as_a_shell_joins_it() -> None:
    assert only('ENV A="one \\\ntwo"').rest == 'A="one two"'


def test_comments_and_blanks_in_a_continuation_are_skipped_too() -> None:
    line = only("INSTALL python3 \\\n  # for the web\n\n  curl")
    assert [w.text for w in words(line)] == ["python3", "curl"]
    (remark,) = line.remarks
    assert (remark.place.line, remark.place.column) == (3, 1)
    assert "in line 4" in remark.message


def test_a_comment_does_not_go_on() -> None:
    assert only("# one \\\nNAME a").directive == "NAME"


def test_a_backslash_that_ends_nothing_is_told() -> None:
    (remark,) = only("RUN true \\").remarks
    assert "the file ends" in remark.message
    first, _ = lines("RUN true \\ \nNAME a")
    assert "blanks follow the backslash" in first.remarks[0].message


@given(st.text(st.sampled_from("ab\"'\\ \n#\r\t"), max_size=60))
def test_every_place_lies_in_the_file(text: str) -> None:
    physical = text.split("\n")
    for line in lines(text):
        for at in range(len(line.text)):
            place = line.place(at)
            assert physical[place.line - 1][place.column - 1] == line.text[at]
            assert text[line.offset(at)] == line.text[at]


def test_a_line_of_a_mebibyte_is_read() -> None:
    line = only("RUN " + "x'y\" " * 200_000 + "'")
    with pytest.raises(Unclosed):
        words(only("X " + '"' + "y" * 1_000_000))
    assert len(line.rest) > 999_999
