"""Keeps a comma on the line of the formula it follows; a browser breaks the line between them."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

_PUNCTUATION = re.compile(r"[,.;:!?)’”]+")


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


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(KeepPunctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
