"""When something was handed in, out of what somebody wrote down."""

from __future__ import annotations

import warnings
from datetime import datetime

from nbgrader.utils import parse_utc  # type: ignore[import-untyped]


def moment(text: str | None) -> datetime | None:
    """The time that a text gives; None if it gives none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # dateutil's, of time zones
            return parse_utc(text) if text else None
    except Exception:  # of the many that dateutil knows
        return None
