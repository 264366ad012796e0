"""The node's keys: Ed25519 to sign records, X25519 to seal secrets to the node.

The signing key is readable to formation-state alone, the sealing key to root.
Where a pass phrase is set, both files are sealed by it (see `keyfile`).
Sealing: ephemeral X25519, HKDF-SHA256, ChaCha20-Poly1305.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance import keyfile
from appliance.config import Settings
from appliance.problems import Problem, Unavailable

HANDED = "FORMATION_PHRASE"  # where the launcher found it
_NONCE = bytes(12)  # each sealing has a key of its own


def fingerprint(public_key: bytes) -> str:
    """A node's id: the hex SHA-256 of its raw Ed25519 public key."""
    return sha256(public_key).hexdigest()


def raw_public(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """The 32 bytes that others know a key by."""
    return key.public_key().public_bytes_raw()


def passphrase(settings: Settings) -> bytes | None:
    """The pass phrase from its file, or None where none is set. A process that cannot
    look into that file was handed what is in it."""
    file = settings.node.passphrase_file
    if file is None:
        return None
    return read_passphrase(Path(os.environ.get(HANDED, file)))


def read_passphrase(file: Path) -> bytes:
    """What the file holds, without blanks around it; raises Problem."""
    try:
        phrase = file.read_bytes().strip()
    except OSError as error:
        raise Problem(
            "passphrase-missing",
            f"node.passphrase_file {file}: {error.strerror}. Create it, root's, with "
            "mode 0400.",
        ) from None
    if not phrase:
        raise Problem("passphrase-missing", f"{file} is empty: write a pass phrase.")
    return phrase


def key_files(settings: Settings) -> tuple[Path, Path]:
    """The signing key's, and the sealing key's."""
    folder = settings.data_dir
    return folder / "state" / "node.key", folder / "keys" / "seal.key"


def must_open(settings: Settings) -> None:
    """Raise a sentence where a key cannot be opened, before anything starts."""
    for path in key_files(settings):
        keyfile.load(path, passphrase(settings))


def reseal(settings: Settings, old: bytes | None) -> int:
    """Seal the keys by the present pass phrase, or not at all without one; `old`
    is what they are sealed by. Says how many there are."""
    new = passphrase(settings)
    return sum(keyfile.reseal(path, old, new) for path in key_files(settings))


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The node's signing key, made at first use."""
    path = key_files(settings)[0]
    key = keyfile.load(path, passphrase(settings))
    if key is None:
        key = Ed25519PrivateKey.generate()
        keyfile.create(path, key, passphrase(settings))
        public = settings.data_dir / "state" / "node.pub"
        public.write_text(raw_public(key).hex() + "\n")
    if not isinstance(key, Ed25519PrivateKey):
        raise Problem("key-wrong", f"{path} is not an Ed25519 key. Restore a backup.")
    return key


def node_id(settings: Settings) -> str | None:
    """This node's id, from the public key's file; None before the first start."""
    try:
        text = (settings.data_dir / "state" / "node.pub").read_text()
    except FileNotFoundError:
        return None
    return fingerprint(bytes.fromhex(text.strip()))


def sealing_key(settings: Settings) -> X25519PrivateKey:
    """The key that secrets are sealed to; made at first use, by root."""
    path = key_files(settings)[1]
    key = keyfile.load(path, passphrase(settings))
    if key is None:
        key = X25519PrivateKey.generate()
        keyfile.create(path, key, passphrase(settings))
    if not isinstance(key, X25519PrivateKey):
        raise Problem("key-wrong", f"{path} is not an X25519 key. Restore a backup.")
    public, half = settings.data_dir / "seal.pub", raw_public(key).hex() + "\n"
    if not public.exists() or public.read_text(errors="replace") != half:
        public.write_text(half)
    return key


def sealing_public(settings: Settings) -> bytes:
    """The public half, which any process may read; Unavailable where it is lost."""
    path = settings.data_dir / "seal.pub"
    try:
        half = bytes.fromhex(path.read_text(errors="replace").strip())
    except (OSError, ValueError):
        half = b""
    if len(half) != 32:
        raise Unavailable(
            "sealing-key-lost",
            f"No secret can be kept: {path} is missing or damaged. formation-jobs "
            "writes it when it starts: form processes restart jobs.",
        )
    return half


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` of `message` is by the holder of `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):  # not his, or no key at all
        return False
    return True


def seal(public_key: bytes, secret: bytes) -> bytes:
    """Encrypt so that only the holder of the sealing key can read it."""
    ephemeral = X25519PrivateKey.generate()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    sender = raw_public(ephemeral)
    cipher = ChaCha20Poly1305(_derive(shared, sender + public_key))
    return sender + cipher.encrypt(_NONCE, secret, None)


def unseal(key: X25519PrivateKey, sealed: bytes) -> bytes:
    """The reverse of `seal`; raises Problem when it was for another node."""
    sender, box = sealed[:32], sealed[32:]
    shared = key.exchange(X25519PublicKey.from_public_bytes(sender))
    cipher = ChaCha20Poly1305(_derive(shared, sender + raw_public(key)))
    try:
        return cipher.decrypt(_NONCE, box, None)
    except InvalidTag:
        raise Problem(
            "secret-sealed", "A secret was sealed to another key. Set it again."
        ) from None


def _derive(shared: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"formation seal" + info).derive(
        shared
    )
