"""Links to the repository the book was built from; none when nobody says which that is.

A fork sets BOOK_REPOSITORY_URL and, where it is not ``main``, BOOK_REPOSITORY_BRANCH.
"""

from __future__ import annotations

import os

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError


def read_environment(app: Sphinx, config: Config) -> None:
    """Turn the theme's repository links on or off (Sphinx event config-inited)."""
    url = os.environ.get("BOOK_REPOSITORY_URL", "").rstrip("/").removesuffix(".git")
    if url and (not url.startswith("https://") or url.count("/") < 4):
        raise ConfigError(
            f"BOOK_REPOSITORY_URL is {url!r}; it must be the https address of a repository, "
            "such as https://host/owner/name"
        )
    config.html_theme_options |= {
        "repository_url": url,
        "repository_branch": os.environ.get("BOOK_REPOSITORY_BRANCH") or "main",
        "use_repository_button": bool(url),
        "use_issues_button": bool(url),
        "use_source_button": bool(url),
    }
