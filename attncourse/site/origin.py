"""Where a printed page says that it came from: its address, and which book of which day it is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.i18n import format_date


def say_origin(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the page's template what it prints (Sphinx event html-page-context).

    A page that is published has the address below `html_baseurl`; else its source in the
    repository is named, or else nothing but the book.
    """
    options = app.config.html_theme_options
    repository, branch = options["repository_url"], options["repository_branch"]
    source = context.get("page_source_suffix")
    if app.config.html_baseurl:
        address = context["pageurl"]
    elif repository and source:
        address = f"{repository}/blob/{branch}/{page}{source}"
    else:
        address = repository
    context["attn_origin"] = {
        "address": address,
        "version": version("attncourse"),
        # Sphinx takes SOURCE_DATE_EPOCH for today where it is set.
        "date": format_date("%d %B %Y", language=app.config.language).removeprefix("0"),
    }
