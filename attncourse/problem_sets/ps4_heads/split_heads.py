"""`ps4.split_heads`: the features of each token, dealt out to the heads."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps4_heads.common import split


@item("ps4.split_heads", points=2, minutes=10, difficulty="easy")
class SplitHeads:
    """Head i gets the i-th run of d features of every token: [..., T, h·d] -> [..., h, T, d]."""

    @staticmethod
    def reference(x: Tensor, num_heads: int) -> Tensor:
        return split(x, num_heads)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Numbered from anywhere, or the answer would be a constant.
        numbered = draw.whole(1, 1000) + torch.arange(2.0 * 6).view(1, 2, 6)
        yield case("numbered features: two tokens, three heads", numbered, 3, basic=True)
        yield case("a batch", draw(2, 5, 12), 4, basic=True, weight=2)
        yield case("as many heads as tokens: a missing swap has the right shape", draw(2, 3, 12), 3)
        yield case("one head", draw(2, 4, 5), 1)
        yield case("as many heads as features", draw(2, 3, 5), 5)
        yield case("no batch dimension", draw(4, 6), 3)
        yield case("two batch dimensions", draw(2, 3, 4, 10), 5)
        yield case("float64", draw(3, 2, 8, dtype=torch.float64), 4)
        yield case("gradients", draw(2, 5, 6), 3, gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda x, h: split(x, h).detach(),
            "The values are right, but the gradient is cut, so no projection before this function "
            "could learn. Look for .detach(), .data, .numpy() or torch.tensor(…).",
        ),
        wrong(
            "exactly one batch dimension",
            lambda x, h: x.reshape(x.shape[0], x.shape[1], h, -1).transpose(1, 2),
            "Your function wants exactly three dimensions, [B, T, h·d]. `...` stands for any "
            "number of leading ones, also for none: split the last axis and swap axes −2 and −3.",
            variants=[
                lambda x, h: (lambda B, T, D: x.reshape(B, T, h, D // h).transpose(1, 2))(*x.shape),
                lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2),
                lambda x, h: x.unflatten(-1, (h, -1)).permute(0, 2, 1, 3),
            ],
        ),
        wrong(
            "reshaped without moving the heads",
            lambda x, h: x.reshape(*x.shape[:-2], h, x.shape[-2], -1),
            "The shape is right, the content is not. A reshape keeps the numbers in their order, "
            "token after token, so each of your heads holds whole tokens instead of a part of "
            "every token. Split the last axis to [..., T, h, d] first, then swap T and h.",
            variants=[lambda x, h: x.reshape(x.shape[0], h, x.shape[1], -1)],
        ),
        wrong(
            "the heads stay behind the tokens",
            lambda x, h: x.unflatten(-1, (h, -1)),
            "Your result is [..., T, h, d]. The heads have to stand in front of the tokens, so "
            "that `@` treats them as a batch: swap axes −2 and −3.",
        ),
        wrong(
            "every h-th feature",
            lambda x, h: x.unflatten(-1, (-1, h)).transpose(-1, -2).transpose(-2, -3),
            "You deal the features out like cards: head i gets features i, i + h, i + 2h … Heads "
            "are runs of neighbours: head i has features i·d to i·d + d − 1, as torch and every "
            "stored model have them.",
            variants=[
                lambda x, h: torch.stack([x[..., i::h] for i in range(h)], -3),
            ],
        ),
        wrong(
            "h taken for d",
            lambda x, h: x.unflatten(-1, (-1, h)).transpose(-2, -3),
            "You make heads of `num_heads` features each. It is the number of heads that is given; "
            "each has what is left: d = D / h.",
        ),
        wrong(
            "tokens and features swapped within the head",
            lambda x, h: split(x, h).mT,
            "Your heads are [..., h, d, T], transposed as keys are for query @ key.mT. That is the "
            "next step's business: wanted is [..., h, T, d].",
        ),
        wrong(
            "the heads in front of the batch",
            lambda x, h: torch.stack(x.chunk(h, -1)),
            "Your heads are the very first axis. They belong right in front of the tokens, behind "
            "the batch: [..., h, T, d].",
            variants=[
                lambda x, h: split(x, h).transpose(0, 1),
                lambda x, h: x.unflatten(-1, (h, -1)).movedim(-2, 0),
            ],
        ),
        wrong(
            "heads folded into the batch",
            lambda x, h: split(x, h).flatten(0, -3),
            "You fold heads and batch into one axis, [B·h, T, d], as `torch.bmm` wants it. Keep "
            "the heads an axis of their own.",
            variants=[lambda x, h: torch.cat(x.chunk(h, -1))],
        ),
        wrong(
            "a list of heads",
            lambda x, h: x.chunk(h, -1),
            "You return the heads one by one, in a list or a tuple. One tensor is wanted: "
            "`torch.stack(…, dim=-3)` puts them along a new axis in front of the tokens.",
        ),
        wrong(
            "one head alone",
            lambda x, h: split(x, h)[..., 0, :, :],
            "Only one head comes back. The others hold the remaining features of each token.",
        ),
    )
