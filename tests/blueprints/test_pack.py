"""The deploy page and its API: what is sent is checked before anything is kept."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from appliance import operations
from appliance.config import Settings
from blueprints.pack import HELLO
from tests.blueprints.conftest import Person

GOOD = "NAME a\nENTRYPOINT x\n"
BAD = "NAME a\nMEM 128\nENTRYPOINT x\n"
SECRET = "NAME a\nUSER username:bob passwd:hunter2\nENTRYPOINT x\n"


@pytest.fixture
def kept(settings: Settings) -> Callable[[], list[Path]]:
    return lambda: list((settings.data_dir / "uploads").iterdir())


def tar(**files: str) -> tuple[io.BytesIO, str]:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"echo/{name.replace('_', '.')}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    made.seek(0)
    return made, "echo.tar.gz"


def send(who: Person, path: str = "/pack/deploy", **form: Any) -> TestResponse:
    data = {"csrf": who.csrf, **form}
    headers = {"X-CSRF-Token": who.csrf}
    return who.browser.post(path, data=data, headers=headers)


def submitted() -> list[dict[str, Any]]:
    return [json.loads(row.params) for row in operations.recent()]


def test_the_page_begins_with_a_formfile_that_is_fine(ada: Person) -> None:
    shown = ada.browser.get("/pack/deploy").text
    assert "The Formfile is fine." in shown
    assert 'href="/pack/deploy?example=echo"' in shown
    assert "COPY agent.py" in ada.browser.get("/pack/deploy?example=echo").text
    assert ada.get("/pack/deploy?example=../etc") == 404


def test_errors_link_to_their_lines(ada: Person) -> None:
    part = send(ada, "/pack/check", formfile=BAD).text
    assert 'href="#line-2"' in part
    assert 'data-line="2" data-column="5"' in part
    assert "at least 512" in part
    headers = {"X-CSRF-Token": ada.csrf}
    found = ada.browser.post("/api/v1/pack/check", data=BAD, headers=headers)
    assert found.get_json()[0]["line"] == 2


def test_a_formfile_with_errors_is_shown_again_as_it_was_typed(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    answer = send(ada, formfile=BAD.replace("\n", "\r\n"))
    assert answer.status_code == 422
    assert "MEM 128\nENTRYPOINT" in answer.text
    assert '<span id="line-2" class="error">2</span>' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert (submitted(), kept()) == ([], [])


def test_a_copy_without_files_is_an_error_beside_its_line(ada: Person) -> None:
    answer = send(ada, formfile="NAME a\nCOPY agent.py /app/\nENTRYPOINT x")
    assert answer.status_code == 422
    assert "agent.py: there is no such file" in answer.text
    assert 'href="#line-2"' in answer.text


def test_text_alone_is_deployed_with_a_hash_for_its_password(ada: Person) -> None:
    answer = send(ada, formfile=SECRET, refresh="1")
    assert answer.status_code == 303
    (params,) = submitted()
    assert params["refresh"] is True
    assert params["upload"] is None
    assert "hunter2" not in json.dumps(params)
    assert "passwd:" in params["formfile"]


def test_a_browser_with_scripts_is_sent_to_the_operations_own_page(ada: Person) -> None:
    headers = {"X-CSRF-Token": ada.csrf, "HX-Request": "true"}
    data = {"formfile": "NAME a\nENTRYPOINT x"}
    answer = ada.browser.post("/pack/deploy", data=data, headers=headers)
    (operation,) = operations.recent()
    assert answer.headers["HX-Redirect"] == f"/operations/{operation.id}"


def test_an_uploads_formfile_is_kept_apart_and_concealed(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    sent = tar(Formfile=SECRET + "COPY agent.py /a\n", agent_py="x")
    assert send(ada, formfile=HELLO, archive=sent).status_code == 303
    (params,) = submitted()
    (upload,) = kept()
    assert params["upload"] == str(upload)
    assert params["formfile"].startswith("NAME a\n")
    assert b"hunter2" not in upload.read_bytes()
    with tarfile.open(upload) as archive:
        assert archive.getnames() == ["agent.py"]


def test_an_uploads_errors_are_shown_beside_its_lines(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    text = SECRET + "MEM 1\nCOPY missing /a\n"
    answer = send(ada, formfile="NAME typed\n", archive=tar(Formfile=text))
    assert answer.status_code == 422
    assert "NAME typed" in answer.text
    assert '<span id="uploaded-4" class="error">4</span>' in answer.text
    assert "missing: there is no such file" in answer.text
    assert "hunter2" not in answer.text
    assert (submitted(), kept()) == ([], [])


def test_the_typed_text_counts_where_the_upload_has_no_formfile(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    typed = "NAME typed\nCOPY agent.py /a\nENTRYPOINT x"
    assert send(ada, formfile=typed, archive=tar(agent_py="x")).status_code == 303
    assert submitted()[0]["formfile"] == typed
    kept()[0].unlink()
    refused = send(ada, formfile=HELLO, archive=tar(agent_py="x"))
    assert refused.status_code == 422
    assert "There is no file named Formfile" in refused.text
    assert kept() == []


def test_a_folder_is_sent_file_by_file(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    files = [
        (io.BytesIO((GOOD + "COPY deep/x /x").encode()), "echo/Formfile"),
        (io.BytesIO(b"x"), "echo/deep/x"),
        *((io.BytesIO(b"y"), f"echo/many/{n}") for n in range(1200)),
    ]
    assert send(ada, formfile=HELLO, folder=files).status_code == 303
    with tarfile.open(kept()[0]) as archive:
        assert len(archive.getnames()) == 1201
    out = [(io.BytesIO(b"x"), "../x")]
    refused = send(ada, formfile=GOOD, folder=out)
    assert refused.status_code == 422
    assert "leads out" in refused.text


def test_an_example_goes_along_with_its_files(
    ada: Person, kept: Callable[[], list[Path]]
) -> None:
    text = "NAME mine\nCOPY agent.py /a\nENTRYPOINT x"
    assert send(ada, formfile=text, example="echo").status_code == 303
    assert submitted()[0]["formfile"] == text
    with tarfile.open(kept()[0]) as archive:
        assert "agent.py" in archive.getnames()


@pytest.mark.parametrize("path", ["/pack/deploy", "/api/v1/pack/deployments"])
def test_a_wrong_upload_gets_a_sentence_and_leaves_nothing(
    ada: Person, kept: Callable[[], list[Path]], path: str
) -> None:
    wrong = (io.BytesIO(b"no archive"), "a.zip")
    answer = send(ada, path, formfile=GOOD, archive=wrong)
    assert answer.status_code == 422
    assert "Not a readable .tar.gz" in answer.text
    assert (submitted(), kept()) == ([], [])


@pytest.mark.parametrize("path", ["/pack/deploy", "/api/v1/pack/deployments"])
def test_a_huge_upload_gets_a_sentence_and_leaves_nothing(
    ada: Person, kept: Callable[[], list[Path]], path: str, settings: Settings
) -> None:
    ada.app.config["MAX_CONTENT_LENGTH"] = 10_000
    huge = (io.BytesIO(b"x" * 20_000), "a.tar")
    answer = send(ada, path, formfile=GOOD, archive=huge)
    assert answer.status_code == 413
    assert f"At most {settings.http.max_upload_mib} MiB" in answer.text
    assert (submitted(), kept()) == ([], [])


def test_the_api_lists_all_errors_of_a_formfile(ada: Person) -> None:
    answer = send(ada, "/api/v1/pack/deployments", archive=tar(Formfile=BAD + "X\n"))
    assert answer.status_code == 422
    problem = answer.get_json()
    assert problem["type"] == "/problems/formfile-invalid"
    assert [item["line"] for item in problem["diagnostics"]] == [2, 4]
    nothing = send(ada, "/api/v1/pack/deployments")
    assert "Send a Formfile" in nothing.get_json()["detail"]
