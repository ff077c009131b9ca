"""An archive of each problem set, for students who have no clone of the course.

It holds what was released, the package that checks the answers, and how to set it up. Solutions and
mark schemes stand in `solutions/` alone, which is neither released nor part of the package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attncourse.instructor.course.release import ReleaseError, problem_set_names
from attncourse.instructor.course.telling import LEFT_BEHIND, is_left_behind, tells

FOLDER = "handouts"
EDITOR = "jupyterlab"  # opens the notebook; the package itself does without it
# The same for every archive, so that the same contents are the same bytes. It is hatchling's own.
EPOCH = 1580601600  # 2 February 2020
ADDED = ("README.txt", "constraints.txt", "requirements.txt")

# A text file, because a double click opens it on every system, with nothing installed yet.
_README = r"""Problem set {name}

{notebooks}, and the course's package, which checks your answers. You need Python
{pythons}. Open a terminal in this folder, and set up once:

    python3 -m venv .venv
    source .venv/bin/activate
    python -m pip install -r requirements.txt

On Windows the first two lines are  py -m venv .venv  and  .venv\Scripts\activate
On Linux the third downloads some 3 GB, since PyTorch is then built for NVIDIA's GPUs, also where
there is none. For a smaller one, choose pip and CPU on the page "Get Started" of PyTorch's site,
and append the address of the index that it names:  --extra-index-url ADDRESS
Is there an environment from another archive of this course? Activate that one instead, and before
the third line run  python -m pip uninstall --yes attncourse

