"""`check`: run a student's function on an item's cases, score it, and name the mistake."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.grading.caller import Caller, Failed, Foreign, InProcess, Outcome, Returned
from attncourse.grading.declaring import Case, Draw, Item, items
from attncourse.grading.verdict import CaseResult, Verdict

# Bound here once: a notebook that patches torch afterwards does not change how a result is judged.
_isclose = torch.isclose
_equal = torch.equal

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
    cases = list(item.cases(Draw(item.id, seed)))
    judge = _Judge(item, cases, seed)
    tried = judge.trials(InProcess(function))
    fraction = _fraction(tried)
    misconception, hint = judge.diagnose(tried) if fraction < 1 else (None, "")
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=fraction,
        hint=hint,
        misconception=misconception,
        cases=tuple(CaseResult(t.name, t.problem is None, t.core, t.problem or "") for t in tried),
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


def _not_callable(item: Item, given: object) -> Verdict:
    return Verdict(
        item_id=item.id,
        points=item.points,
        fraction=0.0,
        hint=f"This item wants a function, and got {_a(type(given).__name__)}. Hand over the "
        f"function itself, without calling it: check({item.id!r}, {item.function_name}).",
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


class _Judge:
    """Compares functions with an item's reference on given cases."""

    def __init__(self, item: Item, cases: Sequence[Case], seed: object) -> None:
        self._item = item
        self._cases = cases
        reference = InProcess(item.reference, may_use_course=True)
        draw = Draw(item.id, seed, "cotangent")
        self._wanted: list[Returned] = []
        self._cotangents: list[Tensor | None] = []
        for case in cases:
            cotangent, wanted = None, reference.call(case.args, case.kwargs)
            if case.gradient and isinstance(wanted, Returned):
                cotangent = draw(*wanted.value.shape, dtype=wanted.value.dtype)
                wanted = reference.call_with_grad(case.args, case.kwargs, cotangent)
            if not isinstance(wanted, Returned):
                raise RuntimeError(f"the reference of {item.id} failed on {case.name!r}: {wanted}")
            self._wanted.append(wanted)
            self._cotangents.append(cotangent)

    def trials(self, caller: Caller) -> list[_Trial]:
        """Every case, and then the two habits."""
        outcomes = [
            caller.call(case.args, case.kwargs)
            if cotangent is None
            else caller.call_with_grad(case.args, case.kwargs, cotangent)
            for case, cotangent in zip(self._cases, self._cotangents, strict=True)
        ]
        trials = [
            _Trial(case.name, case.core, case.weight, _problem(outcome, wanted), outcome)
            for case, outcome, wanted in zip(self._cases, outcomes, self._wanted, strict=True)
        ]
        trials.append(_Trial(INPUT_KEPT, False, 1.0, self._input_changed(outcomes), None))
        if any(isinstance(wanted.value, Tensor) for wanted in self._wanted):
            trials.append(_Trial(DTYPE_KEPT, False, 1.0, self._dtype_changed(outcomes), None))
        return trials

    def _input_changed(self, outcomes: Sequence[Outcome]) -> str | None:
        for case, outcome in zip(self._cases, outcomes, strict=True):
            if isinstance(outcome, Failed):
                continue
            before = (*case.args, *case.kwargs.values())
            for a, b in zip(before, outcome.inputs, strict=True):
                if isinstance(a, Tensor) and not (
                    isinstance(b, Tensor) and a.shape == b.shape and bool(_same(a, b).all())
                ):
                    return f"the tensor it was given has other values afterwards ({case.name})"
        return None if any(isinstance(o, Returned) for o in outcomes) else "nothing came back"

    def _dtype_changed(self, outcomes: Sequence[Outcome]) -> str | None:
        seen = False
        for case, outcome, wanted in zip(self._cases, outcomes, self._wanted, strict=True):
            if isinstance(outcome, Returned) and isinstance(outcome.value, Tensor):
                seen = True
                given, want = outcome.value.dtype, wanted.value.dtype
                if given != want:
                    return f"{_short(given)} where {_short(want)} is wanted ({case.name})"
        return None if seen else "no tensor came back"

    def diagnose(self, tried: Sequence[_Trial]) -> tuple[str | None, str]:
        """The misconception that explains the failures, if one does, and the sentence that helps.

        A misconception explains a failure if its program gives the very same wrong result there.
        The one that explains most, and foretells no failure that did not happen, wins; among
        equals the first in the item's list, which therefore goes from the specific to the general.
        """
        failed = [trial for trial in tried if trial.problem is not None]
        if plain := _told_plainly(failed):
            return None, plain
        best_name, best_sentence, best_worth, unexplained = None, "", 0.0, failed
        for misconception in self._item.misconceptions:
            for program in misconception.programs:
                foretold = self.trials(InProcess(program, may_use_course=True))
                explained, worth, rest = 0.0, 0.0, []
                for mine, theirs in zip(tried, foretold, strict=True):
                    if mine.problem is not None:
                        if theirs.problem is not None and _alike(mine.outcome, theirs.outcome):
                            explained += mine.weight
                        else:
                            rest.append(mine)
                    elif theirs.problem is not None:
                        worth -= mine.weight
                worth += explained
                if explained and worth > best_worth:
                    best_name, best_sentence = misconception.name, misconception.sentence
                    best_worth, unexplained = worth, rest
        if best_name is None:
            return None, _describe(failed[0])
        if unexplained:
            best_sentence += f" There is more than that: {_describe(unexplained[0])}"
        return best_name, best_sentence


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
    if any(outcome.code.startswith("raise NotImplementedError") for outcome in broken):
        return (
            "There is no answer here yet, or not for every case. Replace the line `raise "
            "NotImplementedError(…)` by your own, run that cell, and then this one."
        )
    if any(isinstance(outcome, Returned) and outcome.value is None for outcome in outcomes):
        return "Your function returns None. Is its `return` line missing?"
    return None


