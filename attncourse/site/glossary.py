"""The glossary as data: what its entries are called, in which forms they occur, what they define.

An entry may end in fields, which the page does not show::

    kernel of a matrix
      All vectors that it sends to zero. See [](#what-k-equals-v-cannot-carry).

      :also: kernel of, in the kernel
      :linked: by hand

``also`` lists further forms; plurals, and the two halves of a name like ``trace (tr)``, are known
without. ``linked: by hand`` says that the word has other senses too, so that only an author can
tell where this one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

BY_HAND = "by hand"
_ABBREVIATED = re.compile(r"(.+) \((.+)\)")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


@dataclass(frozen=True)
class Entry:
    """A word of the glossary."""

    page: str
    anchor: str
    name: str
    forms: tuple[str, ...]
    by_hand: bool
    definition: tuple[nodes.Node, ...]
    """The first sentence of the text, as it stands in the source: links are not resolved."""


class ReadFields(SphinxTransform):
    """Takes the fields out of the text and keeps them as attributes of the entry."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for item in _items(self.document):
            for fields in list(item.findall(nodes.field_list)):
                for field in fields.findall(nodes.field):
                    name, value = (child.astext().strip() for child in field.children)
                    self.keep(item, name, value)
                fields.parent.remove(fields)
            if not _first_sentence(item):
                logger.warning(
                    "the entry %r of the glossary has to begin with a sentence that defines it",
                    item[0].astext(),
                    location=item[0],
                )

    def keep(self, item: nodes.Element, name: str, value: str) -> None:
        if name == "also" and value:
            item["also"] = [form.strip() for form in value.split(",")]
        elif (name, value) == ("linked", BY_HAND):
            item["by_hand"] = True
        else:
            logger.warning(
                "an entry of the glossary takes ':also: one form, another form' and "
                "':linked: %s', got ':%s: %s'",
                BY_HAND,
                name,
                value,
                location=item[0],
            )


def entries(env: BuildEnvironment) -> list[Entry]:
    """All entries of all glossaries, once every page has been read."""
    terms = env.get_domain("std").get_objects()
    pages = sorted({page for _, _, kind, page, _, _ in terms if kind == "term"})
    return [_entry(page, item) for page in pages for item in _items(env.get_doctree(page))]


def _items(document: nodes.document) -> Iterator[nodes.definition_list_item]:
    for glossary in document.findall(addnodes.glossary):
        yield from glossary.findall(nodes.definition_list_item)


def _entry(page: str, item: nodes.definition_list_item) -> Entry:
    term = item[0]
    assert isinstance(term, nodes.term)
    name = term.astext()
    abbreviated = _ABBREVIATED.fullmatch(name)
    named = [*(abbreviated.groups() if abbreviated else [name]), *item.get("also", ())]
    return Entry(
        page=page,
        anchor=term["ids"][0],
        name=name,
        forms=tuple(dict.fromkeys(form for one in named for form in (one, plural(one)))),
        by_hand=item.get("by_hand", False),
        definition=tuple(_first_sentence(item)),
    )


def plural(form: str) -> str:
    """``query`` -> ``queries``; in ``change of gauge`` the first noun is the one that counts."""
    noun, of, rest = form.partition(" of ")
    if noun.endswith("matrix"):
        noun = noun.removesuffix("x") + "ces"
    elif re.search(r"[^aeiou]y$", noun):
        noun = noun.removesuffix("y") + "ies"
    else:
        noun += "es" if re.search(r"(s|x|z|ch|sh)$", noun) else "s"
    return noun + of + rest


def _first_sentence(item: nodes.definition_list_item) -> list[nodes.Node]:
    """The children of the first paragraph up to the end of a sentence; none if there is none."""
    paragraph = next(iter(item[-1].findall(nodes.paragraph)), None)
    sentence: list[nodes.Node] = []
    for child in paragraph.children if paragraph else ():
        if isinstance(child, nodes.Text) and (end := _SENTENCE_END.search(child)):
            return [*sentence, nodes.Text(child[: end.end()])]
        sentence.append(child)
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(ReadFields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
