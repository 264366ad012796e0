"""Storage by API: what is shown, and what can be freed by whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from appliance import operations, runner, state, vmm
from appliance.admin import accounts, sessions, storage, tokens
from appliance.config import Settings
from appliance.pack.images import image_file
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import create_app

USED, FREE = "a" * 64, "b" * 64


class Caller:
    """An account with its token; the disk is measured anew before each request."""

    def __init__(self, client: FlaskClient, settings: Settings, role: str) -> None:
        hashed = accounts.hash_password("correct horse battery")
        account = accounts.create(role, hashed, (role,))
        token, _ = tokens.create(account, "test", ["admin"])
        self._bearer = {"Authorization": f"Bearer {token}"}
        self._client, self._settings = client, settings

    def ask(self, method: str, path: str, **more: object) -> tuple[int, dict]:
        storage.refresh(self._settings)
        answer = self._client.open(
            f"/api/v1{path}", method=method, headers=self._bearer, **more
        )
        return answer.status_code, answer.get_json()

    def done(self, method: str, path: str, **more: object) -> dict:
        """The operation that the request began, executed to its end."""
        status, document = self.ask(method, path, **more)
        assert status == 202, document
        runner.execute(document["id"], "w")
        return operations.as_document(operations.get(document["id"]))


@pytest.fixture
def node(settings: Settings, records: StateServer) -> Settings:
    choose(settings, [])
    for digest in (USED, FREE):
        image_file(settings.images_dir, digest).write_bytes(b"x" * 9000)
    body = {"agent": "operator/echo", "version": "0.1.0", "image": USED}
    state.put("version", "operator/echo@0.1.0", body)
    state.put("agent", "operator/echo", {"latest": "0.1.0"})
    volume = vmm.volume_file(settings, "developer", "store", "/data")
    volume.parent.mkdir(parents=True)
    volume.write_bytes(b"x" * 9000)
    return settings


@pytest.fixture
def client(node: Settings) -> FlaskClient:
    return create_app().test_client()


@pytest.fixture
def operator(client: FlaskClient, node: Settings) -> Caller:
    return Caller(client, node, "operator")


@pytest.fixture
def developer(client: FlaskClient, node: Settings) -> Caller:
    return Caller(client, node, "developer")


def test_images_are_shown_with_what_they_are_of_and_who_needs_them(
    operator: Caller,
) -> None:
    _, found = operator.ask("GET", "/pack/images")
    used, free = sorted(found["images"], key=lambda item: item["key"])
    assert (used["title"], used["unused"]) == ("operator/echo 0.1.0", False)
    assert used["users"] == ["operator/echo's latest version"]
    assert (free["users"], free["unused"], free["over"]) == ([], True, False)
    assert found["unused_bytes"] == free["bytes"]


def test_storage_tells_every_part_with_its_bound(operator: Caller) -> None:
    _, found = operator.ask("GET", "/admin/storage")
    assert all(part["bound"] for part in found["parts"])
    sizes = {part["title"]: part["bytes"] for part in found["parts"]}
    assert sizes["Images"] == found["kept"]
    assert sizes["Volumes"] == found["volumes"][0]["bytes"] > 0
    assert found["free"] <= found["total"]


def test_before_the_first_measurement_it_says_so(
    operator: Caller, client: FlaskClient, node: Settings
) -> None:
    answer = client.get("/api/v1/pack/layers", headers=operator._bearer)
    assert answer.status_code == 503
    assert "not measured yet" in answer.get_json()["detail"]


def test_a_collection_is_an_operation_with_a_log(
    operator: Caller, node: Settings
) -> None:
    kept = operator.done("POST", "/pack/collect")
    assert kept["result"] == {"freed_bytes": 0}
    done = operator.done("POST", "/pack/collect", json={"everything": True})
    assert (done["state"], done["result"]["freed_bytes"] > 0) == ("completed", True)
    lines = [line for *_, line in operations.log_lines(done["id"])]
    assert "removed the image bbbbbbbbbbbb (of no registered version): 0.0 MB" in lines
    left = [path.stem for path in node.images_dir.iterdir()]
    assert left == [USED]
    shown = json.loads(storage.report_file(node).read_text())["images"]
    assert [item["key"] for item in shown] == [USED]


@pytest.mark.parametrize(
    "body", ["[]", '{"all": true}', '{"everything": "yes"}', "null", "{"]
)
def test_a_wish_that_means_nothing_collects_nothing(
    operator: Caller, node: Settings, body: str
) -> None:
    kind = "application/json"
    assert operator.ask("POST", "/pack/collect", data=body, content_type=kind)[0] == 422
    assert operations.recent() == []


def test_one_image_goes_by_the_beginning_of_its_digest(
    operator: Caller, node: Settings
) -> None:
    done = operator.done("DELETE", f"/pack/images/{FREE[:12]}")
    assert done["state"] == "completed"
    assert [path.stem for path in node.images_dir.iterdir()] == [USED]


def test_an_image_in_use_is_refused_with_who_needs_it(operator: Caller) -> None:
    status, problem = operator.ask("DELETE", f"/pack/images/{USED}")
    assert status == 409
    assert "needed by operator/echo's latest version" in problem["detail"]


@pytest.mark.parametrize("digest", ["", "b", "c" * 64, "bbbbbbbbc"])
def test_an_image_that_is_not_one_is_unknown(operator: Caller, digest: str) -> None:
    assert operator.ask("DELETE", f"/pack/images/{digest}")[0] in (404, 405)


def test_a_volume_is_deleted_by_its_owner_only(
    operator: Caller, developer: Caller, node: Settings
) -> None:
    _, found = developer.ask("GET", "/vmm/volumes")
    assert [(v["agent"], v["mount"]) for v in found["volumes"]] == [("store", "/data")]
    assert developer.ask("DELETE", "/vmm/volumes/operator/store/data")[0] == 403
    assert developer.ask("DELETE", "/vmm/volumes/developer/store/other")[0] == 404
    done = developer.done("DELETE", "/vmm/volumes/developer/store/data")
    assert done["state"] == "completed"
    assert vmm.volumes(node) == []


def test_a_developer_frees_nothing_of_others(developer: Caller) -> None:
    assert developer.ask("POST", "/pack/collect")[0] == 403
    assert developer.ask("DELETE", f"/pack/images/{FREE}")[0] == 403


def test_what_goes_meanwhile_is_only_not_measured(tmp_path: Path) -> None:
    assert storage.taken([tmp_path / "gone"]) == 0


@pytest.fixture
def browser(client: FlaskClient, operator: Caller) -> FlaskClient:
    form = {"name": "operator", "password": "correct horse battery"}
    assert client.post("/login", data=form).status_code == 303
    return client


def csrf() -> str:
    token: str = sessions.Session.get().csrf
    return token


def test_the_pages_show_sizes_users_and_what_can_be_freed(
    browser: FlaskClient, node: Settings
) -> None:
    assert "not measured yet" in browser.get("/pack/").text
    assert "not measured yet" in browser.get("/admin/storage").text
    storage.refresh(node)
    images, disk = browser.get("/pack/").text, browser.get("/admin/storage").text
    assert "operator/echo&#39;s latest version" in images
    assert f"/pack/images/{FREE}/delete" in images
    assert f"/pack/images/{USED}/delete" not in images
    assert "/vmm/volumes/developer/store/data/delete" in disk


def test_a_page_frees_and_leads_to_the_operation(
    browser: FlaskClient, node: Settings
) -> None:
    storage.refresh(node)
    wishes = {
        "/pack/collect": {"everything": "1"},
        f"/pack/images/{FREE}/delete": {},
        "/vmm/volumes/developer/store/data/delete": {"confirm": "developer/store"},
    }
    for path, form in wishes.items():
        answer = browser.post(path, data={"csrf": csrf(), **form})
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/operations/")
    kinds = [row.kind for row in operations.recent()]
    assert kinds == ["volume-delete", "image-delete", "collect"]


def test_a_volume_is_deleted_only_when_its_agent_was_typed(
    browser: FlaskClient, node: Settings
) -> None:
    storage.refresh(node)
    path = "/vmm/volumes/developer/store/data/delete"
    assert "cannot be undone" in browser.get(path).text
    refused = browser.post(path, data={"csrf": csrf(), "confirm": "store"})
    assert refused.status_code == 422
    assert "Type developer/store; nothing was deleted." in refused.text
    assert operations.recent() == []


def test_a_developer_sees_its_own_volumes_and_no_images(
    developer: Caller, node: Settings
) -> None:
    other = vmm.volume_file(node, "operator", "echo", "/data")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    for path in ("/vmm/volumes", "/admin/storage"):
        _, found = developer.ask("GET", path)
        assert [volume["owner"] for volume in found["volumes"]] == ["developer"]
    assert developer.ask("GET", "/pack/images")[0] == 403
