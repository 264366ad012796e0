"""What the package says of itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from image.package import deb, room
from image.package.release import copy_source


def test_it_needs_what_a_node_needs_at_work_and_no_compiler() -> None:
    found = set(deb.depends("trixie"))
    assert {"caddy", "libvirt-daemon-system", "qemu-system-x86", "nftables"} <= found
    assert not [name for name in found if name.endswith("-dev") or name == "gcc"]
    assert {"python3 (>= 3.13)", "python3 (<< 3.14)"} <= found
    assert "python3 (<< 3.12)" in deb.depends("bookworm")


def test_it_enables_the_node_its_processes_and_their_sockets() -> None:
    found = deb.enabled()
    assert {"formation.target", "formation-jobs.service"} <= set(found)
    assert "formation-web.socket" in found
    assert "formation-prepare.service" not in found  # the others need it


def test_a_release_is_made_of_the_code_alone(tmp_path: Path) -> None:
    copy_source(tmp_path / "source")
    files = [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")]
    assert "source/appliance/launcher.py" in files
    assert "source/docs/runbooks/disk-full.md" in files
    assert not [name for name in files if "__pycache__" in name or "/tests/" in name]


def test_settings_of_this_machine_reach_a_tree_where_they_mean_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leave it again."""
    (tmp_path / "certificates").touch()
    monkeypatch.setenv("PIP_CERT", "/certificates")
    monkeypatch.setenv("PIP_FIND_LINKS", "/only-here")
    found = room.environment(tmp_path)
    assert found["PIP_CERT"] == "/certificates"
    assert "PIP_FIND_LINKS" not in found
    with room.lent(tmp_path):
        assert (tmp_path / "etc/hosts").read_text() == Path("/etc/hosts").read_text()
    assert not (tmp_path / "etc/hosts").exists()


def test_the_licences_of_others_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "lib/python3.13/site-packages/greeter-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: greeter\nVersion: 1.0\nLicense-Expression: MIT\n"
    )
    assert "greeter 1.0: MIT\n" in deb.copyright_of(tmp_path)


def test_nothing_but_python_s_own_library_is_needed_to_build() -> None:
    script = (
        "import image.package.make, json, sys; print(json.dumps(list(sys.modules)))"
    )
    done = deb.run([sys.executable, "-I", "-S", "-c", f"{PATH}; {script}"])
    tops = {name.split(".")[0] for name in json.loads(done)}
    assert tops <= set(sys.stdlib_module_names) | {"image", "__main__"}


PATH = f"import sys; sys.path.insert(0, {str(deb.ROOT)!r})"
