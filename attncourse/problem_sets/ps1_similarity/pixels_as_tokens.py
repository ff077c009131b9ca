"""`ps1.pixels_as_tokens`: a feature map as a sequence, one token for each pixel."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.feature_maps import pixels_as_tokens


@item("ps1.pixels_as_tokens", points=2, minutes=10, difficulty="easy")
class PixelsAsTokens:
    """Each pixel of a feature map as one token, row by row: [B, C, H, W] -> [B, H·W, C]."""

    reference = pixels_as_tokens

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        numbered = torch.arange(2.0 * 3 * 4).view(1, 2, 3, 4)
        yield case("numbered pixels, batch of one", numbered, basic=True)
        yield case("a batch", draw(2, 3, 4, 5), basic=True, weight=2)
        yield case("a square map, where a swap of H and W has the right shape", draw(2, 3, 4, 4))
        yield case("a map of one pixel", draw(3, 5, 1, 1))
        yield case("a map that is not contiguous in memory", draw(2, 5, 4, 3).permute(0, 3, 2, 1))
        yield case("float64", draw(2, 3, 2, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 4, 5), gradient=True)

    misconceptions = (
        wrong(
            "view where the memory is not contiguous",
            lambda x: x.view(x.shape[0], x.shape[1], -1).mT,
            "`.view` needs the pixels to lie one after another in memory, and an earlier permute "
            "or transpose may have changed that. `.flatten(2)` or `.reshape` copies when it must.",
        ),
        wrong(
            "leaves torch on the way",
            lambda x: torch.from_numpy(
                x.detach().numpy().transpose(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1]).copy()
            ),
            "The values are right, but the way through numpy (or .detach()) cuts the gradient: "
            "nothing before this function could learn. Rearrange the axes with torch.",
            variants=[lambda x: x.detach().flatten(2).mT],
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x: x.reshape(x.shape[0], -1, x.shape[1]),
            "The shape is right, the content is not. A reshape keeps the order of the numbers, in "
            "which a whole channel comes before the next, so your tokens mix pixels. Flatten H and "
            "W to [B, C, H·W] first, then transpose.",
        ),
        wrong(
            "columns before rows",
            lambda x: x.permute(0, 3, 2, 1).flatten(1, 2),
            "H and W are swapped: your tokens run down the columns. Pixel (h, w) is token "
            "h·W + w, so W must be the faster of the two: put the axes in the order B, H, W, C.",
        ),
        wrong(
            "channels first",
            lambda x: x.flatten(2),
            "This is [B, C, H·W]: each row is a channel. A token is a pixel with all its "
            "channels, so one transpose of the last two axes is missing.",
        ),
        wrong(
            "height and width kept apart",
            lambda x: x.permute(0, 2, 3, 1),
            "You have [B, H, W, C], with the channels in the right place. Merge H and W into one "
            "axis of tokens.",
        ),
        wrong(
            "the batch is swallowed",
            lambda x: x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]),
            "All images ended up in one long list [B·H·W, C]. Pixels of different images must not "
            "meet: keep B as the first axis.",
        ),
        wrong(
            "batch and channel swapped",
            lambda x: x.permute(1, 2, 3, 0).flatten(1, 2),
            "You moved the batch to the back and kept the channels in front. It is the other way "
            "round: B stays first, C comes last.",
        ),
    )
