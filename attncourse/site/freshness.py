"""What a page depends on, as two fingerprints: one of its cells' outputs, one of the whole site."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from attncourse.dependencies import PACKAGE, digest, imported_modules, used_files

# Whatever a page may be written in, include or link to. `exercises` can be downloaded from a page.
SOURCES = ("_config.yml", "_toc.yml", "constraints.txt", "book", "exercises", "solutions")
ENVIRONMENT = ("BOOK_REPOSITORY_URL", "BOOK_REPOSITORY_BRANCH")

_CELL = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)


def site_fingerprint(root: Path) -> str:
    """Changes whenever anything that the built site depends on changes."""
    settings = [f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT]
    sources = [(root, file) for name in SOURCES for file in _files(root / name)]
    package = [(PACKAGE, file) for file in _files(PACKAGE)]
    return _fingerprint([*sources, *package], *settings)


def execution_fingerprint(root: Path) -> str:
    """Changes whenever an unchanged cell may give another output.

    That is with what the cells of the book import, and so on; the records that they read, the
    pinned versions, and the Python that runs them.
    """
    pages = sorted((root / "book").rglob("*.md"))
    modules = {name for page in pages for name in imported_by_cells(page.read_text("utf-8"))}
    code = [(PACKAGE, file) for file in used_files(sorted(modules), package=PACKAGE)]
    records = [(root, file) for file in _files(root / "book" / "results")]
    return _fingerprint([(root, root / "constraints.txt"), *records, *code])


def imported_by_cells(page: str) -> Iterator[str]:
    """Names of modules that the code cells of a page import."""
    for _, cell in _CELL.findall(page):
        yield from imported_modules(cell)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(file.parts)
    )


def _fingerprint(files: list[tuple[Path, Path]], *settings: str) -> str:
    return digest(files, platform.python_version(), *settings)[:16]
