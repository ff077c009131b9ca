"""The search: an index of the text itself, section by section, that a page loads as a script.

Sphinx's own index holds words without their text, so that its search has to fetch every page that
it shows a line of, which fails from ``file://``, and shows formulas as TeX. Here the text is in the
index, with formulas as one types them (see ``formulas``). MiniSearch ranks, in search.js.

A table whose first column is headed "symbol" is a list of entries, each of which is found by what
stands there.

An author may add words that a page is looked for by and does not say, in its front matter::

    myst: {html_meta: {keywords: "Q, K, V"}}
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from attncourse.site import formulas
from attncourse.site.terms import term_card

SCRIPT = Path(__file__).with_name("search.js")
DATA = "attn-search-data.js"

# What a reader does not read as text of the page, or finds under a name of its own.
_SKIPPED = (
    nodes.title,
    nodes.raw,
    nodes.comment,
    nodes.meta,
    nodes.image,
    nodes.system_message,
    addnodes.index,
    addnodes.toctree,
    addnodes.only,
    term_card,
)
_OUTPUT = "cell_output"


class NameSymbols(SphinxTransform):
    """Gives each row of a table of symbols an anchor."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        taken: list[str] = []
        for table in self.document.findall(nodes.table):
            head, *rows = list[nodes.Element](table.findall(nodes.row))
            if head[0].astext() != "symbol":
                continue
            for row in rows:
                if symbol := _text([row[0]]):
                    name = nodes.make_id(f"symbol-{symbol}")
                    others = sum(each == name or each.startswith(f"{name}--") for each in taken)
                    row["ids"].append(f"{name}--{others + 1}" if others else name)
                    taken.append(row["ids"][0])


@dataclass(frozen=True)
class Place:
    """What the search can find: a section, an entry of the glossary, a symbol, a function."""

    address: str
    title: str
    page: str
    """The title of the page that it stands in."""
    text: str
    code: str
    keywords: str
    is_reference: bool
    """In a page about code, which says every word of the course too."""


def places(document: nodes.document, address: str) -> Iterator[Place]:
    """The places of a page, in their order; the first is the page itself."""
    sections = document.findall(nodes.section)
    page = next(iter(sections), None)
    if page is None:
        return
    title = _name(page)[1]
    keywords = " ".join(
        meta["content"] for meta in document.findall(nodes.meta) if meta.get("name") == "keywords"
    )
    is_reference = next(iter(document.findall(addnodes.desc)), None) is not None
    for part in page.findall(_is_place):
        assert isinstance(part, nodes.Element)
        named, name = _name(part)
        named_in = part[0] if isinstance(part, nodes.row) else named
        own = [child for child in part.children if child is not named_in]
        yield Place(
            address=address if part is page else f"{address}#{named['ids'][0]}",
            title=name,
            page=title,
            text=_text(own),
            code="\n".join(block.astext() for child in own for block in _blocks(child)),
            keywords=keywords if part is page else "",
            is_reference=is_reference,
        )


def _is_place(node: nodes.Node) -> bool:
    if isinstance(node, nodes.section):
        return True
    if isinstance(node, nodes.row):
        return bool(node["ids"])
    if isinstance(node, addnodes.desc | nodes.definition_list_item):
        named = node[0]
        return isinstance(named, nodes.Element) and bool(named["ids"])
    return False


def _name(part: nodes.Element) -> tuple[nodes.Element, str]:
    """The element that has the anchor of the place, and what the place is called."""
    if isinstance(part, nodes.section):
        title = part.next_node(nodes.title)
        return part, _text(title.children) if title else ""
    if isinstance(part, nodes.row):
        return part, _text([part[0]])
    first = part[0]
    assert isinstance(first, nodes.Element)
    return first, str(first.get("fullname") or first.astext())


def _blocks(node: nodes.Node) -> Iterator[nodes.literal_block]:
    """The code of a place, without that of places in it and without what cells print."""
    if isinstance(node, nodes.literal_block):
        yield node
    elif not _is_place(node) and not _is_output(node):
        for child in node.children:
            yield from _blocks(child)


def _is_output(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Element) and _OUTPUT in node.get("classes", ())


def _text(parts: Iterable[nodes.Node]) -> str:
    return " ".join("".join(_words(parts)).split())


def _words(parts: Iterable[nodes.Node]) -> Iterator[str]:
    for node in parts:
        if isinstance(node, nodes.Text):
            yield str(node)
        elif isinstance(node, nodes.subscript):
            yield f"_{node.astext()}"
        elif isinstance(node, nodes.math | nodes.math_block):
            yield formulas.as_text(node.astext())
        elif isinstance(node, (*_SKIPPED, nodes.literal_block)):
            continue
        elif not _is_place(node) and not _is_output(node):
            yield from _words(node.children)
        if not isinstance(node, nodes.Inline | nodes.Text):
            yield " "


def write_data(app: Sphinx, error: Exception | None) -> None:
    """Write the index below the site's ``_static`` (Sphinx event build-finished)."""
    if error is not None or app.builder.format != "html":
        return
    found = [
        asdict(place)
        for page in sorted(app.env.all_docs)
        for place in places(
            app.env.get_and_resolve_doctree(page, app.builder), app.builder.get_target_uri(page)
        )
    ]
    data = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    static = Path(app.outdir) / "_static"
    (static / DATA).write_text(f"const searchPlaces = {data};\n", encoding="utf-8")
    shutil.copy(SCRIPT, static)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(NameSymbols)
    app.connect("build-finished", write_data)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
