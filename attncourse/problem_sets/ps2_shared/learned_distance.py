"""`ps2.learned_distance`: squared distances between all tokens after a projection."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps2_shared.common import dots, squared_distances


@item("ps2.learned_distance", points=3, minutes=15, difficulty="medium")
class LearnedDistance:
    """‖W x_i − W x_j‖², the distance whose metric is WᵀW: [..., T, D], [d_k, D] -> [..., T, T]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return squared_distances(x @ W.mT)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        tokens = torch.tensor([[1.0, 0.0], [4.0, 0.0], [1.0, 9.0]])
        blind = torch.tensor([[2.0, 0.0]])  # to the second feature
        # Whole numbers, which float32 holds exactly until someone squares them.
        far = 4096 + (3 * draw(2, 4, 5)).round(), 1 + draw(3, 5).abs().round()
        in_float64 = draw(2, 3, 6, dtype=torch.float64), draw(4, 6, dtype=torch.float64)
        twice = draw(2, 3, 5)[:, [0, 1, 2, 1]]
        yield case("three tokens that can be done by hand", tokens, blind, basic=True)
        yield case("a batch", draw(2, 5, 7), draw(3, 7), basic=True, weight=2)
        yield case("a square W, where x W has the right shape too", draw(2, 3, 5), draw(5, 5))
        yield case("one token: no distance to itself", draw(2, 1, 5), draw(3, 5))
        yield case("no batch dimension", draw(6, 4), draw(3, 4))
        yield case("two batch dimensions", draw(2, 3, 5, 7), draw(4, 7))
        yield case("tokens far from the origin", *far)
        yield case("float64", *in_float64)
        yield case("gradients, with two equal tokens", twice, draw(4, 5), gradient=True)

    misconceptions = (
        wrong(
            "a root in the way of the gradient",
            lambda x, W: squared_distances(x @ W.mT).sqrt().square(),
            "The values are right, but the gradient is NaN: you take a root and square it again. "
            "At 0 the slope of the root is infinite, and every token is at distance 0 from "
            "itself. The squared distance needs no root at all.",
        ),
        wrong(
            "W is cut out of the gradient",
            lambda x, W: squared_distances(x @ W.detach().mT),
            "The values are right, but no gradient reaches W, so the distance would never be "
            "learned. .detach(), .data, or an nn.Linear made inside the function cuts it.",
        ),
        wrong(
            "no gradient",
            lambda x, W: squared_distances(x.detach() @ W.detach().mT),
            "The values are right, but nothing can learn from them: the gradient is cut. Look for "
            ".detach(), .numpy(), .item(), torch.tensor(…) or no_grad on the way.",
        ),
        wrong(
            "large parts cancel",
            lambda x, W: _expanded(dots(x @ W.mT)),
            "s_ii + s_jj − 2 s_ij is right on paper. Far from the origin the three are huge and "
            "nearly cancel, and float32 keeps seven digits of each, so what is left is rounding "
            "error. Subtract first and square then, or compute in float64.",
            variants=[
                lambda x, W: _expanded(dots(x @ W.mT)).clamp_min(0),
                lambda x, W: _expanded(dots(x @ W.mT), lengths=(x @ W.mT).square().sum(-1)),
                lambda x, W: _expanded(
                    dots(x @ W.mT), lengths=(x @ W.mT).square().sum(-1)
                ).clamp_min(0),
                lambda x, W: _expanded(x @ (W.mT @ W) @ x.mT),
                lambda x, W: torch.cdist(
                    q := x @ W.mT, q, compute_mode="use_mm_for_euclid_dist"
                ).square(),
            ],
        ),
        wrong(
            "W the wrong way round",
            lambda x, W: squared_distances(x @ W),
            "You use W where Wᵀ is wanted, or W Wᵀ where the metric is WᵀW. W is [d_k, D]: a token "
            "becomes x @ W.mT, and WᵀW is [D, D], so that it can stand between two tokens.",
            variants=[lambda x, W: _expanded(x @ (W @ W.mT) @ x.mT)],
        ),
        wrong(
            "W once instead of twice",
            lambda x, W: (
                ((d := x.unsqueeze(-2) - x.unsqueeze(-3)).unsqueeze(-2) @ W @ d.unsqueeze(-1))
                .squeeze(-1)
                .squeeze(-1)
            ),
            "W stands between the differences only once. The squared length of W d is "
            "(W d)ᵀ (W d) = dᵀ Wᵀ W d: the metric is WᵀW, not W.",
            variants=[lambda x, W: ((x.unsqueeze(-2) - x.unsqueeze(-3)) @ W.mT).sum(-1)],
        ),
        wrong(
            "W is forgotten",
            lambda x, W: squared_distances(x),
            "This is how far apart the raw tokens are. W decides what counts: project first, or "
            "put WᵀW between the differences.",
            variants=[lambda x, W: torch.cdist(x, x)],
        ),
        wrong(
            "the root is taken",
            lambda x, W: squared_distances(x @ W.mT).sqrt(),
            "You return the distance. The squared distance is wanted: it is the one that equals "
            "s_ii + s_jj − 2 s_ij, and its gradient exists even where two tokens coincide.",
            variants=[lambda x, W: torch.cdist(q := x @ W.mT, q)],
        ),
        wrong(
            "squared once too often",
            lambda x, W: squared_distances(x @ W.mT).square(),
            "You square what is already squared. Adding up the squared differences over the "
            "features gives the squared distance; nothing is left to do.",
        ),
        wrong(
            "the 2 is forgotten",
            lambda x, W: _expanded(dots(x @ W.mT), factor=-1),
            "‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b: the 2 is missing. Try it with a = b, where the "
            "distance has to be 0.",
        ),
        wrong(
            "plus instead of minus",
            lambda x, W: _expanded(dots(x @ W.mT), factor=2),
            "This is ‖W x_i + W x_j‖². A distance subtracts: of a token to itself it has to be 0.",
        ),
        wrong(
            "scores instead of distances",
            lambda x, W: dots(x @ W.mT),
            "These are dot products, which are large where tokens agree. A distance is 0 there: "
            "s_ii + s_jj − 2 s_ij, or the squared length of the difference.",
            variants=[
                lambda x, W: -2 * dots(x @ W.mT),
                lambda x, W: dots(x @ W.mT) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "the sign turned round",
            lambda x, W: -squared_distances(x @ W.mT),
            "You return the negative: that is a likeness, largest for a token and itself. A "
            "distance is never below 0.",
        ),
        wrong(
            "the mean over the features",
            lambda x, W: squared_distances(x @ W.mT) / W.shape[0],
            "You average the squared differences. A squared distance is their sum over the d_k "
            "features. (For a score √d_k is divided away, for this distance nothing is.)",
            variants=[lambda x, W: squared_distances(x @ W.mT) / W.shape[0] ** 0.5],
        ),
        wrong(
            "absolute differences",
            lambda x, W: torch.cdist(q := x @ W.mT, q, p=1),
            "You add up absolute differences. Dot products go with squares: only then does the "
            "distance come from the metric WᵀW.",
        ),
        wrong(
            "lengths compared, not tokens",
            lambda x, W: (n := (x @ W.mT).square().sum(-1)).unsqueeze(-1) - n.unsqueeze(-2),
            "You compare the lengths of the tokens. Two tokens of one length may point in "
            "different directions and are far apart then: subtract the vectors, then square.",
            variants=[
                lambda x, W: (
                    (n := (x @ W.mT).norm(dim=-1)).unsqueeze(-1) - n.unsqueeze(-2)
                ).square(),
            ],
        ),
        wrong(
            "batches compared, not tokens",
            lambda x, W: ((q := x @ W.mT)[:, None] - q[None]).square().sum(-1),
            "`q[:, None] - q[None]` pairs the entries of the first axis. With a batch that axis is "
            "the batch. Count from the end: q.unsqueeze(-2) − q.unsqueeze(-3).",
            variants=[lambda x, W: ((q := x @ W.mT)[None] - q[:, None]).square().sum(-1)],
        ),
        wrong(
            "features compared with features",
            lambda x, W: squared_distances((x @ W.mT).mT),
            "Your result is [..., d_k, d_k]: it compares features. Tokens are to be compared, and "
            "each is a row of x Wᵀ.",
        ),
    )


def _expanded(scores: Tensor, *, lengths: Tensor | None = None, factor: float = -2) -> Tensor:
    lengths = scores.diagonal(dim1=-2, dim2=-1) if lengths is None else lengths
    return lengths.unsqueeze(-1) + lengths.unsqueeze(-2) + factor * scores
