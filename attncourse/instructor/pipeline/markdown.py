"""Students' text, shown without anything that acts in its reader's browser.

nbgrader's formgrader and its feedback show Markdown as nbconvert makes HTML of it, with every tag
that a student has written, and formulas with their links. `rendering` puts these filters in the
place of nbconvert's. Verdicts are outputs, not Markdown, and are shown as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from functools import partial
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import bleach  # type: ignore[import-untyped]
from bleach.html5lib_shim import Filter  # type: ignore[import-untyped]
from jinja2 import pass_context
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from attncourse.instructor import limits
from attncourse.instructor.course.files_beside import PICTURES, picture_beside

_TAGS = bleach.ALLOWED_TAGS | {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "span", "br", "hr", "pre"),
    *("del", "kbd", "s", "samp", "sub", "sup", "u", "var", "dl", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("details", "summary", "figure", "figcaption", "img"),
}
# Which addresses are kept is decided in `_Addresses`.
_PROTOCOLS = frozenset({"http", "https", "mailto", "data", "attachment"})
# A host by its full name in ASCII: no number of a machine in any notation, no letter that a browser
# reads as another, no user before an `@`, no `\` that it reads as a `/`.
_LINK = re.compile(
    r"https?://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*)\.?(:\d{1,5})?([/?#][^\s\\]*)?",
    re.IGNORECASE | re.ASCII,
)
_OWN_NAMES = ("localhost", "localdomain", "local", "internal")  # as last part, of this machine
_TAG = re.compile(r"<[a-z]", re.IGNORECASE)
_COLOURED = re.compile(r"highlight|hll|[a-z][a-z0-9]?")  # as Pygments marks up a piece of code
_OF_A_TAG = {
    "a": {"href"},
    "abbr": {"title"},
    "img": {"alt", "width", "height", "src"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "details": {"open"},
}
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_DATA = re.compile(r"data:(?P<kind>image/(?:png|jpeg|gif|webp));base64,(?P<data>[A-Za-z0-9+/=]+)")
_ASIDE = re.compile(r"data:image/[a-z]+;base64,picture-(?P<number>\d+)")  # no base64: it has a `-`
# What MathJax makes a link of. After another character than a letter it is a command without one.
_LINKS_IN_FORMULAS = re.compile(r"\\(?=href|mmlToken)")
_NO_COMMAND = "\\\N{WORD JOINER}"
# Formulas can move to any place. Here they stay in their own.
_BOX = '<div style="position: relative; overflow: auto hidden">{}</div>'

OWN_HOSTS = "attncourse_own_hosts"
"""Among the resources of a page: to which hosts it shows no link."""

Name = tuple[str | None, str]
Token = dict[str, Any]


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """nbconvert's filter of that name; what is not harmless in its HTML becomes text.

    It raises nothing: what cannot be converted is shown as it was written.

    Args:
        context: `resources` may have under `OWN_HOSTS` what `own_hosts` says where the page is.
    """
    short, aside = with_pictures_aside(source)
    if len(short) > limits.MAX_MARKDOWN or len(_TAG.findall(short)) > limits.MAX_TAGS:
        return _code(short)
    try:
        cell = context.get("cell") or {}
        resources = context.get("resources") or {}
        place = resources.get("metadata", {}).get("path")
        addresses = partial(
            _Addresses,
            folder=Path(place) if place else None,
            attachments=cell.get("attachments") or {},
            aside=aside,
            own=resources.get(OWN_HOSTS, own_hosts()),
        )
        # Without the links beside headings, for which a heading would need an `id`.
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        html = MarkdownWithMath(renderer=renderer).render(short)
        cleaner = bleach.Cleaner(
            tags=_TAGS,
            attributes=_is_harmless,
            protocols=_PROTOCOLS,
            filters=[addresses, _Formulas],
        )
        return _BOX.format(cleaner.clean(html))
    except Exception:  # of whatever kind: one answer's fault is not the page's
        return _code(short)


def formula(source: str) -> str:
    """The HTML of formulas that a cell has put out."""
    return _BOX.format(_without_links_in_formulas(escape(str(source))))


def own_hosts() -> list[str]:
    """The names of the page's own host, if it is a page that a Jupyter server shows just now."""
    calls = sys.modules.get("jupyter_server.base.call_context")  # no server, no such page
    handler = calls and calls.CallContext.get(calls.CallContext.JUPYTER_HANDLER)
    if handler is None:
        return []
    # A proxy may have put its own name into one of them.
    headers = handler.request.headers
    named = [f"//{handler.request.host}", f"//{headers.get('X-Forwarded-Host', '')}"]
    named += [headers.get("Referer", ""), headers.get("Origin", "")]
    return sorted({host.rstrip(".") for address in named if (host := _host(address))})


def _code(source: str) -> str:
    # MathJax leaves what stands in it alone.
    return f"<pre>{escape(source)}</pre>"


