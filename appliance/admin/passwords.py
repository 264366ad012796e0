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
    must_do(password, name)
    with _turns:
        return _hasher().hash(password)


def must_do(password: str, name: str = "", again: str | None = None) -> None:
    """Raise Invalid with all that is wrong; `again` is what was typed the second time,
    where it was asked for."""
    refuse(wrong_with(password, name) | wrong_again(password, again))


def refuse(wrong: dict[str, tuple[str, str]]) -> None:
    """Raise Invalid if anything is wrong: field → (sentence, what stands beside it)."""
    if wrong:
        whole = " ".join(sentence for sentence, _ in wrong.values())
        raise Invalid(whole, **{field: short for field, (_, short) in wrong.items()})


def wrong_with(password: str, name: str) -> dict[str, tuple[str, str]]:
    if not SHORTEST <= len(password) <= LONGEST:
        length = (
            f"The password has {len(password)} characters; {SHORTEST} to {LONGEST}."
        )
        most = f"At most {LONGEST} characters."
        least = f"At least {SHORTEST} characters."
        return {"password": (length, most if len(password) > LONGEST else least)}
    if (name and name.lower() in password.lower()) or _is_guessed(password, name):
        sentence = (
            "That password is among those that are tried first; take another. Four "
            "random words are good."
        )
        return {"password": (sentence, "Too easily guessed.")}
    return {}


def wrong_again(password: str, again: str | None) -> dict[str, tuple[str, str]]:
    if again is None or again == password:
        return {}
    return {"again": ("The two passwords differ.", "Not the same.")}


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
