"""`check`: run a student's function on an item's cases, score it, and name the mistake."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.device import one_thread
from attncourse.grading import comparing
from attncourse.grading.caller import Caller, Failed, InProcess, Outcome, Returned
from attncourse.grading.comparing import Wanted
from attncourse.grading.declaring import Case, Draw, Item, Misconception, items
from attncourse.grading.verdict import CaseResult, Verdict

INPUT_KEPT = "leaves its input as it was"
DTYPE_KEPT = "gives back the dtype it was given"


def check(item_id: str, function: object, *, seed: object = 0) -> Verdict:
    """Try `function` on the cases of an item; say what it earns and what is wrong with it.

    How it is scored: every case has a share of the points, and so have two habits, that the
    function leaves its input as it was and that it gives back the dtype it was given. Basic
    cases are the ordinary use. A function that fails a basic case scores 0, because the special
    cases that it passes, it passes by luck. All others earn the shares of what they pass.

    Args:
        item_id: such as `"ps1.cosine_affinity"`; `grading.items()` has them all.
        function: the student's function. It is called with tensors and plain data, and only
            that; it may not call the course's own functions.
        seed: the random inputs depend on this and on the item, so a check can be repeated.

    Raises:
        TypeError: `item_id` is no string.
        ValueError: there is no such item.
    """
    item = _find(item_id)
    if not callable(function):
        return _not_callable(item, function)
    return judged(item_id, InProcess(function), seed=seed)


def judged(item_id: str, caller: Caller, *, seed: object = 0) -> Verdict:
    """`check` for a function that `caller` calls, wherever it is."""
    item = _find(item_id)
    with settings_of_our_own():
        judge = _comparison(item, repr(seed)) if item.judge is None else _Judgement(item, seed)
        tried = judge.trials(caller)
        fraction = _fraction(tried)
        misconception, hint = judge.diagnose(tried) if fraction < 1 else (None, "")
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=fraction,
        hint=hint,
        misconception=misconception,
        cases=tuple(_results(tried)),
        said=next((t.outcome.said for t in tried if t.outcome and t.outcome.said), ""),
    )


def _find(item_id: object) -> Item:
    known = items()
    if not isinstance(item_id, str):
        raise TypeError(
            f"check() wants the item's name first, such as {next(iter(known))!r}, "
            f"and then your function; the first argument is a {type(item_id).__name__}"
        )
    if item_id not in known:
        near = difflib.get_close_matches(item_id, known, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]!r}?" if near else f"the items are {', '.join(known)}"
        raise ValueError(f"there is no item {item_id!r}; {meant}")
    return known[item_id]


@contextlib.contextmanager
def settings_of_our_own() -> Iterator[None]:
    """The same verdict, and the notebook as it was, whatever the notebook or the function set."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            one_thread(),
            _on_the_cpu(),
            # What is computed here is kept for later checks, so it must not be made in bfloat16
            # or without gradients because the cell stands under autocast or inference_mode.
            torch.autocast("cpu", enabled=False),
            torch.inference_mode(False),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)


def _on_the_cpu() -> contextlib.AbstractContextManager[object]:
    # Only where it changes something: in such a context every call of torch passes through Python,
    # and a check takes a fifth longer.
    elsewhere = torch.get_default_device().type != "cpu"
    return torch.device("cpu") if elsewhere else contextlib.nullcontext()


def _not_callable(item: Item, given: object) -> Verdict:
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=0.0,
        hint=f"This item wants a function, and got {comparing.a_or_an(type(given).__name__)}. Hand "
        f"over the function itself, without calling it: check({item.id!r}, {item.function_name}).",
        misconception=None,
        cases=(),
        said="",
    )


@dataclass(frozen=True)
class _Trial:
    """How a function did on a case, or (`outcome` is None) on a habit seen over all cases."""

    name: str
    core: bool
    weight: float
    problem: str | None
    outcome: Outcome | None


def _fraction(tried: Sequence[_Trial]) -> float:
    if any(trial.core and trial.problem for trial in tried):
        return 0.0
    passed = sum(trial.weight for trial in tried if trial.problem is None)
    return passed / sum(trial.weight for trial in tried)


