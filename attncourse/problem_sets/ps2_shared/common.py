"""What several items of the set use."""

from __future__ import annotations

import torch
from torch import Tensor


def dots(q: Tensor) -> Tensor:
    return q @ q.mT


def squared_distances(q: Tensor) -> Tensor:
    return (q.unsqueeze(-2) - q.unsqueeze(-3)).square().sum(-1)


def without_diagonal(scores: Tensor) -> Tensor:
    itself = torch.eye(scores.shape[-1], dtype=torch.bool)
    return scores.masked_fill(itself, -torch.inf)
