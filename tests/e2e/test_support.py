"""A real node: what is wrong with it is found and mended, and neither its logs nor its
support bundle have a secret, whatever of it is down."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import Node, environment, free_port, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
PASSWORD = "planted correct horse battery"
WRONG = "planted-wrong-password"
SETUP = f"""
[node]
name = "cellar"
[account]
name = "ada"
password = "{PASSWORD}"
"""
HOOK = "http://127.0.0.1:9/planted-in-the-path"
SIGNED = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC1vZi1hLWhvb2s="
AGENTS = "planted-key-of-an-agent"
PHRASE = "planted-pass-phrase"


@pytest.fixture(scope="module")
def node(installed: None) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="formation-e2e-", dir="/var/tmp"))
    folder.chmod(0o711)
    (folder / "phrase").write_text(PHRASE)
    port, dns_port = free_port(), free_port()
    found = Node(environment(folder, port, dns_port), folder, port, dns_port)
    found.environment["FORMATION_NODE__PASSPHRASE_FILE"] = str(folder / "phrase")
    found.environment["FORMATION_LOG__LEVEL"] = "debug"
    try:
        found.start()
        (folder / "setup.toml").write_text(SETUP)
        found.form("setup", "--from", str(folder / "setup.toml"))
        until(lambda: found.form("status").count("running") == 7, 60, "all run")
        yield found
    finally:
        stop(found)
        shutil.rmtree(folder, ignore_errors=True)


def stop(node: Node) -> None:
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGINT)
        node.process.wait(90)


def planted(node: Node) -> dict[str, str]:
    """A secret of every kind, sent and kept as people do, right and wrong."""
    token = node.form("token", "create", "planted", "--scope", "admin").strip()
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=node.url, headers=bearer, timeout=60) as api:
        account = "/api/v1/admin/account"
        second = api.post(f"{account}/second-factor").json()["secret"]
        hook = {"kind": "standard", "url": HOOK, "secret": SIGNED}
        target = "/api/v1/admin/alerts/targets/hook"
        assert api.put(target, json=hook).status_code == 200
        test = api.post(f"{target}/test").json()["id"]
        key = "/api/v1/market/agents/ada/echo/secrets/KEY"
        assert api.put(key, content=AGENTS).status_code == 200
        text = {"text": f'[node]\npassphrase = "{PHRASE}"\n'}
        api.put("/api/v1/admin/settings", json=text)
        api.post(f"{account}/password", json={"present": WRONG, "new": AGENTS})
        until(
            lambda: api.get(f"/api/v1/operations/{test}").json()["state"] == "failed",
            30,
            "the test of the webhook fails",
        )
    with httpx.Client(base_url=node.url, timeout=60) as browser:
        browser.post("/login", data={"name": "ada", "password": WRONG})
        answer = browser.post("/login", data={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 303
        cookie = next(iter(browser.cookies.values()))
        assert browser.get("/repairs/").status_code == 200
    return {
        "password": PASSWORD,
        "wrong password": WRONG,
        "token": token,
        "second factor": second,
        "webhook": "planted-in-the-path",
        "signing secret": SIGNED,
        "agent's secret": AGENTS,
        "pass phrase": PHRASE,
        "session": cookie,
    }


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member))
        }


def test_no_log_and_no_bundle_has_a_secret(node: Node) -> None:
    secrets, out = planted(node), node.folder / "b.tar.gz"
    said = node.form("support", "--out", str(out))
    found = unpacked(out)
    logs = {path.name: path.read_text() for path in (node.folder / "log").iterdir()}
    logs["serve.log"] = (node.folder / "serve.log").read_text()
    for name in ("web", "gateway", "state", "dns", "jobs", "caddy"):
        assert f"{name}.log" in logs and f"logs/{name}.log" in found
    for kind, secret in secrets.items():
        for name, text in {**logs, **found}.items():
            assert secret not in text, f"the {kind} is in {name}"
    assert said.count("missing") == said.count("missing: kernel.txt")  # in containers
    assert json.loads(found["processes.json"])["keeper"] == "supervisord"
    assert json.loads(found["records.json"])["counts"]["account"] == 1


def test_the_page_gives_out_what_formation_jobs_made(node: Node) -> None:
    token = node.form("token", "create", "helper", "--scope", "admin").strip()
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=node.url, headers=bearer, timeout=60) as api:
        id_ = api.post("/api/v1/admin/support").json()["id"]
        node.form("operations", "show", id_)
        answer = api.get(f"/api/v1/admin/support/{id_}")
    out = node.folder / "fetched.tar.gz"
    out.write_bytes(answer.content)
    assert "libvirt.json" in unpacked(out)


def test_a_certificate_that_is_broken_is_made_anew_and_served(node: Node) -> None:
    port = int(node.environment["FORMATION_HTTP__HTTPS_PORT"])
    before = served(port)
    (node.folder / "data/tls/node.key").write_text("nonsense")
    node.form("repairs", "check")
    assert "certificate" in node.form("repairs", "list")
    refused = node.form("repairs", "fix", "certificate", check=False)
    assert "fingerprint" in refused and served(port) == before
    assert "helped: yes" in node.form("repairs", "fix", "certificate", "--yes")
    until(lambda: served(port) != before, 20, "the new certificate is served")
    assert "certificate" not in node.form("repairs", "list")


def served(port: int) -> str:
    """Fingerprint of the certificate that Caddy shows."""
    pem = ssl.get_server_certificate(("localhost", port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def test_a_wrong_settings_file_goes_back_while_the_node_runs(node: Node) -> None:
    node.form("settings", "set", "dns.ttl=7")
    file = node.folder / "formation.toml"
    good = file.read_text()
    file.write_text("[dns]\nttl = 'often'\n")
    node.form("repairs", "check")
    assert "dns.ttl" in node.form("repairs", "show", "settings")
    assert "helped: yes" in node.form("repairs", "fix", "settings", "--yes")
    assert file.read_text() == good


def test_a_machine_that_no_record_knows_is_found(node: Node) -> None:
    """It is left: the machine's libvirt may have others that are not ours to remove."""
    stray, xml = f"formation-{'0' * 26}", node.folder / "stray.xml"
    xml.write_text(
        f"<domain type='qemu'><name>{stray}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    virsh("define", str(xml))
    try:
        node.form("repairs", "check")
        listed = node.form("repairs", "list")
    finally:
        virsh("undefine", stray)
    assert "that no record knows" in listed


def virsh(*words: str) -> str:
    command = ["virsh", "-c", "qemu:///system", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_settings_that_wait_are_applied_by_a_restart_of_its_process(node: Node) -> None:
    """Of formation-jobs itself, which goes on with the fix afterwards."""
    node.form("settings", "set", "vmm.uri=qemu:///session")
    node.form("repairs", "check")
    assert "restarts:jobs" in node.form("repairs", "list")
    pid = node.supervise("pid", "jobs")
    assert "helped: yes" in node.form("repairs", "fix", "restarts:jobs")
    assert node.supervise("pid", "jobs") != pid
    node.form("settings", "set", "vmm.uri=")


def test_looking_at_ports_disturbs_nobody(node: Node) -> None:
    """form-dns answers while all checks look, and its own port is no obstacle."""
    for _ in range(3):
        node.form("repairs", "check")
        assert "status: " in node.dig("cellar.formation.internal", "+tries=1")
    assert "ports:" not in node.form("repairs", "list")


def test_a_bundle_of_a_node_that_is_down_says_what_is_missing(node: Node) -> None:
    for name in ("web", "state"):
        node.supervise("stop", name)
    half = node.folder / "half.tar.gz"
    node.form("support", "--out", str(half))
    found = unpacked(half)
    processes = json.loads(found["processes.json"])["processes"]
    states = {one["name"]: one["state"] for one in processes}
    assert (states["web"], states["state"], states["jobs"]) == (
        "stopped",
        "stopped",
        "running",
    )
    stop(node)
    down = node.folder / "down.tar.gz"
    said = node.form("support", "--out", str(down))
    assert "missing: processes.json: supervisord does not answer" in said
    found = unpacked(down)
    assert "processes.json: supervisord" in found["README.txt"]
    assert {"logs/web.log", "audit.json", "records.json"} <= set(found)
    assert down.stat().st_mode & 0o777 == 0o600
    owner = (node.folder / "data/node").stat().st_uid
    for file in (node.folder / "data/node").iterdir():
        assert file.stat().st_uid == owner, f"{file} is not formation-web's any more"
