"""When something was handed in, out of what somebody wrote down."""

from __future__ import annotations

import os
import warnings
from datetime import datetime
from pathlib import Path

from nbgrader.utils import parse_utc  # type: ignore[import-untyped]

from attncourse.instructor.course.submissions import TIMESTAMP, timestamp_in


def moment(text: str | None) -> datetime | None:
    """The time that a text gives; None if it gives none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # dateutil's, of time zones
            return parse_utc(text) if text else None
    except Exception:  # of the many that dateutil knows
        return None


def has_no_time(folder: Path) -> bool:
    """Whether a student's folder has a timestamp that gives no time: then nobody is late."""
    return os.path.lexists(folder / TIMESTAMP) and moment(timestamp_in(folder)) is None
