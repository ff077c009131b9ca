"""The book's own look over the theme: templates, colours, and repairs of the HTML it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from attncourse.palette import DARK, LIGHT, custom_properties
from attncourse.visuals.repeated import once

TEMPLATES = Path(__file__).with_name("templates")
COLOURS = "attn-colours.css"


def use_templates(app: Sphinx, config: Config) -> None:
    """Put the book's templates before the theme's (Sphinx event config-inited)."""
    config.templates_path.insert(0, str(TEMPLATES))


def write_colours(app: Sphinx) -> None:
    """Write the palette as custom properties (Sphinx event builder-inited)."""
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / COLOURS).write_text(
        f":root {{ {custom_properties(LIGHT)} }}\n"
        # Paper is white, whatever the screen is.
        f'@media screen {{ html[data-theme="dark"] {{ {custom_properties(DARK)} }} }}\n',
        encoding="utf-8",
    )


# What accessibility checkers reject in every page, and what stands there instead.
REPAIRS = {
    # docutils: a list whose children are not list items.
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    # docutils: a role that ARIA 1.2 gave up.
    ' role="doc-biblioentry"': "",
}


def repair_body(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mend and lighten the HTML of a page (Sphinx event html-page-context)."""
    body = once(context.get("body", ""))
    for wrong, right in REPAIRS.items():
        body = body.replace(wrong, right)
    context["body"] = body


def write_front_door(app: Sphinx) -> None:
    """Lead from the site's root to the first page in its folder (Sphinx event builder-inited)."""
    first = f"{app.config.root_doc}.html"
    (Path(app.outdir) / "index.html").write_text(
        f'''<!DOCTYPE html>
<html lang="{app.config.language}">
<meta charset="utf-8">
<title>{app.config.html_title}</title>
<meta http-equiv="refresh" content="0; url={first}">
<main><h1><a href="{first}">{app.config.html_title}</a></h1></main>
</html>
''',
        encoding="utf-8",
    )
