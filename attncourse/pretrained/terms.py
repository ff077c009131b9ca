"""What makes a model's scores beside ``M = W_qᵀ W_k``: norms, rotations, relative positions.

Each is read from a model's files by its family, and computed as that family does it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Norm:
    """The norm that queries, keys or values pass before they are used.

    With one, the scores are not bilinear in the two tokens: M says in which directions they
    compare, and no longer by how much.

    Attributes:
        gain: ``[h, d_k]``, as the features are multiplied with; None where the norm has none.
        bias: ``[h, d_k]`` or None.
        eps: added to the mean square.
        centred: the mean is taken away first (LayerNorm); otherwise not (RMSNorm).
        together: over the features of all heads at once (OLMo 2), not of each head.
    """

    gain: Tensor | None
    bias: Tensor | None
    eps: float
    centred: bool
    together: bool

    def __call__(self, x: Tensor) -> Tensor:
        """``[..., h, T, d_k]`` -> the same, normed."""
        over = (-3, -1) if self.together else (-1,)
        if self.centred:
            x = x - x.mean(over, keepdim=True)
        x = x * torch.rsqrt(x.square().mean(over, keepdim=True) + self.eps)
        if self.gain is not None:
            x = x * self.gain.to(x).unsqueeze(-2)
        return x if self.bias is None else x + self.bias.to(x).unsqueeze(-2)


# ---------------------------------------------------------------- rotary positions


def rotate(x: Tensor, rotary: Mapping[str, Any]) -> Tensor:
    """Turn pairs of features of ``[..., T, d_k]`` by angles that grow with the position.

    Args:
        rotary: as :class:`attncourse.pretrained.LayerHeads` has it.

    Raises:
        ValueError: the kind of rotary positions is not known here.

    Source: Su et al. 2021 (arXiv 2104.09864), section 3.4.2.
    """
    angles = _angles(rotary, x.shape[-2], x.shape[-1]).to(x)
    turned, rest = x.split([2 * angles.shape[-1], x.shape[-1] - 2 * angles.shape[-1]], dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    if rotary.get("interleaved", False):  # neighbours: the layout of GPT-J and of the paper
        first, second = turned[..., ::2], turned[..., 1::2]
    else:  # (j, j + half): the layout of LLaMA's files
        first, second = turned.chunk(2, dim=-1)
    pair = (first * cosine - second * sine, second * cosine + first * sine)
    if rotary.get("interleaved", False):
        turned = torch.stack(pair, dim=-1).flatten(-2)
    else:
        turned = torch.cat(pair, dim=-1)
    return torch.cat((_magnitude(rotary) * turned, rest), dim=-1)


def _angles(rotary: Mapping[str, Any], T: int, d_k: int) -> Tensor:
    """Angle by which pair j of the features is turned at position t: ``[T, pairs]``."""
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    share = float(rotary.get("partial_rotary_factor", 1.0))
    # Some turn the first few features alone, as if the head had no others; "proportional" goes
    # through all of them and leaves the slow ones where they are.
    turned = d_k if kind == "proportional" else int(rotary.get("rotary_dim", int(d_k * share)))
    frequencies = float(rotary.get("rope_theta", 10_000.0)) ** -(
        torch.arange(0, turned, 2, dtype=torch.float64) / turned
    )
    if kind == "proportional":
        frequencies[int(share * d_k // 2) :] = 0
    if kind in ("linear", "proportional"):
        frequencies = frequencies / float(rotary.get("factor", 1.0))
    elif kind == "llama3":
        frequencies = _stretch(rotary, frequencies)
    elif kind == "yarn":
        frequencies = _yarn(rotary, frequencies)
    elif kind != "default":
        raise ValueError(
            f"rotary positions of the kind {kind!r} are not known here, only 'default', 'linear', "
            "'llama3', 'yarn' and 'proportional'; the heads themselves can be surveyed all the same"
        )
    return torch.arange(T, dtype=torch.float64)[:, None] * frequencies


def _stretch(rotary: Mapping[str, Any], frequencies: Tensor) -> Tensor:
    """LLaMA 3.1 and later: waves longer than the old context get ``factor`` times longer still."""
    waves = rotary["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rotary["low_freq_factor"], rotary["high_freq_factor"]
    kept = ((waves - low) / (high - low)).clamp(0, 1)  # how many fit: below low none is kept
    return frequencies * (kept + (1 - kept) / rotary["factor"])


def _yarn(rotary: Mapping[str, Any], frequencies: Tensor) -> Tensor:
    """YaRN: pairs that turn often keep their speed, slow ones get ``factor`` times slower.

    Source: Peng et al. 2023 (arXiv 2309.00071), section 3.2.
    """
    features = 2 * len(frequencies)
    ends = []
    for name, otherwise in (("beta_fast", 32), ("beta_slow", 1)):
        waves = rotary["original_max_position_embeddings"] / (
            2 * math.pi * float(rotary.get(name) or otherwise)
        )
        ends.append(features * math.log(waves) / (2 * math.log(float(rotary["rope_theta"]))))
    low, high = ends
    if rotary.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, features - 1)
    pairs = torch.arange(len(frequencies), dtype=torch.float64)
    slower = ((pairs - low) / (high - low or 0.001)).clamp(0, 1)
    return frequencies * (1 - slower + slower / float(rotary["factor"]))


def _magnitude(rotary: Mapping[str, Any]) -> float:
    """What turned features are multiplied with: YaRN sharpens the scores of a longer context."""
    if rotary.get("rope_type", rotary.get("type")) != "yarn":
        return 1.0
    if rotary.get("attention_factor") is not None:
        return float(rotary["attention_factor"])
    grown = math.log(max(float(rotary["factor"]), 1.0))
    by, over = rotary.get("mscale"), rotary.get("mscale_all_dim")
    if by and over:
        return (0.1 * by * grown + 1) / (0.1 * over * grown + 1)
    return 0.1 * grown + 1


# ---------------------------------------------------------------- relative positions


class Relative(Protocol):
    """What the distance of two tokens adds to their scaled score."""

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        """``[..., h, T_q, d_k]``, ``[..., h, T_k, d_k]`` -> to add to ``[..., h, T_q, T_k]``."""


def _ahead(query: Tensor, key: Tensor) -> Tensor:
    """By how many tokens key j is ahead of query i: ``[T_q, T_k]``, j − i."""
    T_q, T_k = query.shape[-2], key.shape[-2]
    device = query.device
    return torch.arange(T_k, device=device)[None, :] - torch.arange(T_q, device=device)[:, None]


@dataclass(frozen=True, eq=False)
class Buckets:
    """A learned number for each head and each range of distances: T5, MPNet.

    Near tokens have a bucket each, far ones share buckets that widen with the distance.

    Attributes:
        table: ``[h, buckets]``.
        both_ways: half of the buckets are for keys ahead; otherwise those share the nearest one.
        max_distance: from here on all share the last bucket.

    Source: Raffel et al. 2020 (arXiv 1910.10683), section 2.1.
    """

    table: Tensor
    both_ways: bool
    max_distance: int

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        ahead = _ahead(query, key)
        buckets = self.table.shape[1]
        first: Tensor | int = 0
        if self.both_ways:
            buckets //= 2
            first = buckets * (ahead > 0)
            distance = ahead.abs()
        else:
            distance = (-ahead).clamp_min(0)
        exact = buckets // 2
        # In float32 and in this order, as the models do it: a bucket must not flip.
        far = exact + (
            torch.log(distance.float() / exact)
            / math.log(self.max_distance / exact)
            * (buckets - exact)
        ).nan_to_num(neginf=0).to(torch.long)
        bucket = first + torch.where(distance < exact, distance, far.clamp_max(buckets - 1))
        return self.table.to(query)[:, bucket]


@dataclass(frozen=True, eq=False)
class Slopes:
    """ALiBi: each head loses interest in proportion to the distance. BLOOM, MPT, Falcon.

    Attributes:
        slopes: ``[h]``, what a token loses for each step back.
        bfloat16: slope and product are rounded to bfloat16 (Falcon).
        scale: what the product is multiplied with.

    Source: Press et al. 2022 (arXiv 2108.12409).
    """

    slopes: Tensor
    bfloat16: bool = False
    scale: float = 1.0

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        # By the key's own position: a row's constant does nothing to its softmax.
        slopes = self.slopes.to(query.device, torch.bfloat16 if self.bfloat16 else query.dtype)
        lost = slopes[:, None, None] * torch.arange(key.shape[-2], device=query.device)
        return lost.to(query) * self.scale

    @classmethod
    def of(cls, h: int, **given: Any) -> Slopes:
        """The paper's slopes: powers of 2^(−8/h); for other h those of 2h fill the gaps."""
        whole = 2 ** math.floor(math.log2(h))
        slopes = [2 ** (-8 / whole * i) for i in range(1, whole + 1)]
        slopes += [2 ** (-4 / whole * i) for i in range(1, 2 * (h - whole), 2)]
        return cls(torch.tensor(slopes), **given)


