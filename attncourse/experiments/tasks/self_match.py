"""Should a pixel not match itself? Numbers on a real photograph; nothing is trained.

Two questions are often taken for one: whether the largest score of a pixel is its score with
itself, and whether most of its attention goes to itself. They have different answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import get_args

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F

from attncourse.attention import (
    Projections,
    SelfAttention,
    attention_weights,
    cosine_affinity,
    dot_affinity,
)


def weights_of_the_only_pixel(channels: int = 8, seed: int = 0) -> dict[Projections, float]:
    """For every mode the weight of a pixel with itself on a feature map of 1 × 1 pixel.

    It is 1 whatever the projections are, because a softmax over one key has no choice.
    """
    weights: dict[Projections, float] = {}
    for projections in get_args(Projections):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed)
            layer = SelfAttention(channels, projections=projections)
            pixel = torch.randn(1, 1, channels)  # [B, T, C]
            weights[projections] = layer(pixel, return_weights=True)[1].item()
    return weights


def photograph_pixels(
    name: str = "china", *, side: int = 20, patch: int = 1, centred: bool = False
) -> Tensor:
    """A photograph of scikit-learn as a feature map of side × side "pixels".

    Args:
        name: ``"china"`` or ``"flower"``.
        side: height and width of the feature map; the photograph is averaged down to fit.
        patch: a feature-map pixel is a square of patch × patch pixels of the picture.
        centred: subtract the mean over all pixels, without which all point the same way: to white.

    Returns:
        ``[side², 3 patch²]``, double: its colours (red, green, blue, from 0 to 1), or their
        differences from the mean. With less precision, rounding decides between near equals.
    """
    picture = torch.tensor(load_sample_image(f"{name}.jpg")).permute(2, 0, 1).double() / 255
    small = F.interpolate(picture[None], size=(side * patch, side * patch), mode="area")
    pixels = F.unfold(small, patch, stride=patch)[0].T  # [side², 3 patch²]
    return pixels - pixels.mean(0) if centred else pixels


@dataclass(frozen=True, kw_only=True)
class SelfMatch:
    """How pixels match themselves, for one kind of score.

    Attributes:
        score: "cosine", "raw dot", "random shared" or "random separate".
        largest: share of pixels whose largest score is the one with themselves; over several draws
            of random projections the mean.
        largest_sd: its standard deviation over the draws; None where nothing is random.
        weight: mean weight that the softmax over the scores gives to the pixel itself.
        uniform: the weight if all pixels were equal: 1 / number of pixels.
    """

    score: str
    largest: float
    largest_sd: float | None
    weight: float
    uniform: float


def self_matches(pixels: Tensor, *, d_k: int = 32, draws: int = 20) -> list[SelfMatch]:
    """Compare the four kinds of score on the same pixels.

    Args:
        pixels: ``[T, C]``, floating point.
        d_k: features that the random projections make of C; they are those of a fresh layer.
        draws: of the random projections, with the seeds 0, 1, 2, ...
    """
    scores = {
        "cosine": [cosine_affinity(pixels)],
        "raw dot": [dot_affinity(pixels)],
        "random shared": [_random_scores(pixels, "shared", d_k, seed) for seed in range(draws)],
        "random separate": [_random_scores(pixels, "separate", d_k, seed) for seed in range(draws)],
    }
    return [_self_match(name, kind) for name, kind in scores.items()]


def _random_scores(pixels: Tensor, projections: Projections, d_k: int, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        layer = SelfAttention(pixels.shape[-1], projections=projections, d_k=d_k).to(pixels)
        return (pixels @ layer.W_q[0].mT) @ (pixels @ layer.W_k[0].mT).mT / d_k**0.5


def _self_match(name: str, scores: list[Tensor]) -> SelfMatch:
    count = len(scores[0])
    itself = torch.arange(count)
    largest = [(s.argmax(-1) == itself).float().mean().item() for s in scores]
    weight = fmean(attention_weights(s).diagonal().mean().item() for s in scores)
    return SelfMatch(
        score=name,
        largest=fmean(largest),
        largest_sd=stdev(largest) if len(largest) > 1 else None,
        weight=weight,
        uniform=1 / count,
    )
