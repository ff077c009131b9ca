"""Students' Markdown, shown without anything that acts in its reader's browser.

nbgrader's formgrader and its feedback show Markdown as nbconvert makes HTML of it, with every tag
that a student has written. `nbgrader_config.py` puts this filter in the place of nbconvert's.
Verdicts are outputs, not Markdown, and are shown as they are.
"""

from __future__ import annotations

import functools
import re
from html import escape, unescape
from typing import Any

import bleach  # type: ignore[import-untyped]
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter

from attncourse.instructor import limits

_TAGS = bleach.ALLOWED_TAGS | {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "span", "br", "hr", "pre"),
    *("del", "kbd", "s", "samp", "sub", "sup", "u", "var", "dl", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("details", "summary", "figure", "figcaption", "img"),
}
_PROTOCOLS = frozenset({"http", "https", "mailto", "data"})
_ELSEWHERE = re.compile(r"(https?|mailto):|#", re.IGNORECASE)
_IGNORED = re.compile(r"[\x00-\x20\x7f-\xa0\s]")  # by browsers, in and around an address
_TAG = re.compile(r"<[a-z]", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif);base64,|https?://", re.IGNORECASE)
_COLOURED = re.compile(r"highlight|hll|[a-z][a-z0-9]?")  # as Pygments marks up a piece of code
_OF_A_TAG = {
    "abbr": {"title"},
    "img": {"alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "details": {"open"},
}


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """nbconvert's filter of that name; what is not harmless in its HTML becomes text."""
    if len(source) > limits.MAX_MARKDOWN or len(_TAG.findall(source)) > limits.MAX_TAGS:
        return f"<pre>{escape(source)}</pre>"
    html = _exporter().markdown2html(context, source)
    return bleach.clean(html, tags=_TAGS, attributes=_is_harmless, protocols=_PROTOCOLS)


@functools.cache
def _exporter() -> HTMLExporter:
    # Without the links beside headings, for which a heading would need an `id`.
    return HTMLExporter(exclude_anchor_links=True)  # type: ignore[no-untyped-call]


def _is_harmless(tag: str, name: str, value: str) -> bool:
    # No `id`, `name`, `style`, and no class but those of coloured code: with them a text could
    # take the place of the page's own fields, or lie on top of them.
    if name == "class":
        return tag in ("div", "span") and all(map(_COLOURED.fullmatch, value.split()))
    if name == "src":
        return tag == "img" and _PICTURE.match(value) is not None
    if name == "href":
        return tag == "a" and _ELSEWHERE.match(_IGNORED.sub("", unescape(value))) is not None
    return name in _OF_A_TAG.get(tag, ())
