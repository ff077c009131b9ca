"""`ps4.merge_heads`: what the heads made, put side by side again for every token."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps4_heads.common import merge


@item("ps4.merge_heads", points=2, minutes=10, difficulty="easy")
class MergeHeads:
    """The heads of every token, side by side: [..., h, T, d] -> [..., T, h·d]."""

    @staticmethod
    def reference(heads: Tensor) -> Tensor:
        return merge(heads)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        numbered = draw.whole(1, 1000) + torch.arange(3.0 * 2 * 4).view(1, 3, 2, 4)
        yield case("numbered features: three heads, two tokens", numbered, basic=True)
        yield case("a batch", draw(2, 3, 5, 4), basic=True, weight=2)
        yield case("as many heads as tokens: a missing swap has the right shape", draw(2, 3, 3, 5))
        yield case("as many heads as features", draw(2, 3, 4, 3))
        yield case("one head", draw(2, 1, 4, 5))
        yield case("one token", draw(2, 3, 1, 4))
        yield case("no batch dimension", draw(3, 5, 2))
        yield case("two batch dimensions", draw(2, 3, 5, 4, 6))
        yield case("heads that are not contiguous in memory", draw(2, 5, 4, 3).mT)
        yield case("float64", draw(3, 2, 4, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 4, 5, 3), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda heads: merge(heads).detach(),
            "The values are right, but the gradient is cut, so no head could learn. Look for "
            ".detach(), .data, .numpy() or torch.tensor(…).",
        ),
        wrong(
            "view after the swap",
            lambda heads: heads.transpose(-2, -3).view(*heads.shape[:-3], heads.shape[-2], -1),
            "After the swap the numbers no longer lie in memory in the order of the axes, which "
            "`.view` needs. `.reshape` or `.flatten(-2)` copies them; so does .contiguous() first.",
        ),
        wrong(
            "exactly one batch dimension",
            lambda heads: heads.transpose(1, 2).flatten(2),
            "Your function wants exactly four dimensions, [B, h, T, d]. `...` stands for any "
            "number of leading ones, also for none: swap axes −2 and −3, and flatten the last two.",
            variants=[
                lambda heads: (lambda B, h, T, d: heads.transpose(1, 2).reshape(B, T, h * d))(
                    *heads.shape
                ),
                lambda heads: heads.permute(0, 2, 1, 3).flatten(-2),
                lambda heads: heads.transpose(1, 2).flatten(-2),
            ],
        ),
        wrong(
            "reshaped without moving the heads back",
            lambda heads: heads.reshape(*heads.shape[:-3], heads.shape[-2], -1),
            "The shape is right, the content is not. A reshape keeps the numbers in their order, "
            "head after head, so your rows mix tokens. Swap h and T first, to [..., T, h, d]; "
            "then the heads of a token stand side by side.",
            variants=[lambda heads: heads.reshape(heads.shape[0], heads.shape[2], -1)],
        ),
        wrong(
            "feature by feature instead of head by head",
            lambda heads: heads.movedim(-3, -1).flatten(-2),
            "You put the first features of all heads first, then all the second ones. Head 0 "
            "comes first with all its d features: the axes are [..., T, h, d] before you flatten.",
            variants=[lambda heads: torch.stack(heads.unbind(-3), -1).flatten(-2)],
        ),
        wrong(
            "the heads are added up",
            lambda heads: heads.sum(-3),
            "You add the heads up, or average them. They are put side by side; it is W_o, "
            "afterwards, that may mix them.",
            variants=[lambda heads: heads.mean(-3)],
        ),
        wrong(
            "one head after the other along the tokens",
            lambda heads: heads.flatten(-3, -2),
            "You put the heads one after the other along the tokens, [..., h·T, d]. There are "
            "still T tokens: join the heads along the features, the last axis.",
            variants=[lambda heads: torch.cat(heads.unbind(-3), -2)],
        ),
        wrong(
            "the heads are not joined",
            lambda heads: heads.transpose(-2, -3),
            "Your result is [..., T, h, d]. One step is left: flatten the last two axes.",
        ),
        wrong(
            "tokens and features swapped",
            lambda heads: merge(heads).mT,
            "Your result is [..., h·d, T]. A token is a row: [..., T, h·d].",
            variants=[lambda heads: heads.mT.flatten(-3, -2)],
        ),
        wrong(
            "the batch is lost",
            lambda heads: merge(heads).flatten(0, -2),
            "You join tokens of different sequences. Only h and d become one axis; the leading "
            "dimensions stay as they are.",
            variants=[
                lambda heads: heads.reshape(-1, heads.shape[-3] * heads.shape[-1]),
            ],
        ),
        wrong(
            "one head alone",
            lambda heads: heads[..., 0, :, :],
            "Only one head comes back. Each token has h · d features in the end.",
            variants=[lambda heads: heads[..., -1, :, :]],
        ),
    )
