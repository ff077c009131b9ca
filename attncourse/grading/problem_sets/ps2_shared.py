"""The items of problem set 2: one shared projection, and what its symmetric scores cannot do.

The wrong programs stand beside the sentences they earn. Sizes differ wherever they may, so that a
swapped axis shows; a map of weights is square by nature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.grading.declaring import Case, Draw, case, item, wrong


@item("ps2.shared_scores", points=2, minutes=10, difficulty="easy")
class SharedScores:
    """(x Wᵀ)(x Wᵀ)ᵀ / √d_k: [..., T, D], [d_k, D] -> [..., T, T]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return _dots(x @ W.mT) / W.shape[0] ** 0.5

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        by_hand = torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
        in_float64 = draw(2, 3, 6, dtype=torch.float64), draw(4, 6, dtype=torch.float64)
        yield case("two tokens that can be done by hand", tokens, by_hand, core=True)
        yield case("a batch", draw(2, 5, 7), draw(3, 7), core=True, weight=2)
        yield case("a square W, where x W has the right shape too", draw(2, 3, 5), draw(5, 5))
        yield case("d_k larger than D", draw(2, 5, 4), draw(6, 4))
        yield case("one token", draw(2, 1, 5), draw(3, 5))
        yield case("no batch dimension", draw(6, 4), draw(3, 4))
        yield case("two batch dimensions", draw(2, 3, 5, 7), draw(4, 7))
        # The root of 4 is exact: torch.tensor(d_k).sqrt(), a float32, is as good as d_k ** 0.5.
        yield case("float64", *in_float64)
        yield case("gradients", draw(2, 3, 5), draw(4, 5), gradient=True)

    misconceptions = (
        wrong(
            "W is cut out of the gradient",
            lambda x, W: _dots(x @ W.detach().mT) / W.shape[0] ** 0.5,
            "The values are right, but no gradient reaches W, so W would never learn. .detach() "
            "and .data cut it, and so does an nn.Linear or nn.Parameter that is made inside the "
            "function, for it is a new tensor. Multiply by W itself.",
        ),
        wrong(
            "one side is cut out of the gradient",
            lambda x, W: (q := x @ W.mT) @ q.detach().mT / W.shape[0] ** 0.5,
            "The values are right, the gradients are not: one of the two sides is treated as a "
            "constant. Query and key are the same q here, and it learns from both sides.",
            also=[lambda x, W: (x @ W.mT) @ (x @ W.detach().mT).mT / W.shape[0] ** 0.5],
        ),
        wrong(
            "no gradient",
            lambda x, W: _dots(x.detach() @ W.detach().mT) / W.shape[0] ** 0.5,
            "The values are right, but nothing can learn from them: the gradient is cut. Look for "
            ".detach(), .numpy(), .item(), torch.tensor(…) or no_grad on the way.",
        ),
        wrong(
            "the input is changed",
            lambda x, W: _dots(x.mul_(W.shape[0] ** -0.25) @ W.mT),
            "Your function changes a tensor it was given. `x *= …` and operations that end in _ "
            "write into x itself, and whoever called you still needs it: write `x = x * …`.",
            also=[lambda x, W: _dots(x @ W.div_(W.shape[0] ** 0.25).mT)],
        ),
        wrong(
            "all axes turned round",
            lambda x, W: (q := x @ W.mT) @ q.T / W.shape[0] ** 0.5,
            "`.T` turns round all axes, the batch too, and `.t()` takes no batch at all. Exchange "
            "the last two axes alone: `.mT`, or .transpose(-2, -1).",
            also=[lambda x, W: (q := x @ W.mT) @ q.t() / W.shape[0] ** 0.5],
        ),
        wrong(
            "leading dimensions are not free",
            lambda x, W: (q := x @ W.mT) @ q.transpose(1, 2) / W.shape[0] ** 0.5,
            "Your function works for three dimensions, [B, T, D], and not for others. Count the "
            "axes from the end: `.mT` or .transpose(-2, -1), and `@`, which takes any leading "
            "dimensions, in place of bmm.",
            also=[
                lambda x, W: torch.bmm(q := x @ W.mT, q.transpose(1, 2)) / W.shape[0] ** 0.5,
                lambda x, W: torch.bmm(q := x @ W.mT, q.mT) / W.shape[0] ** 0.5,
                lambda x, W: torch.einsum("bik,bjk->bij", q := x @ W.mT, q) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "no division by √d_k",
            lambda x, W: _dots(x @ W.mT),
            "The √d_k is missing. A dot product of two projected tokens has d_k terms, so it grows "
            "with d_k: divide by W.shape[0] ** 0.5.",
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda x, W: _dots(x @ W.mT) / W.shape[0],
            "You divide by d_k. It is the root that is wanted: either the dot product is divided "
            "by √d_k, or each of its two sides by the fourth root of d_k.",
        ),
        wrong(
            "divided by √D",
            lambda x, W: _dots(x @ W.mT) / W.shape[1] ** 0.5,
            "You divide by the root of D, the width of the tokens. After the projection the dot "
            "product has d_k terms, and d_k is the number of rows of W: W.shape[0].",
        ),
        wrong(
            "divided by √T",
            lambda x, W: _dots(x @ W.mT) / x.shape[-2] ** 0.5,
            "You divide by the root of how many tokens, or sequences, there are. What makes a dot "
            "product grow is the number of its terms, d_k: W.shape[0].",
            also=[lambda x, W: _dots(x @ W.mT) / len(x) ** 0.5],
        ),
        wrong(
            "multiplied by √d_k",
            lambda x, W: _dots(x @ W.mT) * W.shape[0] ** 0.5,
            "You multiply by √d_k. The root is there to bring the scores back to the size that "
            "they had before d_k terms were added up: divide.",
        ),
        wrong(
            "W the wrong way round",
            lambda x, W: _dots(x @ W) / W.shape[0] ** 0.5,
            "You multiply by W where Wᵀ is wanted. W has the layout of nn.Linear, [d_k, D], so a "
            "row of tokens becomes x @ W.mT. With a square W only the values show the difference.",
            also=[lambda x, W: _dots(x @ W) / W.shape[1] ** 0.5],
        ),
        wrong(
            "W on one side only",
            lambda x, W: (x @ W.mT) @ x.mT / W.shape[0] ** 0.5,
            "Only one side is projected. Query and key share the same W: q = x Wᵀ, and the scores "
            "are q qᵀ.",
            also=[lambda x, W: x @ W @ x.mT / W.shape[0] ** 0.5],
        ),
        wrong(
            "W is forgotten",
            lambda x, W: _dots(x) / W.shape[0] ** 0.5,
            "These are the scores of the raw tokens. Project first: q = x Wᵀ, and then q qᵀ.",
            also=[lambda x, W: _dots(x) / x.shape[-1] ** 0.5, lambda x, W: _dots(x)],
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda x, W: _dots(normalize(x @ W.mT, dim=-1)) / W.shape[0] ** 0.5,
            "You bring the projected tokens to length 1. Leave them as they are: with lengths of "
            "their own, W can also learn how sharply to look, which a cosine cannot.",
            also=[
                lambda x, W: _dots(normalize(x @ W.mT, dim=-1)),
                lambda x, W: _dots(normalize(x, dim=-1) @ W.mT) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "softmax on top",
            lambda x, W: (_dots(x @ W.mT) / W.shape[0] ** 0.5).softmax(-1),
            "You went one step too far: these are the weights. The scores are what stands before "
            "the softmax, and they are symmetric, while the weights are not.",
        ),
        wrong(
            "a distance instead of the dot product",
            lambda x, W: -_squared_distances(x @ W.mT) / W.shape[0] ** 0.5,
            "These are negative squared distances. The scores are dot products, q qᵀ. How the two "
            "hang together is the next item.",
            also=[lambda x, W: _squared_distances(x @ W.mT) / W.shape[0] ** 0.5],
        ),
        wrong(
            "features compared with features",
            lambda x, W: (q := x @ W.mT).mT @ q / W.shape[0] ** 0.5,
            "This is qᵀ q, [..., d_k, d_k]: it compares features. Tokens are to be compared: q qᵀ, "
            "[..., T, d_k] times [..., d_k, T].",
        ),
        wrong(
            "the batch is swallowed",
            lambda x, W: _dots((x @ W.mT).flatten(0, -2)) / W.shape[0] ** 0.5,
            "All tokens ended up in one long list. Each sequence of the batch is compared with "
            "itself only: keep the leading axes.",
        ),
    )


def _dots(q: Tensor) -> Tensor:
    return q @ q.mT


def _squared_distances(q: Tensor) -> Tensor:
    return (q.unsqueeze(-2) - q.unsqueeze(-3)).square().sum(-1)


@item("ps2.learned_distance", points=3, minutes=15, difficulty="medium")
class LearnedDistance:
    """‖W x_i − W x_j‖², the distance whose metric is WᵀW: [..., T, D], [d_k, D] -> [..., T, T]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return _squared_distances(x @ W.mT)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        tokens = torch.tensor([[1.0, 0.0], [4.0, 0.0], [1.0, 9.0]])
        blind = torch.tensor([[2.0, 0.0]])  # to the second feature
        # Whole numbers, which float32 holds exactly until someone squares them.
        far = 4096 + (3 * draw(2, 4, 5)).round(), 1 + draw(3, 5).abs().round()
        in_float64 = draw(2, 3, 6, dtype=torch.float64), draw(4, 6, dtype=torch.float64)
        twice = draw(2, 3, 5)[:, [0, 1, 2, 1]]
        yield case("three tokens that can be done by hand", tokens, blind, core=True)
        yield case("a batch", draw(2, 5, 7), draw(3, 7), core=True, weight=2)
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
            lambda x, W: _squared_distances(x @ W.mT).sqrt().square(),
            "The values are right, but the gradient is NaN: you take a root and square it again. "
            "At 0 the slope of the root is infinite, and every token is at distance 0 from "
            "itself. The squared distance needs no root at all.",
        ),
        wrong(
            "W is cut out of the gradient",
            lambda x, W: _squared_distances(x @ W.detach().mT),
            "The values are right, but no gradient reaches W, so the distance would never be "
            "learned. .detach(), .data, or an nn.Linear made inside the function cuts it.",
        ),
        wrong(
            "no gradient",
            lambda x, W: _squared_distances(x.detach() @ W.detach().mT),
            "The values are right, but nothing can learn from them: the gradient is cut. Look for "
            ".detach(), .numpy(), .item(), torch.tensor(…) or no_grad on the way.",
        ),
        wrong(
            "large parts cancel",
            lambda x, W: _expanded(_dots(x @ W.mT)),
            "s_ii + s_jj − 2 s_ij is right on paper. Far from the origin the three are huge and "
            "nearly cancel, and float32 keeps seven digits of each, so what is left is rounding "
            "error. Subtract first and square then, or compute in float64.",
            also=[
                lambda x, W: _expanded(_dots(x @ W.mT)).clamp_min(0),
                lambda x, W: _expanded(_dots(x @ W.mT), lengths=(x @ W.mT).square().sum(-1)),
                lambda x, W: _expanded(
                    _dots(x @ W.mT), lengths=(x @ W.mT).square().sum(-1)
                ).clamp_min(0),
                lambda x, W: _expanded(x @ (W.mT @ W) @ x.mT),
                lambda x, W: torch.cdist(
                    q := x @ W.mT, q, compute_mode="use_mm_for_euclid_dist"
                ).square(),
            ],
        ),
        wrong(
            "W the wrong way round",
            lambda x, W: _squared_distances(x @ W),
            "You use W where Wᵀ is wanted, or W Wᵀ where the metric is WᵀW. W is [d_k, D]: a token "
            "becomes x @ W.mT, and WᵀW is [D, D], so that it can stand between two tokens.",
            also=[lambda x, W: _expanded(x @ (W @ W.mT) @ x.mT)],
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
            also=[lambda x, W: ((x.unsqueeze(-2) - x.unsqueeze(-3)) @ W.mT).sum(-1)],
        ),
        wrong(
            "W is forgotten",
            lambda x, W: _squared_distances(x),
            "This is how far apart the raw tokens are. W decides what counts: project first, or "
            "put WᵀW between the differences.",
            also=[lambda x, W: torch.cdist(x, x)],
        ),
        wrong(
            "the root is taken",
            lambda x, W: _squared_distances(x @ W.mT).sqrt(),
            "You return the distance. The squared distance is wanted: it is the one that equals "
            "s_ii + s_jj − 2 s_ij, and its gradient exists even where two tokens coincide.",
            also=[lambda x, W: torch.cdist(q := x @ W.mT, q)],
        ),
        wrong(
            "squared once too often",
            lambda x, W: _squared_distances(x @ W.mT).square(),
            "You square what is already squared. Adding up the squared differences over the "
            "features gives the squared distance; nothing is left to do.",
        ),
        wrong(
            "the 2 is forgotten",
            lambda x, W: _expanded(_dots(x @ W.mT), factor=-1),
            "‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b: the 2 is missing. Try it with a = b, where the "
            "distance has to be 0.",
        ),
        wrong(
            "plus instead of minus",
            lambda x, W: _expanded(_dots(x @ W.mT), factor=2),
            "This is ‖W x_i + W x_j‖². A distance subtracts: of a token to itself it has to be 0.",
        ),
        wrong(
            "scores instead of distances",
            lambda x, W: _dots(x @ W.mT),
            "These are dot products, which are large where tokens agree. A distance is 0 there: "
            "s_ii + s_jj − 2 s_ij, or the squared length of the difference.",
            also=[
                lambda x, W: -2 * _dots(x @ W.mT),
                lambda x, W: _dots(x @ W.mT) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "the sign turned round",
            lambda x, W: -_squared_distances(x @ W.mT),
            "You return the negative: that is a likeness, largest for a token and itself. A "
            "distance is never below 0.",
        ),
        wrong(
            "the mean over the features",
            lambda x, W: _squared_distances(x @ W.mT) / W.shape[0],
            "You average the squared differences. A squared distance is their sum over the d_k "
            "features. (For a score √d_k is divided away, for this distance nothing is.)",
            also=[lambda x, W: _squared_distances(x @ W.mT) / W.shape[0] ** 0.5],
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
            also=[
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
            also=[lambda x, W: ((q := x @ W.mT)[None] - q[:, None]).square().sum(-1)],
        ),
        wrong(
            "features compared with features",
            lambda x, W: _squared_distances((x @ W.mT).mT),
            "Your result is [..., d_k, d_k]: it compares features. Tokens are to be compared, and "
            "each is a row of x Wᵀ.",
        ),
    )


def _expanded(scores: Tensor, *, lengths: Tensor | None = None, factor: float = -2) -> Tensor:
    lengths = scores.diagonal(dim1=-2, dim2=-1) if lengths is None else lengths
    return lengths.unsqueeze(-1) + lengths.unsqueeze(-2) + factor * scores


@item("ps2.violations", points=4, minutes=20, difficulty="medium")
class Violations:
    """The share of pairs i < j with A_ii A_jj < A_ij A_ji: [..., T, T] -> [...]."""

    @staticmethod
    def reference(weights: Tensor) -> Tensor:
        return _share(_violated(weights.double()), weights.dtype)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]])
        # 0.1 · 0.45 = 0.15 · 0.3 on paper; in float32 and in float64 it is a little less.
        tied = torch.tensor([[[0.1, 0.15, 0.75], [0.3, 0.45, 0.25], [0.0, 0.0, 1.0]]])
        small = torch.tensor([[[1e-8, 1e-6, 1.0], [1e-6, 1e-8, 1.0], [0.0, 0.0, 1.0]]])
        faint = torch.tensor([[[1e-30, 1e-26, 1.0], [1e-26, 1e-30, 1.0], [0.0, 0.0, 1.0]]])
        shared = _dots(draw(2, 5, 3)).softmax(-1)
        hidden = draw(2, 4, 4).masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf)
        causal = draw(2, 4, 4).masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf)
        yield case("three tokens that can be done by hand", by_hand, core=True)
        yield case("a batch", draw(3, 5, 5).softmax(-1), core=True, weight=2)
        yield case("the map of a shared W: none", shared)
        yield case("a hidden diagonal: every pair", hidden.softmax(-1))
        yield case("a causal map: none", causal.softmax(-1))
        yield case("equal weights: a tie is no violation", torch.full((2, 4, 4), 0.25))
        yield case("a tie but for rounding", tied)
        yield case("weights below one in a million", small)
        yield case("weights whose product is too small for float32", faint)
        yield case("one token: no pair, so 0", torch.ones(2, 1, 1))
        yield case("no batch dimension", draw(6, 6).softmax(-1))
        yield case("two batch dimensions", draw(2, 3, 4, 4).softmax(-1))
        # One pair: 0 or 1, so a count divided as float32 is as good here as one in float64.
        yield case("float64", draw(5, 2, 2, dtype=torch.float64).softmax(-1))

    misconceptions = (
        wrong(
            "float32 whatever came in",
            lambda weights: _share(_violated(weights.double()), torch.float32),
            "The values are right. `.float()` and torch.tensor(…) make float32, also where the "
            "weights are float64: write .to(weights.dtype).",
        ),
        wrong(
            "float64 whatever came in",
            lambda weights: _share(_violated(weights.double()), torch.float64),
            "The values are right. Comparing in float64 is a good idea; give the share back in "
            "the dtype of the weights: .to(weights.dtype).",
        ),
        wrong(
            "no pair gives NaN",
            lambda weights: (
                _off_diagonal_sum(_violated(weights.double()).double())
                / (weights.shape[-1] * (weights.shape[-1] - 1))
            ).to(weights.dtype),
            "With one token there is no pair, and 0 / 0 is NaN. No pair is violated then: let the "
            "share be 0, for instance by dividing by max(number of pairs, 1).",
            also=[
                lambda weights: (
                    _violated(weights.double())[..., *_above_diagonal(weights)]
                    .to(weights.dtype)
                    .mean(-1)
                ),
            ],
        ),
        wrong(
            "compared as they come",
            lambda weights: _share(_violated(weights, tolerance=0), weights.dtype),
            "Two things go wrong in float32. A pair that is tied on paper counts, because its "
            "products differ in the last digit; and products below 1e-45 become 0, so that they "
            "never count. Multiply in float64, weights.double(), and ask for more than rounding: "
            "A_ij A_ji > 1.00001 · A_ii A_jj.",
        ),
        wrong(
            "rounding is counted",
            lambda weights: _share(_violated(weights.double(), tolerance=0), weights.dtype),
            "A pair that is tied on paper counts as a violation, because its products differ in "
            "their last digit. Ask for more than rounding: A_ij A_ji > 1.00001 · A_ii A_jj.",
        ),
        wrong(
            "products too small for float32",
            lambda weights: _share(_violated(weights), weights.dtype),
            "1e-30 times 1e-30 is 1e-60, and float32 ends at 1e-45: both products became 0, and 0 "
            "is not less than 0. Multiply in float64, with weights.double().",
        ),
        wrong(
            "a fixed tolerance",
            lambda weights: _share(
                _cross(weights.double()) > _own(weights.double()) + 1e-6, weights.dtype
            ),
            "Your tolerance is one fixed number, and weights may be far smaller than it: then it "
            "hides every violation. Make it relative: A_ij A_ji > 1.00001 · A_ii A_jj.",
            also=[
                lambda weights, by=by: _share(
                    _cross(weights.double()) > _own(weights.double()) + by, weights.dtype
                )
                for by in (1e-5, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
            ],
        ),
        wrong(
            "a tie counts as a violation",
            lambda weights: _share(
                _cross(weights.double()) >= _own(weights.double()), weights.dtype
            ),
            "Where both products are equal, nobody prefers anybody: two equal tokens under a "
            "shared W are such a pair. Count only what is really less.",
            also=[lambda weights: _share(_cross(weights) >= _own(weights), weights.dtype)],
        ),
        wrong(
            "the inequality the wrong way round",
            lambda weights: _share(
                _own(weights.double()) > 1.00001 * _cross(weights.double()), weights.dtype
            ),
            "You count the pairs that keep the rule. A violation is A_ii A_jj < A_ij A_ji: the two "
            "together give each other more than they give themselves.",
            also=[
                lambda weights: _share(_own(weights) > _cross(weights), weights.dtype),
                lambda weights: _share(_own(weights) >= _cross(weights), weights.dtype),
                lambda weights: _share(
                    ~_violated(weights.double()) & _no_diagonal(weights), weights.dtype
                ),
            ],
        ),
        wrong(
            "divided by T² instead of the number of pairs",
            lambda weights: _violated(weights.double()).to(weights.dtype).mean((-2, -1)),
            "You divide by T², all entries of the map. A token makes no pair with itself, and "
            "(i, j) is the same pair as (j, i): there are T (T − 1) / 2 pairs.",
            also=[
                lambda weights: (
                    _violated(weights.double()).triu(1).to(weights.dtype).mean((-2, -1))
                ),
            ],
        ),
        wrong(
            "the diagonal counts as pairs",
            lambda weights: (
                _violated(weights.double()).triu(1).sum((-2, -1))
                / (weights.shape[-1] * (weights.shape[-1] + 1) / 2)
            ).to(weights.dtype),
            "You divide by T (T + 1) / 2, which counts each token with itself as a pair. Start "
            "above the diagonal: triu with 1, not 0. There are T (T − 1) / 2 pairs.",
        ),
        wrong(
            "each pair counted twice",
            lambda weights: 2 * _share(_violated(weights.double()), weights.dtype),
            "Your share is twice what it should be: you count (i, j) and (j, i), and divide by the "
            "number of unordered pairs. Count each pair once.",
        ),
        wrong(
            "half of what it should be",
            lambda weights: _share(_violated(weights.double()), weights.dtype) / 2,
            "Your share is half of what it should be: you count each pair once, and divide by "
            "T (T − 1), in which each stands twice.",
        ),
        wrong(
            "a number instead of a share",
            lambda weights: _violated(weights.double()).triu(1).sum((-2, -1)).to(weights.dtype),
            "You return how many pairs there are. The share divides by their number, "
            "T (T − 1) / 2, so that maps of different sizes compare.",
            also=[lambda weights: _violated(weights.double()).sum((-2, -1)).to(weights.dtype)],
        ),
        wrong(
            "yes or no instead of a share",
            lambda weights: _violated(weights.double()).any(-1).any(-1).to(weights.dtype),
            "You say whether any pair is violated. That already proves that no shared W made the "
            "map; here the share of such pairs is wanted.",
        ),
        wrong(
            "one direction of the pair only",
            lambda weights: _share(
                weights > 1.00001 * weights.diagonal(dim1=-2, dim2=-1).unsqueeze(-1), weights.dtype
            ),
            "You count whoever gives another more than itself. One alone may do that under a "
            "shared W; it is both together that may not: compare A_ij A_ji with A_ii A_jj.",
            also=[
                lambda weights: _share(
                    weights > weights.diagonal(dim1=-2, dim2=-1).unsqueeze(-1), weights.dtype
                ),
            ],
        ),
        wrong(
            "both must prefer the other",
            lambda weights: _share(
                (w := weights > weights.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)) & w.mT,
                weights.dtype,
            ),
            "You ask that each of the two prefers the other. That is a violation, but not the "
            "only one: a strong preference on one side can outweigh a weak dislike on the other. "
            "The products say so: A_ij A_ji against A_ii A_jj.",
        ),
        wrong(
            "the transpose is forgotten",
            lambda weights: _share(
                (w := weights.double()).square() > 1.00001 * _own(w), weights.dtype
            ),
            "You compare with A_ij², one direction twice. The way back, A_ji, is another weight, "
            "because weights are not symmetric even if the scores are: A * A.mT.",
            also=[
                lambda weights: _share(weights.square() > _own(weights), weights.dtype),
                lambda weights: _share(
                    _mirrored((w := weights.double()).square() > 1.00001 * _own(w)), weights.dtype
                ),
                lambda weights: _share(_mirrored(weights.square() > _own(weights)), weights.dtype),
            ],
        ),
        wrong(
            "a matrix product",
            lambda weights: _share(
                weights.double() @ weights.double().mT > 1.00001 * _own(weights.double()),
                weights.dtype,
            ),
            "`A @ A.mT` adds up over all tokens. The two weights of one pair are multiplied entry "
            "by entry: A * A.mT.",
            also=[
                lambda weights: _share(weights @ weights.mT > _own(weights), weights.dtype),
                lambda weights: _share(weights @ weights > _own(weights), weights.dtype),
            ],
        ),
        wrong(
            "sums instead of products",
            lambda weights: _share(
                weights + weights.mT
                > (d := weights.diagonal(dim1=-2, dim2=-1)).unsqueeze(-1) + d.unsqueeze(-2),
                weights.dtype,
            ),
            "You add where you should multiply. For scores the rule has sums, "
            "s_ii + s_jj ≥ 2 s_ij. The softmax turns sums into products.",
        ),
        wrong(
            "whether the map is symmetric",
            lambda weights: _share(weights != weights.mT, weights.dtype),
            "You count pairs with A_ij ≠ A_ji. The weights of a shared W are not symmetric "
            "either, since each row is divided by a sum of its own.",
            also=[lambda weights: _share(~torch.isclose(weights, weights.mT), weights.dtype)],
        ),
        wrong(
            "the diagonal of the wrong axes",
            lambda weights: _share(
                _cross(w := weights.double())
                > 1.00001 * (d := w.diagonal()).unsqueeze(-1) * d.unsqueeze(-2),
                weights.dtype,
            ),
            "`.diagonal()` takes the first two axes. In a batch those are not the two of the map: "
            "name them, .diagonal(dim1=-2, dim2=-1).",
        ),
        wrong(
            "one number for the whole batch",
            lambda weights: _share(_violated(weights.double()), weights.dtype).mean(),
            "You average over the batch. Every map has a share of its own: [..., T, T] -> [...].",
        ),
    )


def _own(weights: Tensor) -> Tensor:
    d = weights.diagonal(dim1=-2, dim2=-1)
    return d.unsqueeze(-1) * d.unsqueeze(-2)


def _cross(weights: Tensor) -> Tensor:
    return weights * weights.mT


def _violated(weights: Tensor, tolerance: float = 1e-5) -> Tensor:
    return _cross(weights) > (1 + tolerance) * _own(weights)


def _no_diagonal(weights: Tensor) -> Tensor:
    return ~torch.eye(weights.shape[-1], dtype=torch.bool)


def _above_diagonal(weights: Tensor) -> Tensor:
    return torch.triu_indices(weights.shape[-2], weights.shape[-1], offset=1)


def _mirrored(found: Tensor) -> Tensor:
    """What was found above the diagonal, below it too."""
    return found.triu(1) | found.triu(1).mT


def _off_diagonal_sum(found: Tensor) -> Tensor:
    return (found * _no_diagonal(found)).sum((-2, -1))


def _share(found: Tensor, dtype: torch.dtype) -> Tensor:
    """The share of ordered pairs of different tokens in which something was found."""
    pairs = found.shape[-1] * (found.shape[-1] - 1)
    return (_off_diagonal_sum(found.double()) / max(pairs, 1)).to(dtype)


@item("ps2.stationary", points=3, minutes=20, difficulty="medium")
class Stationary:
    """π with π A = π for A = softmax(symmetric scores): [..., T, T] -> [..., T]."""

    @staticmethod
    def reference(scores: Tensor) -> Tensor:
        # One softmax over all pairs gives e^{s_ij} / Z, a symmetric table with π as its margin.
        return scores.flatten(-2).softmax(-1).view_as(scores).sum(-1)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()
        levels = torch.tensor([200.0, -200.0])[:, None, None] + _symmetric(draw(2, 4, 4))
        yield case("two tokens that can be done by hand", by_hand, core=True)
        yield case("a batch", _symmetric(draw(3, 5, 5)), core=True, weight=2)
        yield case("scores around 200, and around −200", levels)
        yield case("scores in the thousands", 1000 * _symmetric(draw(2, 5, 5)))
        yield case("one token: always there", draw(2, 1, 1))
        yield case("no batch dimension", _symmetric(draw(6, 6)))
        yield case("two batch dimensions", _symmetric(draw(2, 3, 4, 4)))
        yield case("float64", _symmetric(draw(2, 5, 5, dtype=torch.float64)))

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda scores: _to_one(scores.exp().sum(-1)),
            "e^200 is infinite in float32, and e^−200 is 0: what is left is ∞ / ∞ or 0 / 0. "
            "Subtract the largest score of the map first, or stay in the exponent: the softmax of "
            "scores.logsumexp(-1).",
            also=[
                lambda scores: scores.exp().sum(-1) / scores.exp().sum((-2, -1)).unsqueeze(-1),
                lambda scores: _to_one(scores.exp().sum(-2)),
                lambda scores: _to_one(scores.double().exp().sum(-1)).to(scores.dtype),
            ],
        ),
        wrong(
            "one largest score for the whole batch",
            lambda scores: _to_one((scores - scores.max()).exp().sum(-1)),
            "You subtract the largest score of the whole batch. In a map far below it every exp() "
            "is 0, and 0 / 0 is left. Each map has a largest score of its own: "
            ".amax((-2, -1), keepdim=True).",
        ),
        wrong(
            "each row's own largest score subtracted",
            lambda scores: _to_one((scores - scores.amax(-1, keepdim=True)).exp().sum(-1)),
            "You subtract each row's own largest score. In a softmax over the row that changes "
            "nothing; here the rows are compared with each other, and it does. One number for the "
            "whole map: .amax((-2, -1), keepdim=True).",
        ),
        wrong(
            "steps that never arrive",
            lambda scores: scores.softmax(-1).matrix_power(100)[..., 0, :],
            "You let the walk run, or ask for the eigenvector. That works as long as the walk gets "
            "about. With scores in the thousands it hardly ever leaves where it is: no number of "
            "steps is enough, and several eigenvalues round to 1, so that chance decides. "
            "π_i ∝ Σ_j e^{s_ij} needs neither.",
            also=[
                lambda scores: _to_one(_eigenvector(scores.softmax(-1).mT)),
                lambda scores: scores.softmax(-1).matrix_power(100).mean(-2),
                lambda scores: scores.softmax(-1).matrix_power(1000)[..., 0, :],
                lambda scores: scores.softmax(-1).matrix_power(1000).mean(-2),
                lambda scores: scores.softmax(-1).matrix_power(1024)[..., 0, :],
                lambda scores: scores.softmax(-1).matrix_power(50)[..., 0, :],
                lambda scores: scores.softmax(-1).matrix_power(50).mean(-2),
                lambda scores: scores.softmax(-1).matrix_power(200)[..., 0, :],
                lambda scores: scores.softmax(-1).matrix_power(500)[..., 0, :],
            ],
        ),
        wrong(
            "does not add up to 1",
            lambda scores: scores.exp().sum(-1),
            "The proportions are right, but π says where the walk is, so it has to add up to 1: "
            "divide by its sum.",
            also=[
                lambda scores: (scores - scores.amax((-2, -1), keepdim=True)).exp().sum(-1),
                lambda scores: (e := scores.exp().sum(-1)) / e.norm(dim=-1, keepdim=True),
                lambda scores: (
                    (e := (scores - scores.amax((-2, -1), keepdim=True)).exp().sum(-1))
                    / e.norm(dim=-1, keepdim=True)
                ),
            ],
        ),
        wrong(
            "the logarithm is left",
            lambda scores: scores.logsumexp(-1),
            "This is log Σ_j e^{s_ij}, the logarithm of what is wanted, up to a constant. One "
            "softmax over the tokens undoes the logarithm and makes the sum 1.",
            also=[
                lambda scores: _to_one(scores.logsumexp(-1)),
                lambda scores: scores.logsumexp(-1).log_softmax(-1),
            ],
        ),
        wrong(
            "normalised over the batch",
            lambda scores: (
                (e := (scores - scores.amax((-2, -1), keepdim=True)).exp().sum(-1)) / e.sum()
            ),
            "You divide by the sum over the whole batch. Each map has a walk of its own, and each "
            "π adds up to 1: .sum(-1, keepdim=True).",
            also=[lambda scores: (e := scores.exp().sum(-1)) / e.sum()],
        ),
        wrong(
            "one step only",
            lambda scores: scores.softmax(-1).mean(-2),
            "This is the mean of the columns, the attention that each token gets from everybody "
            "alike: where the walk is after one step from a token chosen at random. π is what no "
            "step changes any more.",
            also=[lambda scores: scores.softmax(-1).sum(-2)],
        ),
        wrong(
            "two or three steps only",
            lambda scores: scores.softmax(-1).matrix_power(2).mean(-2),
            "You stop the walk after a few steps. π is what no step changes any more, and it needs "
            "no walk at all: π_i ∝ Σ_j e^{s_ij}.",
            also=[lambda scores: scores.softmax(-1).matrix_power(3).mean(-2)],
        ),
        wrong(
            "an eigenvector as it comes",
            lambda scores: _eigenvector(scores.softmax(-1).mT),
            "This is an eigenvector as torch.linalg.eig gives it: of length 1, with either sign, "
            "and in no particular order. Of those of A.mT take the one whose eigenvalue is 1, and "
            "divide it by its sum. Or take none at all: π_i ∝ Σ_j e^{s_ij}.",
            also=[
                lambda scores: _first_eigenvector(scores.softmax(-1).mT),
                lambda scores: _first_eigenvector(scores.softmax(-1)),
            ],
        ),
        wrong(
            "the same for every token",
            lambda scores: torch.full_like(scores[..., 0], 1 / scores.shape[-1]),
            "Your π is uniform. The rows of A add up to 1, so the vector of ones is an eigenvector "
            "on the *right*, A 1 = 1. Wanted is the one on the left, π A = π: those of A.mT.",
            also=[
                lambda scores: scores.softmax(-1).sum(-1),
                lambda scores: torch.full_like(scores[..., 0], scores.shape[-1] ** -0.5),
            ],
        ),
        wrong(
            "the diagonal alone",
            lambda scores: scores.diagonal(dim1=-2, dim2=-1).softmax(-1),
            "You look at the scores of tokens with themselves alone. How often the walk is at a "
            "token depends on all that it scores with: Σ_j e^{s_ij}, over all j.",
            also=[
                lambda scores: _to_one(scores.softmax(-1).diagonal(dim1=-2, dim2=-1)),
                lambda scores: scores.softmax(-1).diagonal(dim1=-2, dim2=-1),
            ],
        ),
        wrong(
            "the diagonal left out",
            lambda scores: _without_diagonal(scores).logsumexp(-1).softmax(-1),
            "You leave j = i out of the sum. A walk may stay where it is, and how often it does "
            "counts: the sum runs over all j.",
        ),
        wrong(
            "exp of the sum instead of sum of the exp",
            lambda scores: scores.sum(-1).softmax(-1),
            "You add up the scores and then take exp(). It is the other way round: each score goes "
            "into exp(), and then the row is added up. That is what logsumexp does.",
            also=[lambda scores: scores.mean(-1).softmax(-1)],
        ),
        wrong(
            "no exp",
            lambda scores: _to_one(scores.sum(-1)),
            "You divide sums of scores, which may be negative, and then so is your π. The weights "
            "come out of e^{s_ij}: add those up.",
        ),
        wrong(
            "the weights taken for scores",
            lambda scores: scores.softmax(-1).logsumexp(-1).softmax(-1),
            "You put the weights into exp() once more. The formula wants the scores themselves; "
            "the softmax is already in it.",
        ),
        wrong(
            "power entry by entry",
            lambda scores: (scores.softmax(-1) ** 20)[..., 0, :],
            "`A ** n` raises each entry to a power. To walk n steps, multiply the matrix with "
            "itself: torch.linalg.matrix_power(A, n). Better still, take no steps at all: "
            "π_i ∝ Σ_j e^{s_ij}.",
            also=[
                lambda scores, n=n, take=take: take(scores.softmax(-1) ** n)
                for n in (10, 20)
                for take in (lambda power: power[..., 0, :], lambda power: power.mean(-2))
            ],
        ),
        wrong(
            "an axis too many",
            lambda scores: scores.flatten(-2).softmax(-1).view_as(scores).sum(-1, keepdim=True),
            "Your result is [..., T, 1]: the axis over which you added up is still there. Leave "
            "out keepdim=True in the sum over the keys.",
        ),
    )


def _symmetric(drawn: Tensor) -> Tensor:
    return drawn + drawn.mT


def _to_one(amounts: Tensor) -> Tensor:
    return amounts / amounts.sum(-1, keepdim=True)


def _first_eigenvector(weights: Tensor) -> Tensor:
    return torch.linalg.eig(weights).eigenvectors[..., 0].real


def _eigenvector(weights: Tensor) -> Tensor:
    values, vectors = torch.linalg.eig(weights)
    largest = values.real.argmax(-1, keepdim=True).unsqueeze(-2).expand_as(vectors[..., :1])
    return vectors.real.gather(-1, largest).squeeze(-1)


def _without_diagonal(scores: Tensor) -> Tensor:
    itself = torch.eye(scores.shape[-1], dtype=torch.bool)
    return scores.masked_fill(itself, -torch.inf)


@item("ps2.attends_to_itself", points=2, minutes=10, difficulty="easy")
class AttendsToItself:
    """The share of queries for whom no key gets more than the token itself."""

    @staticmethod
    def reference(weights: Tensor) -> Tensor:
        return _itself(weights).to(weights.dtype).mean(-1)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[[0.4, 0.35, 0.25], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]])
        tied = torch.tensor([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.2, 0.4, 0.4]]])
        yield case("three tokens that can be done by hand", by_hand, core=True)
        yield case("a batch", _favouring(draw(3, 5, 5), 1.0), core=True, weight=2)
        yield case("a tie goes to the token itself", tied)
        yield case("equal weights: all of them", torch.full((2, 4, 4), 0.25))
        yield case("a hidden diagonal: none", _without_diagonal(draw(2, 4, 4)).softmax(-1))
        yield case("many tokens, so that no weight is large", _favouring(draw(2, 9, 9), 1.5))
        yield case("one token: itself", torch.ones(2, 1, 1))
        yield case("no batch dimension", _favouring(draw(6, 6), 1.0))
        yield case("two batch dimensions", _favouring(draw(2, 3, 4, 4), 1.0))
        # Quarters, which float32 holds exactly.
        yield case("float64", _favouring(draw(2, 4, 4, dtype=torch.float64), 1.0))

    misconceptions = (
        wrong(
            "float32 whatever came in",
            lambda weights: _itself(weights).float().mean(-1),
            "The values are right. `.float()` and torch.tensor(…) make float32, also where the "
            "weights are float64: write .to(weights.dtype).",
        ),
        wrong(
            "argmax decides a tie",
            lambda weights: (
                (weights.argmax(-1) == torch.arange(weights.shape[-1])).to(weights.dtype).mean(-1)
            ),
            "Where two keys get the same, argmax names one of them, usually the first, and the "
            "token itself loses a tie that it did not lose. Compare weights: A_ii ≥ max_j A_ij.",
        ),
        wrong(
            "a tie is lost",
            lambda weights: (
                (_diagonal(weights) > _without_diagonal(weights).amax(-1))
                .to(weights.dtype)
                .mean(-1)
            ),
            "You ask that the token get more than every other. The task asks that no other get "
            "more, so a tie counts: ≥ in place of >.",
        ),
        wrong(
            "the diagonal of the wrong axes",
            lambda weights: (weights.diagonal() >= weights.amax(-1)).to(weights.dtype).mean(-1),
            "`.diagonal()` takes the first two axes, and torch.diag wants no batch at all. In a "
            "batch the map is the last two axes: name them, .diagonal(dim1=-2, dim2=-1).",
            also=[
                lambda weights: (
                    (torch.diag(weights) >= weights.amax(-1)).to(weights.dtype).mean(-1)
                ),
            ],
        ),
        wrong(
            "pairs counted instead of queries",
            lambda weights: (
                (weights <= _diagonal(weights).unsqueeze(-1)).to(weights.dtype).mean((-2, -1))
            ),
            "You count pairs with A_ij ≤ A_ii. A query counts only if that holds for every key "
            "j: one .all(-1), or a comparison with the largest weight of the row, comes first.",
        ),
        wrong(
            "more than half",
            lambda weights: (_diagonal(weights) > 0.5).to(weights.dtype).mean(-1),
            "You ask for more than half of the attention. The largest of many weights may be far "
            "smaller than that: compare it with the other weights of its row.",
            also=[lambda weights: (_diagonal(weights) >= 0.5).to(weights.dtype).mean(-1)],
        ),
        wrong(
            "more than its share",
            lambda weights: (_diagonal(weights) > 1 / weights.shape[-1]).to(weights.dtype).mean(-1),
            "You compare with the mean weight, 1 / T. Another key may still get more: compare with "
            "the largest weight of the row.",
            also=[
                lambda weights: (_diagonal(weights) >= weights.mean(-1)).to(weights.dtype).mean(-1),
            ],
        ),
        wrong(
            "the mean weight on itself",
            lambda weights: _diagonal(weights).mean(-1),
            "This is how much attention tokens give themselves on average. The question is how "
            "many of them give nobody else more: a count, divided by T.",
        ),
        wrong(
            "looked for along the queries",
            lambda weights: (_diagonal(weights) >= weights.amax(-2)).to(weights.dtype).mean(-1),
            "You look down the columns: which query gives this key most. It is each query that "
            "chooses among its keys, so the largest weight is taken along the last axis.",
            also=[
                lambda weights: (
                    (weights.argmax(-2) == torch.arange(weights.shape[-1]))
                    .to(weights.dtype)
                    .mean(-1)
                ),
            ],
        ),
        wrong(
            "one largest weight for the whole map",
            lambda weights: (
                (_diagonal(weights) >= weights.amax((-2, -1)).unsqueeze(-1))
                .to(weights.dtype)
                .mean(-1)
            ),
            "You compare with the largest weight of the whole map. Each query has a largest weight "
            "of its own: .amax(-1).",
        ),
        wrong(
            "a number instead of a share",
            lambda weights: _itself(weights).sum(-1).to(weights.dtype),
            "You return how many tokens do so. The share divides by their number, T.",
        ),
        wrong(
            "the others instead of itself",
            lambda weights: 1 - _itself(weights).to(weights.dtype).mean(-1),
            "This is the share of tokens that give another key more than themselves. Wanted are "
            "the others.",
        ),
        wrong(
            "one answer for each query",
            lambda weights: _itself(weights).to(weights.dtype),
            "You say it for each query, [..., T]. The share is their mean over the queries: one "
            "number for each map, [...].",
            also=[lambda weights: _itself(weights)],
        ),
        wrong(
            "one number for the whole batch",
            lambda weights: _itself(weights).to(weights.dtype).mean(),
            "You average over the batch. Every map has a share of its own: [..., T, T] -> [...].",
        ),
    )


def _diagonal(weights: Tensor) -> Tensor:
    return weights.diagonal(dim1=-2, dim2=-1)


def _itself(weights: Tensor) -> Tensor:
    return _diagonal(weights) >= weights.amax(-1)


def _favouring(scores: Tensor, itself: float) -> Tensor:
    """Weights in which about half of the tokens look at themselves."""
    return (scores + itself * torch.eye(scores.shape[-1])).softmax(-1)


@item("ps2.cycle_bound", points=3, minutes=25, difficulty="hard")
class CycleBound:
    """How many of the wishes i -> wants[i] one table of symmetric scores can grant at most."""

    @staticmethod
    def reference(wants: Sequence[int]) -> int:
        return len(wants) - sum(len(ring) > 2 for ring in _rings(wants))

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        everything = [1, 2, 0, 4, 5, 6, 3, 8, 7, 0, 9, 7]
        yield case("rock, paper, scissors", [1, 2, 0], core=True)
        yield case("a ring of four, and two who look at it", [1, 2, 3, 0, 0, 4], core=True)
        yield case("a mutual pair: both", [1, 0])
        yield case("a ring of five", _relabelled(draw, [1, 2, 3, 4, 0]))
        yield case("two rings of three", _relabelled(draw, [1, 2, 0, 4, 5, 3]), core=True)
        yield case("a chain that ends in a ring: 0 is not on it", [1, 2, 3, 4, 2])
        yield case("a ring that 0 does not lead to", [1, 0, 3, 4, 2, 0])
        yield case("a chain that ends in a mutual pair", _relabelled(draw, [1, 2, 3, 4, 3]))
        yield case("all want the same one", [1, 0, 0, 0, 0])
        yield case("everything at once, n = 12", _relabelled(draw, everything), weight=2)

    misconceptions = (
        wrong(
            "the input is changed",
            lambda wants: _crossed_out(wants),
            "Your function changes the list that it was given, with `wants[i] = …`, pop or sort, "
            "and whoever called you still needs it. Work on a copy: `wants = list(wants)`.",
        ),
        wrong(
            "a mutual pair costs one too",
            lambda wants: len(wants) - len(_rings(wants)),
            "You take one wish from every ring, also from two who want each other (and every "
            "connected group of tokens contains one ring). For two, symmetric scores are no "
            "obstacle: s(a, b) = s(b, a) may be the largest of both rows. Only rings of three or "
            "more lose one.",
        ),
        wrong(
            "all tokens on a ring are lost",
            lambda wants: len(wants) - sum(len(ring) for ring in _rings(wants) if len(ring) > 2),
            "You take away every wish on a ring. It is enough to give up one of them: what is left "
            "is a chain, and scores that grow along the chain grant all of it. (Or you count each "
            "ring once for every token that it is found from.)",
            also=[lambda wants: len(wants) - sum(map(len, _rings(wants)))],
        ),
        wrong(
            "a ring is counted from every start",
            lambda wants: (
                len(wants) - sum(len(_ring_from(wants, i)) > 2 for i in range(len(wants)))
            ),
            "You count a ring again for every token whose path ends in it. Remember the rings that "
            "you have seen, for instance by their smallest token, and count each once.",
        ),
        wrong(
            "one for all rings together",
            lambda wants: len(wants) - any(len(ring) > 2 for ring in _rings(wants)),
            "You take away one wish if there is any ring. Rings do not share a token, so each of "
            "them loses a wish of its own.",
        ),
        wrong(
            "always one",
            lambda wants: len(wants) - 1,
            "You always take away one wish. Without a ring of three or more nothing is lost, and "
            "with two rings two wishes are.",
        ),
        wrong(
            "two thirds of all",
            lambda wants: 2 * len(wants) // 3,
            "Two of three is what one ring of three keeps. A longer ring loses one wish too, so it "
            "keeps a larger share, and tokens that are on no ring lose none.",
            also=[
                lambda wants: 2 * len(wants) / 3,
                lambda wants: (
                    sum(
                        2 * len(ring) // 3 if len(ring) > 2 else len(ring) for ring in _rings(wants)
                    )
                    + len(wants)
                    - sum(map(len, _rings(wants)))
                ),
            ],
        ),
        wrong(
            "rings of three only",
            lambda wants: len(wants) - sum(len(ring) == 3 for ring in _rings(wants)),
            "You look for rings of three only. The same chain of inequalities closes round a ring "
            "of any length from three on.",
        ),
        wrong(
            "odd rings only",
            lambda wants: len(wants) - sum(len(ring) % 2 for ring in _rings(wants)),
            "You let rings of even length go free, as in a colouring. Write the wishes of a ring "
            "of four as inequalities between scores: they contradict each other as well.",
        ),
        wrong(
            "only the ring that 0 leads to",
            lambda wants: len(wants) - (len(_ring_from(wants, 0)) > 2),
            "You follow the wishes from token 0 alone. Other rings may be out of its reach: start "
            "from every token, and count each ring once.",
        ),
        wrong(
            "only mutual wishes",
            lambda wants: sum(wants[wanted] == i for i, wanted in enumerate(wants)),
            "You grant a wish only if it is mutual. Symmetric scores do not ask for that: a may "
            "have b as its largest score while b has a larger one with c.",
        ),
        wrong(
            "how many are wanted",
            lambda wants: len(set(wants)),
            "You count the tokens that somebody wants. Many may want the same one, and all of them "
            "can have their wish: each has a row of its own.",
        ),
        wrong(
            "what is lost instead of what is granted",
            lambda wants: sum(len(ring) > 2 for ring in _rings(wants)),
            "This is how many wishes are lost. Asked is how many are granted: n minus that.",
            also=[lambda wants: len(_rings(wants))],
        ),
        wrong(
            "a share instead of a number",
            lambda wants: 1 - sum(len(ring) > 2 for ring in _rings(wants)) / len(wants),
            "You return a share. Asked is how many wishes are granted, a whole number.",
        ),
        wrong(
            "all of them",
            lambda wants: len(wants),
            "You grant every wish. Write those of a ring of three as inequalities between scores, "
            "with s(a, b) = s(b, a): they contradict each other.",
        ),
    )


def _ring_from(wants: Sequence[int], start: int) -> frozenset[int]:
    """The ring in which the wishes end that are followed from a token."""
    path = [start]
    while (token := wants[path[-1]]) not in path:
        path.append(token)
    return frozenset(path[path.index(token) :])


def _rings(wants: Sequence[int]) -> set[frozenset[int]]:
    """Each ring once: a token has one wish, so it is on one ring at most."""
    return {_ring_from(wants, start) for start in range(len(wants))}


def _relabelled(draw: Draw, wants: Sequence[int]) -> list[int]:
    """The same wishes among tokens that have been given other numbers."""
    number = draw(len(wants)).argsort().tolist()
    renamed = [0] * len(wants)
    for token, wanted in enumerate(wants):
        renamed[number[token]] = number[wanted]
    return renamed


def _crossed_out(wants: list[int]) -> int:
    """The right bound; tokens that have been visited are crossed out in the list itself."""
    seen: dict[int, int] = {}
    rings = 0
    for start in range(len(wants)):
        i = start
        steps = 0
        while wants[i] >= 0:
            seen[i] = start * len(wants) + steps
            wants[i], i, steps = -1, wants[i], steps + 1
        first = seen[i] - start * len(wants)
        rings += steps > 0 and first >= 0 and steps - first > 2
    return len(wants) - rings
