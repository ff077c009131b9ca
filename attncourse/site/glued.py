"""Keeps a page that shows another page's values in step with that page.

``{glue:text}`other.md::name` `` is MyST-NB's; it resolves the value when the page is written, but
Sphinx does not know that the page then depends on the other one.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from myst_nb.ext.glue.utils import PendingGlueReference
from sphinx.application import Sphinx


def depend_on_glued_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Let a change of a page outdate the pages that show its values (event doctree-read)."""
    for reference in doctree.findall(PendingGlueReference):
        app.env.note_dependency(app.env.doc2path(reference.refdoc))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", depend_on_glued_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
