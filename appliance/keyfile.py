"""Private keys in files: PKCS #8 as PEM, sealed where the node has a pass phrase.

PKCS #8's own derivation (PBKDF2 with few rounds) is no hindrance to guessing, so the
phrase goes through scrypt (RFC 7914) first; its salt and cost stand in a line before
the PEM block, where RFC 7468 allows text. A key that is not sealed although there is
a phrase is sealed when it is next loaded.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.problems import Problem

Key = Ed25519PrivateKey | X25519PrivateKey
COST = 1 << 15  # 32 MiB and about 0.1 s
_HEADER = re.compile(rb"scrypt ([0-9a-f]{32}) (\d{1,8})\n")


def _stretched(phrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(phrase).hex().encode()


def is_sealed(pem: bytes) -> bool:
    return b"BEGIN ENCRYPTED PRIVATE KEY" in pem


def load(path: Path, phrase: bytes | None) -> Key | None:
    """The key, or None where there is no file; seals one that should be."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    key = _opened(path, pem, phrase)
    if phrase and not _HEADER.match(pem):
        replace(path, key, phrase)
    return key


def _opened(path: Path, pem: bytes, phrase: bytes | None) -> Key:
    if is_sealed(pem) and not phrase:
        raise Problem(
            "key-sealed",
            f"{path} is sealed and no pass phrase is set: node.passphrase_file must "
            "name the file with the one that sealed it.",
        )
    password = phrase if is_sealed(pem) else None
    header = _HEADER.match(pem)
    if header and password:
        salt, cost = bytes.fromhex(header[1].decode()), int(header[2])
        password = _stretched(password, salt, cost)
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (TypeError, ValueError):
        what = "the pass phrase is another" if is_sealed(pem) else "it is no key"
        raise Problem(
            "key-sealed",
            f"{path} cannot be opened: {what}. Put the one that sealed it into the "
            "file of node.passphrase_file, or restore a backup.",
        ) from None
    if not isinstance(key, Ed25519PrivateKey | X25519PrivateKey):
        raise Problem("key-wrong", f"{path} is another kind of key. Restore a backup.")
    return key


def encoded(key: Key, phrase: bytes | None) -> bytes:
    """The file's content."""
    if not phrase:
        return _pem(key, serialization.NoEncryption())
    salt = secrets.token_bytes(16)
    stretched = _stretched(phrase, salt, COST)
    pem = _pem(key, serialization.BestAvailableEncryption(stretched))
    return b"scrypt %s %d\n" % (salt.hex().encode(), COST) + pem


def _pem(key: Key, sealing: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing
    )


def create(path: Path, key: Key, phrase: bytes | None) -> None:
    """Write a new key's file; one that is there is never overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, encoded(key, phrase))


def replace(path: Path, key: Key, phrase: bytes | None) -> None:
    """Write a key anew in one step, for the same user; a crash leaves the old."""
    before = path.stat()
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    _write(draft, encoded(key, phrase))
    if (before.st_uid, before.st_gid) != (draft.stat().st_uid, draft.stat().st_gid):
        os.chown(draft, before.st_uid, before.st_gid)
    draft.replace(path)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def reseal(path: Path, old: bytes | None, new: bytes | None) -> bool:
    """Open with one pass phrase, seal with another; whether there is a key. One that
    has the new already, as after a crash, is fine."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return False
    try:
        key = _opened(path, pem, old)
    except Problem:
        if not new:
            raise
        key = _opened(path, pem, new)
    replace(path, key, new)
    return True
