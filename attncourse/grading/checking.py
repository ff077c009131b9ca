"""`check`: run a student's function on an item's cases, score it, and name the mistake."""

from __future__ import annotations

import contextlib
import difflib
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.device import one_thread
from attncourse.grading.caller import Caller, Failed, Foreign, InProcess, Outcome, Returned
from attncourse.grading.declaring import Case, Draw, Item, items
from attncourse.grading.verdict import CaseResult, Verdict

# Bound here: a notebook that assigns to torch.isclose is not judged by what it put there.
_isclose = torch.isclose

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
    with _settings_of_our_own():
        judge = _Judge(item, list(item.cases(Draw(item.id, seed))), seed)
        tried = judge.trials(InProcess(function))
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
def _settings_of_our_own() -> Iterator[None]:
    """The same verdict, and the notebook as it was, whatever the notebook or the function set."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with one_thread(), torch.device("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)


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


def _results(tried: Sequence[_Trial]) -> Iterator[CaseResult]:
    """What the student reads: an error that stops every case is told in full only once."""
    problems = [trial.problem or "" for trial in tried]
    for n, (trial, problem) in enumerate(zip(tried, problems, strict=True)):
        told = "the same" if problem and problem in problems[:n] else problem
        yield CaseResult(trial.name, not problem, trial.core, told)


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
                    isinstance(b, Tensor)
                    and (a.dtype, a.shape) == (b.dtype, b.shape)
                    and bool(_same(a, b).all())
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
            for program in misconception.programs:
                foretold = self.trials(InProcess(program, may_use_course=True))
                explained, worth, basic, rest = 0.0, 0.0, False, []
                for mine, theirs in zip(tried, foretold, strict=True):
                    if mine.problem is not None:
                        if theirs.problem is not None and _alike(mine, theirs):
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
    within = f" of `{failed.helper}`" if failed.helper else ""
    where = f", line {failed.line}{within}: `{failed.code}`" if failed.code else ""
    message = f": {failed.message}" if failed.message else ""
    return f"it stopped with {failed.error}{message}{where}{_advice(failed)}"


def _advice(failed: Failed) -> str:
    """What torch or Python means, where students often do not see it."""
    if re.search(r"in-?place operation", failed.message):
        return (
            ". An operation whose name ends in _ (or `/=`, `[…] =`) overwrote a value that the "
            "gradient needs: use the form that makes a new tensor"
        )
    keyword = re.search(r"unexpected keyword argument '(\w+)'", failed.message)
    if keyword and failed.line is None:  # it is our call that failed, not one of the student's
        return f". Keep the argument's name `{keyword[1]}`, as the task has it"
    return ""


def _number_problem(value: object, want: object) -> str | None:
    number = _as_number(value)
    if number is None:
        return f"it returned {_named(value)}; a number is wanted"
    assert isinstance(want, float)
    # A 0-dimensional float32 tensor is a fair answer, so its precision is enough.
    if math.isclose(number, want, rel_tol=1e-5, abs_tol=1e-30):
        return None
    got, right = _apart(number, want)
    return f"your result is {got}; {right} is wanted"


def _apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers, with more digits where they would read the same."""
    short, long = ((f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (4, 12))
    return short if short[0] != short[1] else long


def _as_number(value: object) -> float | None:
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 and not value.is_complex() else None
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


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
    got, wanted = _apart(value[at].item(), want[at].item())
    problem = f"{what} differs most at {list(at)}: {got} where {wanted} is wanted ({off})"
    if want.dtype == torch.float64 and bool(gap.max() < 1e-5 * want.abs().max()):
        problem += (
            ". Only the first digits are right: something on the way is float32, as "
            "`torch.tensor(0.5)` is, or a small constant was added"
        )
    return problem


def _alike(mine: _Trial, theirs: _Trial) -> bool:
    """Whether two wrong results are the same wrong result."""
    a, b = mine.outcome, theirs.outcome
    if a is None or b is None:  # a habit
        return mine.problem == theirs.problem
    if isinstance(a, Failed) or isinstance(b, Failed):
        return (
            isinstance(a, Failed)
            and isinstance(b, Failed)
            and (a.error, a.message) == (b.error, b.message)
        )
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
