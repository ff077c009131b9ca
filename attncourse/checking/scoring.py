"""How a function is scored. This is the whole rule.

Every case has a share of the points, and so have two habits: that the function leaves its input
as it was, and that it gives back the dtype it was given. Basic cases are the ordinary use. A
function that fails a basic case scores 0, because the special cases that it passes, it passes by
luck. All others earn the shares of what they pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attncourse.checking.calling import Outcome

INPUT_KEPT = "leaves its input as it was"
DTYPE_KEPT = "gives back the dtype it was given"
HABIT_WEIGHT = 1.0


@dataclass(frozen=True)
class Trial:
    """How a function did on a case, or (`outcome` is None) on a habit seen over all cases."""

    name: str
    basic: bool
    weight: float
    problem: str | None
    outcome: Outcome | None


def habit(name: str, problem: str | None) -> Trial:
    """The trial of a habit."""
    return Trial(name, False, HABIT_WEIGHT, problem, None)


def fraction(trials: Sequence[Trial]) -> float:
    """The share of the points that is earned, from 0 to 1."""
    if any(trial.basic and trial.problem for trial in trials):
        return 0.0
    passed = sum(trial.weight for trial in trials if trial.problem is None)
    return passed / sum(trial.weight for trial in trials)


def points_for(earned: float, points: float) -> float:
    """The points for a share of them, as they are recorded: to a hundredth."""
    return round(points * earned, 2)
