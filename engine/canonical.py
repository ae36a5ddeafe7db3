"""The one JSON text of a value, by RFC 8785: sorted keys, no spaces, numbers as ECMAScript writes them, UTF-8.

1 and 1.0 are one number there. Integers beyond 2^53 - 1, which the RFC does not know, are written as texts.
"""

import hashlib
import json
from typing import Any

SAFE = 2**53 - 1
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class _Odd(Exception):
    """A number or a key for which the standard library's text is not that of the RFC."""


def canonical(value: Any) -> bytes:
    """The text. ValueError for NaN, infinities, and for texts that are not valid Unicode."""
    try:
        return _encode(_plain(value)).encode()
    except _Odd:
        import rfc8785

        return rfc8785.dumps(plain(value))


def digest(value: Any) -> str:
    """SHA-256 of the text, as hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _plain(value: Any) -> Any:
    """The value with numbers as the RFC has them, where that is what the standard library writes. Raises _Odd."""
    kind = type(value)
    if kind is dict:
        if not all(type(key) is str and key.isascii() for key in value):
            raise _Odd
        return {key: _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if kind is int and abs(value) > SAFE:
        return str(value)
    if kind is float:
        if value.is_integer() and abs(value) <= SAFE:
            return int(value)
        if not 1e-4 <= abs(value) <= SAFE:
            raise _Odd
    return value


def plain(value: Any) -> Any:
    """The value with integers beyond 2^53 - 1 as texts."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if type(value) is int and abs(value) > SAFE else value
