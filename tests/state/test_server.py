"""The socket of formation-state with real peers: children under other uids."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.identity import Ed25519PrivateKey, fingerprint, raw_public
from appliance.state.server import WRITERS, StateServer
from appliance.state.store import Store

WEB, STRANGER = 64001, 64002
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect(sys.argv[1])
    link.sendall(sys.stdin.buffer.read())
    print(link.makefile().readline())
"""


@pytest.fixture
def store() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="formation-state-", dir="/var/tmp"))
    folder.chmod(0o711)  # other uids must reach the socket
    key = Ed25519PrivateKey.generate()
    author = fingerprint(raw_public(key))
    yield Store(folder / "state.db", author, key.sign, 10)
    shutil.rmtree(folder)


@pytest.fixture
def written() -> list[str]:
    return []


@pytest.fixture
def path(store: Store, written: list[str]) -> Iterator[Path]:
    path = Path(store.database.database).with_name("state.sock")
    with StateServer(path, store, WEB, written.append) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def ask(path: Path, uid: int, kind: str, **more: Any) -> dict[str, Any]:
    """What a process of this uid gets for a wish to write."""
    wish = {"kind": kind, "id": "one", "body": {"a": 1}, **more}
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", ASK, str(path)],
        input=json.dumps(wish) + "\n",
        capture_output=True,
        check=True,
        cwd="/",
        text=True,
        user=uid,
        group=uid,
        extra_groups=[],
    )
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_web_writes_what_people_change_and_no_more(
    path: Path, store: Store, written: list[str], kind: str
) -> None:
    answer = ask(path, WEB, kind)
    if "web" in WRITERS[kind]:
        assert answer["record"]["body"] == {"a": 1}
        assert written == [kind]
        return
    assert answer["problem"]["status"] == 403
    assert f"uid {WEB} may not write {kind} records." in answer["problem"]["detail"]
    assert store.find(kind, "one") is None
    assert written == []


@pytest.mark.parametrize("kind", [*sorted(WRITERS), "unheard-of"])
def test_a_stranger_writes_nothing(path: Path, store: Store, kind: str) -> None:
    assert ask(path, STRANGER, kind)["problem"]["status"] == 403
    assert store.find(kind, "one") is None


def test_refused_peers_neither_change_nor_delete(path: Path, store: Store) -> None:
    assert "record" in ask(path, 0, "instance")
    for uid in (WEB, STRANGER):
        for wish in ({"merge": True, "body": {"a": 2}}, {"deleted": True}):
            assert ask(path, uid, "instance", **wish)["problem"]["status"] == 403
    found = store.find("instance", "one")
    assert found is not None
    assert found.body == {"a": 1}


def test_root_writes_every_kind(path: Path, written: list[str]) -> None:
    for kind in sorted(WRITERS):
        assert "record" in ask(path, 0, kind)
    assert written == sorted(WRITERS)