@dataclass(frozen=True, eq=False)
class Disentangled:
    """DeBERTa: content looks for a distance, and a distance for content.

    Attributes:
        keys: ``[h, 2 span, d_k]``, a key for each distance: "c2p"; None without.
        queries: ``[h, 2 span, d_k]``, a query for each distance: "p2c"; None without.
        scale: what both terms are multiplied with.
        log_buckets: ``max_position`` of version 2, which lets far tokens share a distance.

    Source: He et al. 2021 (arXiv 2006.03654), section 3.1.
    """

    keys: Tensor | None
    queries: Tensor | None
    scale: float
    log_buckets: int | None

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        table = self.keys if self.keys is not None else self.queries
        if table is None:
            raise ValueError("one of keys and queries must be given")
        span = table.shape[-2] // 2
        behind = -_ahead(query, key)
        if self.log_buckets is not None:
            behind = _log_distance(behind, span, self.log_buckets)
        row = (behind + span).clamp(0, 2 * span - 1)  # [T_q, T_k]
        total = torch.zeros((), device=query.device)
        if self.keys is not None:
            total = total + (query @ self.keys.to(query).mT).gather(-1, _for_heads(row, query))
        if self.queries is not None:
            of_key = (key @ self.queries.to(key).mT).gather(-1, _for_heads(row.mT, key))
            total = total + of_key.mT
        return total * self.scale


def _for_heads(row: Tensor, x: Tensor) -> Tensor:
    """An index ``[T, T']`` for every head of ``x [..., h, T, d_k]``."""
    return row.expand(*x.shape[:-2], *row.shape)


def _log_distance(distance: Tensor, span: int, max_position: int) -> Tensor:
    """Up to half the span as it is, beyond in logarithmic steps; in float32, as DeBERTa does it."""
    middle = span // 2
    size = distance.abs().where(distance.abs() >= middle, middle - 1)
    steps = torch.log(size / middle) / torch.log(torch.tensor((max_position - 1) / middle))
    far = (torch.ceil(steps * (middle - 1)) + middle) * distance.sign()
    return torch.where(size <= middle, distance, far.nan_to_num().to(torch.long))


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Over the last dimension; DeBERTa's version 2 norms its table of distances."""
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
