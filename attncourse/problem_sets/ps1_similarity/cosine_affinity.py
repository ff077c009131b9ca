"""`ps1.cosine_affinity`: cosines between every row of x and every row of y."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.attention import cosine_affinity
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps1_similarity.common import naive_cosine, row_lengths, unit_plus


@item("ps1.cosine_affinity", points=3, minutes=15, difficulty="easy")
class CosineAffinity:
    """Cosines of the rows of x and y: [..., T_q, D], [..., T_k, D] -> [..., T_q, T_k]."""

    reference = cosine_affinity

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[3.0, 4.0, 0.0], [0.0, 2.0, 0.0]])  # lengths 5 and 2, cosine 0.8
        with_zero = draw(2, 4, 3)
        with_zero[1, 2] = 0
        yield case("two vectors that can be done by hand", by_hand, basic=True)
        yield case("a batch against itself", draw(2, 5, 7), basic=True)
        yield case("x against a y of another length", draw(2, 3, 6), draw(2, 4, 6), weight=2)
        yield case("no batch dimension", draw(4, 6), draw(3, 6))
        yield case("two batch dimensions", draw(2, 3, 4, 5))
        yield case("a zero vector: 0, not NaN", with_zero)
        yield case("vectors of length 0.001: the angle is what counts", 1e-3 * draw(3, 5))
        yield case("float64", draw(2, 3, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 5), draw(2, 4, 5), gradient=True)

    misconceptions = (
        wrong(
            "NaN for a zero vector",
            lambda x, y=None: (
                (x / x.norm(dim=-1, keepdim=True))
                @ ((y := x if y is None else y) / y.norm(dim=-1, keepdim=True)).mT
            ),
            "A zero vector has length 0, and 0 / 0 is NaN. It has no direction, so let its cosine "
            "with anything be 0: keep the length that you divide by away from zero, for instance "
            "with .clamp_min(1e-12).",
        ),
        wrong(
            "a constant added to the length",
            lambda x, y=None: unit_plus(x, 1e-6) @ unit_plus(x if y is None else y, 1e-6).mT,
            "Adding a constant to the length changes every cosine a little, and those of short "
            "vectors a lot. Divide by max(length, ε) instead, as in .clamp_min(1e-12): that "
            "touches zero vectors alone.",
            variants=[
                lambda x, y=None: unit_plus(x, 1e-5) @ unit_plus(x if y is None else y, 1e-5).mT,
                lambda x, y=None: unit_plus(x, 1e-4) @ unit_plus(x if y is None else y, 1e-4).mT,
                lambda x, y=None: unit_plus(x, 1e-8) @ unit_plus(x if y is None else y, 1e-8).mT,
                lambda x, y=None: (
                    (x @ (x if y is None else y).mT)
                    / (row_lengths(x) * row_lengths(x if y is None else y).mT + 1e-6)
                ),
                lambda x, y=None: (
                    (x @ (x if y is None else y).mT)
                    / (row_lengths(x) * row_lengths(x if y is None else y).mT + 1e-8)
                ),
            ],
        ),
        wrong(
            "the length is cut out of the gradient",
            lambda x, y=None: (
                (x / row_lengths(x).detach().clamp_min(1e-12))
                @ ((y := x if y is None else y) / row_lengths(y).detach().clamp_min(1e-12)).mT
            ),
            "The values are right, the gradients are not: the length is treated as a constant. It "
            "depends on x too, so leave it in the graph: no .detach() and no no_grad around it.",
        ),
        wrong(
            "the input is changed",
            lambda x, y=None: _unit_in_place(x) @ (x if y is None else _unit_in_place(y)).mT,
            "Your function changes the tensor it was given. `x /= …` writes into x itself, and "
            "the caller still needs it: write `x = x / …`, which makes a new tensor.",
        ),
        wrong(
            "y is forgotten",
            lambda x, y=None: normalize(x, dim=-1) @ normalize(x, dim=-1).mT,
            "You compare x with itself even if y is given. The columns belong to y: "
            "only when y is None does x take its place.",
        ),
        wrong(
            "x and y swapped",
            lambda x, y=None: normalize(x if y is None else y, dim=-1) @ normalize(x, dim=-1).mT,
            "Your result is transposed. Rows belong to x and columns to y: "
            "[..., T_q, D] times [..., D, T_k] gives [..., T_q, T_k].",
        ),
        wrong(
            "only one side has length 1",
            lambda x, y=None: normalize(x, dim=-1) @ (x if y is None else y).mT,
            "Only one of the two sides is divided by its length. The cosine divides by both: "
            "the length of each row of x and the length of each row of y.",
            variants=[lambda x, y=None: x @ normalize(x if y is None else y, dim=-1).mT],
        ),
        wrong(
            "no division by the lengths",
            lambda x, y=None: x @ (x if y is None else y).mT,
            "This is the plain dot product, which grows with the lengths of the vectors. "
            "Divide each vector by its length first.",
        ),
        wrong(
            "divided by the squared length",
            lambda x, y=None: (
                (x / x.square().sum(-1, keepdim=True).clamp_min(1e-24))
                @ (
                    (y := x if y is None else y) / y.square().sum(-1, keepdim=True).clamp_min(1e-24)
                ).mT
            ),
            "You divide by the sum of squares, which is the length squared. Take its square root, "
            "or use .norm(dim=-1, keepdim=True).",
        ),
        wrong(
            "normalised over the tokens",
            lambda x, y=None: normalize(x, dim=-2) @ normalize(x if y is None else y, dim=-2).mT,
            "Your lengths are taken along the tokens. One vector is one row, so its length runs "
            "over the last axis, the features: dim=-1.",
        ),
        wrong(
            "one length for the whole tensor",
            lambda x, y=None: (x / x.norm()) @ ((y := x if y is None else y) / y.norm()).mT,
            "You divide everything by one number, the length of the whole tensor. Every row has a "
            "length of its own: .norm(dim=-1, keepdim=True) has the shape [..., T, 1].",
        ),
        wrong(
            "the cosine distance",
            lambda x, y=None: 1 - naive_cosine(x, y),
            "This is 1 − cosine, a distance: 0 for the same direction. Affinity is the cosine "
            "itself: 1 for the same direction.",
        ),
        wrong(
            "squeezed into 0 to 1",
            lambda x, y=None: (1 + naive_cosine(x, y)) / 2,
            "You map the cosine to the range from 0 to 1. Leave it between −1 and 1: opposite "
            "vectors have affinity −1.",
        ),
    )


def _unit_in_place(x: Tensor) -> Tensor:
    x /= row_lengths(x).clamp_min(1e-12)
    return x
