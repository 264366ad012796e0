"""Hashes of guests' passwords, crypt(5): yescrypt, else SHA-512-crypt.

Python 3.13 has no crypt module, so libxcrypt is called, by its reentrant
functions: pages are served by several threads.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL

LONGEST = 512
_SETTING_SIZE, _DATA_SIZE = 192, 32768  # crypt.h: GENSALT_OUTPUT_SIZE, crypt_data
_C = "[./A-Za-z0-9]"
_HASHED = re.compile(
    rf"\$(?:g?y|7)\$[./A-Za-z0-9$]{{1,120}}\${_C}{{43}}"
    rf"|\$6\$(?:rounds=[1-9][0-9]{{3,8}}\$)?{_C}{{1,16}}\${_C}{{86}}"
    rf"|\$5\$(?:rounds=[1-9][0-9]{{3,8}}\$)?{_C}{{1,16}}\${_C}{{43}}"
    rf"|\$2[aby]\$[0-9]{{2}}\${_C}{{53}}"
)
_LIKE_HASH = re.compile(r"\$(?:gy|y|7|6|5|2[abxy]?|1|md5|sha1)[$,]")


def is_hashed(text: str) -> bool:
    """Whether it is a hash already, of a method that is still good."""
    return _HASHED.fullmatch(text) is not None


def problem_of(text: str) -> str:
    """What is wrong with a password, in words that do not repeat it, or nothing."""
    if not text:
        return "the password is empty; leave the field out for none"
    if is_hashed(text):
        return ""
    if _LIKE_HASH.match(text):
        return "a hash that is cut off or of a weak method; make one with mkpasswd"
    if len(text.encode(errors="replace")) > LONGEST or "\0" in text:
        return f"a password has at most {LONGEST} bytes, and no NUL"
    return ""


def hash_password(text: str) -> str:
    """crypt(5) text of a clear password; a hash is returned as it is."""
    problem = problem_of(text)
    if problem:
        raise ValueError(problem)
    if is_hashed(text):
        return text
    for prefix in (b"$y$", b"$6$"):
        hashed = _crypt(text.encode(), prefix)
        if hashed is not None:
            return hashed
    raise ValueError("this machine's libcrypt knows neither yescrypt nor SHA-512-crypt")


def verify(text: str, hashed: str) -> bool:
    """Whether the clear password gives this hash."""
    import hmac

    again = _hash(text.encode(), hashed.encode())
    return again is not None and hmac.compare_digest(again, hashed)


def _crypt(clear: bytes, prefix: bytes) -> str | None:
    import ctypes

    setting = ctypes.create_string_buffer(_SETTING_SIZE)
    made = _library().crypt_gensalt_rn(prefix, 0, None, 0, setting, _SETTING_SIZE)
    return _hash(clear, setting.value) if made else None


def _hash(clear: bytes, setting: bytes) -> str | None:
    import ctypes

    memory = ctypes.create_string_buffer(_DATA_SIZE)
    hashed = _library().crypt_rn(clear, setting, memory, _DATA_SIZE)
    text = hashed.decode() if hashed and not hashed.startswith(b"*") else None
    ctypes.memset(memory, 0, _DATA_SIZE)
    return text


@cache
def _library() -> CDLL:
    import ctypes

    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        size, text = ctypes.c_int, ctypes.c_char_p
        library.crypt_gensalt_rn.restype = library.crypt_rn.restype = text
        library.crypt_gensalt_rn.argtypes = [
            *(text, ctypes.c_ulong, text, size, text, size)
        ]
        library.crypt_rn.argtypes = [text, text, ctypes.c_void_p, size]
        return library
    raise ValueError("there is no libcrypt: apt-get install libcrypt1")
