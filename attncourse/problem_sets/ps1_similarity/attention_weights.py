"""`ps1.attention_weights`: a softmax of the scores over the keys that a mask allows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from attncourse.attention import attention_weights
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps1_similarity.common import softmax_by_hand


@item("ps1.attention_weights", points=4, minutes=20, difficulty="medium")
class AttentionWeights:
    """Softmax over the keys that the mask allows: [..., T_q, T_k] -> [..., T_q, T_k]."""

    reference = attention_weights

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        mask, no_row_empty = draw.mask(4, 6), draw.mask(3, 5)
        mask[2] = False
        largest_forbidden = draw(2, 3, 5) + 1000 * ~no_row_empty
        very_low = -1000 - 100 * draw(2, 3, 5).abs()
        by_hand = torch.tensor([[0.0, math.log(3)], [5.0, 5.0], [0.0, -math.log(4)]])
        yield case("three rows that can be done by hand", by_hand, basic=True)
        yield case("a batch of scores", draw(2, 3, 5), basic=True)
        yield case("a mask for each image", draw(2, 3, 5), mask=draw.mask(2, 3, 5), weight=2)
        yield case("one mask for all images", draw(3, 4, 6), mask=draw.mask(4, 6))
        yield case("a row that may attend to nothing: zeros", draw(2, 4, 6), mask=mask)
        yield case("scores in the thousands", 1000 * draw(2, 3, 5))
        yield case("scores in the thousands, all negative", very_low, mask=draw.mask(2, 3, 5))
        yield case("a forbidden score in the thousands", largest_forbidden, mask=no_row_empty)
        yield case("float64", draw(2, 3, 5, dtype=torch.float64), mask=draw.mask(3, 5))
        yield case("gradients", draw(2, 3, 5), mask=draw.mask(2, 3, 5), gradient=True)

    misconceptions = (
        wrong(
            "a fully masked row gives NaN",
            lambda scores, mask=None: (
                scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            ).softmax(-1),
            "A row that may attend to nothing became NaN: the softmax of only −∞ is 0 / 0. Make "
            "such a row zeros after the softmax, for instance with .masked_fill(~mask, 0).",
        ),
        wrong(
            "a fully masked row gives equal weights",
            lambda scores, mask=None: (
                scores if mask is None else scores.masked_fill(~mask, -1e9)
            ).softmax(-1),
            "A row that may attend to nothing got equal weights: filled with one large negative "
            "number, all its scores are the same. Set forbidden weights to 0 after the softmax.",
            variants=[
                lambda scores, mask=None: (
                    scores
                    if mask is None
                    else scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores + (~mask) * -1e9
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -1e4)
                ).softmax(-1),
            ],
        ),
        wrong(
            "large scores overflow",
            softmax_by_hand,
            "exp() of a score above 88 is infinite in float32, and ∞ / ∞ is NaN. Subtract each "
            "row's largest score first, which changes no weight, or use .softmax(-1).",
            variants=[
                lambda scores, mask=None: (
                    (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).exp()
                    / (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                    .exp()
                    .sum(-1, keepdim=True)
                ),
            ],
        ),
        wrong(
            "one largest score for all rows",
            lambda scores, mask=None: softmax_by_hand(scores - scores.max(), mask),
            "You subtract the largest score of the whole tensor. In a row far below it every "
            "exp() is 0, and nothing is left to divide. Each row has a largest score of its own: "
            ".amax(-1, keepdim=True), or simply .softmax(-1).",
            variants=[
                lambda scores, mask=None: (
                    (e := (scores - scores.max()).exp() * (1 if mask is None else mask))
                    / e.sum(-1, keepdim=True)
                ),
            ],
        ),
        wrong(
            "renormalised after the softmax",
            lambda scores, mask=None: (
                scores.softmax(-1)
                if mask is None
                else (w := scores.softmax(-1) * mask) / w.sum(-1, keepdim=True).clamp_min(1e-12)
            ),
            "You take the softmax over all keys, and then divide anew what the allowed ones got. "
            "Where a forbidden key has by far the largest score, nothing is left to divide: the "
            "other weights are 0 already. Put −∞ in the forbidden scores before the softmax.",
            variants=[
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask)
                    / (total := w.sum(-1, keepdim=True)).where(total != 0, 1)
                ),
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask) / w.sum(-1, keepdim=True)
                ),
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask) / (w.sum(-1, keepdim=True) + 1e-9)
                ),
            ],
        ),
        wrong(
            "the filling is not low enough",
            lambda scores, mask=None: (
                scores.softmax(-1)
                if mask is None
                else scores.masked_fill(~mask, -100).softmax(-1) * mask
            ),
            "You fill the forbidden scores with a number, and an allowed score may be lower still: "
            "then it is the forbidden key that wins the softmax. Only −∞ is below everything.",
            variants=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -100)
                ).softmax(-1),
            ],
        ),
        wrong(
            "the mask is forgotten",
            lambda scores, mask=None: scores.softmax(-1),
            "Your weights are right without a mask and pay no heed to one. Where the mask is "
            "False the weight must be 0, and the rest of the row must still add up to 1.",
        ),
        wrong(
            "the mask is inverted",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(mask, -torch.inf))
                .softmax(-1)
                .nan_to_num(0)
            ),
            "Your mask works the wrong way round. True means: may attend. It is where the mask is "
            "False that the weight must be 0.",
            variants=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(mask, -torch.inf)
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(mask, -1e9)
                ).softmax(-1),
            ],
        ),
        wrong(
            "the mask is applied after the softmax",
            lambda scores, mask=None: (
                scores.softmax(-1) if mask is None else scores.softmax(-1) * mask
            ),
            "The forbidden weights are 0, but the others no longer add up to 1: forbidden keys "
            "still took their share in the softmax. Put −∞ in their scores before it.",
        ),
        wrong(
            "a forbidden score becomes 0",
            lambda scores, mask=None: (scores if mask is None else scores * mask).softmax(-1),
            "You set the forbidden scores to 0, and exp(0) is 1: a score of 0 is an ordinary "
            "score. Only −∞ gives the weight 0.",
        ),
        wrong(
            "zero times infinity",
            lambda scores, mask=None: (
                scores if mask is None else scores + (~mask) * -torch.inf
            ).softmax(-1),
            "Where the key is allowed you add 0 · (−∞), and that is NaN, not 0. Use "
            "scores.masked_fill(~mask, -torch.inf).",
        ),
        wrong(
            "softmax over the queries",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                .softmax(-2)
                .nan_to_num(0)
            ),
            "Your weights add up to 1 down each key's column. It is each query that shares out its "
            "attention: take the softmax over the last axis, the keys.",
            variants=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -torch.inf)
                ).softmax(-2),
            ],
        ),
        wrong(
            "softmax over all pairs at once",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                .flatten(-2)
                .softmax(-1)
                .view_as(scores)
            ),
            "All weights together add up to 1. Each query has a budget of its own: every row must "
            "add up to 1.",
        ),
        wrong(
            "divided by the sum, without exp",
            lambda scores, mask=None: (
                (s := scores if mask is None else scores * mask) / s.sum(-1, keepdim=True)
            ),
            "You divide the scores by their sum. Scores may be negative, and then so are your "
            "weights. The softmax takes exp() first.",
        ),
    )
