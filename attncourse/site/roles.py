"""The words query, key and value in their colours: ``{q}`query` ``, ``{k}`keys` ``, ``{v}`v` ``."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

# Role -> the word that it colours, as the glossary spells it.
ROLES = {"q": "query", "k": "key", "v": "value"}


def class_of(role: str) -> str:
    """The class of text that a role colours."""
    return f"attn-{role}"


class ColourWord(SphinxRole):
    """Text with the class ``attn-q``, ``attn-k`` or ``attn-v``, after the role's own name."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [nodes.inline(self.rawtext, self.text, classes=[class_of(self.name)])], []


def setup(app: Sphinx) -> dict[str, Any]:
    for name in ROLES:
        app.add_role(name, ColourWord())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
