"""Make the student's notebooks in `exercises/` from `solutions/`, with nbgrader's own converter."""

from __future__ import annotations

import contextlib
import glob
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


def is_pattern(path: Path | str) -> bool:
    """Whether nbgrader, which looks for a path by `glob`, looks for others than that one."""
    return glob.escape(str(path)) != str(path)


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
        if is_pattern(name):
            raise ReleaseError(
                f"nbgrader takes {name!r} for a pattern of names; rename the folder of the problem "
                "set, without [ ] * ?"
            )
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
        config.CourseDirectory.root = str(_findable(root, Path(scratch)))
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


def _findable(root: Path, scratch: Path) -> Path:
    """A path to the course that nbgrader does not take for a pattern."""
    if not is_pattern(root):
        return root
    link = scratch / "course"
    with contextlib.suppress(OSError):  # not every system lets everybody make one
        link.symlink_to(root, target_is_directory=True)
        if not is_pattern(link):
            return link
    raise ReleaseError(
        f"nbgrader finds no notebooks in {root}, since it takes [ ] * ? in a path for a pattern. "
        "Rename the folder, or move the course to another"
    )


@contextlib.contextmanager
def own_programs_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by its bare name, not found where no environment is activated."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    try:
        yield
    finally:
        os.environ["PATH"] = path
