"""`ps5.average_pixels`: from a map to tokens, through weights, and back to a map."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.feature_maps import pixels_as_tokens, tokens_as_pixels
from attncourse.problem_sets.ps5_feature_maps.common import (
    VIEW_NEEDS_NEIGHBOURS,
    Back,
    There,
    as_pixels,
    as_tokens,
    reshaped_pixels,
    reshaped_tokens,
    square_pixels,
    transposed_pixels,
    upright_pixels,
    viewed_tokens,
)


@item("ps5.average_pixels", points=3, minutes=15, difficulty="medium")
class AveragePixels:
    """Each pixel as its weighted average of all: x [B, C, H, W], weights [B, H·W, H·W]."""

    @staticmethod
    def reference(x: Tensor, weights: Tensor) -> Tensor:
        return tokens_as_pixels(weights @ pixels_as_tokens(x), *x.shape[2:])

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        moves = torch.eye(6)[draw.shuffled(range(6))][None]
        yield case("weights of 0 and 1: pixels change places", draw(1, 4, 2, 3), moves, basic=True)
        yield case("a batch", draw(2, 3, 4, 5), _weights(draw, 2, 20), basic=True, weight=2)
        yield case("a square map", draw(2, 4, 3, 3), _weights(draw, 2, 9))
        yield case("as many channels as pixels", draw(2, 6, 3, 2), _weights(draw, 2, 6))
        yield case(
            "a map that is not contiguous in memory", draw(2, 3, 4, 2).mT, _weights(draw, 2, 8)
        )
        yield case(
            "float64",
            draw(3, 2, 1, 5, dtype=torch.float64),
            _weights(draw, 3, 5, dtype=torch.float64),
        )
        yield case("gradients", draw(2, 3, 2, 4), _weights(draw, 2, 8), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda x, weights: _averaged(x, weights).detach(),
            "The values are right, but the gradient is cut: neither the map nor the weights could "
            "learn. Look for .detach(), .data, .numpy(), torch.tensor(…) or no_grad.",
        ),
        wrong(
            "the weights are cut off",
            lambda x, weights: _averaged(x, weights.detach()),
            "The values are right, but the weights get no gradient, so whatever made them could "
            "not learn. Look for .detach(), .data or torch.tensor(…) around `weights`.",
        ),
        wrong(
            "the map is cut off",
            lambda x, weights: _averaged(x.detach(), weights),
            "The values are right, but the map gets no gradient, so nothing that came "
            "before it could learn. Look for .detach(), .data or torch.tensor(…) around `x`.",
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, weights: _averaged(x, weights, there=viewed_tokens),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x, weights: _averaged(x, weights, there=reshaped_tokens, back=reshaped_pixels),
            "The shape is right, the content is not. A view or a reshape to [B, H·W, C] keeps the "
            "numbers in their order, channel after channel, so your tokens mix pixels. Flatten H "
            "and W to [B, C, H·W], then transpose; on the way back transpose first.",
            variants=[lambda x, weights: _averaged(x, weights, there=reshaped_tokens)],
        ),
        wrong(
            "folded back without moving the channels",
            lambda x, weights: _averaged(x, weights, back=reshaped_pixels),
            "Your way there is right, the way back is not. Tokens are [B, H·W, C], and a reshape "
            "to [B, C, H, W] deals their numbers out in that order, so that every channel is a "
            "medley. Transpose to [B, C, H·W] first, then split the last axis.",
        ),
        wrong(
            "a square map is taken for granted",
            lambda x, weights: _averaged(x, weights, back=square_pixels),
            "You take the root of the number of tokens for height and width. That is right for a "
            "square map alone: H and W are `x.shape[2]` and `x.shape[3]`.",
        ),
        wrong(
            "the map comes back transposed",
            lambda x, weights: _averaged(x, weights, back=transposed_pixels),
            "H and W are swapped when you fold the tokens back. Row after row they were taken, "
            "row after row they go back: the last axis splits into (H, W).",
            variants=[
                lambda x, weights: _averaged(x, weights, back=upright_pixels),
                lambda x, weights: _averaged(x, weights).mT,
            ],
        ),
        wrong(
            "columns before rows",
            lambda x, weights: _averaged(x, weights, there=_by_columns),
            "Your tokens run down the columns of the map. The weights count pixels row by row: "
            "pixel (h, w) is token h·W + w.",
            variants=[
                lambda x, weights: _averaged(x, weights, there=_by_columns, back=transposed_pixels),
            ],
        ),
        wrong(
            "weights by column",
            lambda x, weights: _averaged(x, weights.mT),
            "You use the weights transposed: pixel i gets what the others give *to* it. Row i says "
            "what pixel i takes. With channels in front, [B, C, H·W] @ weights sums over the rows, "
            "so it has to be `weights.mT` there; with tokens it is `weights @ tokens`.",
            variants=[lambda x, weights: (x.flatten(2) @ weights).view_as(x)],
        ),
        wrong(
            "channels taken for tokens",
            lambda x, weights: (weights @ x.flatten(2)).reshape(x.shape),
            "You multiply the weights with [B, C, H·W], whose rows are channels. `weights @ …` "
            "wants the pixels as rows, [B, H·W, C]: a transpose is missing.",
            variants=[lambda x, weights: (weights.mT @ x.flatten(2)).reshape(x.shape)],
        ),
        wrong(
            "softmax once more",
            lambda x, weights: _averaged(x, weights.softmax(-1)),
            "You take a softmax of what is a distribution already. That makes it nearly even. Use "
            "the weights as they come.",
        ),
        wrong(
            "the map is added",
            lambda x, weights: x + _averaged(x, weights),
            "You add the map to its average. Blocks of vision papers do that, and a later item; "
            "here the average alone is wanted.",
        ),
        wrong(
            "left as tokens",
            lambda x, weights: weights @ as_tokens(x),
            "H and W are still one axis. A map is wanted, [B, C, H, W]: transpose to [B, C, H·W], "
            "then `.unflatten(-1, (H, W))`.",
            variants=[lambda x, weights: (weights @ as_tokens(x)).mT],
        ),
        wrong(
            "channels last",
            lambda x, weights: _averaged(x, weights).movedim(1, -1),
            "Your channels stand last, [B, H, W, C]. That is how pictures are drawn; a feature map "
            "has them right behind the batch.",
        ),
        wrong(
            "nothing is averaged",
            lambda x, weights: _averaged(x, torch.eye(weights.shape[-1], dtype=x.dtype)),
            "The map comes back as it was: between there and back the weights are missing.",
        ),
    )


def _averaged(
    x: Tensor, weights: Tensor, *, there: There = as_tokens, back: Back = as_pixels
) -> Tensor:
    """Right unless told otherwise."""
    return back(weights @ there(x), x)


def _by_columns(x: Tensor) -> Tensor:
    return x.permute(0, 3, 2, 1).flatten(1, 2)


def _weights(draw: Draw, batch: int, pixels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # Uneven ones: where all weights are alike, a swapped pixel hardly shows.
    return (2 * draw(batch, pixels, pixels, dtype=dtype)).softmax(-1)
