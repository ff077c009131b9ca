"""JSON from someone who is not trusted: counted before it is parsed.

Reading a byte of JSON can take a hundred bytes of memory, and nesting can take all of a stack. What
stands outside of strings tells how much there will be, and is counted in a fraction of the time.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

_OPENING, _CLOSING = b"[{", b"]}"
_STEP = {**dict.fromkeys(_OPENING, 1), **dict.fromkeys(_CLOSING, -1)}
_NO_BRACKETS = bytes(set(range(256)) - {*_OPENING, *_CLOSING})


class TooMuch(ValueError):
    """There are more values in it than allowed, or they are nested more deeply."""


def loads(content: bytes | bytearray, *, values: int, depth: int) -> Any:
    """What `json.loads` gives.

    Args:
        values: the most commas and opening brackets that may stand outside of strings; in every
            document there is one before each value but the first.
        depth: the most brackets in brackets.

    Raises:
        TooMuch: as it says, before anything is parsed.
        ValueError, RecursionError, MemoryError: as `json.loads` says.
    """
    _count(_in_utf_8(content), values, depth)
    return json.loads(content)


def _in_utf_8(content: bytes | bytearray) -> bytes | bytearray:
    encoding = json.detect_encoding(content)
    if encoding in ("utf-8", "utf-8-sig"):
        return content
    return content.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")


def _count(content: bytes | bytearray, values: int, depth: int) -> None:
    unescaped = content.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value and its name are two strings at most.
    if unescaped.count(b'"') > 4 * (values + 1):
        raise TooMuch(f"it has more than {values:,} values")
    outside = b"".join(unescaped.split(b'"')[::2])
    if sum(map(outside.count, (b",", b"[", b"{"))) > values:
        raise TooMuch(f"it has more than {values:,} values")
    brackets = outside.translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > depth:
        raise TooMuch(f"its lists are nested more than {depth} deep")
