"""What several items of the set use."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def naive_cosine(x: Tensor, y: Tensor | None = None) -> Tensor:
    return normalize(x, dim=-1) @ normalize(x if y is None else y, dim=-1).mT


def row_lengths(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def unit_plus(x: Tensor, constant: float) -> Tensor:
    return x / (row_lengths(x) + constant)


def softmax_by_hand(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    e = scores.exp()
    if mask is not None:
        e = e * mask
    total = e.sum(-1, keepdim=True)
    return e / total.where(total != 0, 1)
