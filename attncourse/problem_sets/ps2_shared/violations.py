"""`ps2.violations`: the share of pairs of an attention map that no shared matrix allows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps2_shared.common import dots


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
        shared = dots(draw(2, 5, 3)).softmax(-1)
        hidden = draw(2, 4, 4).masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf)
        causal = draw(2, 4, 4).masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf)
        yield case("three tokens that can be done by hand", by_hand, basic=True)
        yield case("a batch", draw(3, 5, 5).softmax(-1), basic=True, weight=2)
        yield case("the map of a shared W: none", shared)
        yield case("a hidden diagonal: every pair", hidden.softmax(-1))
        yield case("a causal map: none", causal.softmax(-1))
        yield case("equal weights: a tie is not a violation", torch.full((2, 4, 4), 0.25))
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
            variants=[
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
            variants=[
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
            variants=[lambda weights: _share(_cross(weights) >= _own(weights), weights.dtype)],
        ),
        wrong(
            "the inequality the wrong way round",
            lambda weights: _share(
                _own(weights.double()) > 1.00001 * _cross(weights.double()), weights.dtype
            ),
            "You count the pairs that keep the rule. A violation is A_ii A_jj < A_ij A_ji: the two "
            "together give each other more than they give themselves.",
            variants=[
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
            variants=[
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
            variants=[lambda weights: _violated(weights.double()).sum((-2, -1)).to(weights.dtype)],
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
            "You count every token that gives another more than itself. One alone may do that "
            "under a shared W; it is both together that may not: compare A_ij A_ji with A_ii A_jj.",
            variants=[
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
            variants=[
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
            variants=[
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
            variants=[lambda weights: _share(~torch.isclose(weights, weights.mT), weights.dtype)],
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
