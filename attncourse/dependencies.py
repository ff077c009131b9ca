"""Which files of the package a module uses, found from imports; and a fingerprint of files.

With it a record is out of date exactly when something changed that it depends on.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ ](?:[^\n#]*\([^)]*\)|[^\n]*)", re.MULTILINE)


def used_files(modules: Iterable[str], *, package: Path = PACKAGE) -> list[Path]:
    """Every file of the package that importing and running the modules can read.

    Those are the modules, what they import wherever in their text, the packages in which all of
    these lie, and what lies beside them and is not Python: an explorer's JavaScript, say.

    Args:
        modules: dotted names. Those that are not of the package are left out, as are names of
            what a module defines.
        package: the folder of the package, whose name is the first part of the dotted names.
    """
    waiting, found = list(modules), dict[str, Path]()
    while waiting:
        name = waiting.pop()
        path = _path(name, package)
        if path is None or name in found:
            continue
        found[name] = path
        waiting += [name.rpartition(".")[0], *_imports(path)]
    folders = {path.parent for path in found.values()}
    beside = (
        path
        for folder in folders
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in (".py", ".pyc")
    )
    return sorted({*found.values(), *beside})


def imported_modules(source: str) -> Iterator[str]:
    """Dotted names that the imports in a text may mean, wherever in it they stand.

    Args:
        source: Python, or what a notebook's cell may hold beside it, such as magics.
    """
    for statement in _IMPORT.findall(source):
        try:
            [node] = ast.parse(statement.strip()).body
        except (SyntaxError, ValueError):  # a line of a text that begins with "from"
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def digest(files: Sequence[tuple[Path, Path]], *settings: str) -> str:
    """A fingerprint of files, their names and some settings.

    Args:
        files: each with the folder in which its name is taken.
    """
    result = hashlib.sha256("\0".join(settings).encode())
    for folder, file in files:
        # Name and length before the content: else moving a line between files goes unseen.
        content = file.read_bytes()
        result.update(f"\0{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        result.update(content)
    return result.hexdigest()


def _path(module: str, package: Path) -> Path | None:
    """The file of a module; None if it is not one of the package."""
    first, *parts = module.split(".")
    if first != package.name:
        return None
    path = package.joinpath(*parts)
    candidates = (
        (path.with_suffix(".py"), path / "__init__.py") if parts else (path / "__init__.py",)
    )
    return next((each for each in candidates if each.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    return imported_modules(path.read_text(encoding="utf-8"))
