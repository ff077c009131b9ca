"""Reads when something was handed in: in the place of nbgrader's own way of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from attncourse.instructor.course.moment import has_no_time, moment
from attncourse.instructor.course.submissions import TIMESTAMP, timestamp_in


def read_timestamps_within_limits(directory: Any) -> None:
    """Let a course's folders read no more of a timestamp than one has, and follow no link to it.

    nbgrader reads all of whatever is there. What is no time it takes for an error, and does not
    grade who has handed it in.
    """

    def get_existing_timestamp(folder: str) -> datetime | None:
        place = Path(folder)
        if has_no_time(place):
            directory.log.warning("%s is not taken for a time", place / TIMESTAMP)
        return moment(timestamp_in(place))

    directory.get_existing_timestamp = get_existing_timestamp
