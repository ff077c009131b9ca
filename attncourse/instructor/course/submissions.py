"""What was handed in: found in submitted/, read as bytes that may be anything."""

from __future__ import annotations

import errno
import fnmatch
import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

from attncourse.instructor import limits
from attncourse.instructor.course.configuration import Course
from attncourse.instructor.course.files_beside import Copying, FileBeside, copying, files_beside

TIMESTAMP = "timestamp.txt"
HIDDEN = "hidden"
"""The kind of what nbgrader does not see."""


@dataclass(frozen=True)
class Problem:
    """Why a submission could not be graded as it stands."""

    kind: str
    """A word or two; submissions are counted by it."""
    reason: str
    """A sentence that the instructor and the student read."""

    @property
    def leaves_nothing_to_read(self) -> bool:
        """Whether a person who looks at what was handed in would find nothing either."""
        return self.kind in ("missing", "empty")


@dataclass(frozen=True)
class Submission:
    """Where one student's work lies."""

    student: str
    folder: Path
    copying: Copying = field(default_factory=Copying, compare=False)
    """What is copied from beside the notebooks."""


@dataclass(frozen=True)
class LeftOut:
    """Work that lies there and is not graded."""

    name: str
    """Of the student's folder."""
    kind: str
    """A word or two, as of a `Problem`."""
    reason: str
    """A sentence that the instructor reads."""


@dataclass(frozen=True)
class HandedIn:
    """One student's work as it was read."""

    student: str
    notebooks: dict[str, bytes | Problem]
    timestamp: str | None
    beside: tuple[FileBeside, ...] = ()
    """What lies beside the notebooks. Its contents stay where they are."""

    @property
    def digest(self) -> str:
        """The same for the same work."""
        digest = hashlib.sha256(repr((self.student, self.timestamp)).encode())
        for name, content in sorted(self.notebooks.items()):
            raw = content if isinstance(content, bytes) else repr(content).encode()
            digest.update(repr((name, type(content).__name__, len(raw))).encode() + raw)
        for each in self.beside:
            digest.update(ascii(astuple(each)).encode())
        return digest.hexdigest()


def find(course: Course, problem_set: str) -> tuple[list[Submission], list[LeftOut]]:
    """The folder for the problem set of every student whom the course's configuration lets in.

    And folders that look like one, and are none. Whom `student_id` and `student_id_exclude` leave
    out stands in neither.
    """
    found, left_out = [], []
    anyone = "\0"  # stands in no name
    parts = course.folder("submitted", anyone, problem_set).parts
    until = next(number for number, part in enumerate(parts) if anyone in part) + 1
    pattern = glob.escape(str(Path(*parts[:until]))).replace(anyone, "*")
    shape = re.compile(
        course.directory.format_path(
            *(course.directory.submitted_directory, "(?P<student>[^/]*)", re.escape(problem_set)),
            escape=True,
        )
    )
    chosen = course.directory.student_id
    named_hidden = parts[until - 1].replace(anyone, chosen).startswith(".")
    excluded = course.directory.student_id_exclude.split(",")
    rules = copying_rules(course, problem_set)
    for beginning in sorted(glob.glob(pattern, include_hidden=True)):
        path = os.path.join(beginning, *parts[until:])
        match = shape.fullmatch(path)
        if match is None or _known_to_be_missing(path):
            continue
        student = match["student"]
        if student in excluded or not fnmatch.fnmatchcase(student, chosen):
            continue
        if os.path.basename(beginning).startswith(".") and not named_hidden:
            reason = "nbgrader does not see a folder whose name begins with a dot. Rename it."
            left_out.append(LeftOut(printable(student), HIDDEN, reason))
        elif len(student) > limits.MAX_STUDENT_NAME or not student.isprintable():
            reason = "The folder's name cannot be a student's in the gradebook."
            left_out.append(LeftOut(ascii(student), "misnamed", reason))
        else:
            found.append(Submission(student, Path(path), rules))
    return found, left_out


def copying_rules(course: Course, problem_set: str) -> Copying:
    """What is copied from beside the notebooks of a problem set."""
    may_replace = course.config.Autograde.get("exclude_overwriting", {})
    return copying(
        course.directory,
        course.folder("source", ".", problem_set),
        student_may_replace=may_replace.get(problem_set, ()),
    )


def _known_to_be_missing(path: str) -> bool:
    """Not so what lies in a folder that we may not look into: `read` will say that."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read(
    submission: Submission, notebooks: Iterable[str], other_notebooks: Iterable[str] = ()
) -> HandedIn:
    """Read the notebooks of those names; whatever is in their place, this raises nothing.

    Args:
        other_notebooks: names of the assignment's other notebooks: a file that bears one of them
            is not one of these under a wrong name.
    """
    content: dict[str, bytes | Problem] = {}
    notebooks = list(notebooks)
    known = {f"{name}.ipynb" for name in (*notebooks, *other_notebooks)}
    links = [p for p in (submission.folder, submission.folder.parent) if os.path.islink(p)]
    for name in notebooks:
        if links:
            content[name] = Problem("a link", f"`{links[0].name}` is a link, not a folder.")
        else:
            content[name] = _content(submission.folder, f"{name}.ipynb", known)
    beside = files_beside(submission.folder, submission.copying)
    return HandedIn(submission.student, content, timestamp_in(submission.folder), beside)


def timestamp_in(folder: Path) -> str | None:
    """What stands in the folder of a time at which it was handed in; whatever it is, a line."""
    if os.path.islink(folder) or os.path.islink(folder.parent):
        return None
    content = _bytes(folder / TIMESTAMP, limits.MAX_TIMESTAMP_BYTES)
    return content.decode(errors="replace").strip() or None if isinstance(content, bytes) else None


def printable(text: str) -> str:
    """Text of a student's, such as a file's name, as it can be stored and printed anywhere.

    On one line, and without control characters, which a terminal would obey.
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _content(folder: Path, name: str, known: set[str]) -> bytes | Problem:
    content = _bytes(folder / name, limits.MAX_NOTEBOOK_BYTES)
    if isinstance(content, Problem) and content.kind == "missing":
        try:
            others = sorted(
                other
                for other in os.listdir(folder)
                if other.endswith(".ipynb") and other not in known
            )
        except OSError:
            others = []
        if others:
            listed = ", ".join(f"`{printable(other)}`" for other in others[:3])
            return Problem("wrong name", f"There is no `{name}`, but there is {listed}.")
    return content


def _bytes(path: Path, most: int) -> bytes | Problem:
    try:
        # Neither a link, which may lead to somebody else's work, nor a pipe that never ends.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Problem("missing", f"There is no `{path.name}`.")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Problem("a link", f"`{path.name}` is a link, not a file.")
        return Problem("unreadable", f"`{path.name}` cannot be read: {error.strerror}.")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Problem("no file", f"`{path.name}` is not a file.")
        if status.st_size > most:
            return Problem(
                "too large", f"`{path.name}` has {status.st_size:,} bytes; {most:,} are the most."
            )
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most)
    except OSError as error:
        return Problem("unreadable", f"`{path.name}` cannot be read: {error.strerror}.")
    finally:
        os.close(descriptor)
    return content or Problem("empty", f"`{path.name}` is empty.")
