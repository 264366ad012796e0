"""Keys sealed by a pass phrase: opened with it, with no other, and never lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from appliance import identity, keyfile
from appliance.admin import phrase
from appliance.config import Settings
from appliance.host import Host
from appliance.identity import Ed25519PrivateKey
from appliance.problems import Problem
from appliance.process import opened
from appliance.service import read_status, services


def with_phrase(settings: Settings, folder: Path, text: str | None) -> Settings:
    """The settings with a file that holds this pass phrase, or with none."""
    file = folder / "phrase"
    if text is not None:
        file.write_text(text + "\n")
    node = {"passphrase_file": None if text is None else file}
    return settings.model_copy(update={"node": settings.node.model_copy(update=node)})


@pytest.fixture
def sealed(settings: Settings, tmp_path: Path) -> Settings:
    """A node whose keys are sealed by `one`."""
    found = with_phrase(settings, tmp_path, "one")
    identity.signing_key(found)
    identity.sealing_key(found)
    return found


def raw(settings: Settings) -> tuple[bytes, bytes]:
    return (
        identity.signing_key(settings).private_bytes_raw(),
        identity.sealing_key(settings).private_bytes_raw(),
    )


def test_sealed_keys_open_with_their_phrase(sealed: Settings) -> None:
    for path in identity.key_files(sealed):
        assert b"ENCRYPTED" in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o400
    assert raw(sealed) == raw(sealed)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "no pass phrase is set"), ("two", "is another")]
)
def test_without_it_or_with_another_a_sentence_says_so(
    sealed: Settings, tmp_path: Path, text: str | None, said: str
) -> None:
    before = [path.read_bytes() for path in identity.key_files(sealed)]
    other = with_phrase(sealed, tmp_path, text)
    for open_ in (identity.must_open, identity.signing_key, identity.sealing_key):
        with pytest.raises(Problem, match=said) as refused:
            open_(other)
        assert "passphrase_file" in refused.value.detail
    assert [path.read_bytes() for path in identity.key_files(sealed)] == before


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_phrase_is_none(settings: Settings, tmp_path: Path, text: str) -> None:
    with pytest.raises(Problem, match="empty"):
        identity.passphrase(with_phrase(settings, tmp_path, text))


def test_a_missing_file_is_said(sealed: Settings, tmp_path: Path) -> None:
    (tmp_path / "phrase").unlink()
    with pytest.raises(Problem, match="No such file"):
        identity.must_open(sealed)


def test_clear_keys_are_sealed_once_there_is_a_phrase(
    settings: Settings, tmp_path: Path
) -> None:
    before = raw(settings)
    found = with_phrase(settings, tmp_path, "one")
    identity.must_open(found)
    assert all(b"ENCRYPTED" in p.read_bytes() for p in identity.key_files(found))
    assert raw(found) == before
    with pytest.raises(Problem):
        identity.must_open(settings)


def test_a_phrase_is_changed_and_taken_away(sealed: Settings, tmp_path: Path) -> None:
    before = raw(sealed)
    changed = with_phrase(sealed, tmp_path, "two")
    assert identity.reseal(changed, b"one") == 2
    assert raw(changed) == before
    clear = with_phrase(sealed, tmp_path, None)
    assert identity.reseal(clear, b"two") == 2
    assert raw(clear) == before
    assert all(
        keyfile.is_sealed(p.read_bytes()) is False for p in identity.key_files(clear)
    )


def test_a_change_that_a_crash_cut_short_is_finished(
    sealed: Settings, tmp_path: Path
) -> None:
    before = raw(sealed)
    first, _ = identity.key_files(sealed)
    keyfile.reseal(first, b"one", b"two")
    changed = with_phrase(sealed, tmp_path, "two")
    assert identity.reseal(changed, b"one") == 2
    assert raw(changed) == before


def test_the_wrong_old_phrase_changes_nothing(sealed: Settings, tmp_path: Path) -> None:
    before = [path.read_bytes() for path in identity.key_files(sealed)]
    with pytest.raises(Problem):
        identity.reseal(with_phrase(sealed, tmp_path, "two"), b"three")
    assert [path.read_bytes() for path in identity.key_files(sealed)] == before


def test_guessing_at_a_file_is_slow(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keyfile.create(path, Ed25519PrivateKey.generate(), b"one")
    assert path.read_bytes().startswith(b"scrypt ")
    assert path.read_bytes().split()[2] == b"32768"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"scrypt 00 1\n", b"\xff" * 99])
def test_a_file_that_is_no_key_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    for phrase_ in (None, b"one"):
        with pytest.raises(Problem, match="cannot be opened"):
            keyfile.load(path, phrase_)
    assert path.read_bytes() == content


def test_a_process_without_its_phrase_waits_and_says_why(
    sealed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.process.ROUND_S", 0.01)
    other = with_phrase(sealed, tmp_path, "two")
    host, said, key = Host(other, "state"), threading.Event(), list[object]()
    monkeypatch.setattr(host, "fail", lambda why, do=host.fail: (do(why), said.set()))
    thread = threading.Thread(
        target=lambda: key.append(opened(host, lambda: identity.signing_key(other)))
    )
    thread.start()
    assert said.wait(30)
    status = read_status(other, services()["form-state"])
    assert status.state == "failed"
    assert "pass phrase is another" in status.reason
    (tmp_path / "phrase").write_text("one")
    thread.join(30)
    assert len(key) == 1


def test_the_older_variable_moves_out_of_the_environment(settings: Settings) -> None:
    environ = {"PACK_MANAGER_PASSWORD": "one", "PACK_MANAGER_ENCRYPTED": "true"}
    assert "safer" in phrase.adopt(settings, environ)
    (name,) = environ
    path = Path(environ[name])
    assert (name, path.read_text()) == ("FORMATION_NODE__PASSPHRASE_FILE", "one")
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PACK_MANAGER_ENCRYPTED": "true"},
        {"PACK_MANAGER_PASSWORD": ""},
        {"PACK_MANAGER_PASSWORD": "one", "PACK_MANAGER_ENCRYPTED": "false"},
    ],
)
def test_without_the_older_phrase_there_is_nothing_to_say(
    settings: Settings, environ: dict[str, str]
) -> None:
    environ = dict(environ)
    assert phrase.adopt(settings, environ) == ""
    assert environ == {}


def test_a_file_that_is_set_wins_over_the_older_variable(sealed: Settings) -> None:
    environ = {"PACK_MANAGER_PASSWORD": "two"}
    assert "not used" in phrase.adopt(sealed, environ)
    assert environ == {}