def _describe(trial: _Trial) -> str:
    return f"“{trial.name}”: {trial.problem}."


def _problem(outcome: Outcome, wanted: Returned) -> str | None:
    """What is wrong with an outcome, or None. The dtype is judged apart, as a habit."""
    if isinstance(outcome, Failed):
        return _raised(outcome)
    value, want = outcome.value, wanted.value
    if not isinstance(want, Tensor):
        return _number_problem(value, want)
    if not isinstance(value, Tensor):
        return f"it returned {_named(value)}; a torch.Tensor is wanted"
    if value.is_complex():
        return f"it returned complex numbers; {_short(want.dtype)} is wanted"
    if value.shape != want.shape:
        return f"its result has the shape {list(value.shape)}; {list(want.shape)} is wanted"
    if problem := _difference(value, want, "your result"):
        return problem
    if wanted.gradients is None:
        return None
    if outcome.gradients is None:
        return "no gradient could be taken through the result"
    for got, right in zip(outcome.gradients, wanted.gradients, strict=True):
        if right is None:
            continue
        if got is None:
            return (
                "no gradient flows back to the input. Something on the way leaves torch or "
                "detaches: .detach(), .data, .numpy(), .item(), torch.tensor(…), no_grad"
            )
        if problem := _difference(got, right, "the gradient"):
            return f"the values are right, but {problem}"
    return None


def _raised(failed: Failed) -> str:
    if failed.used_the_course:
        return "it calls the course's own functions"
    where = f", line {failed.line}: `{failed.code}`" if failed.code else ""
    message = f": {failed.message}" if failed.message else ""
    return f"it stopped with {failed.error}{message}{where}"


def _number_problem(value: object, want: object) -> str | None:
    number = _as_number(value)
    if number is None:
        return f"it returned {_named(value)}; a number is wanted"
    assert isinstance(want, float)
    # A 0-dimensional float32 tensor is a fair answer, so its precision is enough.
    if math.isclose(number, want, rel_tol=1e-5, abs_tol=1e-30):
        return None
    return f"your result is {number:.6g}; {want:.6g} is wanted"


def _as_number(value: object) -> float | None:
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 and not value.is_complex() else None
    return float(value) if isinstance(value, int | float) else None


def _tolerance(dtype: torch.dtype) -> float:
    # float64 is compared tightly enough to notice a detour through float32 (1e-7).
    return 1e-9 if dtype == torch.float64 else 1e-4


def _same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> Tensor:
    return _isclose(
        a.detach().double(),
        b.detach().double(),
        rtol=tolerance,
        atol=tolerance / 10,
        equal_nan=True,
    )


def _difference(value: Tensor, want: Tensor, what: str) -> str | None:
    close = _same(value, want, _tolerance(want.dtype))
    if bool(close.all()):
        return None
    bad = ~value.double().isfinite() & want.double().isfinite()
    if bool(bad.any()):
        at = tuple(bad.nonzero()[0].tolist())
        right = want[at].item()
        return f"{what} has {value[at].item():.3g} at {list(at)}, where {right:.4g} is wanted"
    gap = (value.double() - want.double()).abs().masked_fill(close, 0)
    at = tuple((gap == gap.max()).nonzero()[0].tolist())
    off = f"{int((~close).sum())} of {close.numel()} entries are off"
    return (
        f"{what} differs most at {list(at)}: {value[at].item():.4g} where "
        f"{want[at].item():.4g} is wanted ({off})"
    )


def _alike(a: Outcome | None, b: Outcome | None) -> bool:
    """Whether two wrong results are the same wrong result."""
    if a is None or b is None:
        return a is b  # a habit: both have lost it
    if isinstance(a, Failed) or isinstance(b, Failed):
        return isinstance(a, Failed) and isinstance(b, Failed) and a.error == b.error
    if not _values_alike(a.value, b.value):
        return False
    if a.gradients is None or b.gradients is None:
        return a.gradients is b.gradients
    return all(map(_values_alike, a.gradients, b.gradients))


def _values_alike(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape:
        if a.is_complex() or b.is_complex():
            return False
        return bool(_same(a, b, _tolerance(a.dtype)).all())
    x, y = _as_number(a), _as_number(b)
    if x is not None and y is not None:
        return math.isclose(x, y, rel_tol=1e-5) or (math.isnan(x) and math.isnan(y))
    return a is None and b is None


def _named(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, Foreign):
        return _a(value.type_name)
    return "None" if value is None else _a(type(value).__name__)


def _a(noun: str) -> str:
    if noun == "NoneType":
        return "None"
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
