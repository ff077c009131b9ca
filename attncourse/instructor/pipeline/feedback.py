"""Writes the pages for students: in the place of nbgrader's own exporter, which follows links.

Students get what lies in feedback/, and nbgrader writes it with the instructor's rights.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbgrader.converters import GenerateFeedback, base  # type: ignore[import-untyped]
from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]


class Feedback(HTMLExporter):
    """nbgrader's own, where nothing is read or written by way of a link."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        if isinstance(self.parent, GenerateFeedback):
            _refuse_links(self.parent)
            _copy_no_link(self.parent)


def _refuse_links(converter: Any) -> None:
    """Where there is a link in the place of a folder or a page, nothing is written at all.

    From the first student on, nbgrader would take an exception for that student's fault, and
    empty the folder, also by way of a link.
    """
    pattern = converter._format_source("(?P<assignment>.*)", "(?P<student>.*)", escape=True)
    for folder, notebooks in converter.assignments.items():
        if named := re.fullmatch(pattern, folder):
            written = Path(converter._format_dest(named["assignment"], named["student"]))
            read = Path(folder)
            places = (read.parent, read, *map(Path, notebooks), written.parent, written)
            for link in filter(os.path.islink, (*places, *written.glob("**/*"))):
                converter.log.error(
                    "No feedback was written: %s is a link, which is not followed. Remove it", link
                )
                raise NbGraderException(f"{link} is a link")


def _copy_no_link(converter: Any) -> None:
    """Let nbgrader copy what lies beside the notebooks, but for what a link leads to."""
    stock = converter.init_assignment

    def init_assignment(assignment_id: str, student_id: str) -> None:
        with _no_link_found_to_copy(converter.log):
            stock(assignment_id, student_id)

    converter.init_assignment = init_assignment


@contextlib.contextmanager
def _no_link_found_to_copy(log: Any) -> Iterator[None]:
    """nbgrader copies what its function of this name finds. Links to folders it does not find."""
    stock = base.find_all_files

    def find_all_files(*given: Any) -> list[str]:
        found: list[str] = stock(*given)
        for link in filter(os.path.islink, found):
            log.warning("%s is a link, and is left out", link)
        return [path for path in found if not os.path.islink(path)]

    base.find_all_files = find_all_files
    try:
        yield
    finally:
        base.find_all_files = stock
