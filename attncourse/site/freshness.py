"""What a page depends on, as two fingerprints: one of its cells' outputs, one of the whole site."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

# Whatever a page may be written in, include or link to. `exercises` can be downloaded from a page.
SOURCES = ("_config.yml", "_toc.yml", "constraints.txt", "book", "exercises", "solutions")
ENVIRONMENT = ("BOOK_REPOSITORY_URL", "BOOK_REPOSITORY_BRANCH")


def site_fingerprint(root: Path) -> str:
    """Changes whenever anything that the built site depends on changes."""
    settings = [f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT]
    sources = [file for name in SOURCES for file in _files(root / name)]
    return _digest([(root, sources), (PACKAGE, _files(PACKAGE))], settings)


def execution_fingerprint(root: Path) -> str:
    """Changes whenever an unchanged cell may give another output.

    That is the package without the rooms that no cell imports (``site``, ``cli``), the pinned
    versions and the Python that runs them.
    """
    code = [
        file
        for file in _files(PACKAGE)
        if file.relative_to(PACKAGE).parts[0] not in ("site", "cli.py")
    ]
    return _digest([(root, [root / "constraints.txt"]), (PACKAGE, code)], [])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(file.parts)
    )


def _digest(parts: list[tuple[Path, list[Path]]], settings: list[str]) -> str:
    digest = hashlib.sha256("\0".join([platform.python_version(), *settings]).encode())
    for folder, files in parts:
        for file in files:
            # Name and length before the content: else moving a line between files goes unseen.
            content = file.read_bytes()
            digest.update(f"\0{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]