def _results(tried: Sequence[_Trial]) -> Iterator[CaseResult]:
    """What the student reads: an error that stops every case is told in full only once."""
    problems = [trial.problem or "" for trial in tried]
    for n, (trial, problem) in enumerate(zip(tried, problems, strict=True)):
        told = "the same" if problem and problem in problems[:n] else problem
        yield CaseResult(trial.name, not problem, trial.core, told)


def _cases(item: Item, seed: object) -> list[Case]:
    return list(item.cases(Draw(item.id, seed)))


class _Comparison:
    """Compares functions with an item's reference on given cases."""

    def __init__(self, item: Item, seed: object) -> None:
        self._item = item
        self._cases = _cases(item, seed)
        reference = InProcess(item.reference, may_use_course=True)
        draw = Draw(item.id, seed, "cotangent")
        self._wanted: list[Wanted] = []
        self._cotangents: list[Tensor | None] = []
        self._foreseen: dict[Misconception, list[list[_Trial]]] = {}
        for case in self._cases:
            cotangent, given = None, reference.call(case.args, case.kwargs)
            if case.gradient and isinstance(given, Returned):
                cotangent = draw(*given.value.shape, dtype=given.value.dtype)
                given = reference.call(case.args, case.kwargs, cotangent)
            if not isinstance(given, Returned):
                raise RuntimeError(f"the reference of {item.id} failed on {case.name!r}: {given}")
            self._wanted.append(_wanted(item, case, given))
            self._cotangents.append(cotangent)

    def trials(self, caller: Caller) -> list[_Trial]:
        """Every case, and then the two habits."""
        outcomes = [
            caller.call(case.args, case.kwargs, cotangent)
            for case, cotangent in zip(self._cases, self._cotangents, strict=True)
        ]
        trials = [
            _Trial(case.name, case.core, case.weight, comparing.problem(outcome, wanted), outcome)
            for case, outcome, wanted in zip(self._cases, outcomes, self._wanted, strict=True)
        ]
        trials.append(_input_kept(self._cases, outcomes))
        if any(comparing.tensors(wanted.value) for wanted in self._wanted):
            trials.append(_Trial(DTYPE_KEPT, False, 1.0, self._dtype_changed(outcomes), None))
        return trials

    def _dtype_changed(self, outcomes: Sequence[Outcome]) -> str | None:
        seen = False
        for case, outcome, wanted in zip(self._cases, outcomes, self._wanted, strict=True):
            if isinstance(outcome, Returned):
                given, right = comparing.tensors(outcome.value), comparing.tensors(wanted.value)
                for got, want in zip(given, right, strict=False):
                    seen = True
                    if got.dtype != want.dtype:
                        return (
                            f"{comparing.short(got.dtype)} where {comparing.short(want.dtype)} "
                            f"is wanted ({case.name})"
                        )
        return None if seen else "no tensor came back"

    def diagnose(self, tried: Sequence[_Trial]) -> tuple[str | None, str]:
        """The misconception that explains the failures, if one does, and the sentence that helps.

        A misconception explains a failure if its program gives the very same wrong result there.
        It has to explain half of all that failed, because in one small case two mistakes may
        coincide, and a basic case if one failed. The one that explains most, and foretells no
        failure that did not happen, wins; among equals the first in the item's list, which
        therefore goes from the specific to the general.
        """
        failed = [trial for trial in tried if trial.problem is not None]
        if plain := _told_plainly(failed):
            return None, plain
        half = sum(trial.weight for trial in failed) / 2
        basic_failed = any(trial.core for trial in failed)
        best_name, best_sentence, best_worth, unexplained = None, "", 0.0, failed
        for misconception in self._item.misconceptions:
            for foretold in self._foretold(misconception):
                explained, worth, basic, rest = 0.0, 0.0, False, []
                for mine, theirs, wanted in zip(
                    tried, foretold, [*self._wanted, None, None], strict=False
                ):
                    if mine.problem is not None:
                        if theirs.problem is not None and _alike(mine, theirs, wanted):
                            explained += mine.weight
                            basic |= mine.core
                        else:
                            rest.append(mine)
                    elif theirs.problem is not None:
                        worth -= mine.weight
                worth += explained
                if explained >= half and basic == basic_failed and worth > best_worth:
                    best_name, best_sentence = misconception.name, misconception.sentence
                    best_worth, unexplained = worth, rest
        if best_name is None:
            return None, _describe(failed[0])
        if unexplained:
            best_sentence += f" There is more than that: {_describe(unexplained[0])}"
        return best_name, best_sentence

    def _foretold(self, misconception: Misconception) -> list[list[_Trial]]:
        """How each of its programs does."""
        if misconception not in self._foreseen:
            self._foreseen[misconception] = [
                self.trials(InProcess(program, may_use_course=True))
                for program in misconception.programs
            ]
        return self._foreseen[misconception]


