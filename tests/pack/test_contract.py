"""What an image is told of its Formfile, file by file."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.pack import Formfile, check
from appliance.pack.accounts import setup_script
from appliance.pack.contract import image_files, systemd_environment
from appliance.pack.formfile import EnvVar


def formfile(text: str) -> Formfile:
    found = check(f"NAME a\n{text}\nENTRYPOINT x\n").formfile
    assert found is not None
    return found


def files(text: str, folder: Path) -> dict[str, str]:
    image_files(formfile(text), "b" * 64, folder / "files.tar")
    with tarfile.open(folder / "files.tar") as tar:
        readers = {member.name: tar.extractfile(member) for member in tar}
        return {name: r.read().decode() for name, r in readers.items() if r}


def test_the_narrower_scope_wins_for_the_agent(tmp_path: Path) -> None:
    text = (
        "ENV A=system\nENV B=system\nENV --scope=user:bob A=bob\n"
        "ENV --scope=user:eve A=eve\nENV --scope=service:agent B=agent\n"
        "ENV --scope=service:web A=web\nUSER username:bob\nUSER username:eve\nRUNAS bob"
    )
    found = files(text, tmp_path)
    assert found["etc/formation/environment"] == "A=bob\nB=agent\n"
    assert found["etc/environment"] == 'A="system"\nB="system"\n'


def test_passwords_over_ssh_are_for_those_who_asked(tmp_path: Path) -> None:
    name = "etc/ssh/sshd_config.d/10-formation.conf"
    assert name not in files("", tmp_path)
    alone = files("USER username:bob passwd:x", tmp_path)[name]
    assert alone.endswith("PasswordAuthentication no\n")
    text = "USER username:bob passwd:x ssh_pwauth:on disable_root:on\nUSER username:eve"
    lines = files(text, tmp_path)[name].splitlines()
    assert lines[1:3] == ["PasswordAuthentication no", "PermitRootLogin no"]
    assert lines[3:] == ["Match User bob", "    PasswordAuthentication yes"]


def test_no_password_is_in_the_image(tmp_path: Path) -> None:
    text = "USER username:bob passwd:$6$some$hashhashhash lock_passwd:on"
    whole = "".join(files(text, tmp_path).values()) + setup_script(formfile(text))
    assert "hashhash" not in whole


@pytest.mark.parametrize("line", ["USER username:bob", "ENV --scope=user:root A='b\"'"])
def test_the_script_is_one_for_sh(line: str) -> None:
    script = setup_script(formfile(f"{line} \nVOLUME /data\nRUNAS bob"))
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0


@given(st.text(st.characters(exclude_characters="\n\0", codec="utf-8"), max_size=20))
def test_values_are_written_as_each_reader_reads_them(value: str) -> None:
    written = systemd_environment([EnvVar("A", value)])
    assert written.startswith('"A=')
    assert written.endswith('"')
    inner = written[3:-1].replace("%%", "%")
    assert inner.replace('\\"', '"').replace("\\\\", "\\") == value
