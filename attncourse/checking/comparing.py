"""Is a result the one that is wanted, and if not, what is wrong with it? In words for students."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.checking.calling import Failed, Outcome, Returned
from attncourse.checking.values import Foreign, Value

# Bound here: a notebook that assigns to torch.isclose is not judged by what it put there.
_isclose = torch.isclose
_TOO_LARGE = 1e15  # whose square comes near to the end of float32


@dataclass(frozen=True)
class Wanted:
    """What the reference gives for a case, and what of it is compared."""

    value: Value
    gradients: tuple[Tensor | None, ...] | None = None
    names: tuple[str, ...] = ()
    """What the tensors of a tuple are called."""
    invariant: Callable[[Value], Tensor] | None = None
    """What is compared in place of the value itself: what equivalent answers have in common."""
    invariant_name: str = ""

    def compared(self, value: Value) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name, given and wanted, for each thing that is compared; `value` has our structure."""
        cast = [got.to(want.dtype) for got, want in self._pairs(value)]
        if self.invariant is None:
            names = self.names if isinstance(self.value, tuple) else ["your result"]
            yield from zip(names, cast, tensors(self.value), strict=True)
        else:
            given = tuple(cast) if isinstance(self.value, tuple) else cast[0]
            yield self.invariant_name, self.invariant(given), self.invariant(self.value)

    def _pairs(self, value: Value) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(tensors(value), tensors(self.value), strict=True)


def tensors(value: Value) -> tuple[Tensor, ...]:
    """The tensors in a value: itself, those of a tuple, or none."""
    entries = value if isinstance(value, tuple) else (value,)
    return tuple(entry for entry in entries if isinstance(entry, Tensor))


def problem(outcome: Outcome, wanted: Wanted) -> str | None:
    """What is wrong with an outcome, or None. The dtype is judged apart, as a habit."""
    if isinstance(outcome, Failed):
        return raised(outcome)
    if not tensors(wanted.value):
        return _number_problem(outcome.value, wanted.value)
    if wrong_structure := structure_problem(outcome.value, wanted.value, wanted.names):
        return wrong_structure
    try:
        compared = list(wanted.compared(outcome.value))
    except Exception:
        if too_large := overflow(outcome.value):
            return too_large
        raise
    for what, got, want in compared:
        if difference := _difference(got, want, what):
            return difference
    return _gradient_problem(outcome, wanted)


def overflow(value: Value) -> str | None:
    """What is wrong with finite numbers with which nothing can be computed, if they are such."""
    finite = [t.double().abs() for t in tensors(value) if not t.is_complex() and t.numel()]
    largest = max((t.where(t.isfinite(), 0).max().item() for t in finite), default=0.0)
    if largest < _TOO_LARGE:
        return None
    return (
        f"its numbers go up to {largest:.3g}, and computing with numbers as large as that "
        "overflows. Is something multiplied again and again, or divided by almost nothing?"
    )


def structure_problem(value: Value, want: Value, names: Sequence[str] = ()) -> str | None:
    """What is wrong with the kind of a value and the shapes of its tensors, or None.

    Args:
        value: whatever came back.
        want: a tensor, or a tuple of tensors called `names`, of the shapes that are wanted.
    """
    if isinstance(want, Tensor):
        if not isinstance(value, Tensor):
            return f"it returned {_named(value)}; a torch.Tensor is wanted"
        return _shape_problem(value, want, "it returned", "its result")
    listed = f"the {len(want)} tensors {', '.join(names)}"
    if not isinstance(value, tuple):
        return f"it returned {_named(value)}; {listed} are wanted"
    if len(value) != len(want):
        return f"it returned {len(value)} things; {listed} are wanted"
    for name, got, right in zip(names, value, want, strict=True):
        if not isinstance(got, Tensor):
            return f"its {name} is {_named(got)}; a torch.Tensor is wanted"
        if wrong := _shape_problem(got, right, f"its {name} has", f"its {name}"):
            return wrong
    return None


def _shape_problem(value: Tensor, want: Tensor, has: str, whose: str) -> str | None:
    if value.is_complex():
        return f"{has} complex numbers; {short(want.dtype)} is wanted"
    if value.shape != want.shape:
        return f"{whose} has the shape {list(value.shape)}; {list(want.shape)} is wanted"
    return None


def _gradient_problem(outcome: Returned, wanted: Wanted) -> str | None:
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
        if difference := _difference(got, right, "the gradient"):
            return f"the values are right, but {difference}"
    return None


def raised(failed: Failed) -> str:
    """The error in the student's own terms: what, where, and what it means."""
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
    assert isinstance(want, int | float)
    # A 0-dimensional float32 tensor is a fair answer, so its precision is enough.
    rounded = isinstance(value, Tensor) and value.is_floating_point()
    if isinstance(want, int) and not rounded:
        if number == float(want):
            return None
    elif math.isclose(number, want, rel_tol=1e-5, abs_tol=1e-30):
        return None
    got, right = _counts(number, want) if isinstance(want, int) else _apart(number, want)
    return f"your result is {got}; {right} is wanted"


