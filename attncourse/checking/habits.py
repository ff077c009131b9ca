"""The two habits of a function that are seen over all cases: its input, and the dtype, are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from attncourse.checking import comparing
from attncourse.checking.calling import Failed, Outcome, Returned
from attncourse.checking.comparing import Wanted
from attncourse.checking.item import Case
from attncourse.checking.scoring import DTYPE_KEPT, INPUT_KEPT, Trial, habit


def input_kept(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Trial:
    """Whether the function leaves its input as it was."""
    return habit(INPUT_KEPT, _input_changed(cases, outcomes))


def dtype_kept(
    cases: Sequence[Case], outcomes: Sequence[Outcome], wanted: Sequence[Wanted]
) -> Trial:
    """Whether it gives back the dtype that the reference gives back."""
    return habit(DTYPE_KEPT, _dtype_changed(cases, outcomes, wanted))


def _input_changed(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str | None:
    for case, outcome in zip(cases, outcomes, strict=True):
        if isinstance(outcome, Failed):
            continue
        before = (*case.args, *case.kwargs.values())
        if not all(map(comparing.unchanged, before, outcome.inputs)):
            return f"what it was given has changed afterwards ({case.name})"
    return None if any(isinstance(o, Returned) for o in outcomes) else "nothing came back"


def _dtype_changed(
    cases: Sequence[Case], outcomes: Sequence[Outcome], wanted: Sequence[Wanted]
) -> str | None:
    seen = False
    for name, got, want in _tensors(cases, outcomes, wanted):
        seen = True
        if got.dtype != want.dtype:
            given, right = comparing.short(got.dtype), comparing.short(want.dtype)
            return f"{given} where {right} is wanted ({name})"
    return None if seen else "no tensor came back"


def _tensors(
    cases: Sequence[Case], outcomes: Sequence[Outcome], wanted: Sequence[Wanted]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Case, given and wanted, for every tensor that came back."""
    for case, outcome, right in zip(cases, outcomes, wanted, strict=True):
        if isinstance(outcome, Returned):
            pairs = zip(
                comparing.tensors(outcome.value), comparing.tensors(right.value), strict=False
            )
            yield from ((case.name, got, want) for got, want in pairs)