@functools.lru_cache(maxsize=8)
def _comparison(item: Item, seed: str) -> _Comparison:
    """Kept for the next check: what reference and misconceptions give does not change."""
    return _Comparison(item, seed)


class _Judgement:
    """Judges what a function returns by what that does, where no two right results are equal."""

    def __init__(self, item: Item, seed: object) -> None:
        self._item = item
        self._cases = _cases(item, seed)
        self._outcomes: list[Outcome] = []

    def trials(self, caller: Caller) -> list[_Trial]:
        """What the item's judge finds in each case, and then one habit."""
        assert self._item.judge is not None
        self._outcomes = [caller.call(case.args, case.kwargs) for case in self._cases]
        trials = []
        for case, outcome in zip(self._cases, self._outcomes, strict=True):
            if isinstance(outcome, Failed):
                stopped = comparing.raised(outcome)
                trials.append(_Trial(case.name, True, case.weight, stopped, outcome))
            else:
                trials += [
                    _Trial(finding.name, finding.core, finding.weight, finding.problem, outcome)
                    for finding in self._item.judge(outcome.value, case)
                ]
        return [*trials, _input_kept(self._cases, self._outcomes)]

    def diagnose(self, tried: Sequence[_Trial]) -> tuple[str | None, str]:
        """The first misconception that shows in what came back, and the sentence that helps."""
        failed = [trial for trial in tried if trial.problem is not None]
        if plain := _told_plainly(failed):
            return None, plain
        for misconception in self._item.misconceptions:
            for case, outcome in zip(self._cases, self._outcomes, strict=True):
                # A result that only a habit spoilt shows no misconception: it is right.
                if (
                    isinstance(outcome, Returned)
                    and any(trial.outcome is outcome for trial in failed)
                    and _shows(misconception, outcome, case)
                ):
                    return misconception.name, misconception.sentence
        return None, _describe(failed[0])


def _shows(misconception: Misconception, outcome: Returned, case: Case) -> bool:
    assert misconception.shows is not None
    # Whatever came back is put to it, also what has none of the shapes that it looks at.
    with contextlib.suppress(Exception):
        return bool(misconception.shows(outcome.value, case))
    return False


def _wanted(item: Item, case: Case, given: Returned) -> Wanted:
    if item.reading is None:
        return Wanted(given.value, given.gradients, item.returns)
    read, reads_as = item.reading, inspect.getdoc(item.reading) or ""
    reading = lambda value: read(value, *case.args, **case.kwargs)  # noqa: E731
    return Wanted(given.value, given.gradients, item.returns, reading, reads_as)


def _input_kept(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> _Trial:
    return _Trial(INPUT_KEPT, False, 1.0, _input_changed(cases, outcomes), None)


def _input_changed(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str | None:
    for case, outcome in zip(cases, outcomes, strict=True):
        if isinstance(outcome, Failed):
            continue
        before = (*case.args, *case.kwargs.values())
        if not all(map(comparing.unchanged, before, outcome.inputs)):
            return f"what it was given has changed afterwards ({case.name})"
    return None if any(isinstance(o, Returned) for o in outcomes) else "nothing came back"


def _alike(mine: _Trial, theirs: _Trial, wanted: Wanted | None) -> bool:
    if mine.outcome is None or theirs.outcome is None or wanted is None:  # a habit
        return mine.problem == theirs.problem
    return comparing.alike(mine.outcome, theirs.outcome, wanted)


def _told_plainly(failed: Sequence[_Trial]) -> str | None:
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


def _describe(trial: _Trial) -> str:
    return f"“{trial.name}”: {trial.problem}."