Open the notebook, with the environment active:  jupyter lab {first}
Run its first code cell. Write your answers where it says "raise NotImplementedError", and run the
cell with "check" below as often as you like: it says what is right and what is not.
At the end restart the kernel, run all cells, save, and hand in {notebooks}
under that name, in the way that your instructor tells you.
"""


def is_repository(root: Path) -> bool:
    """Whether the source of the package, which the archives contain, lies in `root`."""
    file = root / "pyproject.toml"
    return file.is_file() and _settings(root).get("project", {}).get("name") == "attncourse"


def hand_out(root: Path, names: list[str] | None = None) -> Iterator[tuple[Path, bool]]:
    """Archive released problem sets; yield each archive's path and whether it changed.

    An archive takes the place of an older one when it is complete, and not before.

    Args:
        root: the repository, in which `exercises/` is up to date.
        names: of problem sets; all of them if there is none.

    Raises:
        ReleaseError: the package cannot be built, a version is not pinned, a file of the problem
            set looks like a solution or has a name that the archive needs, or an archive cannot be
            written.
    """
    settings, folder = _settings(root), root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        # Inside the folder, because a file is put in place at once only within one file system.
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
            wheel = _wheel(root, settings, Path(scratch))
            for name in names or sorted(set(problem_set_names(root))):
                new, archive = Path(scratch, f"{name}.zip"), folder / f"{name}.zip"
                _write(new, name, _contents(root, settings, name, wheel))
                changed = not archive.is_file() or archive.read_bytes() != new.read_bytes()
                if changed:
                    os.replace(new, archive)
                yield archive, changed
    except OSError as error:
        raise ReleaseError(
            f"the notebooks are released, but not every archive could be written: {error}; mend "
            "that, and release again"
        ) from None


def _settings(root: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(f"pyproject.toml cannot be read: {error}; mend it first") from None


def _wheel(root: Path, settings: dict[str, Any], folder: Path) -> Path:
    if find_spec("hatchling") is None:
        wanted = " ".join(settings["build-system"]["requires"])
        raise ReleaseError(
            "the notebooks are released, but not their archives: hatchling is not installed, which "
            f"builds the package in them; install it, and release again: pip install {wanted}"
        )
    with tempfile.TemporaryDirectory(prefix="attncourse-wheel-") as source:
        _copy_source(root, settings, Path(source))
        built = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder.absolute()],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
            capture_output=True,
            text=True,
        )
    if built.returncode != 0:
        raise ReleaseError(
            "the notebooks are released, but not their archives: hatchling could not build the "
            f"package in them:\n{built.stdout}{built.stderr}"
        )
    [wheel] = folder.glob("*.whl")
    return wheel


def _copy_source(root: Path, settings: dict[str, Any], folder: Path) -> None:
    """What the wheel is made of, and nothing else of the repository.

    A copy, because hatchling takes the characters [ ] * ? of its folder for a pattern, and then
    leaves out the licence without a word.
    """
    for package in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        unwanted = shutil.ignore_patterns(*LEFT_BEHIND, "*.ipynb")
        shutil.copytree(root / package, folder / package, ignore=unwanted)
    project = settings["project"]
    for name in ("pyproject.toml", ".gitignore", project["readme"], *project["license-files"]):
        shutil.copy(root / name, folder)


def _contents(root: Path, settings: dict[str, Any], name: str, wheel: Path) -> dict[str, bytes]:
    released = root / "exercises" / name
    contents = {
        path.relative_to(released).as_posix(): path.read_bytes()
        for path in released.rglob("*")
        if path.is_file() and not is_left_behind(path.relative_to(released))
    }
    for file, content in contents.items():
        if tells(file, content):
            raise ReleaseError(
                f"exercises/{name}/{file} looks like a solution or a mark scheme, by its name or "
                f"by what is in it, so there is no archive of {name}; take the file out of "
                f"solutions/{name}/ and exercises/{name}/, and release again"
            )
    # On macOS and Windows, names that differ in case alone are one file.
    if taken := [file for file in contents if file.lower() in map(str.lower, (*ADDED, wheel.name))]:
        raise ReleaseError(
            f"{name} has a file {taken[0]!r}, and its archive needs that name; give the one in "
            f"solutions/{name}/ another name, and release again"
        )
    notebooks = sorted(file for file in contents if file.endswith(".ipynb"))
    constraints = (root / "constraints.txt").read_text(encoding="utf-8")
    readme = _README.format(
        name=name,
        notebooks=" and ".join(notebooks),
        first=notebooks[0],
        pythons=_pythons(settings["project"]["requires-python"]),
    )
    requirements = _requirements(settings["project"]["dependencies"], constraints, wheel.name)
    return contents | {
        "README.txt": readme.encode(),
        "constraints.txt": constraints.encode(),
        "requirements.txt": requirements.encode(),
        wheel.name: wheel.read_bytes(),
    }


def _pythons(specifier: str) -> str:
    """In words: `>=3.11` and `>=3.11,<3.16` are all that the package needs to say."""
    oldest, *beyond = map(int, re.findall(r"3\.(\d+)", specifier))
    return f"3.{oldest} to 3.{beyond[0] - 1}" if beyond else f"3.{oldest} or later"


def _requirements(dependencies: list[str], constraints: str, wheel: str) -> str:
    """What pip installs: with the same versions that the course is tried with, down to the last."""
    pins: dict[str, list[str]] = {}
    for line in constraints.splitlines():
        pins.setdefault(_distribution(line), []).append(line)
    lines = []
    for wanted in (*dependencies, EDITOR):
        # More than one line where the version depends on Python's.
        if _distribution(wanted) not in pins:
            raise ReleaseError(
                f"the notebooks are released, but not their archives: they need {wanted}, and "
                f"constraints.txt does not say in which version; add {wanted}==VERSION to it, and "
                "release again"
            )
        lines += pins[_distribution(wanted)]
    # pip looks for the wheel in the folder that it is called from, not beside this file.
    return "\n".join(
        (
            "# In the folder that holds this file: python -m pip install -r requirements.txt",
            "--constraint constraints.txt",
            f"./{wheel}",
            *lines,
            "",
        )
    )


def _distribution(requirement: str) -> str:
    """The name at the beginning of a requirement, in the one form of its many."""
    name = re.match(r"[\w.-]*", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def _write(path: Path, folder: str, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(f"{folder}/{name}", time.gmtime(EPOCH)[:6])
            # Unix and rw-r--r--, whatever system this is. Stored, as is ZipInfo's way: the wheel is
            # compressed already, and zlib's versions differ in their bytes.
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, contents[name])
