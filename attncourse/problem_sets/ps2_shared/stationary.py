"""`ps2.stationary`: where a walk along the attention of symmetric scores is in the long run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps2_shared.common import without_diagonal


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
        yield case("two tokens that can be done by hand", by_hand, basic=True)
        yield case("a batch", _symmetric(draw(3, 5, 5)), basic=True, weight=2)
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
            variants=[
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
            variants=[
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
            variants=[
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
            variants=[
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
            variants=[lambda scores: (e := scores.exp().sum(-1)) / e.sum()],
        ),
        wrong(
            "one step only",
            lambda scores: scores.softmax(-1).mean(-2),
            "This is the mean of the columns, the attention that each token gets from everybody "
            "alike: where the walk is after one step from a token chosen at random. π is what no "
            "step changes any more.",
            variants=[lambda scores: scores.softmax(-1).sum(-2)],
        ),
        wrong(
            "two or three steps only",
            lambda scores: scores.softmax(-1).matrix_power(2).mean(-2),
            "You stop the walk after a few steps. π is what no step changes any more, and it needs "
            "no walk at all: π_i ∝ Σ_j e^{s_ij}.",
            variants=[lambda scores: scores.softmax(-1).matrix_power(3).mean(-2)],
        ),
        wrong(
            "an eigenvector as it comes",
            lambda scores: _eigenvector(scores.softmax(-1).mT),
            "This is an eigenvector as torch.linalg.eig gives it: of length 1, with either sign, "
            "and in no particular order. Of those of A.mT take the one whose eigenvalue is 1, and "
            "divide it by its sum. Or take none at all: π_i ∝ Σ_j e^{s_ij}.",
            variants=[
                lambda scores: _first_eigenvector(scores.softmax(-1).mT),
                lambda scores: _first_eigenvector(scores.softmax(-1)),
            ],
        ),
        wrong(
            "the same for every token",
            lambda scores: torch.full_like(scores[..., 0], 1 / scores.shape[-1]),
            "Your π is uniform. The rows of A add up to 1, so the vector of ones is an eigenvector "
            "on the *right*, A 1 = 1. Wanted is the one on the left, π A = π: those of A.mT.",
            variants=[
                lambda scores: scores.softmax(-1).sum(-1),
                lambda scores: torch.full_like(scores[..., 0], scores.shape[-1] ** -0.5),
            ],
        ),
        wrong(
            "the diagonal alone",
            lambda scores: scores.diagonal(dim1=-2, dim2=-1).softmax(-1),
            "You look at the scores of tokens with themselves alone. How often the walk is at a "
            "token depends on all that it scores with: Σ_j e^{s_ij}, over all j.",
            variants=[
                lambda scores: _to_one(scores.softmax(-1).diagonal(dim1=-2, dim2=-1)),
                lambda scores: scores.softmax(-1).diagonal(dim1=-2, dim2=-1),
            ],
        ),
        wrong(
            "the diagonal left out",
            lambda scores: without_diagonal(scores).logsumexp(-1).softmax(-1),
            "You leave j = i out of the sum. A walk may stay where it is, and how often it does "
            "counts: the sum runs over all j.",
        ),
        wrong(
            "exp of the sum instead of sum of the exp",
            lambda scores: scores.sum(-1).softmax(-1),
            "You add up the scores and then take exp(). It is the other way round: each score goes "
            "into exp(), and then the row is added up. That is what logsumexp does.",
            variants=[lambda scores: scores.mean(-1).softmax(-1)],
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
            variants=[
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
