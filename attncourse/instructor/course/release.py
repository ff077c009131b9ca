"""Make the student's notebooks in `exercises/` from `solutions/`, with nbgrader's own converter."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CONFIG = "nbgrader_config.py"


class ReleaseError(Exception):
    """A problem set could not be released; the message says why and what to do."""


def problem_set_names(root: Path) -> list[str]:
    """Names of the problem sets that have an instructor's source."""
    return sorted(path.parent.name for path in root.glob("solutions/*/*.ipynb"))


def release(root: Path, names: list[str] | None = None) -> Iterator[tuple[Path, bool]]:
    """Generate problem sets anew; yield each notebook's path and whether it changed.

    The instructor's gradebook is neither read nor written.

    Raises:
        ReleaseError: `root` is no course, there is no such problem set, or nbgrader fails.
    """
    if not (root / CONFIG).is_file():
        raise ReleaseError(
            f"there is no {CONFIG} in {root}; run this from the course's root folder"
        )
    known = sorted(set(problem_set_names(root)))
    for name in names or known:
        if name not in known:
            raise ReleaseError(f"there is no problem set {name!r}; there is {', '.join(known)}")
        folder = root / "exercises" / name
        before = _contents(folder)
        _generate(root, name)
        after = _contents(folder)
        for path in sorted(after):
            yield folder / path, before.get(path) != after[path]


def _contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def _generate(root: Path, name: str) -> None:
    try:
        from nbgrader.apps import NbGraderAPI  # type: ignore[import-untyped]
        from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
    except ImportError:
        raise ReleaseError(
            "nbgrader is not installed; install this package with its instructor tools: "
            "pip install 'attncourse[instructor]'"
        ) from None
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    with tempfile.TemporaryDirectory(prefix="attncourse-release-") as scratch:
        # Converted aside: a failure half-way leaves the released notebooks as they were.
        config.CourseDirectory.root = str(root)
        config.CourseDirectory.db_url = f"sqlite:///{scratch}/gradebook.db"
        config.CourseDirectory.release_directory = f"{scratch}/exercises"
        with own_programs_on_path():
            api = NbGraderAPI(CourseDirectory(config=config), config=config)
            result = api.generate_assignment(name)
        if not result["success"]:
            raise ReleaseError(f"nbgrader could not convert {name}:\n{result.get('log', '')}")
        target = root / "exercises" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(scratch, "exercises", name), target)


@contextlib.contextmanager
def own_programs_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by its bare name, not found where no environment is activated."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    try:
        yield
    finally:
        os.environ["PATH"] = path
