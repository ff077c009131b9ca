"""Trials of a function whose results are examined by what they do: no two right ones agree."""

from __future__ import annotations

from collections.abc import Sequence

from attncourse.checking import comparing
from attncourse.checking.calling import Caller, Failed, Outcome
from attncourse.checking.diagnosing import Diagnosis, diagnose_by_match
from attncourse.checking.habits import input_kept
from attncourse.checking.item import Finding, Item
from attncourse.checking.random_inputs import Draw
from attncourse.checking.scoring import Trial


class Examination:
    """Examines what one function returns on the cases that a seed gives."""

    def __init__(self, item: Item, seed: object) -> None:
        self._item = item
        self._cases = list(item.cases(Draw(item.id, seed)))
        self._outcomes: list[Outcome] = []

    def trials(self, caller: Caller) -> list[Trial]:
        """What the item finds in the result of each case, and then one habit."""
        assert self._item.examine is not None
        self._outcomes = [caller.call(case.args, case.kwargs) for case in self._cases]
        trials = []
        for case, outcome in zip(self._cases, self._outcomes, strict=True):
            if isinstance(outcome, Failed):
                stopped = comparing.raised(outcome)
                trials.append(Trial(case.name, True, case.weight, stopped, outcome))
            else:
                try:
                    found = list(self._item.examine(outcome.value, case))
                except Exception:
                    # Finite as it is, it can make what is computed from it infinite, at which
                    # libraries stop. That is the answer's fault. Any other failure is ours.
                    too_large = comparing.overflow(outcome.value)
                    if too_large is None:
                        raise
                    found = [Finding(case.name, too_large, basic=True, weight=case.weight)]
                trials += [
                    Trial(finding.name, finding.basic, finding.weight, finding.problem, outcome)
                    for finding in found
                ]
        return [*trials, input_kept(self._cases, self._outcomes)]

    def diagnose(self, trials: Sequence[Trial]) -> Diagnosis:
        """What is wrong with the function that did so."""
        return diagnose_by_match(trials, self._item.misconceptions, self._cases, self._outcomes)
