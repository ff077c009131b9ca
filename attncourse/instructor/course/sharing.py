"""What instructors of one course share: rights to files, as nbgrader's `groupshared` gives them.

The group is that of the course's folder, by its set-group-ID bit.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

FOLDER_RIGHTS, FILE_RIGHTS, SECRET_RIGHTS = 0o2770, 0o664, 0o640


def share_folder(folder: Path) -> None:
    """Let the group write in it."""
    mode = folder.stat().st_mode
    if mode & FOLDER_RIGHTS != FOLDER_RIGHTS:
        with contextlib.suppress(PermissionError):  # it is another instructor's
            folder.chmod((mode | FOLDER_RIGHTS) & 0o2777)


def share_file(file: Path, rights: int = FILE_RIGHTS) -> None:
    """Let the group read and write it."""
    if file.stat().st_mode & rights != rights:
        with contextlib.suppress(PermissionError):
            file.chmod(rights)


def advice(file: Path, rights: str) -> str:
    """What to do where another instructor has a file for themselves, as the end of a reason.

    Args:
        rights: as `chmod` takes them.
    """
    try:
        owner = file.owner()
    except (OSError, KeyError):  # it is in a closed folder, or its owner has no name here
        owner = "its owner"
    return (
        f". Where a course is shared, {owner} has to give the group its rights: `chmod {rights} "
        f"{file}`. With `c.CourseDirectory.groupshared = True` in the course's configuration, "
        "whoever makes such a file does so"
    )
