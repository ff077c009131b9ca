"""Steps of attention that the programs of several sets are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def scores_of(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT / query.shape[-1] ** 0.5


def forbid(scores: Tensor, mask: Tensor | None, filling: float = -math.inf) -> Tensor:
    return scores if mask is None else scores.masked_fill(~mask, filling)


def additive(mask: Tensor | None, like: Tensor) -> Tensor | float:
    """What to add to scores in place of a mask: 0, and −∞ where it forbids."""
    if mask is None:
        return 0.0
    return torch.zeros(mask.shape, dtype=like.dtype).masked_fill(~mask, -math.inf)


def weights_of(scores: Tensor, mask: Tensor | None) -> Tensor:
    weights = forbid(scores, mask).softmax(-1)
    return weights if mask is None else weights.masked_fill(~mask, 0)


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    scores = scores_of(q, k) if scale is None else q @ k.mT * scale
    return weights_of(scores, mask) @ v
