"""What a job says, beside what it has graded."""

from __future__ import annotations

from dataclasses import dataclass

from attncourse.grading.batch.grading import Graded


@dataclass(frozen=True)
class Ready:
    """The job has workers and can be given submissions."""


@dataclass(frozen=True)
class Unfit:
    """Nothing can be graded: on this machine, or of this problem set."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """The turn failed, and the job has ended."""

    reason: str


def in_short(error: BaseException) -> str:
    """An error as a part of a reason."""
    return f"{type(error).__name__}: {str(error)[:300]}"


Message = Ready | Unfit | Broken | Graded
