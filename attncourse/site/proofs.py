"""Proofs, folded behind the statement that stands above them in the prose.

    **A head with K = V is monotone.** *For any two queries ...*

    (monotone-proof)=
    ```{proof}
    $o$ is the gradient of a convex function ...
    ```

An argument says of what it is the proof: ``{proof} of the second part``. The end mark ∎ is set.

It becomes a ``<details>``: it opens without a script, from the keyboard, for a browser's search in
the page and for a link to its label, and is printed open.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst.directives import unchanged
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

END = "∎"


class proof(nodes.General, nodes.Element):
    """The whole: its title, then the argument."""


class proof_title(nodes.General, nodes.TextElement):
    """What opens the proof."""


class Proof(SphinxDirective):
    """See the module's docstring."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": unchanged}

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        title = " ".join(["Proof", *self.arguments])
        text, messages = self.state.inline_text(title, self.lineno)
        whole = proof("", proof_title("", "", *text))
        self.state.nested_parse(self.content, self.content_offset, whole)
        _end_with_mark(whole)
        self.add_name(whole)
        self.set_source_info(whole)
        return [whole, *messages]


def _end_with_mark(whole: proof) -> None:
    mark = nodes.inline("", f"\N{NO-BREAK SPACE}{END}", classes=["attn-qed"])
    last = whole[-1]
    while isinstance(last, nodes.Sequential | nodes.list_item):
        last = last[-1]
    if isinstance(last, nodes.paragraph):
        last += mark
    elif isinstance(last, nodes.math_block):  # a line of its own would be the mark's alone
        ended = nodes.container("", classes=["attn-ended"])
        last.replace_self(ended)
        ended += [last, nodes.paragraph("", "", mark)]
    else:
        whole += nodes.paragraph("", "", mark)


def visit_proof(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append('<details class="attn-proof">\n')


def depart_proof(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("</div></details>\n")


def visit_title(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("<summary><span>")


def depart_title(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("</span></summary>\n")
    # The label is inside: a browser opens what is around the place that a link leads to.
    self.body.append(self.starttag(node.parent, "div"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("proof", Proof)
    app.add_node(proof, html=(visit_proof, depart_proof))
    app.add_node(proof_title, html=(visit_title, depart_title))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
