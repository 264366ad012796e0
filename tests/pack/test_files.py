"""What `form deploy` packs of a folder, and what it refuses with a sentence."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance import cli
from appliance.pack import ArchiveError, check, of_archive, pack_folder
from appliance.problems import Problem

FORMFILE = "NAME a\nUSER username:bob passwd:hunter2\nENTRYPOINT x\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "agent"
    made.mkdir()
    (made / "Formfile").write_text(FORMFILE)
    return made


def packed(folder: Path) -> tarfile.TarFile:
    archive = io.BytesIO()
    pack_folder(folder, archive)
    archive.seek(0)
    return tarfile.open(fileobj=archive)


def test_everything_goes_along_but_clear_passwords(folder: Path) -> None:
    (folder / ".env").write_text("A=b")
    (folder / "deep").mkdir()
    (folder / "deep/run").write_text("x")
    (folder / "deep/run").chmod(0o700)
    (folder / "deep/link").symlink_to("run")
    os.link(folder / "deep/run", folder / "same")
    with packed(folder) as tar:
        members = {member.name: member for member in tar}
        text = (tar.extractfile("Formfile") or io.BytesIO()).read()
    assert set(members) == {
        *(".env", "Formfile", "deep", "deep/link", "deep/run", "same")
    }
    assert b"hunter2" not in text
    assert members["deep/run"].mode == 0o755
    assert members["deep/link"].linkname == "run"
    assert members["same"].isreg()


def test_the_node_takes_what_is_packed(folder: Path, tmp_path: Path) -> None:
    (folder / "x").write_text("x")
    with (tmp_path / "a.tar.gz").open("w+b") as file:
        pack_folder(folder, file)
        file.seek(0)
        found = of_archive(file, tmp_path / "kept")
    assert (found.names, (found.formfile or b"")[:7]) == ({"x"}, b"NAME a\n")


def test_sockets_and_pipes_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ArchiveError, match="pipe is a socket, a pipe or a device"):
        packed(folder)
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        with pytest.raises(ArchiveError, match="is a socket"):
            packed(folder)


@pytest.mark.parametrize("goal", ["/etc/passwd", "../outside", "loop"])
def test_links_that_lead_out_are_refused(folder: Path, goal: str) -> None:
    (folder / "loop").symlink_to(goal)
    with pytest.raises(ArchiveError, match="leads out of the folder"):
        packed(folder)


def deploy(folder: Path) -> Result:
    return CliRunner().invoke(cli.main, ["deploy", str(folder)])


def test_deploy_says_what_is_wrong_with_its_folder(folder: Path) -> None:
    assert "does not exist" in deploy(folder / "nowhere").output
    assert "is no folder" in deploy(folder / "Formfile").output
    (folder / "Formfile").unlink()
    done = deploy(folder)
    assert done.exit_code == 1
    assert "a folder that holds one named Formfile" in done.output


def test_what_is_ended_while_it_is_sent_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*of: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "call", ended)
    done = deploy(folder)
    assert done.exit_code == 130
    assert "nothing is deployed" in done.output


@pytest.mark.parametrize(
    ("line", "known", "version"),
    [
        ("", [], "0.1.0"),
        ("", [{"version": "1.2.0", "build_id": "b", "image": "i"}], "1.2.0"),
        ("", [{"version": "1.2.0", "build_id": "b", "image": "old"}], "1.2.1"),
        ("VERSION 3.0.0", [], "3.0.0"),
    ],
)
def test_a_build_is_registered_under_its_version(
    line: str,
    known: list[dict[str, str]],
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    puts: list[tuple[str, object]] = []

    def call(method: str, path: str, json: object = None) -> object:
        if method == "PUT":
            puts.append((path, json))
            return {}
        if path.endswith("/account"):
            return {"name": "ada"}
        if not known:
            raise Problem("agent-unknown", "There is no agent a.", status=404)
        return {"versions": known}

    monkeypatch.setattr(cli, "call", call)
    formfile = check(f"NAME a\n{line}\nENTRYPOINT x").formfile
    cli.register(formfile, "b", "i")
    ((path, manifest),) = puts
    assert path == f"/api/v1/market/agents/ada/a/versions/{version}"
    assert isinstance(manifest, dict)
    assert (manifest["build_id"], manifest["image"]) == ("b", "i")
