"""What lies beside a notebook that is handed in: copied so that nothing of it acts in a browser.

nbgrader's formgrader serves every file in autograded/ at the address of the instructor's own
session, with the type that its name stands for; and a kernel that JupyterLab starts for a notebook
looks in its folder for Python's modules. So a student's file keeps its name only if nothing is run
under it: pictures that are pictures, text and data. Every other gets a harmless name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from attncourse.instructor import limits
from attncourse.instructor.course.telling import is_left_behind

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""The types of pictures that a browser shows and does not run."""
_PICTURES = {
    ".png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    ".jpg": re.compile(rb"\xff\xd8\xff"),
    ".jpeg": re.compile(rb"\xff\xd8\xff"),
    ".gif": re.compile(rb"GIF8[79]a"),
    ".webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_INERT = {
    *(".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".ini", ".log"),
    *(".tex", ".bib", ".npy", ".npz", ".pt", ".pth", ".safetensors", ".pkl", ".zip"),
}
_HARMLESS = ".txt"
_START = 12  # bytes that tell a picture
# An address takes them for more than a part of a name: `data:text/html,x.txt` is one.
_OF_ADDRESSES = re.compile(r"[\x00-\x1f\x7f\\:?#]")
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)  # a name that cannot stand here
_NAMED = 5


@dataclass(frozen=True)
class Copying:
    """What is copied from beside the notebooks of a problem set, as the course has set it."""

    ignored: tuple[str, ...] = ()
    """Patterns of names that nbgrader leaves out."""
    most: int = 100_000_000
    """Bytes of a file."""
    ours: frozenset[str] = frozenset()
    """Files that the problem set itself has there, which no student's file replaces."""
    modules: frozenset[str] = frozenset()
    """Modules of Python that it lets students replace: these keep their names."""


@dataclass(frozen=True)
class FileBeside:
    """A file that lies beside a student's notebook."""

    path: str
    """Below the student's folder, with `/` between its parts."""
    kept_as: str | None
    """Where its copy lies; None if it is left out."""
    reason: str = ""
    """Why it is left out."""
    digest: str = ""


def copying(directory: Any, source: Path, *, student_may_replace: Collection[str] = ()) -> Copying:
    """The rules of a course.

    Args:
        directory: nbgrader's `CourseDirectory`.
        source: the problem set's folder.
        student_may_replace: files in it of which the student's version is kept.
    """
    ignored = tuple(directory.ignore)
    below = (path.relative_to(source) for path in _files(source, (*ignored, "*.ipynb")))
    ours = {path.as_posix() for path in below if not is_left_behind(path)}
    replaced = ours & set(student_may_replace)
    modules = frozenset(each for each in replaced if each.endswith(".py"))
    return Copying(ignored, directory.max_file_size * 1000, frozenset(ours - replaced), modules)


def files_beside(folder: Path, rules: Copying) -> tuple[FileBeside, ...]:
    """Every file that a student has laid beside the notebooks, and what becomes of it."""
    if os.path.islink(folder) or os.path.islink(folder.parent):
        return ()
    found: list[FileBeside] = []
    left = limits.MAX_BYTES_BESIDE
    paths = _files(folder, (*rules.ignored, "*.ipynb"))
    for path in islice(paths, limits.MAX_FILES_BESIDE + 1):
        name = path.relative_to(folder).as_posix()
        if name in rules.ours:
            continue
        if len(found) == limits.MAX_FILES_BESIDE:
            most = f"it is more than {limits.MAX_FILES_BESIDE} files"
            found.append(FileBeside(name, None, most))
            break
        content = _content(path, min(left, rules.most))
        if isinstance(content, str):
            found.append(FileBeside(name, None, content))
        else:
            left -= len(content)
            digest = hashlib.sha256(content).hexdigest()
            kept_as = name if name in rules.modules else _harmless(name, content[:_START])
            found.append(FileBeside(name, kept_as, digest=digest))
    return tuple(_without_doubles(found, rules.ours))


