"""A bundle has what helps, no secret, and says what is missing."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import clock, config, identity, metrics, state, supervision
from appliance.admin import accounts, second_factor, sessions, tokens
from appliance.admin.alerts import targets
from appliance.admin.support import bundle, console, parts
from appliance.cli import main
from appliance.config import Settings
from appliance.market import secrets
from appliance.problems import EngineGone
from appliance.service import choose
from appliance.state.server import StateServer
from appliance.vmm import libvirt

PASSWORD = "planted-password-of-ada"  # noqa: S105
PHRASE = "planted pass phrase"
HOOK = "https://hook.example/services/planted-in-a-path"
SIGNED = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC1vZi1hLWhvb2s="
AGENTS = "planted-key-of-an-agent"


def unpacked(raw: bytes) -> dict[str, str]:
    """Texts of a bundle by name, without the folder that all are in."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None and member.mode == 0o600
            found[member.name.partition("/")[2]] = file.read().decode()
    return found


def written(settings: Settings) -> dict[str, str]:
    file = io.BytesIO()
    bundle.write(settings, file)
    return unpacked(file.getvalue())


@pytest.fixture
def node(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """With libvirt's own pretence of machines, and nothing that keeps processes."""
    monkeypatch.setenv("FORMATION_VMM__URI", "test:///default")
    config.settings.cache_clear()
    monkeypatch.setattr(libvirt, "_connection", None)

    def gone(*of: object) -> None:
        raise EngineGone("supervisor-gone", "supervisord does not answer.")

    monkeypatch.setattr(supervision, "current", gone)
    choose(settings, [])
    (settings.log_dir / "web.log").write_text(
        json.dumps({"event": "hello", "timestamp": clock.rfc3339(clock.now())}) + "\n"
    )
    return settings


@pytest.fixture
def planted(
    node: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A secret of every kind, each where the node keeps it."""
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE)
    monkeypatch.setenv("FORMATION_NODE__PASSPHRASE_FILE", str(phrase))
    config.settings.cache_clear()
    identity.sealing_key(config.settings())
    hashed = accounts.hash_password(PASSWORD)
    ada = accounts.create("ada", hashed, ("operator",))
    cookie = sessions.begin(ada.id, "192.0.2.1", "Firefox")
    session = sessions.find(cookie)
    assert session is not None
    token, _ = tokens.create(ada, "test", ["admin"])
    targets.put(node, "hook", {"kind": "standard", "url": HOOK, "secret": SIGNED})
    secrets.put("ada", "echo", "KEY", AGENTS)
    claim = node.data_dir / "node" / "claim"
    claim.write_text("dead-beef-cafe")
    return {
        "password": PASSWORD,
        "pass phrase": PHRASE,
        "its hash": hashed,
        "session": cookie,
        "csrf": session.csrf,
        "token": token,
        "second factor": second_factor.begin(ada.id),
        "webhook": HOOK,
        "signing secret": SIGNED,
        "agent's secret": AGENTS,
        "claim code": "dead-beef-cafe",
        "signing key": (node.data_dir / "state" / "node.key").read_text(),
    }


def test_a_bundle_has_what_helps(node: Settings) -> None:
    state.put("instance", "i1", {"agent": "ada/echo", "state": "healthy"})
    metrics.store.write(clock.now(), {("node", "cpu"): 12.5})
    found = written(node)
    assert set(parts.PARTS) - set(found) <= {"processes.json", "kernel.txt"}
    assert json.loads(found["libvirt.json"])["about"]["type"].lower() == "test"
    assert json.loads(found["versions.json"])["formation"]
    assert json.loads(found["records.json"])["instances"]["i1"]["state"] == "healthy"
    assert json.loads(found["metrics.json"])["latest"] == {"node cpu": 12.5}
    assert "hello" in found["logs/web.log"]
    assert "- processes.json: supervisord does not answer." in found["README.txt"]
    names = {one["name"] for one in json.loads(found["settings.json"])["settings"]}
    assert {"dns.port", "node.passphrase_file"} <= names


def test_no_secret_is_in_a_bundle(node: Settings, planted: dict[str, str]) -> None:
    said = "\n".join(written(config.settings()).values())
    for kind, secret in planted.items():
        assert secret not in said, kind


def test_secrets_that_got_into_a_log_are_taken_out(
    node: Settings, planted: dict[str, str]
) -> None:
    """Which never happens, until it does."""
    lines = [f"it failed with {secret} inside" for secret in planted.values()]
    lines = [json.dumps({"event": line, "timestamp": "2026-01-01"}) for line in lines]
    (node.log_dir / "jobs.log").write_text("\n".join(lines) + "\n")
    log = written(config.settings())["logs/jobs.log"]
    assert log.count("it failed with") == len(planted)
    by_shape = set(planted) - {"password"}  # of it the node has only the hash
    for kind in by_shape:
        assert planted[kind] not in log, kind


def test_a_part_that_fails_is_named_and_the_rest_is_there(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Settings) -> None:
        raise KeyError("token=hunter22")

    monkeypatch.setitem(parts.PARTS, "host.json", fail)
    found = written(node)
    assert "host.json" not in found and "versions.json" in found
    assert "- host.json: KeyError: " in found["README.txt"]
    assert "hunter22" not in found["README.txt"]


def test_its_size_is_bounded_and_the_newest_lines_stay(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "".join(f"line {number} ä\n" for number in range(200_000))
    monkeypatch.setitem(parts.PARTS, "long.txt", lambda config: long)
    monkeypatch.setattr(bundle, "ALL_BYTES", 1_100_000)
    found = written(node)
    assert len(found["long.txt"].encode()) <= bundle.PART_BYTES + 100
    assert found["long.txt"].startswith("… what was before is left out\nline ")
    assert found["long.txt"].endswith("line 199999 ä\n")
    assert sum(len(text.encode()) for text in found.values()) < 2_300_000


def test_the_command_writes_for_root_alone_and_replaces_nothing(
    node: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PARTS", {"services.json": parts.states})
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["support", "--out", "b.tar.gz"])
    assert done.exit_code == 0, done.output
    file = tmp_path / "b.tar.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert "services.json" in unpacked(before)
    again = CliRunner().invoke(main, ["support", "--out", "b.tar.gz"])
    assert again.exit_code == 1 and "is there already" in again.output
    assert file.read_bytes() == before
    nowhere = CliRunner().invoke(main, ["support", "--out", "no/such/b.tar.gz"])
    assert nowhere.exit_code == 1 and "No such file" in nowhere.output
    assert CliRunner().invoke(main, ["support"]).exit_code == 0
    named = [path.name for path in tmp_path.glob("formation-support-*")]
    assert len(named) == 1 and named[0].endswith(".tar.gz")
    assert list(tmp_path.glob(".*")) == []


def test_on_a_machine_without_a_node_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "run", "log"):
        monkeypatch.setenv(f"FORMATION_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("FORMATION_CONFIG", str(tmp_path / "formation.toml"))
    config.settings.cache_clear()
    _, found = console.write(tmp_path / "b.tar.gz")
    config.settings.cache_clear()
    assert {"node.db", "metrics.db", "audit.json", "records.json"} <= set(found.missing)
    assert "versions.json" in found.files
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_wrong_settings_file_is_said_and_does_no_harm(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config.config_file()
    file.write_text("[dns]\nport = 'many'\npassword = 'hunter22'\n")
    monkeypatch.setenv("FORMATION_CONFIG", str(file))
    config.settings.cache_clear()
    path, found = console.write(tmp_path / "b.tar.gz")
    assert "dns.port" in found.missing["the settings file"]
    said = "".join(unpacked(path.read_bytes()).values())
    assert "dns.port" in said and "hunter22" not in said
    assert os.environ["FORMATION_CONFIG"] == os.devnull
