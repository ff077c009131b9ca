"""What an author types plainly is set as it is printed, and what belongs together keeps to a line.

``d_k`` outside of a formula and of code becomes a letter with a subscript: in the text, and in
headings and so in the contents, where no script sets a formula. No line breaks within ``K = V``,
nor between a formula and the comma after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from attncourse.site import formulas

_PUNCTUATION = re.compile(r"[,.;:!?)’”]+")
# Of short names: a longer equation would be too wide a word on a phone.
_NAME = r"[^\W\d](?:_\w+|[\w·]{0,2})"
_EQUATION = re.compile(rf"(?<![\w·]){_NAME}(?: = [−√]?(?:{_NAME}|\d{{1,3}}))+(?![\w·.,]\w|\w)")
SYMBOL = re.compile(r"(?<![\w/.])([A-Za-z])_([A-Za-z]+|\d)(?!\.?\w)")
_AS_WRITTEN = (
    nodes.literal,
    nodes.FixedTextElement,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.Invisible,
    nodes.system_message,
    addnodes.desc_signature,
    addnodes.literal_strong,
    addnodes.literal_emphasis,
    addnodes.pending_xref,
)
# Tags, and what stands in those whose text is no prose.
_MARKUP = re.compile(r"<(style|script|pre|code|svg)\b.*?</\1>|<[^>]*>|([^<]+)", re.DOTALL)
_SUBSCRIPT = re.compile(r"<sub>(.*?)</sub>")
_SMALL = dict(zip("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))


class KeepPunctuation(SphinxPostTransform):
    """Puts an inline formula and the punctuation after it into one unbreakable span."""

    default_priority = 500

    def run(self, **kwargs: Any) -> None:
        for formula in list(self.document.findall(nodes.math)):
            after = formula.next_node(descend=False, siblings=True)
            if isinstance(after, nodes.Text) and (found := _PUNCTUATION.match(after)):
                unbroken = nodes.inline(classes=["attn-unbroken"])
                unbroken += [formula.deepcopy(), nodes.Text(found[0])]
                formula.replace_self(unbroken)
                # By its place: an earlier text may say the same, and would be taken for this one.
                parent = unbroken.parent
                parent[parent.index(unbroken) + 1] = nodes.Text(after[found.end() :])


class SetSymbols(SphinxPostTransform):
    """Sets the symbols and the equations of a page, in what its cells show too."""

    # After references have found their words, by which some are resolved, and after punctuation.
    default_priority = 510

    def run(self, **kwargs: Any) -> None:
        set_symbols(self.document)
        for raw in list(self.document.findall(nodes.raw)):
            if raw.get("format") == "html":
                raw[:] = [nodes.Text(_MARKUP.sub(_unbroken_text, raw.astext()))]


def set_titles(app: Sphinx, doctree: nodes.document) -> None:
    """Set the symbols in headings before the contents are made of them (event doctree-read)."""
    for title in doctree.findall(nodes.title):
        set_symbols(title)


def set_contents(app: Sphinx, doctree: nodes.document) -> None:
    """Write the formulas of headings out in the contents and titles (event doctree-read).

    They stand in sidebars and windows too, where no script sets a formula.
    """
    page = app.env.docname
    for contents in (app.env.tocs[page], app.env.titles[page]):
        for formula in list(contents.findall(nodes.math)):
            html = formulas.as_html(formula.astext())
            formula.replace_self(nodes.raw("", html, format="html"))


def set_symbols(element: nodes.Element) -> None:
    """Set every symbol and equation in the text of the element."""
    children: list[nodes.Node] = []
    for child in element.children:
        if isinstance(child, nodes.Text):
            children += _set(unbroken(child))
        else:
            if isinstance(child, nodes.Element) and not isinstance(child, _AS_WRITTEN):
                set_symbols(child)
            children.append(child)
    element[:] = children


def unbroken(text: str) -> str:
    """The text with spaces at which no line breaks around the signs of short equations."""
    return _EQUATION.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _unbroken_text(found: re.Match[str]) -> str:
    return unbroken(found[2]) if found[2] else found[0]


def _set(text: str) -> Iterator[nodes.Node]:
    end = 0
    for found in SYMBOL.finditer(text):
        yield nodes.Text(text[end : found.start()])
        yield nodes.emphasis("", found[1])
        yield nodes.subscript("", found[2])
        end = found.end()
    yield nodes.Text(text[end:])


def plain_title(html: str) -> str:
    """A title for where there is no markup: ``dₖ``, or ``W_q`` as there is no such small letter."""

    def small(found: re.Match[str]) -> str:
        if set(found[1]) <= set(_SMALL):
            return "".join(_SMALL[letter] for letter in found[1])
        return f"_{found[1]}"

    return _SUBSCRIPT.sub(small, html)


def give_plain_title(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the page's template its title for the window (Sphinx event html-page-context)."""
    context["attn_title"] = plain_title(context.get("title", ""))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(KeepPunctuation)
    app.add_post_transform(SetSymbols)
    # Before Sphinx collects titles and contents (priority 500).
    app.connect("doctree-read", set_titles, priority=400)
    app.connect("doctree-read", set_contents, priority=600)
    app.connect("html-page-context", give_plain_title)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
