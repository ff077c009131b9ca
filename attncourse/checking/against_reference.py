"""Trials of a function whose results are compared with those of an item's reference."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence

from torch import Tensor

from attncourse.checking import comparing
from attncourse.checking.calling import Caller, InProcess, Returned
from attncourse.checking.comparing import Wanted
from attncourse.checking.diagnosing import Diagnosis, Prediction, diagnose_by_prediction
from attncourse.checking.habits import dtype_kept, input_kept
from attncourse.checking.item import Case, Item
from attncourse.checking.random_inputs import Draw
from attncourse.checking.scoring import Trial


class AgainstReference:
    """Compares functions with an item's reference on the cases that a seed gives."""

    def __init__(self, item: Item, seed: object) -> None:
        self._item = item
        self._cases = list(item.cases(Draw(item.id, seed)))
        reference = InProcess(item.reference, may_use_course=True)
        draw = Draw(item.id, seed, "cotangent")
        self._wanted: list[Wanted] = []
        self._cotangents: list[Tensor | None] = []
        for case in self._cases:
            cotangent, given = None, reference.call(case.args, case.kwargs)
            if case.gradient and isinstance(given, Returned):
                first = comparing.tensors(given.value)[0]
                cotangent = draw(*first.shape, dtype=first.dtype)
                given = reference.call(case.args, case.kwargs, cotangent)
            if not isinstance(given, Returned):
                raise RuntimeError(f"the reference of {item.id} failed on {case.name!r}: {given}")
            self._wanted.append(_wanted(item, case, given))
            self._cotangents.append(cotangent)

    def trials(self, caller: Caller) -> list[Trial]:
        """Every case, and then the two habits."""
        outcomes = [
            caller.call(case.args, case.kwargs, cotangent)
            for case, cotangent in zip(self._cases, self._cotangents, strict=True)
        ]
        trials = [
            Trial(case.name, case.basic, case.weight, comparing.problem(outcome, wanted), outcome)
            for case, outcome, wanted in zip(self._cases, outcomes, self._wanted, strict=True)
        ]
        trials.append(input_kept(self._cases, outcomes))
        if any(comparing.tensors(wanted.value) for wanted in self._wanted):
            trials.append(dtype_kept(self._cases, outcomes, self._wanted))
        return trials

    def diagnose(self, trials: Sequence[Trial]) -> Diagnosis:
        """What is wrong with a function that did so."""
        return diagnose_by_prediction(trials, self._predictions, self._wanted)

    @functools.cached_property
    def _predictions(self) -> list[Prediction]:
        """How every program of every misconception does."""
        return [
            Prediction(misconception, self.trials(InProcess(program, may_use_course=True)))
            for misconception in self._item.misconceptions
            for program in misconception.programs
        ]


@functools.lru_cache(maxsize=8)
def against_reference(item: Item, seed: str) -> AgainstReference:
    """Kept for the next check: what reference and misconceptions give does not change."""
    return AgainstReference(item, seed)


def _wanted(item: Item, case: Case, given: Returned) -> Wanted:
    if item.invariant is None:
        return Wanted(given.value, given.gradients, item.returns)
    of_item, name = item.invariant, inspect.getdoc(item.invariant) or ""
    invariant = lambda value: of_item(value, *case.args, **case.kwargs)  # noqa: E731
    return Wanted(given.value, given.gradients, item.returns, invariant, name)
