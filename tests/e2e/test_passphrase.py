"""A node whose keys are sealed, with real processes."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import Node, environment, free_port, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
PHRASE = "the-older-networks-pass-phrase"


@pytest.fixture
def node() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="formation-e2e-", dir="/var/tmp"))
    folder.chmod(0o711)
    port, dns_port = free_port(), free_port()
    found = Node(environment(folder, port, dns_port), folder, port, dns_port)
    try:
        yield found
    finally:
        stop(found)
        shutil.rmtree(folder, ignore_errors=True)


def stop(node: Node) -> None:
    process = getattr(node, "process", None)
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(90)


def environments(node: Node) -> list[bytes]:
    """What stands in the environment of each process of the node."""
    found = []
    children = psutil.Process(node.process.pid).children(recursive=True)
    for pid in (node.process.pid, *(child.pid for child in children)):
        try:
            found.append(Path(f"/proc/{pid}/environ").read_bytes())
        except OSError:
            continue
    return found


def test_the_older_pass_phrase_seals_the_keys_and_is_in_no_environment(
    node: Node,
) -> None:
    keys = [node.folder / "data" / name for name in ("state/node.key", "keys/seal.key")]
    node.environment["PACK_MANAGER_PASSWORD"] = PHRASE
    node.environment["P2P_PORT"] = "3006"
    node.start()
    until(lambda: all(key.exists() for key in keys), 30, "the keys are made")
    assert all(b"ENCRYPTED" in key.read_bytes() for key in keys)
    assert len(environments(node)) > 4
    assert not any(PHRASE.encode() in text for text in environments(node))
    assert PHRASE not in node.logs()
    said = (node.folder / "serve.log").read_text()
    assert "A file of root's is safer" in said
    assert "P2P_PORT is set but means nothing here" in said
    stop(node)

    del node.environment["PACK_MANAGER_PASSWORD"]
    assert "no pass phrase is set" in node.form("serve", check=False)
    node.environment["PACK_MANAGER_PASSWORD"] = "another"
    assert "the pass phrase is another" in node.form("serve", check=False)

    old, new = node.folder / "old", node.folder / "new"
    old.write_text(PHRASE)
    new.write_text("the next one")
    del node.environment["PACK_MANAGER_PASSWORD"]
    node.environment["FORMATION_NODE__PASSPHRASE_FILE"] = str(new)
    said = node.form("admin", "seal-keys", "--from", str(old))
    assert "sealed now: 2" in said
    node.start()
    until(lambda: node.answers(), 30, "the node answers")
