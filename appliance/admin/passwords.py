"""Passwords of accounts: which are refused, their hashes, and checking them.

Hashes are argon2id. What is easily guessed is judged by zxcvbn, which knows the
passwords that are tried first, words, names, dates and rows of keys.
"""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.problems import Invalid

SHORTEST, LONGEST = 10, 1024
JUDGED = 72  # characters; zxcvbn takes no more
FAIR = 3  # of zxcvbn's 0 to 4: about 10**8 guesses are not enough
_turns = threading.BoundedSemaphore(2)  # a hash takes 64 MiB


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


def hash_password(password: str, name: str = "") -> str:
    """The argon2id hash; refuses what is short, common or near the account's name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(
            f"The password has {len(password)} characters; {SHORTEST} to {LONGEST}.",
            password=f"At least {SHORTEST} characters.",
        )
    if (name and name.lower() in password.lower()) or _is_guessed(password, name):
        raise Invalid(
            "That password is among those that are tried first; take another. Four "
            "random words are good.",
            password="Too easily guessed.",
        )
    with _turns:
        return _hasher().hash(password)


def _is_guessed(password: str, name: str) -> bool:
    from zxcvbn import zxcvbn  # 15 MB: only where a password is set

    near = [word for word in (name, "formation") if word]
    return int(zxcvbn(password[:JUDGED], user_inputs=near)["score"]) < FAIR


def fits(password_hash: str, password: str) -> bool:
    """Whether the password is the hash's; an empty hash takes as long, and is not."""
    with _turns:
        try:
            _hasher().verify(password_hash or _decoy(), password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
    return bool(password_hash)


@cache
def _decoy() -> str:
    return _hasher().hash(secrets.token_hex())
