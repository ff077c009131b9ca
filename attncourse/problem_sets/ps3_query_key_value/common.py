"""What several items of the set use."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from attncourse.checking.random_inputs import Draw


def weights_of(scores: Tensor, mask: Tensor | None) -> Tensor:
    weights = forbid(scores, mask).softmax(-1)
    return weights if mask is None else weights.masked_fill(~mask, 0)


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    scores = scores_of(q, k) if scale is None else q @ k.mT * scale
    return weights_of(scores, mask) @ v


def scores_of(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT / query.shape[-1] ** 0.5


def forbid(scores: Tensor, mask: Tensor | None, filling: float = -math.inf) -> Tensor:
    return scores if mask is None else scores.masked_fill(~mask, filling)


def invertible(draw: Draw, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # The exponential of a matrix is always invertible; that of half a normal one is tame as well.
    return torch.matrix_exp(draw(*shape, shape[-1], dtype=dtype) / 2)
