"""The first use of a word of the glossary in a page leads there, with its definition in a card.

An author does nothing for it. Words with other senses too (see ``glossary``) are linked where the
author marks them: `` {term}`head` ``, `` {term}`heads <head>` ``, or the colour of a query, a key
or a value, `` {q}`query` ``.

The definitions stand hidden at the end of the page, where a reader's software finds them; terms.js
shows one beside its word. Without it the word is a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

from attncourse.site import formulas, questions, roles
from attncourse.site.glossary import Entry, entries

SCRIPT = Path(__file__).with_name("terms.js")

# What may stand in or around a paragraph and is no running prose: heads of columns, what is no
# text, what links already, what asks for the reader's own.
_NO_PROSE = (
    nodes.thead,
    nodes.literal,
    nodes.math,
    nodes.raw,
    nodes.reference,
    nodes.footnote_reference,
    nodes.system_message,
    questions.question,
)
_NO_PROSE_CLASSES = {"cell"}
_COLOURS = {roles.class_of(role): word for role, word in roles.ROLES.items()}


class term_link(nodes.Inline, nodes.TextElement):
    """A word that leads to the glossary."""


class term_card(nodes.General, nodes.Element):
    """What the glossary says of a word, hidden until it is asked for."""


class LinkTerms(SphinxPostTransform):
    """Links each entry's first use in the running prose of a page."""

    # Before Sphinx makes a link of every {term}: here only the first is one.
    default_priority = 4

    def run(self, **kwargs: Any) -> None:
        patterns = self.config.attn_terms_unlinked
        known = entries(self.env)
        page = self.env.docname
        if any(entry.page == page for entry in known) or any(fnmatch(page, p) for p in patterns):
            return
        self.of_form = {_form(form): entry for entry in known for form in entry.forms}
        self.of_name = {entry.name.lower(): entry for entry in known}
        automatic = [form for entry in known if not entry.by_hand for form in entry.forms]
        self.occurrence = occurrence_of(automatic)
        self.linked: dict[str, Entry] = {}
        for paragraph in self.document.findall(nodes.paragraph):
            _join_lines(paragraph)
        for node in list(_prose(self.document)):
            if isinstance(node, nodes.Text):
                node.parent.replace(node, list(self.link_words(node)))
            elif isinstance(node, addnodes.pending_xref):
                entry = self.of_name.get(node["reftarget"].lower())
                if entry:  # else Sphinx says that there is no such term
                    node.replace_self(self.link(entry, node.astext()))
            elif isinstance(node, nodes.inline):  # a word in its colour
                self.link_coloured(node)
        self.document += [self.card(entry) for entry in self.linked.values()]

    def link_words(self, text: nodes.Text) -> Iterator[nodes.Node]:
        end = 0
        for found in self.occurrence.finditer(text):
            yield nodes.Text(text[end : found.start()])
            yield self.link(self.of_form[_form(found[0])], found[0])
            end = found.end()
        yield nodes.Text(text[end:])

    def link_coloured(self, word: nodes.Element) -> None:
        (colour,) = _COLOURS.keys() & set(word["classes"])
        entry = self.of_name.get(_COLOURS[colour])
        if entry:
            link = self.link(entry, word.astext())
            word.clear()
            word += link

    def link(self, entry: Entry, text: str) -> nodes.Node:
        """A link if it is the first to this entry, else the text alone."""
        if entry.anchor in self.linked:
            return nodes.Text(text)
        self.linked[entry.anchor] = entry
        return term_link("", text, refuri=self.address(entry), card=_card_id(entry))

    def card(self, entry: Entry) -> term_card:
        name = _card_id(entry)
        text = nodes.paragraph("", "", nodes.strong("", entry.name), nodes.Text(" "), ids=[name])
        text += list(_quoted(entry.definition))
        return term_card("", text, refuri=self.address(entry))

    def address(self, entry: Entry) -> str:
        page = self.app.builder.get_relative_uri(self.env.docname, entry.page)
        return f"{page}#{entry.anchor}"


