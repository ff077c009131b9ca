"""The random inputs of a case: the same for the same seed, on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Thing = TypeVar("Thing")


class Draw:
    """Random inputs that depend on nothing but the seed: `draw(2, 3, 4)` is a normal tensor."""

    def __init__(self, *seed: object) -> None:
        digest = hashlib.sha256(repr(seed).encode()).digest()
        self._generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def __call__(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        # Drawn on the CPU in float32, whatever the notebook set as its defaults.
        drawn = torch.randn(*shape, generator=self._generator, dtype=torch.float32, device="cpu")
        return drawn.to(dtype)

    def whole(self, least: int, most: int) -> int:
        """A whole number, at least `least` and at most `most`."""
        drawn = torch.randint(least, most + 1, (), generator=self._generator, device="cpu")
        return int(drawn)

    def between(self, least: float, most: float) -> float:
        """A number between two others."""
        drawn = torch.rand((), generator=self._generator, dtype=torch.float64, device="cpu")
        return least + (most - least) * float(drawn)

    def shuffled(self, things: Sequence[Thing]) -> list[Thing]:
        """The same things in a drawn order."""
        order = torch.randperm(len(things), generator=self._generator, device="cpu")
        return [things[each] for each in order.tolist()]

    def mask(self, *shape: int) -> Tensor:
        """Booleans, True = may attend, with at least one True and one False in every row."""
        order = torch.rand(*shape, generator=self._generator, dtype=torch.float32, device="cpu")
        ranks = order.argsort(-1).argsort(-1)  # each row is a permutation of 0 … T_k − 1
        return ranks < (shape[-1] + 1) // 2
