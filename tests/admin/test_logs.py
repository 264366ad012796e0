"""Logs: every form of line is understood, found, bounded; and nothing is hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin import logs
from appliance.admin.log_lines import moment, of_journal, parse
from appliance.admin.logs import Files, Journal, Wanted
from appliance.config import Settings
from appliance.problems import NotFound, Unavailable

AT = 1_795_596_576.5


def ours(second: float, event: str, level: str = "info", **more: str) -> str:
    from appliance import clock

    stamp = clock.rfc3339(AT + second)
    return json.dumps({"event": event, "level": level, "timestamp": stamp, **more})


@pytest.fixture
def folder(settings: Settings) -> Path:
    """Two processes that wrote in turn, one with a traceback."""
    web = [ours(0, "a"), ours(2, "c", request_id="r-1"), "Traceback:", "  boom"]
    dns = [ours(1, "b", "warning"), ours(3, "d", "error", name="echo")]
    (settings.log_dir / "web.log").write_text("\n".join(web) + "\n")
    (settings.log_dir / "dns.log").write_text("\n".join(dns) + "\n")
    return settings.log_dir


def texts(settings: Settings, limit: int = 100, **wanted: object) -> list[str]:
    found, _ = logs.find(settings, Wanted(**wanted), limit)  # type: ignore[arg-type]
    return [entry.text for entry in found]


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (ours(0, "x", "warning", a="b"), "warning", "x a=b"),
        ("[2026-11-25 08:49:36 +0000] [1] [CRITICAL] gone", "error", "gone"),
        ("2026-11-25 08:49:34,992 WARN slow", "warning", "slow"),
        ("2026-11-25 08:49:36.499+0000: 118: error : f:1 : no", "error", "f:1 : no"),
        ("2026-11-25T08:49:36.499Z [info     ] said    a=b", "info", "said    a=b"),
        ('{"level":"panic","ts":1.5,"logger":"tls","msg":"m"}', "error", "tls: m"),
    ],
)
def test_each_kind_of_line_is_understood(line: str, level: str, text: str) -> None:
    found = parse("p", line)
    assert found and (found.level, found.text) == (level, text)


def test_a_traceback_of_ours_is_told_in_lines() -> None:
    frames = [{"filename": "a.py", "lineno": 3, "name": "f"}]
    trace = [{"exc_type": "KeyError", "exc_value": "'x'", "frames": frames}]
    line = json.dumps({"event": "bug", "timestamp": "2026-01-01", "exception": trace})
    found = parse("p", line)
    assert found and found.text == "bug\n  a.py:3 in f\n  KeyError: 'x'"


@given(st.text())
def test_no_line_breaks_the_reader(line: str) -> None:
    found = parse("p", line)
    assert found is None or "\x1b" not in found.text


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_journal_entry_breaks_the_reader(value: object) -> None:
    of_journal("p", {"MESSAGE": value, "__REALTIME_TIMESTAMP": "1", "PRIORITY": value})
    of_journal("p", {"MESSAGE": "m", "__REALTIME_TIMESTAMP": value})


def test_all_processes_come_in_the_order_of_time(
    folder: Path, settings: Settings
) -> None:
    found = texts(settings)
    assert found == ["a", "b", "c\nTraceback:\n  boom", "d name=echo"]


def test_entries_are_found_by_each_filter(folder: Path, settings: Settings) -> None:
    assert texts(settings, process="dns", level="error") == ["d name=echo"]
    assert texts(settings, text="BOOM")[0].startswith("c")
    assert texts(settings, request="r-1")[0].startswith("c")
    assert texts(settings, since=AT + 1.5, until=AT + 2.5)[0].startswith("c")
    assert texts(settings, level="warning") == ["b", "d name=echo"]


def test_pages_have_every_entry_once(folder: Path, settings: Settings) -> None:
    seen: list[str] = []
    before = None
    more = True
    while more:
        found, more = logs.find(settings, Wanted(before=before), 1)
        seen = [*(entry.text[:1] for entry in found), *seen]
        before = logs.key_of(logs.text_of(found[0]))
    assert seen == ["a", "b", "c", "d"]


def test_rotated_files_go_on_and_half_a_line_waits(
    folder: Path, settings: Settings
) -> None:
    (folder / "web.log").rename(folder / "web.log.1")
    (folder / "web.log").write_text(ours(4, "e") + "\n" + ours(5, "f"))
    assert [t[:1] for t in texts(settings, process="web")] == ["a", "c", "e"]


@pytest.mark.parametrize("block", [1, 7, 64])
def test_lines_are_whole_wherever_blocks_end(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(logs, "BLOCK", block)
    (folder / "web.log").write_text(ours(0, "grün") + "\n" + ours(1, "b") + "\n")
    found, _ = logs.find(settings, Wanted("web"), 10)
    assert [entry.text for entry in found] == ["grün", "b"]
    assert [entry.place for entry in found] == [0, len(ours(0, "grün").encode()) + 1]


def test_one_question_looks_through_so_much_and_no_more(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [ours(n, f"n{n}") for n in range(1000)]
    (folder / "web.log").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(logs, "SCAN", 1000)
    monkeypatch.setattr(logs, "BLOCK", 500)
    assert 5 < len(texts(settings, process="web", limit=1000)) < 20


def test_an_unknown_process_is_refused_with_those_there_are(
    folder: Path, settings: Settings
) -> None:
    with pytest.raises(NotFound, match=r"'nope'; known: dns, web"):
        logs.find(settings, Wanted("nope"), 1)
    with pytest.raises(NotFound):
        logs.find(settings, Wanted("../web"), 1)


def test_a_folder_that_is_not_there_yet_has_no_lines(settings: Settings) -> None:
    assert Files(settings.log_dir / "none").names() == []


def test_the_marker_changes_with_every_line(folder: Path) -> None:
    before = Files(folder).marker()
    assert Files(folder).marker() == before
    with (folder / "dns.log").open("a") as file:
        file.write(ours(9, "z") + "\n")
    assert Files(folder).marker() != before


def test_the_journal_is_asked_by_unit_and_time(tmp_path: Path) -> None:
    """With a program in its place that prints what it was asked, and two entries."""
    said = {"__REALTIME_TIMESTAMP": "5000000", "MESSAGE": ours(0, "x", request_id="r")}
    plain = {"__REALTIME_TIMESTAMP": "4000000", "MESSAGE": [111, 107], "PRIORITY": "3"}
    fake, asked = tmp_path / "journalctl", tmp_path / "asked"
    lines = "\n".join(json.dumps(one) for one in (said, plain))
    fake.write_text(f"#!/bin/sh\necho \"$@\" >{asked}\ncat <<'END'\n{lines}\nEND\n")
    fake.chmod(0o755)
    journal = Journal({"dns": "formation-dns.service"}, str(fake))
    found = list(journal.newest("dns", Wanted(since=3.0, until=6.0)))
    assert [(e.time, e.level, e.text, e.request) for e in found] == [
        (5.0, "info", "x", "r"),
        (4.0, "error", "ok", ""),
    ]
    words = asked.read_text().split()
    assert "--unit=formation-dns.service" in words and "--output=json" in words
    assert "--since=@3" in words and "--until=@7" in words


def test_a_journal_that_cannot_be_asked_says_so() -> None:
    with pytest.raises(Unavailable, match="cannot be run"):
        list(Journal({"dns": "x"}, "/no/journalctl").newest("dns", Wanted()))


def test_what_systemd_keeps_is_read_beside_the_files(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`form serve` on a machine whose libvirtd is systemd's."""
    (settings.run_dir / "supervisor.sock").touch()
    (settings.log_dir / "libvirtd.log").unlink(missing_ok=True)
    micros = int((AT + 1.5) * 1e6)
    line = json.dumps({"__REALTIME_TIMESTAMP": str(micros), "MESSAGE": "from libvirt"})
    fake = tmp_path / "bin" / "journalctl"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\necho '{line}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    for module in ("logs", "programs"):
        monkeypatch.setattr(f"appliance.admin.{module}.SYSTEMD", tmp_path)
    found = [text.partition("\n")[0] for text in texts(settings)]
    assert found == ["a", "b", "from libvirt", "c", "d name=echo"]
    assert texts(settings, process="libvirtd") == ["from libvirt"]
    assert logs.names(settings) == ["dns", "web", "libvirtd"]
    with pytest.raises(NotFound, match="dns, libvirtd, web"):
        logs.find(settings, Wanted("caddy"), 1)


def test_a_time_is_a_moment_or_how_long_ago() -> None:
    assert moment("2026-01-01T00:00:00Z") == 1767225600
    assert abs(moment("0s") - moment("1h") - 3600) < 1
    with pytest.raises(ValueError, match="no time"):
        moment("soon")


def test_the_folder_is_not_for_everybody(settings: Settings) -> None:
    from appliance.layout import folders

    mode = next(f.mode for path, f in folders(settings) if path == settings.log_dir)
    assert mode & 0o007 == 0
