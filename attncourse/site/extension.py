"""The book's Sphinx extension; each part has a file of its own beside this one."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from attncourse.site import assets, cover, explorers, origin, repository, theme
from attncourse.site.freshness import execution_fingerprint


def use_execution_cache(app: Sphinx, config: Config) -> None:
    """Keep cells' outputs only as long as the code they ran is the same (event config-inited)."""
    root = Path(app.srcdir)
    cache = root / "_build" / "executed" / execution_fingerprint(root)
    config.nb_execution_cache_path = str(cache)


def leave_out_other_files(app: Sphinx, config: Config) -> None:
    """Read the pages that _toc.yml names, and no others (Sphinx event config-inited).

    sphinx_external_toc excludes the others by a pattern that begins with the book's folder, and
    finds none of them where there are brackets in its path.
    """
    if config.external_toc_exclude_missing:
        pages = config.external_site_map
        named = [*map(glob.escape, pages), *pages.globs()]
        config.include_patterns = [
            f"{name}{suffix}" for name in named for suffix in ("", *config.source_suffix)
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    # jupyter-book sets it whether or not sphinx_comments is there to know it.
    app.add_config_value("comments_config", {}, "html")
    # Each name whole: the contracts on imports read names in strings.
    for part in (
        "attncourse.site.folds",
        "attncourse.site.glued",
        "attncourse.site.predictions",
        "attncourse.site.proofs",
        "attncourse.site.questions",
        "attncourse.site.roles",
        "attncourse.site.search",
        "attncourse.site.terms",
        "attncourse.site.typography",
    ):
        app.setup_extension(part)
    # Before the theme and myst-nb (priority 500) read what is set here.
    app.connect("config-inited", use_execution_cache, priority=100)
    app.connect("config-inited", repository.read_environment, priority=100)
    app.connect("config-inited", theme.use_templates, priority=100)
    # After sphinx_external_toc (priority 900) has read _toc.yml.
    app.connect("config-inited", leave_out_other_files, priority=950)
    app.connect("builder-inited", assets.copy)
    app.connect("builder-inited", theme.write_colours)
    app.connect("builder-inited", explorers.write_script)
    app.connect("builder-inited", cover.draw)
    app.connect("builder-inited", theme.write_front_door)
    app.connect("html-page-context", explorers.load_script)
    app.connect("html-page-context", origin.say_origin)
    app.connect("html-page-context", theme.repair_body)
    for stylesheet in (*assets.STYLESHEETS, theme.COLOURS):
        app.add_css_file(stylesheet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