def _counts(number: float, want: int) -> tuple[str, str]:
    """What was counted and what is wanted, to the last digit: one too many is to be seen."""
    whole = float(number).is_integer() and abs(number) < _TOO_LARGE
    return (f"{number:.0f}" if whole else f"{number:.12g}"), str(want)


def _apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers, with more digits where they would read the same."""
    shorter, longer = ((f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (4, 12))
    return shorter if shorter[0] != shorter[1] else longer


def _as_number(value: object) -> float | None:
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 and not value.is_complex() else None
    return float(value) if isinstance(value, int | float) else None


def _tolerance(dtype: torch.dtype) -> float:
    # float64 is compared tightly enough to notice a detour through float32 (1e-7).
    return 1e-9 if dtype == torch.float64 else 1e-4


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> Tensor:
    """Where two tensors agree; NaN agrees with NaN."""
    return _isclose(
        a.detach().double(),
        b.detach().double(),
        rtol=tolerance,
        atol=tolerance / 10,
        equal_nan=True,
    )


def unchanged(before: Value, after: Value) -> bool:
    """Whether an input is after the call what it was before."""
    if isinstance(before, Tensor):
        return (
            isinstance(after, Tensor)
            and (before.dtype, before.shape) == (after.dtype, after.shape)
            and bool(same(before, after).all())
        )
    if isinstance(before, list | tuple):
        return (
            isinstance(after, tuple)
            and len(before) == len(after)
            and all(map(unchanged, before, after))
        )
    # Not == alone: what stands there now may be a tensor, whose comparison is one too.
    return type(before) is type(after) and bool(before == after)


def _difference(value: Tensor, want: Tensor, what: str) -> str | None:
    close = same(value, want, _tolerance(want.dtype))
    if bool(close.all()):
        return None
    bad = ~value.double().isfinite() & want.double().isfinite()
    if bool(bad.any()):
        at = tuple(bad.nonzero()[0].tolist())
        right = want[at].item()
        where = f" at {list(at)}" if at else ""
        return f"{what} has {value[at].item():.3g}{where}, where {right:.4g} is wanted"
    gap = (value.double() - want.double()).abs().masked_fill(close, 0)
    at = tuple((gap == gap.max()).nonzero()[0].tolist())
    off = f"{int((~close).sum())} of {close.numel()} entries are off"
    right = want[at].item()
    if abs(right) <= _tolerance(want.dtype) / 10:  # what rounding has left of a zero
        right = 0.0
    got, wanted = _apart(value[at].item(), right)
    differs = f"{what} differs most at {list(at)}: {got} where {wanted} is wanted ({off})"
    if not at:
        differs = f"{what} is {got}; {wanted} is wanted"
    if want.dtype == torch.float64 and bool(gap.max() < 1e-5 * want.abs().max()):
        differs += (
            ". Only the first digits are right: something on the way is float32, as "
            "`torch.tensor(0.5)` is, or a small constant was added"
        )
    return differs


def same_outcome(a: Outcome, b: Outcome, wanted: Wanted) -> bool:
    """Whether two wrong outcomes are the same wrong outcome."""
    if isinstance(a, Failed) or isinstance(b, Failed):
        return (
            isinstance(a, Failed)
            and isinstance(b, Failed)
            and (a.error, a.message) == (b.error, b.message)
        )
    if wanted.invariant is not None and not any(
        structure_problem(each.value, wanted.value, wanted.names) for each in (a, b)
    ):
        try:
            (_, of_a, _), (_, of_b, _) = *wanted.compared(a.value), *wanted.compared(b.value)
        except Exception:
            if overflow(a.value) or overflow(b.value):
                return _same_values(a.value, b.value)
            raise
        return _same_values(of_a, of_b)
    if not _same_values(a.value, b.value):
        return False
    if a.gradients is None or b.gradients is None:
        return a.gradients is b.gradients
    return all(map(_same_values, a.gradients, b.gradients))


def _same_values(a: object, b: object) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same_values, a, b))
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape:
        if a.is_complex() or b.is_complex():
            return False
        return bool(same(a, b, _tolerance(a.dtype)).all())
    x, y = _as_number(a), _as_number(b)
    if x is not None and y is not None:
        return math.isclose(x, y, rel_tol=1e-5) or (math.isnan(x) and math.isnan(y))
    return a is None and b is None


def _named(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, tuple):
        return f"a list or tuple of {len(value)}"
    if isinstance(value, Foreign):
        return a_or_an(value.type_name)
    return "None" if value is None else a_or_an(type(value).__name__)


def a_or_an(noun: str) -> str:
    """The name of a type with its article."""
    if noun == "NoneType":
        return "None"
    return f"{'an' if noun[:1].lower() in {*'aeiou'} else 'a'} {noun}"


def short(dtype: torch.dtype) -> str:
    """`float32`, not `torch.float32`."""
    return str(dtype).removeprefix("torch.")
