"""Settings by page and API: seen, tried, changed, rolled back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance import config, operations, runner
from appliance.admin import settings_file, settings_history

from .conftest import Person

API = "/api/v1/admin/settings"
OLD = "# mine\n[dns]\nttl = 30 # short\n"


@pytest.fixture
def file(ada: Person) -> Path:
    path = config.config_file()
    path.write_text(OLD)
    return path


def tag(person: Person) -> str:
    return str(person.browser.get(API).headers["ETag"])


def ask(person: Person, method: str, body: Any, path: str = API, **headers: str) -> Any:
    sent = {"X-CSRF-Token": person.csrf, **headers}
    return person.browser.open(path, method=method, json=body, headers=sent)


def run(answer: Any) -> str:
    """Execute the operation that was accepted; its state."""
    assert answer.status_code == 202, answer.get_json()
    id_ = answer.get_json()["id"]
    runner.execute(id_, "jobs")
    return str(operations.get(id_).state)


def test_every_setting_says_where_its_value_comes_from(file: Path, eve: Person) -> None:
    found = eve.browser.get(API).get_json()
    settings = {item["name"]: item for item in found["settings"]}
    assert settings["dns.ttl"]["source"] == "file"
    assert settings["log.level"]["source"] == "default"
    assert settings["data_dir"]["variable"] == "FORMATION_DATA_DIR"
    page = eve.browser.get("/admin/settings").text
    assert "set by FORMATION_DATA_DIR in the environment" in page
    assert all(f'id="{name}"' in page for name in settings)


def test_an_auditor_sees_fields_that_cannot_be_changed(file: Path, eve: Person) -> None:
    page = eve.browser.get("/admin/settings").text
    assert "Look at the change" not in page
    assert page.count("readonly") + page.count("disabled") >= 50


def test_a_developer_sees_no_settings(file: Path, bo: Person) -> None:
    assert bo.get("/admin/settings") == 403 and bo.get(API) == 403


def test_a_setting_is_changed_by_patch(file: Path, ada: Person) -> None:
    body = {"changes": {"dns.ttl": 60}, "why": "longer"}
    assert run(ask(ada, "PATCH", body, If_Match=tag(ada))) == "completed"
    assert file.read_text() == "# mine\n[dns]\nttl = 60 # short\n"


def test_the_whole_file_is_put(file: Path, ada: Person) -> None:
    body = {"text": "[dns]\nttl = 1\n"}
    assert run(ask(ada, "PUT", body, If_Match=tag(ada))) == "completed"
    assert file.read_text() == "[dns]\nttl = 1\n"


def test_a_change_must_say_what_it_changes(file: Path, ada: Person) -> None:
    body = {"changes": {"dns.ttl": 60}}
    assert ask(ada, "PATCH", body).status_code == 428
    old = tag(ada)
    file.write_text(OLD + "port = 53\n")
    answer = ask(ada, "PATCH", body, If_Match=old)
    assert answer.status_code == 409
    assert "changed since you opened it" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"changes": []},
        {"changes": {"dns.tll": 1}},
        {"changes": {"dns.ttl": -1}},
        {"changes": {"dns.ttl": {"a": 1}}},
        {"changes": {"dns.ttl": None, "dns": 1}},
        {"changes": {"dns.ttl": [None]}},
        {"changes": {"dns.ttl": 60}, "why": 5},
        {"changes": {"dns.ttl": 60}, "other": 1},
        [1],
    ],
)
def test_a_body_that_is_wrong_changes_nothing(
    file: Path, ada: Person, body: Any
) -> None:
    answer = ask(ada, "PATCH", body, If_Match=tag(ada))
    assert answer.status_code == 422, answer.get_json()
    assert file.read_text() == OLD and operations.recent() == []


def test_a_preview_shows_the_difference_and_what_is_wrong(
    file: Path, ada: Person
) -> None:
    found = ask(ada, "POST", {"changes": {"dns.ttl": 60}}, f"{API}/preview").get_json()
    assert "+ttl = 60 # short" in found["diff"] and found["errors"] == {}
    assert found["changes"][0]["name"] == "dns.ttl"
    found = ask(ada, "POST", {"text": "[dns]\nttl = -1\n"}, f"{API}/preview").get_json()
    assert "dns.ttl" in found["errors"]
    assert file.read_text() == OLD


def shown(person: Person, **fields: str) -> dict[str, str]:
    """The form as a browser sends it, with other values in some fields."""
    found = person.browser.get(API).get_json()["settings"]
    return {item["name"]: item["value"] for item in found} | {
        "tag": settings_file.read().tag,
        "csrf": person.csrf,
        **fields,
    }


def test_the_form_is_looked_at_then_saved(file: Path, ada: Person) -> None:
    form = shown(ada, **{"dns.ttl": "61"})
    page = ada.browser.post("/admin/settings/preview", data=form)
    assert page.status_code == 200 and "+ttl = 61 # short" in page.text
    text = "# mine\r\n[dns]\r\nttl = 61 # short\r\n"
    sent = {"csrf": ada.csrf, "tag": form["tag"], "text": text, "why": "so"}
    answer = ada.browser.post("/admin/settings", data=sent)
    assert answer.status_code == 303
    runner.execute(answer.headers["Location"].rpartition("/")[2], "jobs")
    assert file.read_text() == "# mine\n[dns]\nttl = 61 # short\n"
    assert "so" in ada.browser.get("/admin/settings/history").text


def test_an_error_stands_beside_its_field_with_what_was_typed(
    file: Path, ada: Person
) -> None:
    form = shown(ada, **{"dns.ttl": "soon"})
    page = ada.browser.post("/admin/settings/preview", data=form)
    assert page.status_code == 422
    assert "It must be a whole number." in page.text and 'value="soon"' in page.text


def test_a_form_opened_before_anothers_change_is_refused(
    file: Path, ada: Person
) -> None:
    form = shown(ada, **{"dns.ttl": "61"})
    file.write_text(OLD + "port = 53\n")
    page = ada.browser.post("/admin/settings/preview", data=form)
    assert page.status_code == 409 and "since you opened it" in page.text


def test_a_text_that_is_no_toml_comes_back_with_its_error(
    file: Path, ada: Person
) -> None:
    sent = {"csrf": ada.csrf, "tag": settings_file.read().tag, "text": "[dns"}
    page = ada.browser.post("/admin/settings/preview", data=sent)
    assert page.status_code == 422 and "not TOML" in page.text and "[dns" in page.text


def test_a_file_that_was_broken_by_hand_can_be_mended(file: Path, ada: Person) -> None:
    file.write_text("[dns")
    assert "Correct the text" in ada.browser.get("/admin/settings").text
    assert run(ask(ada, "PUT", {"text": OLD}, If_Match=tag(ada))) == "completed"


def test_a_change_is_rolled_back_in_one_click(file: Path, ada: Person) -> None:
    run(ask(ada, "PATCH", {"changes": {"dns.ttl": 60}}, If_Match=tag(ada)))
    id_ = settings_history.newest()[0].id
    answer = ada.browser.post(
        f"/admin/settings/history/{id_}/rollback", data={"csrf": ada.csrf}
    )
    runner.execute(answer.headers["Location"].rpartition("/")[2], "jobs")
    assert file.read_text() == OLD
    again = ask(ada, "POST", {}, f"{API}/history/{id_}/rollback")
    assert again.status_code == 409  # it is like that already
    assert ask(ada, "POST", {}, f"{API}/history/999/rollback").status_code == 404
