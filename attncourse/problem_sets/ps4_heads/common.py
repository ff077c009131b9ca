"""What several items of the set use."""

from __future__ import annotations

from torch import Tensor


def split(x: Tensor, num_heads: int) -> Tensor:
    """[..., T, h·d] -> [..., h, T, d]"""
    return x.unflatten(-1, (num_heads, -1)).transpose(-2, -3)


def merge(heads: Tensor) -> Tensor:
    """[..., h, T, d] -> [..., T, h·d]"""
    return heads.transpose(-2, -3).flatten(-2)
