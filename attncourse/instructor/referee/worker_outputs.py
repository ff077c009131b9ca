"""The outputs of a cell as the judge takes them from a worker: rebuilt, harmless, within limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attncourse.instructor import limits

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*\Z")
_TOO_LARGE = {"output_type": "stream", "text": "… the outputs of this cell are too large\n"}
_TEXTS = ("text/plain", "text/latex")
_PICTURES = ("image/png", "image/jpeg")


def readable(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outputs in an answer, each rebuilt from the parts that a notebook may show."""
    found, pictures, room = [], limits.MAX_PICTURES, limits.MAX_OTHER_OUTPUT
    outputs = answer.get("outputs", [_TOO_LARGE])
    for output in outputs[: limits.MAX_OUTPUTS + 3] if isinstance(outputs, list) else ():
        rebuilt = _rebuilt(output) if isinstance(output, Mapping) else None
        if rebuilt is not None:
            data = rebuilt.get("data", {})
            in_pictures = sum(len(data[mime]) for mime in _PICTURES if mime in data)
            pictures -= in_pictures
            room -= size(rebuilt) - in_pictures
            if min(pictures, room) < 0:
                break
            found.append(rebuilt)
    return found


def size(output: Mapping[str, Any]) -> int:
    """Characters that an output takes up in a file."""
    return len(json.dumps(output))


def _rebuilt(output: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": _text(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        return {
            "output_type": "error",
            "ename": _text(output.get("ename")),
            "evalue": _text(output.get("evalue")),
            "traceback": [_text(line) for line in lines[-limits.MAX_TRACEBACK_LINES :]]
            if isinstance(lines, list)
            else [],
        }
    data = output.get("data")
    if kind in ("display_data", "execute_result") and isinstance(data, Mapping):
        kept = {mime: _text(data[mime]) for mime in _TEXTS if mime in data}
        for mime in _PICTURES:
            if mime in data and _BASE64.match(_text(data[mime])):
                kept[mime] = _text(data[mime])
        if kept:
            return {"output_type": kind, "data": kept, "metadata": _alt(output)}
    return None


def _alt(output: Mapping[str, Any]) -> dict[str, Any]:
    metadata = output.get("metadata")
    picture = metadata.get("image/png") if isinstance(metadata, Mapping) else None
    alt = picture.get("alt") if isinstance(picture, Mapping) else None
    return {"image/png": {"alt": alt[: limits.MAX_ALT]}} if isinstance(alt, str) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
