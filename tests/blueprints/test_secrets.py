"""Secrets of agents: they go in and reach the guest, and are nowhere else."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from appliance import formnet, identity, operations, pack, runner, state, vmm
from appliance.commands import secrets as commands
from appliance.config import Settings
from appliance.market import secrets
from appliance.vmm.seed import write_seed

from .conftest import Person

AGENT = "/api/v1/market/agents/bo/echo"
VALUE = "s3cret-value-that-nobody-may-find"
PASSWD = "clear-guest-passwd-nobody-may-find"
FORMFILE = f"""NAME echo
SECRET API_KEY TOKEN
USER username:web \\
  "passwd:{PASSWD}"
ENTRYPOINT true
"""


@pytest.fixture
def bo(bo: Person, settings: Settings) -> Person:
    identity.sealing_key(settings)
    formfile = pack.check(FORMFILE).formfile
    assert formfile
    body = {"owner_name": "bo", "name": "echo", "latest": "1.0.0", "description": ""}
    version = {"agent": "bo/echo", "version": "1.0.0", "build_id": "0" * 64}
    version["image"] = "0" * 64
    state.put("agent", "bo/echo", body)
    document = {"formfile": pack.as_document(formfile), "created": ""}
    state.put("version", "bo/echo@1.0.0", version | document)
    return bo


@pytest.mark.parametrize("damage", [None, b"", b"\xff", b"00"])
def test_without_the_public_half_nothing_is_kept_and_it_comes_back(
    bo: Person, nobody: FlaskClient, settings: Settings, damage: bytes | None
) -> None:
    headers, half = bo.bearer("deploy"), settings.data_dir / "seal.pub"
    half.unlink() if damage is None else half.write_bytes(damage)
    refused = nobody.put(f"{AGENT}/secrets/API_KEY", data=VALUE, headers=headers)
    assert refused.status_code == 503
    assert "form processes restart jobs" in refused.get_json()["detail"]
    identity.sealing_key(settings)  # as formation-jobs does when it starts
    put = nobody.put(f"{AGENT}/secrets/API_KEY", data=VALUE, headers=headers)
    assert put.status_code == 200


def test_names_are_shown_with_what_is_missing(bo: Person, nobody: FlaskClient) -> None:
    headers = bo.bearer("deploy")
    put = nobody.put(f"{AGENT}/secrets/API_KEY", data=VALUE, headers=headers)
    nobody.put(f"{AGENT}/secrets/EXTRA", data="x", headers=headers)
    found = nobody.get(f"{AGENT}/secrets", headers=headers).get_json()
    assert [(s["name"], s["set"], s["asked"]) for s in found["secrets"]] == [
        ("API_KEY", True, True),
        ("EXTRA", True, False),
        ("TOKEN", False, True),
    ]
    assert found["missing"] == ["TOKEN"]
    assert VALUE not in put.text


def test_a_bare_name_is_the_one_agent_or_ones_own_to_be(
    bo: Person, ada: Person, nobody: FlaskClient
) -> None:
    bare = "/api/v1/market/agents/{}/secrets/KEY"
    headers = ada.bearer("deploy")
    for name, agent in (("echo", "bo/echo"), ("new", "ada/new")):
        answer = nobody.put(bare.format(name), data="x", headers=headers)
        assert answer.get_json()["agent"] == agent
    state.put("agent", "cy/echo", {"owner_name": "cy", "name": "echo"})
    answer = nobody.put(bare.format("echo"), data="x", headers=headers)
    assert answer.status_code == 404
    assert "bo/echo, cy/echo" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("A-B", b"x", 422),
        ("1A", b"x", 422),
        ("A", b"\xff", 422),
        ("A", b"a\0b", 422),
        ("A", b"x" * (64 * 1024 + 1), 422),
        ("A", "zwölf\n".encode(), 200),
    ],
)
def test_what_cannot_be_a_secret_is_refused_without_telling_it(
    bo: Person, nobody: FlaskClient, key: str, value: bytes, status: int
) -> None:
    path, headers = f"{AGENT}/secrets/{key}", bo.bearer("deploy")
    answer = nobody.put(path, data=value, headers=headers)
    assert answer.status_code == status
    assert secrets.names("bo", "echo") == (["A"] if status == 200 else [])


def test_a_secret_is_removed(bo: Person, nobody: FlaskClient) -> None:
    secrets.put("bo", "echo", "KEY", VALUE)
    headers = bo.bearer("deploy")
    assert nobody.delete(f"{AGENT}/secrets/KEY", headers=headers).status_code == 200
    assert nobody.delete(f"{AGENT}/secrets/KEY", headers=headers).status_code == 404


def test_on_the_page_it_is_set_and_removed(bo: Person) -> None:
    page = bo.browser.get("/market/bo/echo").text
    assert page.count("missing: the Formfile asks for it") == 2
    assert bo.post("/market/bo/echo/secrets", name="API_KEY", value=VALUE) == 303
    page = bo.browser.get("/market/bo/echo").text
    assert page.count("missing: the Formfile asks for it") == 1
    assert VALUE not in page
    assert bo.post("/market/bo/echo/secrets/API_KEY/remove") == 303
    assert secrets.names("bo", "echo") == []


@pytest.mark.parametrize("form", [{"name": "A"}, {"name": "A-B", "value": VALUE}, {}])
def test_mistakes_on_the_page_are_said_and_the_value_is_not(
    bo: Person, form: dict[str, str]
) -> None:
    page = bo.browser.post("/market/bo/echo/secrets", data={"csrf": bo.csrf, **form})
    assert page.status_code == 422
    assert 'class="error"' in page.text
    assert VALUE not in page.text


def test_a_change_waits_for_the_next_deployment(bo: Person) -> None:
    body = {"agent": "bo/echo", "owner_name": "bo", "version": "1.0.0"}
    body |= {"state": "healthy", "reason": "", "address": "127.0.0.1", "port": 1}
    state.put("instance", "i", body | {"created": "2020-01-01T00:00:00.000Z"})
    assert "Deploy again" not in bo.browser.get("/market/bo/echo").text
    secrets.put("bo", "echo", "API_KEY", VALUE)
    assert "Deploy again" in bo.browser.get("/market/bo/echo").text
    state.put("instance", "i", body | {"created": "2999-01-01T00:00:00.000Z"})
    assert "Deploy again" not in bo.browser.get("/market/bo/echo").text


@pytest.fixture
def node(
    bo: Person, nobody: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CliRunner]:
    """`form` whose calls reach the app as bo."""

    def call(method: str, path: str, **more: bytes) -> object:
        data, headers = more.get("content"), bo.bearer("deploy")
        answer = nobody.open(path, method=method, data=data, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    monkeypatch.setattr(commands, "call", call)
    yield CliRunner()


def test_by_command_the_value_comes_from_stdin(node: CliRunner) -> None:
    done = node.invoke(commands.secret, ["set", "echo", "API_KEY"], input=VALUE + "\n")
    assert done.exit_code == 0, done.output
    assert "API_KEY is set" in done.output
    assert "deployed again" in done.output
    assert VALUE not in done.output
    assert secrets.reveal("bo", "echo") == {"API_KEY": VALUE}
    listed = node.invoke(commands.secret, ["list", "echo"]).output
    assert "TOKEN" in listed
    assert "missing" in listed
    gone = node.invoke(commands.secret, ["remove", "bo/echo", "API_KEY"])
    assert "removed" in gone.output
    assert secrets.names("bo", "echo") == []


def archive() -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        info = tarfile.TarInfo("Formfile")
        info.size = len(FORMFILE.encode())
        tar.addfile(info, io.BytesIO(FORMFILE.encode()))
    file.seek(0)
    return file


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> list[vmm.InstanceSpec]:
    """Instances that are only noted down, with their real seeds on disk."""
    made: list[vmm.InstanceSpec] = []

    def create(spec: vmm.InstanceSpec) -> None:
        spec.folder.mkdir(parents=True)
        write_seed(spec, spec.folder / "seed.tar")
        made.append(spec)

    built = SimpleNamespace(digest="d" * 64, size_bytes=1)
    monkeypatch.setattr(pack, "build", lambda *of: built)
    monkeypatch.setattr(formnet, "ensure_network", formnet.own_network)
    monkeypatch.setattr(vmm, "create", create)
    for name in ("boot", "shutdown", "delete"):
        monkeypatch.setattr(vmm, name, lambda instance: None)
    monkeypatch.setattr(vmm, "kernel_arguments", lambda base: "quiet")
    monkeypatch.setattr(vmm, "accelerator", lambda config: "tcg")
    monkeypatch.setattr(vmm, "check_capacity", lambda *of: None)
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (True, ""))
    monkeypatch.setattr(vmm, "domain_state", lambda instance: "running")
    return made


def places(settings: Settings, *texts: str) -> set[str]:
    """The files of the node that hold one of the texts."""
    found = set()
    folders = (settings.data_dir, settings.run_dir, settings.log_dir)
    for path in (p for folder in folders for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if any(text.encode() in content for text in texts):
            found.add(path.name)
    return found


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("send", ["archive", "editor"])
def test_values_are_nowhere_but_in_the_seed(
    bo: Person,
    nobody: FlaskClient,
    settings: Settings,
    machines: list[vmm.InstanceSpec],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    send: str,
    fails: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = bo.bearer("deploy")
    for key in ("API_KEY", "TOKEN"):
        nobody.put(f"{AGENT}/secrets/{key}", data=VALUE, headers=headers)
    form: dict[str, object] = {"formfile": FORMFILE}
    if send == "archive":
        form = {"archive": (archive(), "context.tar.gz")}
    queued = nobody.post("/api/v1/pack/deployments", data=form, headers=headers)
    id_ = queued.get_json()["id"]
    uploads = list((settings.data_dir / "uploads").iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in uploads)
    assert places(settings, VALUE, PASSWD) == set()  # the archive is compressed
    if fails:
        monkeypatch.setattr(vmm, "probe_health", lambda *of: (False, "refused"))
        monkeypatch.setattr(vmm, "domain_state", lambda instance: "off")
    runner.execute(id_, "w")

    row = operations.get(id_)
    assert row.state == ("failed" if fails else "completed"), row.error
    (spec,) = machines
    assert spec.env == {"API_KEY": VALUE, "TOKEN": VALUE}
    assert (spec.folder / "seed.tar").stat().st_mode & 0o777 == 0o600
    assert places(settings, VALUE) == {"seed.tar"}
    assert places(settings, PASSWD) == set()
    (shadow,) = spec.shadow
    assert shadow.split(":")[1] not in row.params + row.memory
    for folder in ("uploads", "contexts"):
        assert list((settings.data_dir / folder).iterdir()) == []
    said = caplog.text + "".join(capsys.readouterr())
    shown = json.dumps(nobody.get(f"/api/v1/operations/{id_}", headers=headers).json)
    shown += nobody.get(f"/api/v1/operations/{id_}/log", headers=headers).text
    shown += nobody.get("/api/v1/market/agents/bo/echo", headers=headers).text
    assert VALUE not in said + shown
    assert PASSWD not in said + shown


def test_a_refused_deployment_leaves_no_upload(
    bo: Person, nobody: FlaskClient, settings: Settings
) -> None:
    headers = bo.bearer("deploy")
    form = {
        "archive": (archive(), "context.tar.gz"),
        "formfile": "NAME",
        "use_text": "1",
    }
    answer = nobody.post("/api/v1/pack/deployments", data=form, headers=headers)
    assert answer.status_code == 422
    assert list((settings.data_dir / "uploads").iterdir()) == []
