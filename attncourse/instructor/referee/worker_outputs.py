"""The outputs of a cell as the judge takes them from a worker: rebuilt, harmless, within limits.

The worker has cut them to the same limits, but a cell can change what a worker does. Whatever
arrives is cut before anything else is done with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attncourse.instructor import limits
from attncourse.instructor.notes import Outputs

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*\Z")
_TOO_LARGE = {"output_type": "stream", "text": "… the outputs of this cell are too large\n"}
_LEFT_OUT: dict[str, Any] = {
    "output_type": "display_data",
    "data": {"text/plain": "… more was left out: this notebook's outputs are too large"},
    "metadata": {},
}
_TEXTS = ("text/plain", "text/latex")
_PICTURES = ("image/png", "image/jpeg")
_SEQUENCE = rf"\[[0-9;:?]{{0,{limits.MAX_CONTROL_LENGTH}}}[@-~]"
_CONTROL = re.compile(rf"\x1b{_SEQUENCE}|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STRAY = re.compile(rf"\x1b(?!{_SEQUENCE})")


def readable(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outputs in an answer, each rebuilt from the parts that a notebook may show."""
    room = _Room()
    outputs = answer.get("outputs", [_TOO_LARGE])
    some = outputs[: limits.MAX_OUTPUTS + 3] if isinstance(outputs, list) else ()
    rebuilt = [room.rebuilt(output) for output in some if isinstance(output, Mapping)]
    return [output for output in rebuilt if output is not None]


def size(output: Mapping[str, Any]) -> int:
    """Characters that an output takes up in a file."""
    return len(json.dumps(output))


def in_control(text: str, most: int) -> tuple[str, int]:
    """A text with how many control characters and sequences it has; without them if too many."""
    text = _STRAY.sub("", text)  # one without an end makes what shows it look far for it
    found = len(_CONTROL.findall(text))
    return (text if found <= most else _CONTROL.sub("", text)), found


class NotebookRoom:
    """What the outputs of all cells of a notebook may still take up."""

    def __init__(self) -> None:
        self._left = [
            limits.MAX_NOTEBOOK_OUTPUT,
            limits.MAX_NOTEBOOK_TEXT,
            limits.MAX_NOTEBOOK_OUTPUTS,
        ]

    def fitting(self, outputs: Outputs) -> Outputs:
        """As many outputs of a cell as there is room for."""
        kept: Outputs = []
        for output in outputs:
            whole, data = size(output), output.get("data", {})
            in_text = whole - sum(len(data[mime]) for mime in _PICTURES if mime in data)
            left = [room - its for room, its in zip(self._left, (whole, in_text, 1), strict=True)]
            # What the referee notes has to stay, and is small.
            if min(left) >= 0 or output.get("metadata", {}).get("attncourse"):
                self._left = left
                kept.append(output)
        return kept if len(kept) == len(outputs) else [*kept, _LEFT_OUT]


class _Room:
    """What the outputs of a cell may still take up."""

    def __init__(self) -> None:
        self._text, self._controls = limits.MAX_TEXT, limits.MAX_CONTROLS
        self._for_errors = limits.MAX_ERROR_TEXT + limits.MAX_ERROR_MESSAGE
        self._pictures = limits.MAX_PICTURES
        self._has_said = False  # that there were too many colours

    def rebuilt(self, output: Mapping[str, Any]) -> dict[str, Any] | None:
        """An output as far as there is room for it; None if nothing of it is left."""
        kind, data = output.get("output_type"), output.get("data")
        if kind == "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            text = self._kept(output.get("text"))
            return {"output_type": "stream", "name": name, "text": text} if text else None
        if kind == "error":
            return self._error(output)
        if kind in ("display_data", "execute_result") and isinstance(data, Mapping):
            kept = {mime: self._kept(data[mime]) for mime in _TEXTS if mime in data}
            kept |= {mime: self._picture(data[mime]) for mime in _PICTURES if mime in data}
            if kept := {mime: content for mime, content in kept.items() if content}:
                return {"output_type": kind, "data": kept, "metadata": self._alt(output)}
        return None

    def _error(self, output: Mapping[str, Any]) -> dict[str, Any]:
        # It is what matters most, whatever came before.
        lent = min(self._for_errors, max(0, limits.MAX_ERROR_TEXT - self._text))
        self._for_errors -= lent
        self._text += lent
        lines = output.get("traceback")
        some = lines[-limits.MAX_TRACEBACK_LINES :] if isinstance(lines, list) else ()
        return {
            "output_type": "error",
            "ename": _STRAY.sub("", _text(output.get("ename"), limits.MAX_ERROR_NAME)),
            "evalue": self._kept(_text(output.get("evalue"), limits.MAX_ERROR_MESSAGE)),
            "traceback": [self._kept(_text(line, limits.MAX_TRACEBACK_LINE)) for line in some],
        }

    def _picture(self, content: Any) -> str:
        if not isinstance(content, str) or len(content) > self._pictures:
            return ""
        self._pictures -= len(content)
        return content if _BASE64.match(content) else ""

    def _alt(self, output: Mapping[str, Any]) -> dict[str, Any]:
        metadata = output.get("metadata")
        picture = metadata.get("image/png") if isinstance(metadata, Mapping) else None
        alt = picture.get("alt") if isinstance(picture, Mapping) else None
        described = self._kept(_text(alt, limits.MAX_ALT))
        return {"image/png": {"alt": described}} if described else {}

    def _kept(self, text: Any) -> str:
        """As much of a text as there is room for; where it is cut, it says so."""
        if not isinstance(text, str) or self._text <= 0:
            return ""
        kept = text[: self._text]
        self._text -= len(kept)
        if len(kept) < len(text):
            kept += f"\n… cut: more than {limits.MAX_TEXT:,} characters\n"
        return self._in_control(kept)

    def _in_control(self, text: str) -> str:
        """The text with its control characters and sequences, if there is room for them."""
        text, found = in_control(text, self._controls)
        if found <= self._controls:
            self._controls -= found
            return text
        self._controls = 0
        if self._has_said:
            return text
        self._has_said = True
        most = f"{limits.MAX_CONTROLS:,} colours and control characters"
        return f"{text}\n… more than {most}: some were left out\n"


def _text(value: Any, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""
