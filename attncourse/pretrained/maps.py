"""Attention maps of a trained layer, from its heads and the input of its attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from attncourse.arguments import check_features, check_like_weight, shape_of
from attncourse.attention import attention_weights
from attncourse.pretrained.heads import LayerHeads


def attention_maps(layer: LayerHeads, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """How each head of a trained layer shares out its attention: the model's own maps.

    Args:
        layer: from :func:`attncourse.pretrained.load_heads`.
        x: ``[..., T, d_model]``, what the layer's attention gets. Models that normalise first
            (GPT-2, LLaMA, ViT) get the *normalised* hidden states.
        mask: boolean, True = may attend; broadcasts to ``[..., T, T]`` and holds for all heads.
            A causal model's own mask and its sliding window are applied in any case.

    Returns:
        ``[..., h, T, T]``; row i belongs to query i.

    Raises:
        TypeError: ``x`` is not a floating-point tensor of the layer's dtype, or mask not boolean.
        ValueError: shapes do not fit, or the layer's kind of rotary positions is not known here.

    Source: rotary positions: Su et al. 2021 (arXiv 2104.09864), section 3.4.2.
    """
    check_features("x", x, "[..., T, d_model]")
    check_like_weight("x", x, layer.W_q)
    T, d_model = x.shape[-2], layer.W_q.shape[-1]
    if x.shape[-1] != d_model:
        raise ValueError(
            f"x must have d_model = {d_model} features in its last dimension, got {shape_of(x)}"
        )
    query = _project(x, layer.W_q, layer.b_q)  # [..., h, T, d_k]
    key = _project(x, layer.W_k, layer.b_k)
    if layer.rotary is not None:
        angles = _rotary_angles(layer.rotary, T, query.shape[-1]).to(x)
        query, key = _rotate(query, angles), _rotate(key, angles)
    if mask is not None and mask.ndim > 2:
        mask = mask.unsqueeze(-3)  # the same for all heads
    if layer.causal:
        past = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        if layer.window is not None:
            past = past.triu(1 - layer.window)
        mask = past if mask is None else mask & past
    return attention_weights(layer.scale * query @ key.mT, mask)


def _project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``[..., T, d_model]`` by ``[h, d_k, d_model]`` -> ``[..., h, T, d_k]``."""
    projected = x.unsqueeze(-3) @ weight.mT
    return projected if bias is None else projected + bias.unsqueeze(-2)


def _rotary_angles(rotary: Mapping[str, Any], T: int, d_k: int) -> Tensor:
    """Angle by which pair j of the features is turned at position t: ``[T, d_k / 2]``."""
    frequencies = float(rotary.get("rope_theta", 10_000.0)) ** -(
        torch.arange(0, d_k, 2, dtype=torch.float64) / d_k
    )
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind == "llama3":
        frequencies = _stretch(rotary, frequencies)
    elif kind != "default":
        raise ValueError(
            f"rotary positions of the kind {kind!r} are not known here, only 'default' and "
            "'llama3'; the heads themselves can be surveyed all the same"
        )
    return torch.arange(T, dtype=torch.float64)[:, None] * frequencies


def _stretch(rotary: Mapping[str, Any], frequencies: Tensor) -> Tensor:
    """LLaMA 3.1 and later: waves longer than the old context get ``factor`` times longer still."""
    waves = rotary["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rotary["low_freq_factor"], rotary["high_freq_factor"]
    kept = ((waves - low) / (high - low)).clamp(0, 1)  # how many fit: below low none is kept
    return frequencies * (kept + (1 - kept) / rotary["factor"])


def _rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pair (j, j + d_k/2) of the features by its angle: the layout of LLaMA's files."""
    first, second = x.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
