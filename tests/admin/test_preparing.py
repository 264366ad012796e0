"""What systemd's units cannot read in the settings is left where they find it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from appliance.admin import preparing
from appliance.admin.preparing import (
    DATA_DIR,
    DROP_IN,
    drop_ins,
    hand_over_phrase,
    must_be_alone,
    prepare_units,
    write_drop_ins,
)
from appliance.config import Settings
from appliance.launcher import PHRASE
from appliance.problems import Problem


def with_auth(settings: Settings, group: str) -> Settings:
    auth = settings.auth.model_copy(update={"operator_group": group})
    return settings.model_copy(update={"auth": auth, "data_dir": DATA_DIR})


def test_the_units_are_as_the_defaults_say(settings: Settings) -> None:
    assert not drop_ins(with_auth(settings, "formation"))


def test_another_group_and_another_folder_reach_the_units(settings: Settings) -> None:
    assert drop_ins(with_auth(settings, "wheel")) == {
        "formation-cli.socket": "[Socket]\nSocketGroup=wheel\n"
    }
    moved = drop_ins(settings)
    assert f"ReadWritePaths={settings.data_dir}\n" in moved["formation-state.service"]


def test_images_elsewhere_are_written_by_formation_jobs_alone(
    settings: Settings,
) -> None:
    vmm = settings.vmm.model_copy(update={"images_dir": Path("/data/images")})
    config = with_auth(settings, "formation").model_copy(update={"vmm": vmm})
    assert drop_ins(config) == {
        "formation-jobs.service": "[Service]\nReadWritePaths=/data/images\n"
    }


def test_drop_ins_go_when_the_setting_does(tmp_path: Path) -> None:
    wanted = {"formation-cli.socket": "[Socket]\nSocketGroup=wheel\n"}
    assert write_drop_ins(wanted, tmp_path)
    assert (
        tmp_path / "formation-cli.socket.d" / DROP_IN
    ).read_text() in wanted.values()
    assert not write_drop_ins(wanted, tmp_path)
    assert write_drop_ins({}, tmp_path)
    assert not list(tmp_path.rglob("*.conf"))


def test_the_pass_phrase_stays_in_its_file(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_text("open sesame\n")
    node = settings.node.model_copy(update={"passphrase_file": file})
    folder = tmp_path / "credentials"
    hand_over_phrase(settings.model_copy(update={"node": node}), folder)
    assert (folder / PHRASE).readlink() == file
    assert folder.stat().st_mode & 0o077 == 0
    hand_over_phrase(settings, folder)
    assert not (folder / PHRASE).is_symlink()


def test_a_node_that_form_serve_runs_is_left_alone(settings: Settings) -> None:
    path = settings.run_dir / "supervisor.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(Problem, match="form serve runs"):
            must_be_alone(path)
    must_be_alone(path)  # what one left that died is taken away
    assert not path.exists()


def test_sockets_elsewhere_are_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "hand_over_phrase", None)  # not reached
    with pytest.raises(Problem, match="run_dir"):
        prepare_units(settings)
