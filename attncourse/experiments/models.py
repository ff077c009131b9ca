"""The networks that are compared: equal in all but how query, key and value are tied."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from attncourse.attention import (
    Projections,
    SelfAttention,
    attention_weights,
    cosine_affinity,
)
from attncourse.experiments.tasks.base import Settings, Task

Mode = Literal["cosine", Projections]

#: every way of tying, raw cosine first; the others are the modes of ``SelfAttention``
MODES: tuple[Mode, ...] = ("cosine", *get_args(Projections))

#: the modes whose scores are symmetric and positive semi-definite, whatever is learned
TIED_SCORES: tuple[Mode, ...] = ("cosine", "raw", "shared", "tied_qk")


class CosineAttention(nn.Module):
    """``softmax(c · cos(x_i, x_j)) x``: raw similarity, and c > 0 the only thing learned.

    ``SelfAttention`` in the mode ``raw`` takes the scaled dot product, which can grow; a cosine
    cannot, so without c, the inverse of a temperature, the softmax stays close to an average.

    Args:
        num_heads: the features are cut into so many slices, each with a c of its own.
        mask_diagonal: forbid every token to attend to itself.
    """

    def __init__(self, *, num_heads: int = 1, mask_diagonal: bool = False) -> None:
        super().__init__()
        self.num_heads, self.mask_diagonal = num_heads, mask_diagonal
        # c stays positive as an exponential; it starts where two like tokens already stand out.
        self.log_factor = nn.Parameter(torch.full((num_heads, 1, 1), math.log(5.0)))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """``[..., T, D]`` -> ``[..., T, D]``, and the weights ``[..., h, T, T]`` if asked for.

        ``mask`` is boolean, ``[T, T]``, True = may attend.
        """
        if self.mask_diagonal:
            others = ~torch.eye(x.shape[-2], dtype=torch.bool, device=x.device)
            mask = others if mask is None else mask & others
        heads = x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)  # [..., h, T, D/h]
        weights = attention_weights(cosine_affinity(heads) * self.log_factor.exp(), mask)
        output = (weights @ heads).transpose(-2, -3).flatten(-2)
        return (output, weights) if return_weights else output


def head_sizes(mode: Mode, settings: Settings) -> tuple[int, int]:
    """d_k and d_v of a head, chosen so that the modes have equally many projection parameters.

    For each feature of a token, ``separate`` has ``d_k + d_k + d_v + d_v`` parameters per head
    (query, key, value, output), ``tied_qk`` has ``d_k + 2 d_v``, ``tied_kv`` ``3 d_k`` and
    ``shared`` ``2 d_k``. The raw modes have no projections; their heads are slices of the features.
    """
    d_k = settings.d_k
    if mode in ("cosine", "raw"):
        return (settings.d_model // settings.num_heads,) * 2
    if not settings.match_parameters:
        return d_k, d_k
    wider = round(4 / 3 * d_k)
    matched = {
        "separate": (d_k, d_k),
        "tied_qk": (2 * d_k, d_k),
        "tied_kv": (wider, wider),
        "shared": (2 * d_k, 2 * d_k),
    }
    return matched[mode]


def make_attention(mode: Mode, settings: Settings, *, mask_diagonal: bool) -> nn.Module:
    """One attention layer in the given mode, its heads sized by :func:`head_sizes`."""
    if mode == "cosine":
        return CosineAttention(num_heads=settings.num_heads, mask_diagonal=mask_diagonal)
    d_k, d_v = head_sizes(mode, settings)
    return SelfAttention(
        settings.d_model,
        projections=mode,
        num_heads=settings.num_heads,
        d_k=d_k,
        d_v=d_v,
        mask_diagonal=mask_diagonal,
    )


class Block(nn.Module):
    """A Transformer block: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Where a mode has fewer projection parameters than ``separate`` (the raw ones have none), the
    MLP gets so many hidden units more that the blocks are equally large.
    """

    def __init__(self, mode: Mode, settings: Settings, *, mask_diagonal: bool) -> None:
        super().__init__()
        d = settings.d_model
        self.attention_norm, self.mlp_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = make_attention(mode, settings, mask_diagonal=mask_diagonal)
        spare = 4 * settings.num_heads * settings.d_k * d - count_parameters(self.attention)
        hidden = settings.mlp_width * d
        if settings.match_parameters:
            hidden += max(0, round(spare / (2 * d + 1)))  # a hidden unit has d + 1 + d parameters
        self.mlp = nn.Sequential(nn.Linear(d, hidden), nn.GELU(), nn.Linear(hidden, d))

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask=mask)
        return x + self.mlp(self.mlp_norm(x))


class Reader(nn.Module):
    """Encoder, attention layers, linear readout: input ``[B, ...]`` -> logits ``[B, T, answers]``.

    Attributes:
        encoder: from the input to tokens ``[B, T, d_model]``.
        layers: bare attention, or a :class:`Block` each.
        readout: from a token to one logit for each answer.
    """

    def __init__(self, task: Task, mode: Mode, *, mask_diagonal: bool) -> None:
        super().__init__()
        settings = task.settings
        self.is_causal = task.is_causal
        self.encoder = task.encoder()
        make_layer = Block if settings.mlp_width else make_attention
        self.layers = nn.ModuleList(
            make_layer(mode, settings, mask_diagonal=mask_diagonal)
            for _ in range(settings.num_layers)
        )
        self.norm = nn.LayerNorm(settings.d_model) if settings.mlp_width else nn.Identity()
        self.readout = nn.Linear(settings.d_model, task.num_answers)

    @property
    def attention(self) -> list[nn.Module]:
        """The attention of each layer."""
        return [layer.attention if isinstance(layer, Block) else layer for layer in self.layers]

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.encoder(inputs)
        mask = None
        if self.is_causal:
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        for layer in self.layers:
            x = layer(x, mask=mask)
        return self.readout(self.norm(x))


def count_parameters(*modules: nn.Module) -> int:
    """How many numbers the modules learn."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
