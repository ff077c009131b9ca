"""`ps1.raw_attention`: attention in which the tokens are query, key and value themselves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize, scaled_dot_product_attention

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps1_similarity.common import naive_cosine, softmax_by_hand


@item("ps1.raw_attention", points=3, minutes=15, difficulty="medium")
class RawAttention:
    """softmax(x xᵀ / √D) x, attention with no projection at all: [..., T, D] -> [..., T, D]."""

    @staticmethod
    def reference(x: Tensor) -> Tensor:
        return attend(x, x, x)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])  # scores 2 and 0
        yield case("two tokens that can be done by hand", by_hand, basic=True)
        yield case("a batch", draw(2, 5, 7), basic=True, weight=2)
        yield case("one token: itself", draw(2, 1, 5))
        yield case("no batch dimension", draw(6, 4))
        yield case("two batch dimensions", draw(2, 3, 4, 5))
        yield case("scores in the thousands", 30 * draw(2, 4, 6))
        # The root of 4 is exact: torch.tensor(D).sqrt(), a float32, is as good here as D ** 0.5.
        yield case("float64", draw(2, 3, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 5), gradient=True)

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda x: softmax_by_hand(x @ x.mT / x.shape[-1] ** 0.5) @ x,
            "exp() of a score above 88 is infinite in float32. Subtract each row's largest score "
            "first, which changes no weight, or use .softmax(-1).",
            variants=[
                lambda x: (e := (x @ x.mT / x.shape[-1] ** 0.5).exp()) / e.sum(-1, keepdim=True) @ x
            ],
        ),
        wrong(
            "the weights are cut out of the gradient",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1).detach() @ x,
            "The values are right, but the weights are treated as constants in the gradient. They "
            "depend on x too: leave them in the graph.",
        ),
        wrong(
            "no division by √D",
            lambda x: (x @ x.mT).softmax(-1) @ x,
            "The √D is missing. Two different tokens of D independent entries, with mean 0 and "
            "variance 1, have a dot product of variance D, so divide the scores by D ** 0.5 before "
            "the softmax.",
        ),
        wrong(
            "divided by D instead of its root",
            lambda x: (x @ x.mT / x.shape[-1]).softmax(-1) @ x,
            "You divide by D. Dividing by a number divides the variance by its square, so it is √D "
            "that brings a variance of D back to 1.",
        ),
        wrong(
            "divided by √T",
            lambda x: (x @ x.mT / x.shape[-2] ** 0.5).softmax(-1) @ x,
            "You divide by the root of the number of tokens. What makes a dot product grow is the "
            "number of features: divide by √D, with D = x.shape[-1].",
        ),
        wrong(
            "divided after the softmax",
            lambda x: (x @ x.mT).softmax(-1) / x.shape[-1] ** 0.5 @ x,
            "You divide the weights, which then no longer add up to 1. Divide the scores by √D, "
            "before the softmax.",
        ),
        wrong(
            "softmax over the queries",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-2) @ x,
            "Your weights add up to 1 down the columns, so an output is not an average of tokens. "
            "Take the softmax over the last axis. The scores are symmetric; the weights are not.",
            variants=[lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1).mT @ x],
        ),
        wrong(
            "no softmax",
            lambda x: x @ x.mT / x.shape[-1] ** 0.5 @ x,
            "The softmax is missing: the scores themselves are not weights, they may be negative "
            "and need not add up to 1.",
        ),
        wrong(
            "the weights instead of the average",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1),
            "You return the weights [..., T, T]. One step is left: multiply them with x, so that "
            "each token becomes a weighted average of all tokens.",
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda x: naive_cosine(x).softmax(-1) @ x,
            "You compare with the cosine. Here the scores are x xᵀ / √D, so longer vectors speak "
            "louder. The cosine comes back in the next item, with its own trouble.",
            variants=[lambda x: (naive_cosine(x) / x.shape[-1] ** 0.5).softmax(-1) @ x],
        ),
        wrong(
            "averages of normalised tokens",
            lambda x: scaled_dot_product_attention(u := normalize(x, dim=-1), u, u),
            "You replaced x by vectors of length 1. The tokens that are compared and averaged are "
            "x itself.",
        ),
    )