def occurrence_of(forms: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the words as a whole; of two that begin at one place, the longer one."""
    longest_first = sorted(map(_form, forms), key=len, reverse=True)
    words = "|".join(
        r"\s+".join(map(re.escape, form.split())).replace("'", "['’]") for form in longest_first
    )
    # No part of a compound either: the entropy of cross-entropy is not the entropy.
    return re.compile(rf"(?<![\w-])(?:{words or '(?!)'})(?![\w-])", re.IGNORECASE)


def _form(found: str) -> str:
    return " ".join(found.lower().replace("’", "'").split())


def _card_id(entry: Entry) -> str:
    return f"card-{entry.anchor}"


def _join_lines(element: nodes.Element) -> None:
    """Make one text of the lines that MyST keeps apart: a phrase may run over two."""
    joined: list[nodes.Node] = []
    for child in element.children:
        if isinstance(child, nodes.Text) and joined and isinstance(joined[-1], nodes.Text):
            joined[-1] = nodes.Text(joined[-1] + child)
        else:
            joined.append(child)
        if isinstance(child, nodes.Element):
            _join_lines(child)
    element[:] = joined


def _prose(node: nodes.Element, in_paragraph: bool = False) -> Iterator[nodes.Node]:
    """What may link in running prose: text, and the words that an author has marked."""
    for child in node.children:
        if isinstance(child, nodes.Text):
            if in_paragraph:
                yield child
        elif isinstance(child, addnodes.pending_xref):
            if in_paragraph and child.get("reftype") == "term":
                yield child
        elif not isinstance(child, nodes.Element) or isinstance(child, _NO_PROSE):
            continue
        elif _COLOURS.keys() & set(child["classes"]):
            if in_paragraph:
                yield child
        elif not _NO_PROSE_CLASSES & set(child["classes"]):
            yield from _prose(child, in_paragraph or isinstance(child, nodes.paragraph))


def _quoted(definition: Iterable[nodes.Node]) -> Iterator[nodes.Node]:
    """A copy for a card: formulas that need no script, words that lead nowhere, no citations."""
    for node in definition:
        if isinstance(node, nodes.math):
            yield nodes.raw("", formulas.as_html(node.astext()), format="html")
        elif isinstance(node, addnodes.pending_xref | nodes.reference):
            if node.get("refdomain") != "cite":
                yield nodes.Text(node.astext())
        elif isinstance(node, nodes.Text):
            yield nodes.Text(str(node))
        elif isinstance(node, nodes.Element):
            copy = node.copy()
            copy += list(_quoted(node.children))
            yield copy


def outdate_pages(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> set[str]:
    """Let a change of a glossary outdate every page (Sphinx event env-get-outdated)."""
    terms = env.get_domain("std").get_objects()
    glossaries = {page for _, _, kind, page, _, _ in terms if kind == "term"}
    return set(env.found_docs) if glossaries & (added | changed | removed) else set()


def write_script(app: Sphinx) -> None:
    """Put the script below the site's ``_static`` (Sphinx event builder-inited)."""
    target = Path(app.outdir) / "_static" / SCRIPT.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")


def load_script(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the script in a page that has a card (Sphinx event html-page-context)."""
    if doctree is not None and next(iter(doctree.findall(term_card)), None):
        app.add_js_file(SCRIPT.name, defer="defer")


def visit_link(self: HTML5Translator, node: nodes.Element) -> None:
    attributes = {"href": node["refuri"], "aria-describedby": node["card"]}
    self.body.append(self.starttag(node, "a", "", CLASS="attn-term", **attributes))


def depart_link(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("</a>")


def visit_card(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="attn-term-card", hidden="hidden"))


def depart_card(self: HTML5Translator, node: nodes.Element) -> None:
    # For a finger, which opens the card where a mouse follows the word. The word itself is the stop
    # of the Tab key.
    link = self.starttag(node, "a", "", href=node["refuri"], tabindex="-1")
    self.body.append(f"<p>{link}In the glossary</a></p></div>\n")


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("attncourse.site.glossary")
    app.add_config_value("attn_terms_unlinked", [], "env", list)
    app.add_node(term_link, html=(visit_link, depart_link))
    app.add_node(term_card, html=(visit_card, depart_card))
    app.add_post_transform(LinkTerms)
    app.connect("env-get-outdated", outdate_pages)
    app.connect("builder-inited", write_script)
    app.connect("html-page-context", load_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
