"""Attention maps of a trained layer, from its heads and the input of its attention."""

from __future__ import annotations

import torch
from torch import Tensor

from attncourse.arguments import check_features, check_like_weight, shape_of
from attncourse.attention import attention_weights
from attncourse.pretrained.layer import LayerHeads
from attncourse.pretrained.terms import rotate


def attention_maps(
    layer: LayerHeads, x: Tensor, *, context: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """How each head of a trained layer shares out its attention: the model's own maps.

    Args:
        layer: from :func:`attncourse.pretrained.load_heads`.
        x: ``[..., T, d_model]``, what the layer's attention gets. Models that normalise first
            (GPT-2, LLaMA, ViT) get the *normalised* hidden states.
        context: ``[..., T_k, d_model]``, what a layer of cross-attention reads: the output of the
            encoder. None for every other layer.
        mask: boolean, True = may attend; broadcasts to ``[..., T, T_k]`` and holds for all heads.
            A causal model's own mask and its sliding window are applied in any case.

    Returns:
        ``[..., h, T, T_k]``; row i belongs to query i. A row sums to 1, less where the layer has a
        sink.

    Raises:
        TypeError: ``x`` is not a floating-point tensor of the layer's dtype, or mask not boolean.
        ValueError: shapes do not fit, a context is missing or too much, or the layer does what is
            not known here, such as rotary positions of another kind.
    """
    if (context is None) == (layer.kind == "cross"):
        wanted = "needs a context" if context is None else "takes no context"
        raise ValueError(f"a layer of kind {layer.kind!r} {wanted}: what its keys are made of")
    if layer.unmapped is not None:
        raise ValueError(
            f"this layer {layer.unmapped}, which is not known here; the heads themselves can be "
            "surveyed all the same"
        )
    query = _project("x", x, layer, layer.W_q, layer.b_q)  # [..., h, T, d_k]
    source, name = (x, "x") if context is None else (context, "context")
    key = _project(name, source, layer, layer.W_k, layer.b_k)
    if layer.norm_q is not None and layer.norm_k is not None:
        query, key = layer.norm_q(query), layer.norm_k(key)
    if layer.rotary is not None:
        query, key = rotate(query, layer.rotary), rotate(key, layer.rotary)
    scores = layer.scale * query @ key.mT
    if layer.relative is not None:
        scores = scores + layer.relative(query, key)
    if layer.soft_cap is not None:
        scores = layer.soft_cap * torch.tanh(scores / layer.soft_cap)
    mask = _own_mask(layer, scores, mask)
    if layer.sink is None:
        return attention_weights(scores, mask)
    # One more key for all: it takes its share and moves nothing.
    sink = layer.sink.to(scores)[:, None, None].expand(*scores.shape[:-1], 1)
    if mask is not None:
        mask = torch.cat((mask.expand(scores.shape), torch.ones_like(sink, dtype=torch.bool)), -1)
    return attention_weights(torch.cat((scores, sink), dim=-1), mask)[..., :-1]


def _own_mask(layer: LayerHeads, scores: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask with what the layer never sees taken out of it."""
    if mask is not None and mask.ndim > 2:
        mask = mask.unsqueeze(-3)  # the same for all heads
    if not layer.causal and layer.window is None:
        return mask
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    if layer.causal:
        seen = seen.tril()
        if layer.window is not None:
            seen = seen.triu(1 - layer.window)
    elif layer.window is not None:
        seen = seen.triu(-layer.window).tril(layer.window)
    return seen if mask is None else mask & seen


def _project(
    name: str, x: Tensor, layer: LayerHeads, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """``[..., T, d_model]`` by ``[h, d_k, d_model]`` -> ``[..., h, T, d_k]``."""
    check_features(name, x, "[..., T, d_model]")
    check_like_weight(name, x, layer.W_q)
    d_model = weight.shape[-1]
    if x.shape[-1] != d_model:
        raise ValueError(
            f"{name} must have d_model = {d_model} features in its last dimension, "
            f"got {shape_of(x)}"
        )
    projected = x.unsqueeze(-3) @ weight.mT
    return projected if bias is None else projected + bias.unsqueeze(-2)
