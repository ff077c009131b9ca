"""Letters and style sheets that every figure and table brings along, once where many stand."""

from __future__ import annotations

import re

LETTER = re.compile(r'<path id="([^"]*)"[^>]* transform="scale\(0\.015625\)"/>\n?')
"""A letter as matplotlib defines it in an SVG; the group is its id."""
_STYLE = re.compile(r"<style[^>]*>.*?</style>\n?", re.DOTALL)
_UNSCRIPTED = re.compile(r"(<noscript>.*?</noscript>)", re.DOTALL)


def once(html: str) -> str:
    """The same without the letters and style sheets that stand in it before, word for word.

    What stands in a ``noscript`` is left as it is: elsewhere there is nothing of it to be used.
    """
    seen: set[str] = set()

    def first(match: re.Match[str]) -> str:
        is_new = match[0] not in seen
        seen.add(match[0])
        return match[0] if is_new else ""

    parts = _UNSCRIPTED.split(html)
    parts[::2] = [_STYLE.sub(first, LETTER.sub(first, part)) for part in parts[::2]]
    return "".join(parts)
