"""What is wrong with a function that failed: the misconception that explains it, and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from attncourse.checking import comparing
from attncourse.checking.calling import Failed, Outcome, Returned
from attncourse.checking.comparing import Wanted
from attncourse.checking.item import Case, Misconception
from attncourse.checking.scoring import Trial


class Diagnosis(NamedTuple):
    """The name of the misconception, if one was recognised, and the sentence that helps."""

    misconception: str | None
    hint: str


class Prediction(NamedTuple):
    """How a program that has a misconception does on the trials of the function."""

    misconception: Misconception
    trials: Sequence[Trial]


@dataclass(frozen=True)
class _Explanation:
    """How much of what a function did a prediction explains."""

    misconception: Misconception
    explained: Sequence[Trial]
    unexplained: Sequence[Trial]
    worth: float
    """Weight of what is explained, less that of what was predicted to fail and did not."""


def diagnose_by_prediction(
    trials: Sequence[Trial], predictions: Sequence[Prediction], wanted: Sequence[Wanted]
) -> Diagnosis:
    """Which misconception fails as the function did.

    A misconception explains a failure if its program gives the very same wrong result there. It
    has to explain half of all that failed, because in one small case two mistakes may coincide,
    and a basic case if one failed. The one that explains most, and predicts no failure that did
    not happen, wins; among equals the first in the item's list, which therefore goes from the
    specific to the general.

    Args:
        trials: of the function, at least one of which failed; `wanted` belongs to their beginning.
    """
    failed = [trial for trial in trials if trial.problem is not None]
    if plain := _told_plainly(failed):
        return Diagnosis(None, plain)
    half = sum(trial.weight for trial in failed) / 2
    basic_failed = any(trial.basic for trial in failed)
    explanations = [
        each
        for each in (_explanation(trials, prediction, wanted, half) for prediction in predictions)
        if each is not None
        and each.worth > 0
        and any(trial.basic for trial in each.explained) == basic_failed
    ]
    if not explanations:
        return Diagnosis(None, _describe(failed[0]))
    best = max(explanations, key=lambda each: each.worth)  # of equals the first
    hint = best.misconception.sentence
    if best.unexplained:
        hint += f" There is more than that: {_describe(best.unexplained[0])}"
    return Diagnosis(best.misconception.name, hint)


def diagnose_by_match(
    trials: Sequence[Trial],
    misconceptions: Sequence[Misconception],
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
) -> Diagnosis:
    """The first misconception that matches what came back."""
    failed = [trial for trial in trials if trial.problem is not None]
    if plain := _told_plainly(failed):
        return Diagnosis(None, plain)
    # A result that only a habit spoilt has no misconception: it is right.
    wrong = [
        (outcome, case)
        for case, outcome in zip(cases, outcomes, strict=True)
        if isinstance(outcome, Returned) and any(trial.outcome is outcome for trial in failed)
    ]
    for misconception in misconceptions:
        if any(_matches(misconception, outcome, case) for outcome, case in wrong):
            return Diagnosis(misconception.name, misconception.sentence)
    return Diagnosis(None, _describe(failed[0]))


def _explanation(
    trials: Sequence[Trial], prediction: Prediction, wanted: Sequence[Wanted], half: float
) -> _Explanation | None:
    """None if more than `half` of the weight of all failures is left unexplained."""
    of_trial: list[Wanted | None] = [*wanted, *[None] * (len(trials) - len(wanted))]
    explained, unexplained, worth, missing = [], [], 0.0, 0.0
    for mine, theirs, want in zip(trials, prediction.trials, of_trial, strict=True):
        if mine.problem is None:
            worth -= mine.weight if theirs.problem is not None else 0.0
        elif theirs.problem is not None and _same_failure(mine, theirs, want):
            explained.append(mine)
            worth += mine.weight
        else:
            unexplained.append(mine)
            missing += mine.weight
            if missing > half:  # at once: most misconceptions differ from the first result on
                return None
    return _Explanation(prediction.misconception, explained, unexplained, worth)


def _same_failure(mine: Trial, theirs: Trial, wanted: Wanted | None) -> bool:
    if mine.outcome is None or theirs.outcome is None or wanted is None:  # a habit
        return mine.problem == theirs.problem
    return comparing.same_outcome(mine.outcome, theirs.outcome, wanted)


def _matches(misconception: Misconception, outcome: Returned, case: Case) -> bool:
    assert misconception.matches is not None
    # Any result is put to it, also one that has none of the shapes that it looks at.
    with contextlib.suppress(Exception):
        return bool(misconception.matches(outcome.value, case))
    return False


def _told_plainly(failed: Sequence[Trial]) -> str | None:
    """What needs no comparison with misconceptions."""
    outcomes = [trial.outcome for trial in failed]
    broken = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if any(outcome.used_the_course for outcome in broken):
        return (
            "Your function calls the course's own package. That is the answer, not an answer: "
            "write the steps yourself. All of torch is yours to use."
        )
    # Only the student's own line: torch raises this error too, for a dtype it cannot handle.
    unanswered = [o for o in broken if o.code.startswith("raise NotImplementedError")]
    if unanswered and (helper := unanswered[0].helper):
        return (
            f"`{helper}`, which your function calls, has no answer yet. Write that one first, and "
            "run its cell; or do its step here, in this function."
        )
    if unanswered:
        return (
            "There is no answer here yet, or not for every case. Replace the line `raise "
            "NotImplementedError(…)` by your own, run that cell, and then this one."
        )
    if any(isinstance(outcome, Returned) and outcome.value is None for outcome in outcomes):
        return "Your function returns None. Is its `return` line missing?"
    return None


def _describe(trial: Trial) -> str:
    return f"“{trial.name}”: {trial.problem}."
