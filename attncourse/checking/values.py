"""What may cross from a student's object to those who judge it: tensors and plain data."""

from __future__ import annotations

import math
import numbers
import types
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

Value: TypeAlias = Any
"""What may cross to another process: a tensor, a number, a string, None, a `Foreign`, or a flat
tuple of these."""

# Bound here: a notebook that assigns to one of these does not change how a result is read.
_without_overrides = torch._C.DisableTorchFunctionSubclass
_as_subclass = torch.Tensor.as_subclass
_detach = torch.Tensor.detach
_clone = torch.Tensor.clone
_to = torch.Tensor.to
_MAX_ENTRIES = 16  # of a tuple
_MAX_CHARACTERS = 1000  # of a string


@dataclass(frozen=True)
class Foreign:
    """Something that is neither a tensor nor plain data, by its type alone."""

    type_name: str


def copied(value: Value) -> Value:
    """The same value, on which a student's function may write."""
    if isinstance(value, list):
        return list(value)
    # Strides are kept: whether an input is contiguous is part of what a case tests.
    return value.detach().clone() if isinstance(value, Tensor) else value


def plain(value: object) -> Value:
    """Whatever a student's function made, as a tensor or plain data, or by its type alone."""
    # type(), not isinstance(): an object may lie about its __class__.
    kind = type(value)
    for sequence in (tuple, list):
        # Not len() and iter() of the value: a subclass may lie there too.
        if issubclass(kind, sequence) and sequence.__len__(value) <= _MAX_ENTRIES:  # type: ignore[arg-type]
            entries: list[object] = list(sequence.__iter__(value))  # type: ignore[arg-type]
            if not any(issubclass(type(entry), tuple | list) for entry in entries):
                return tuple(map(plain, entries))
    if issubclass(kind, Tensor):
        try:
            with _without_overrides(), torch.no_grad():
                if (layout := cast(Tensor, value).layout) != torch.strided:
                    return Foreign(f"tensor in the layout {str(layout).removeprefix('torch.')}")
                read = _clone(_detach(_as_subclass(_to(cast(Tensor, value), "cpu"), Tensor)))
                read.flatten()[:1].tolist()  # fails for quantised, nested and fake tensors
                return read
        except Exception:  # on the meta device, for instance: it has no values
            return Foreign(f"{kind.__name__} whose values cannot be read")
    if kind is int and abs(cast(int, value)) >> 64:
        try:
            return float(cast(int, value))
        except OverflowError:  # a whole number of hundreds of digits
            return math.inf if cast(int, value) > 0 else -math.inf
    if kind is str:
        return cast(str, value)[:_MAX_CHARACTERS]
    if value is None or kind in (bool, int, float):
        return value
    if issubclass(kind, numbers.Real):  # numpy's own numbers
        return float(value)  # type: ignore[arg-type]
    if kind is types.CoroutineType:
        # Python would warn on stderr, later, that it was never awaited.
        value.close()  # type: ignore[attr-defined]
    return Foreign(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