def remark(files: Iterable[FileBeside]) -> str:
    """What a reader has to know of them: which have another name, and which are not there."""
    files = list(files)
    renamed = [
        f"`{_shown(each.path)}` as `{_shown(each.kept_as)}`"
        for each in files
        if each.kept_as is not None and each.kept_as != each.path
    ]
    missing = [f"`{_shown(each.path)}` ({each.reason})" for each in files if each.kept_as is None]
    sentences = []
    if renamed:
        sentences.append(
            "Of what lies beside it, this is kept under a name under which nothing is run, because "
            "it may be a program, or is not the picture that its name says: "
            f"{_listed(renamed)}."
        )
    if missing:
        sentences.append(f"Of what lies beside it, this is left out: {_listed(missing)}.")
    return " ".join(sentences)


def copy_files(source: Path, handed_in: Path, target: Path, rules: Copying) -> None:
    """Copy what lies beside the notebooks: the problem set's own, then what the student adds.

    Of the student's no link is followed: it may lead to somebody else's work.

    Raises:
        OSError: the disk fails.
    """
    for path in _files(source, (*rules.ignored, "*.ipynb")):
        if (name := path.relative_to(source).as_posix()) in rules.ours and path.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _write(target / name, path.read_bytes())
    for each in files_beside(handed_in, rules):
        content = _content(handed_in / each.path, rules.most)
        if each.kept_as is not None and not isinstance(content, str):
            try:
                (target / each.kept_as).parent.mkdir(parents=True, exist_ok=True)
                _write(target / each.kept_as, content)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue  # the problem set has a folder where this has a file, or a file there
            except OSError as error:
                if error.errno not in _NO_NAME:
                    raise


def remove_copies(folder: Path) -> None:
    """Remove what an earlier run has copied beside the notebooks in autograded/."""
    for path in _files(folder, ("*.ipynb",)):
        path.unlink()


def picture_beside(folder: Path, address: str) -> str | None:
    """The address of a picture below the folder, relative to it; None if there is none.

    Args:
        address: as a text gives it, with what does not belong in an address as `%20` or as it is.
    """
    name = unquote(address).removeprefix("./")
    parts = name.split("/")
    pattern = _PICTURES.get(PurePosixPath(name).suffix.lower())
    if pattern is None or not {"", ".", ".."}.isdisjoint(parts) or _OF_ADDRESSES.search(name):
        return None
    try:
        for number in range(1, len(parts)):
            if not stat.S_ISDIR(folder.joinpath(*parts[:number]).lstat().st_mode):
                return None
        start = _content(folder.joinpath(*parts), None)
    except (OSError, ValueError):
        return None
    if isinstance(start, str) or not pattern.match(start):
        return None
    return quote(name)


def _harmless(path: str, start: bytes) -> str:
    folder, slash, name = path.rpartition("/")
    name = _OF_ADDRESSES.sub("_", name)
    suffix = PurePosixPath(name).suffix.lower()
    pattern = _PICTURES.get(suffix)
    inert = suffix in _INERT if pattern is None else pattern.match(start) is not None
    return f"{folder}{slash}{name}{'' if inert else _HARMLESS}"


def _without_doubles(files: list[FileBeside], ours: Collection[str]) -> Iterator[FileBeside]:
    """The same, where two would have the same name with another for one that loses its own."""
    taken = {*ours, *(each.path for each in files if each.path == each.kept_as)}
    for each in files:
        name = each.kept_as
        if name is not None and name != each.path:
            while name in taken:
                name += _HARMLESS
            taken.add(name)
        yield FileBeside(each.path, name, each.reason, each.digest)


def _content(path: Path, most: int | None) -> bytes | str:
    """What is in a file, or why it cannot be read; only its first bytes if `most` is None."""
    try:
        # Neither a link, nor a pipe that never ends.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return "a link" if error.errno == errno.ELOOP else "it cannot be read"
    with open(descriptor, "rb") as file:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return "no file"
            if most is None:
                return file.read(_START)
            return "too large" if status.st_size > most else file.read(most)
        except OSError:
            return "it cannot be read"


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def _files(folder: Path, ignored: Collection[str]) -> Iterator[Path]:
    """Every file below a folder, but what bears an ignored name; a link to a folder is a file."""
    for place, folders, files in os.walk(folder):
        names = [each for each in folders if os.path.islink(os.path.join(place, each))]
        folders[:] = sorted(each for each in folders if not _matches(each, ignored))
        for name in sorted([*files, *names]):
            if not _matches(name, ignored):
                yield Path(place, name)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _shown(path: str) -> str:
    return "".join(
        each if each.isprintable() and each != "`" else "\N{REPLACEMENT CHARACTER}" for each in path
    )
