"""Copies of parts of this course, for tests that change them."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_parts(folder, *parts, of=ROOT):
    """The named files and folders of a course in another folder; returns that folder."""
    for part in parts:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (of / part).is_dir():
            shutil.copytree(of / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(of / part, target)
    return folder
