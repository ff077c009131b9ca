"""What the mathematics says when an argument is wrong: what was given, and what is wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def shape_of(x: Tensor) -> str:
    return str(list(x.shape))


def check_float_tensor(name: str, x: object, shape: str, *, minimum_dimensions: int) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type_name(x)}")
    if not x.dtype.is_floating_point:
        raise TypeError(
            f"{name} must be a floating-point tensor, got {x.dtype}; convert it with {name}.float()"
        )
    if x.ndim < minimum_dimensions:
        raise ValueError(f"{name} must have shape {shape}, got {shape_of(x)}")


def known_finite(*tensors: Tensor) -> bool | None:
    """Whether the tensors are free of NaN and infinities, in one cheap pass where they are.

    None where nobody looks: on a device other than the CPU, which every look at a number would
    make the program wait for; on the meta device, which has no numbers; within
    ``torch.compile``, ``torch.vmap`` and a CUDA graph, where there are none yet.
    """
    if torch.compiler.is_compiling() or any(x.device.type != "cpu" for x in tensors):
        return None
    # A finite sum has finite terms. An infinite one may still have: the sum can overflow.
    total = sum(x.detach().sum() for x in tensors)
    try:
        return math.isfinite(total) or all(bool(x.isfinite().all()) for x in tensors)
    except RuntimeError:  # torch's answer to whoever reads a number within vmap
        return None


def check_features(name: str, x: Tensor, shape: str = "[..., T, D]") -> None:
    check_float_tensor(name, x, shape, minimum_dimensions=2)
    check_finite(name, x)


def check_finite(name: str, x: Tensor) -> None:
    if known_finite(x) is False:
        raise ValueError(f"{name} must not contain NaN or infinite values; {count_bad(x)}")


def count_bad(x: Tensor) -> str:
    bad = (~x.detach().isfinite()).nonzero()
    return f"it has {len(bad)} in {x.numel()} numbers, the first at index {bad[0].tolist()}"


def check_same_kind(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    if a.dtype != b.dtype:
        raise TypeError(
            f"{name_a} and {name_b} must have the same dtype; "
            f"{name_a} is {a.dtype}, {name_b} is {b.dtype}"
        )
    _check_same_device(name_a, a, name_b, b)


def _check_same_device(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    if a.device != b.device:
        raise ValueError(
            f"{name_a} and {name_b} must be on the same device; "
            f"{name_a} is on {a.device}, {name_b} on {b.device}"
        )


def autocasts(x: Tensor) -> bool:
    """Whether ``torch.autocast`` chooses the dtype of products on the device of ``x``."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def own_weight(layer: nn.Module) -> Tensor | None:
    """The weight of a linear map of torch's own; None of what was put in its place.

    LoRA, a quantised layer or a parametrisation knows itself what it takes, and its weight may be
    packed, a method, or computed anew each time that it is asked for.
    """
    return layer.weight if type(layer) is nn.Linear or type(layer) is nn.Conv2d else None


def check_like_weight(name: str, x: Tensor, weight: Tensor | None) -> None:
    """That ``x`` has the device of a weight, and its dtype, unless autocast sees to that."""
    if weight is None:
        return
    if autocasts(x) and torch.float64 not in (x.dtype, weight.dtype):  # which it leaves alone
        _check_same_device(name, x, "the layer's weight", weight)
    else:
        check_same_kind(name, x, "the layer's weight", weight)


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """What ``torch.broadcast_shapes`` gives; that one imports sympy, a third of a second."""
    if all(shape == shapes[0] for shape in shapes):
        return tuple(shapes[0])
    result = [1] * max(map(len, shapes))
    for shape in shapes:
        for i, size in enumerate(reversed(shape), start=1):
            if size != 1 and result[-i] not in (1, size):
                raise ValueError(f"{shapes} do not broadcast")
            result[-i] = size if size != 1 else result[-i]
    return tuple(result)


def check_leading(**tensors: Tensor) -> tuple[int, ...]:
    """The leading dimensions that the tensors broadcast to."""
    try:
        return broadcast(*(x.shape[:-2] for x in tensors.values()))
    except ValueError:
        given = ", ".join(f"{name} is {shape_of(x)}" for name, x in tensors.items())
        raise ValueError(
            f"the leading dimensions of {' and '.join(tensors)} must be equal or broadcast; {given}"
        ) from None


def check_size(name: str, size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(
            f"{name} must be a whole number (int), got {size!r} of type {type_name(size)}"
        )
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")
