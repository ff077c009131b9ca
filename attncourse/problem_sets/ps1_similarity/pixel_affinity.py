"""`ps1.pixel_affinity`: cosines between all pixels of a feature map."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.feature_maps import pixel_affinity
from attncourse.problem_sets.ps1_similarity.common import naive_cosine, row_lengths, unit_plus


@item("ps1.pixel_affinity", points=3, minutes=15, difficulty="medium")
class PixelAffinity:
    """The cosine of every pixel with every other: [B, C, H, W] -> [B, H·W, H·W]."""

    reference = pixel_affinity

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        red_and_grey = torch.tensor([[[[1.0, 2.0, 1.0]], [[0.0, 0.0, 1.0]]]])  # [1, 2, 1, 3]
        with_black = draw(2, 3, 2, 4)
        with_black[1, :, 1, 2] = 0
        yield case("three pixels that can be done by hand", red_and_grey, basic=True)
        yield case("a batch", draw(2, 3, 4, 5), basic=True, weight=2)
        yield case("a square map, where a swap of H and W has the right shape", draw(2, 3, 4, 4))
        yield case("as many channels as pixels", draw(2, 6, 2, 3))
        yield case("a black pixel: 0, not NaN", with_black)
        yield case("float64", draw(2, 3, 2, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 2, 4), gradient=True)

    misconceptions = (
        wrong(
            "NaN for a black pixel",
            lambda x: (u := (t := _tokens(x)) / t.norm(dim=-1, keepdim=True)) @ u.mT,
            "A black pixel has length 0, and 0 / 0 is NaN. Keep the length that you divide by away "
            "from zero, for instance with .clamp_min(1e-12): its cosine with any pixel is then 0.",
        ),
        wrong(
            "a constant added to the length",
            lambda x: (u := unit_plus(_tokens(x), 1e-6)) @ u.mT,
            "Adding a constant to the length changes every cosine a little, and those of dark "
            "pixels a lot. Divide by max(length, ε) instead, as in .clamp_min(1e-12): that touches "
            "black pixels alone.",
            variants=[
                lambda x: (u := unit_plus(_tokens(x), 1e-8)) @ u.mT,
                lambda x: (u := unit_plus(_tokens(x), 1e-5)) @ u.mT,
                lambda x: (t := _tokens(x)) @ t.mT / (row_lengths(t) * row_lengths(t).mT + 1e-8),
                lambda x: (t := _tokens(x)) @ t.mT / (row_lengths(t) * row_lengths(t).mT + 1e-6),
            ],
        ),
        wrong(
            "the length is cut out of the gradient",
            lambda x: (
                (u := (t := _tokens(x)) / t.norm(dim=-1, keepdim=True).detach().clamp_min(1e-12))
                @ u.mT
            ),
            "The values are right, the gradients are not: the length is treated as a constant. "
            "Leave it in the graph: no .detach() and no no_grad around it.",
        ),
        wrong(
            "no gradient",
            lambda x: naive_cosine(_tokens(x.detach())),
            "The values are right, but nothing before this function could learn from them: the "
            "gradient is cut. Look for .detach(), .numpy() or no_grad on the way.",
        ),
        wrong(
            "the input is changed",
            lambda x: (t := _tokens(x.div_(x.norm(dim=1, keepdim=True).clamp_min(1e-12)))) @ t.mT,
            "Your function changes the feature map it was given. Operations that end in _ and "
            "`x /= …` write into x itself: write `x = x / …`, which makes a new tensor.",
        ),
        wrong(
            "no division by the lengths",
            lambda x: _tokens(x) @ _tokens(x).mT,
            "This is the dot product of the pixels, which grows with their brightness. Divide each "
            "pixel by its length over the channels first.",
        ),
        wrong(
            "columns before rows",
            lambda x: naive_cosine(_tokens(x.mT)),
            "H and W are swapped: your pixels run down the columns. Pixel (h, w) is token h·W + w.",
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x: naive_cosine(x.reshape(x.shape[0], -1, x.shape[1])),
            "The shape is right, but your tokens mix pixels: a reshape keeps the order of the "
            "numbers. Flatten H and W to [B, C, H·W], then transpose the last two axes.",
        ),
        wrong(
            "channels compared with channels",
            lambda x: naive_cosine(x.flatten(2)),
            "This compares channels: [B, C, C]. Pixels are to be compared, each with its C "
            "channels as one vector: [B, H·W, C] times [B, C, H·W].",
        ),
        wrong(
            "normalised over the pixels",
            lambda x: (t := normalize(_tokens(x), dim=-2)) @ t.mT,
            "Your lengths run over the pixels. The length of one pixel runs over its channels: "
            "the last axis of [B, H·W, C], the middle one of [B, C, H·W].",
        ),
        wrong(
            "softmax on top",
            lambda x: naive_cosine(_tokens(x)).softmax(-1),
            "You went one step too far: the affinity is the cosine itself. The softmax that turns "
            "it into weights is the next item.",
        ),
        wrong(
            "pixels of different images compared",
            lambda x: naive_cosine(_tokens(x).flatten(0, 1)),
            "All images ended up in one long list of pixels. Each image is compared with itself "
            "only: keep B as the first axis.",
        ),
    )


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).mT  # [B, H·W, C]
