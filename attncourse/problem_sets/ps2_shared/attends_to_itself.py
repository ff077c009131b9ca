"""`ps2.attends_to_itself`: the share of tokens that give no other token more than themselves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps2_shared.common import without_diagonal


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
        yield case("three tokens that can be done by hand", by_hand, basic=True)
        # Many maps, because a share of five tokens is one of six numbers, which luck could hit.
        yield case("a batch", _favouring(draw(8, 5, 5), 1.0), basic=True, weight=2)
        yield case("a tie goes to the token itself", tied)
        yield case("equal weights: all of them", torch.full((2, 4, 4), 0.25))
        yield case("a hidden diagonal: none", without_diagonal(draw(2, 4, 4)).softmax(-1))
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
                (_diagonal(weights) > without_diagonal(weights).amax(-1)).to(weights.dtype).mean(-1)
            ),
            "You ask that the token get more than every other. The task asks that no other get "
            "more, so a tie counts: ≥ in place of >.",
        ),
        wrong(
            "the diagonal of the wrong axes",
            lambda weights: (weights.diagonal() >= weights.amax(-1)).to(weights.dtype).mean(-1),
            "`.diagonal()` takes the first two axes, and torch.diag wants no batch at all. In a "
            "batch the map is the last two axes: name them, .diagonal(dim1=-2, dim2=-1).",
            variants=[
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
            variants=[lambda weights: (_diagonal(weights) >= 0.5).to(weights.dtype).mean(-1)],
        ),
        wrong(
            "more than its share",
            lambda weights: (_diagonal(weights) > 1 / weights.shape[-1]).to(weights.dtype).mean(-1),
            "You compare with the mean weight, 1 / T. Another key may still get more: compare with "
            "the largest weight of the row.",
            variants=[
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
            variants=[
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
            variants=[lambda weights: _itself(weights)],
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
