"""Check a function against an item: try it, score it, say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attncourse.checking import comparing, scoring
from attncourse.checking.against_reference import against_reference
from attncourse.checking.calling import Caller, InProcess
from attncourse.checking.examination import Examination
from attncourse.checking.item import Item
from attncourse.checking.scoring import Trial
from attncourse.checking.settings import neutral_settings
from attncourse.checking.verdict import CaseResult, Verdict


def check_function(item: Item, function: object, *, seed: object) -> Verdict:
    """Check a function of this process; whatever is given in its place gets a verdict too."""
    if not callable(function):
        return _not_callable(item, function)
    return check_caller(item, InProcess(function), seed=seed)


def check_caller(item: Item, caller: Caller, *, seed: object) -> Verdict:
    """Check a function that `caller` calls, in this process or in another.

    Args:
        seed: the random inputs depend on this and on the item, so a check can be repeated.
    """
    with neutral_settings():
        by = (
            against_reference(item, repr(seed)) if item.examine is None else Examination(item, seed)
        )
        trials = by.trials(caller)
        fraction = scoring.fraction(trials)
        misconception, hint = by.diagnose(trials) if fraction < 1 else (None, "")
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=fraction,
        hint=hint,
        misconception=misconception,
        cases=tuple(_results(trials)),
        output=next((t.outcome.output for t in trials if t.outcome and t.outcome.output), ""),
    )


def _not_callable(item: Item, given: object) -> Verdict:
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=0.0,
        hint=f"This item wants a function, and got {comparing.a_or_an(type(given).__name__)}. Hand "
        f"over the function itself, without calling it: check({item.id!r}, {item.function_name}).",
        misconception=None,
        cases=(),
        output="",
    )


def _results(trials: Sequence[Trial]) -> Iterator[CaseResult]:
    """What the student reads: an error that stops every case is told in full only once."""
    problems = [trial.problem or "" for trial in trials]
    for n, (trial, problem) in enumerate(zip(trials, problems, strict=True)):
        text = "the same" if problem and problem in problems[:n] else problem
        yield CaseResult(trial.name, not problem, trial.basic, text)
