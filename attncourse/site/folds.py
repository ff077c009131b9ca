"""What is folded away in a cell, named by what it holds: "The code of this figure".

MyST-NB calls every fold "Show code cell source", and "Hide code cell source" once it is open. Here
a fold has one name, open or closed. That of code says what the code makes; that of an output, which
has no code to be told by, is what its page calls it (``code_prompt_show``).
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, HideInputCells
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

# The class of what a cell shows -> what a reader calls it.
KINDS = {"attn-mount": "explorer", "attn-figure": "figure", "attn-results": "table"}
PREPARES = "Code that prepares what follows"
_KIND = re.compile(rf'class="({"|".join(KINDS)})"')


class NameFolds(SphinxPostTransform):
    """Names each fold before MyST-NB wraps it."""

    # After MyST-NB has chosen of each output what a page shows.
    default_priority = HideInputCells.default_priority - 1

    def run(self, **kwargs: Any) -> None:
        for cell in self.document.findall(nodes.container):
            if cell.get("hide_mode") == "input":
                cell["prompt_show"] = name_of_code(cell)


def name_of_code(cell: nodes.Element) -> str:
    """What the code of a cell is called by what the cell shows."""
    shown = [part for part in cell.children[1:] if isinstance(part, nodes.Element)]
    if not shown:
        return PREPARES
    # The first of each output says what it is: an explorer has a figure inside.
    firsts = [_KIND.search(raw.astext()) for part in shown for raw in part.findall(nodes.raw)]
    kinds = dict.fromkeys(KINDS[first[1]] for first in firsts if first)
    return f"The code of this {' and this '.join(kinds) or 'result'}"


def visit_fold(self: HTML5Translator, node: nodes.Element) -> None:
    classes = " ".join(["admonition", "hide", *node["classes"]])
    name = escape(node["prompt_show"])
    self.body.append(
        f'<details class="{classes}">\n<summary><p class="admonition-title">{name}</p></summary>\n'
    )


def depart_fold(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(NameFolds)
    app.add_node(HideCodeCellNode, override=True, html=(visit_fold, depart_fold))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