def _without_links_in_formulas(text: str) -> str:
    return _LINKS_IN_FORMULAS.sub(lambda _: _NO_COMMAND, text)


def with_pictures_aside(source: str) -> tuple[str, list[str]]:
    """The text with short names for the pictures that it contains, and these.

    What is measured, parsed and cleaned is then only what somebody has written.
    """
    aside: list[str] = []

    def named(found: re.Match[str]) -> str:
        aside.append(found[0])
        return f"data:{found['kind']};base64,picture-{len(aside) - 1}"

    return _DATA.sub(named, source), aside


class _Renderer(IPythonRenderer):
    """nbconvert's, but it leaves addresses of pictures as they are: `_Addresses` looks them up."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return HTMLRenderer.image(self, text, url, title)


def _is_harmless(tag: str, name: str, value: str) -> bool:
    # No `id`, `name`, `style`, and no class but those of coloured code: with them a text could
    # take the place of the page's own fields, or lie on top of them.
    if name == "class":
        return tag in ("div", "span") and all(map(_COLOURED.fullmatch, value.split()))
    return name in _OF_A_TAG.get(tag, ())


class _Addresses(Filter):  # type: ignore[misc]
    """Keeps a link that leads elsewhere, and a picture that is there; the others become text."""

    def __init__(
        self,
        source: Any,
        *,
        folder: Path | None,
        attachments: dict[str, dict[str, str]],
        aside: list[str],
        own: Collection[str],
    ) -> None:
        super().__init__(source)
        self._folder, self._attachments, self._aside = folder, attachments, aside
        self._own = own

    def __iter__(self) -> Iterator[Token]:
        open_links: list[str | None] = []  # of each what is shown at its end
        for token in super().__iter__():
            name, kind = token.get("name"), token["type"]
            if name == "img" and kind != "EndTag":
                yield self._picture(token)
            elif name == "a" and kind == "StartTag":
                address = _address(token, "href")
                if _leads_elsewhere(address, self._own):
                    token["data"] = _link(address)
                    open_links.append(None)
                    yield token
                else:
                    open_links.append(f" ({address})" if address else "")
            elif name == "a" and kind == "EndTag" and open_links:
                refused = open_links.pop()
                yield token if refused is None else _text(refused)
            else:
                yield token

    def _picture(self, token: Token) -> Token:
        address = _address(token, "src")
        if source := self._source(address):
            token["data"][None, "src"] = escape(source)
            return token
        alt = unescape(token["data"].get((None, "alt"), ""))
        return _text(" ".join(filter(None, (alt, f"({address})" if address else ""))))

    def _source(self, address: str) -> str | None:
        if found := _ASIDE.fullmatch(address):
            number = int(found["number"])
            return self._aside[number] if number < len(self._aside) else None
        if address.startswith("attachment:"):
            name = address.removeprefix("attachment:")
            bundle = self._attachments.get(name) or self._attachments.get(unquote(name)) or {}
            for kind in PICTURES:
                if _BASE64.fullmatch(data := bundle.get(kind, "")):
                    return f"data:{kind};base64,{''.join(data.split())}"
            return None
        source = picture_beside(self._folder, address) if self._folder is not None else None
        # A filter of nbconvert's that comes after this one takes such a beginning away.
        return f"./{source}" if source and source.startswith("files/") else source


class _Formulas(Filter):  # type: ignore[misc]
    """Takes the links out of formulas, in the text as MathJax reads it from the page.

    There a `\\` is one however it was written, also as an entity, and what stood in several pieces,
    with a comment or a refused tag between them, is one text.
    """

    def __iter__(self) -> Iterator[Token]:
        text: list[str] = []
        for token in super().__iter__():
            if token["type"] in ("Characters", "SpaceCharacters"):
                text.append(token["data"])
            elif token["type"] == "Entity":
                text.append(unescape(f"&{token['name']};"))
            elif token["type"] != "Comment":
                yield from _whole(text)
                text.clear()
                yield token
        yield from _whole(text)


def _whole(text: list[str]) -> Iterator[Token]:
    if text:
        yield _text(_without_links_in_formulas("".join(text)))


def _address(token: Token, name: str) -> str:
    return unescape(token["data"].get((None, name), "")).strip()


def _link(address: str) -> dict[Name, str]:
    return {
        (None, "href"): escape(address),
        (None, "rel"): "noopener noreferrer",
        (None, "target"): "_blank",  # the page stays, with what is being typed
    }


def _text(text: str) -> Token:
    return {"type": "Characters", "data": text}


def _leads_elsewhere(address: str, own: Collection[str]) -> bool:
    found = _LINK.fullmatch(address)
    if found is None:
        return False
    host = found["host"].lower()
    return host not in own and host.rpartition(".")[2] not in _OWN_NAMES


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
