"""`ps3.attend`: scaled dot-product attention under a mask."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize, scaled_dot_product_attention

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.steps import (
    additive,
    attention,
    forbid,
    scores_of,
    weights_of,
)


@item("ps3.attend", points=4, minutes=20, difficulty="medium")
class Attend:
    """softmax(q kᵀ / √d_k) v under a mask: [..., T_q, d_k], [..., T_k, d_k], [..., T_k, d_v]."""

    reference = attend

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        first_alone = torch.ones(4, 4, dtype=torch.bool).tril()
        row_empty = draw.mask(4, 6)
        row_empty[2] = False
        # Whole numbers, and a root of 2: float32 holds these scores exactly in any order of steps.
        large, far = (40 * draw(2, 6, 4)).round(), (40 * draw(2, 5, 4)).abs().round()
        large[:, 0] = -20 - large[:, 0].abs()  # all scores of query 0 are far below 0
        large[:, 1] = 20 + large[:, 1].abs()  # query 1's are above, and best fits key 0,
        far[:, 0] += 60
        some = draw.mask(6, 5)
        some[1, 0] = False  # which is forbidden to it
        by_hand = (
            torch.tensor([[[2.0, 0.0, 0.0, 0.0]]]),
            torch.tensor([[[math.log(3), 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]]]),  # weights ¾, ¼
            torch.tensor([[[4.0], [8.0]]]),
        )
        yield case(
            "one key: the weights cannot matter",
            *(draw(2, 3, 4), draw(2, 1, 4), draw(2, 1, 5)),
            basic=True,
        )
        yield case("two keys that can be done by hand", *by_hand, basic=True)
        yield case("a batch", draw(2, 3, 8), draw(2, 5, 8), draw(2, 5, 6), basic=True, weight=2)
        yield case(
            "query 0 sees key 0 alone",
            *(draw(2, 4, 6), draw(2, 4, 6), draw(2, 4, 3)),
            mask=first_alone,
        )
        yield case(
            "a mask, and every size another",
            *(draw(2, 3, 5, 8), draw(2, 3, 7, 8), draw(2, 3, 7, 6)),
            mask=draw.mask(2, 3, 5, 7),
            weight=2,
        )
        yield case(
            "keys that are forbidden to all queries",
            *(draw(2, 5, 4), draw(2, 6, 4), draw(2, 6, 3)),
            mask=draw.mask(2, 1, 6),
        )
        yield case(
            "a query that may attend to nothing: zeros",
            *(draw(2, 4, 5), draw(2, 6, 5), draw(2, 6, 3)),
            mask=row_empty,
        )
        yield case("no batch dimension", draw(3, 6), draw(5, 6), draw(5, 4))
        yield case(
            "scores in the thousands, some forbidden",
            *(large, far, draw(2, 5, 3)),
            mask=some,
        )
        # The root of 4 is exact: torch.tensor(d_k).sqrt(), a float32, is as good here.
        yield case(
            "float64",
            *(draw(2, 3, 4, dtype=torch.float64), draw(2, 5, 4, dtype=torch.float64)),
            draw(2, 5, 6, dtype=torch.float64),
            mask=draw.mask(3, 5),
        )
        yield case(
            "gradients",
            *(draw(2, 3, 6), draw(2, 5, 6), draw(2, 5, 4)),
            mask=draw.mask(3, 5),
            gradient=True,
        )
        yield case(
            "gradients beside a query that may attend to nothing",
            *(draw(2, 4, 5), draw(2, 6, 5), draw(2, 6, 3)),
            mask=row_empty,
            gradient=True,
        )

    misconceptions = (
        wrong(
            "NaN where every key is forbidden",
            lambda q, k, v, mask=None: forbid(scores_of(q, k), mask).softmax(-1) @ v,
            "A query that may attend to nothing became NaN: a row of −∞ has no softmax. Its "
            "output is zeros, so set forbidden weights to 0 once more after the softmax.",
            variants=[
                lambda q, k, v, mask=None: (scores_of(q, k) + additive(mask, q)).softmax(-1) @ v,
            ],
        ),
        wrong(
            "NaN in the gradient of an empty row",
            lambda q, k, v, mask=None: (
                (scores_of(q, k) + additive(mask, q)).softmax(-1).nan_to_num(0) @ v
            ),
            "The output is right, the gradient is not. Where a query may attend to nothing, you "
            "take the softmax of a row of −∞ and replace the NaN afterwards; on the way back it is "
            "multiplied by all the same. `.masked_fill` before and after the softmax stops it.",
            variants=[
                lambda q, k, v, mask=None: (
                    forbid(scores_of(q, k), mask).softmax(-1) @ v
                ).nan_to_num(0),
                lambda q, k, v, mask=None: (
                    (scores_of(q, k) + additive(mask, q)).softmax(-1) @ v
                ).nan_to_num(0),
                lambda q, k, v, mask=None: (
                    (
                        scores_of(q, k).softmax(-1)
                        if mask is None
                        else (scores_of(q, k) + additive(mask, q)).softmax(-1).masked_fill(~mask, 0)
                    )
                    @ v
                ),
            ],
        ),
        wrong(
            "an average of everything where every key is forbidden",
            lambda q, k, v, mask=None: forbid(scores_of(q, k), mask, -1e9).softmax(-1) @ v,
            "A query that may attend to nothing got the average of all values: with the same "
            "large negative number in every place, all its scores are equal. Its output is zeros: "
            "set forbidden weights to 0 after the softmax.",
            variants=[
                lambda q, k, v, mask=None: (
                    forbid(scores_of(q, k), mask, float(torch.finfo(q.dtype).min)).softmax(-1) @ v
                ),
                lambda q, k, v, mask=None: (
                    (scores_of(q, k) + (0 if mask is None else ~mask * -1e9)).softmax(-1) @ v
                ),
            ],
        ),
        wrong(
            "the filling is not low enough",
            lambda q, k, v, mask=None: (
                (
                    (w := forbid(scores_of(q, k), mask, -100.0).softmax(-1))
                    * (torch.ones_like(w) if mask is None else mask)
                )
                @ v
            ),
            "You put a number in the place of a forbidden score, and an allowed score may be lower "
            "still: then the forbidden key wins the softmax. Only −∞ is below everything.",
            variants=[
                lambda q, k, v, mask=None: forbid(scores_of(q, k), mask, -100.0).softmax(-1) @ v,
            ],
        ),
        wrong(
            "large scores overflow",
            lambda q, k, v, mask=None: (
                (e := scores_of(q, k).exp() * _kept(mask))
                / (total := e.sum(-1, keepdim=True)).where(total != 0, 1)
                @ v
            ),
            "exp() of a score above 88 is infinite in float32, and ∞ / ∞ is NaN. `.softmax(-1)` "
            "subtracts each row's largest score first, which changes no weight.",
            variants=[
                lambda q, k, v, mask=None: (
                    (e := forbid(scores_of(q, k), mask).exp()) / e.sum(-1, keepdim=True) @ v
                ),
            ],
        ),
        wrong(
            "renormalised after the softmax",
            lambda q, k, v, mask=None: (
                (w := scores_of(q, k).softmax(-1) * _kept(mask))
                / w.sum(-1, keepdim=True).clamp_min(1e-12)
                @ v
            ),
            "You let the forbidden keys into the softmax and divide anew what is left. Where a "
            "forbidden key fits best by far, nothing is left. Put −∞ in its score before the "
            "softmax.",
            variants=[
                lambda q, k, v, mask=None: (
                    (w := scores_of(q, k).softmax(-1) * _kept(mask)) / w.sum(-1, keepdim=True) @ v
                ),
            ],
        ),
        wrong(
            "the weights are cut out of the gradient",
            lambda q, k, v, mask=None: weights_of(scores_of(q, k), mask).detach() @ v,
            "The output is right, but the weights are constants in your gradient, and no query or "
            "key could ever learn where to look. Leave them in the graph.",
        ),
        wrong(
            "no gradient",
            lambda q, k, v, mask=None: attention(q, k, v, mask=mask).detach(),
            "The output is right, but nothing before this function could learn from it. Look for "
            ".detach(), .numpy(), .data or no_grad on the way.",
        ),
        wrong(
            "an input is changed",
            lambda q, k, v, mask=None: weights_of(q.div_(q.shape[-1] ** 0.5) @ k.mT, mask) @ v,
            "Your function writes into what it was given: `query /= …` and operations that end in "
            "_ change the caller's tensor. Write `query = query / …`, which makes a new one.",
            variants=[
                lambda q, k, v, mask=None: (
                    (
                        (w := scores_of(q, k)).softmax(-1)
                        if mask is None
                        else (w := scores_of(q, k).masked_fill(mask.logical_not_(), -math.inf))
                        .softmax(-1)
                        .masked_fill(mask, 0)
                    )
                    @ v
                ),
            ],
        ),
        wrong(
            "leading dimensions are not free",
            lambda q, k, v, mask=None: (
                weights_of(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, mask) @ v
            ),
            "Your function works for three dimensions, [B, T, d], and not for others. Count the "
            "axes from the end: `key.mT` or `key.transpose(-2, -1)`, and `@`, which takes any "
            "leading dimensions, in place of bmm.",
            variants=[
                lambda q, k, v, mask=None: torch.bmm(
                    weights_of(torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5, mask),
                    v,
                ),
                lambda q, k, v, mask=None: torch.einsum(
                    "bqk,bkd->bqd",
                    weights_of(torch.einsum("bqd,bkd->bqk", q, k) / q.shape[-1] ** 0.5, mask),
                    v,
                ),
            ],
        ),
        wrong(
            "no division by √d_k",
            lambda q, k, v, mask=None: weights_of(q @ k.mT, mask) @ v,
            "The √d_k is missing. A dot product of d_k independent terms of variance 1 has "
            "variance d_k, so divide the scores by `query.shape[-1] ** 0.5` before the softmax.",
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda q, k, v, mask=None: weights_of(q @ k.mT / q.shape[-1], mask) @ v,
            "You divide by d_k. That makes the scores ever more alike as d_k grows; it is the root "
            "of d_k that keeps their variance at 1.",
        ),
        wrong(
            "multiplied by √d_k",
            lambda q, k, v, mask=None: weights_of(q @ k.mT * q.shape[-1] ** 0.5, mask) @ v,
            "You multiply the scores by √d_k. They are too large already, which is why they are "
            "divided by it.",
        ),
        wrong(
            "divided by √d_v",
            lambda q, k, v, mask=None: weights_of(q @ k.mT / v.shape[-1] ** 0.5, mask) @ v,
            "You divide by the root of the size of a value. The values take no part in the scores: "
            "what counts is d_k, the number of features of a query and of a key.",
        ),
        wrong(
            "divided by √T",
            lambda q, k, v, mask=None: weights_of(q @ k.mT / k.shape[-2] ** 0.5, mask) @ v,
            "You divide by the root of a number of tokens. A dot product grows with the number of "
            "features: d_k is `query.shape[-1]`, the last axis.",
            variants=[
                lambda q, k, v, mask=None: weights_of(q @ k.mT / q.shape[-2] ** 0.5, mask) @ v,
                lambda q, k, v, mask=None: weights_of(q @ k.mT / q.shape[0] ** 0.5, mask) @ v,
            ],
        ),
        wrong(
            "divided after the softmax",
            lambda q, k, v, mask=None: weights_of(q @ k.mT, mask) / q.shape[-1] ** 0.5 @ v,
            "You divide the weights, or the output, by √d_k, so the weights no longer add up to 1. "
            "Divide the scores, before the softmax.",
            variants=[
                lambda q, k, v, mask=None: (
                    weights_of(scores_of(q, k), mask) / q.shape[-1] ** 0.5 @ v
                ),
            ],
        ),
        wrong(
            "the mask is inverted",
            lambda q, k, v, mask=None: attention(q, k, v, mask=None if mask is None else ~mask),
            "Your mask works the wrong way round. True means: may attend. It is "
            "where the mask is False that −∞ belongs.",
            variants=[
                lambda q, k, v, mask=None: (
                    forbid(scores_of(q, k), None if mask is None else ~mask).softmax(-1) @ v
                ),
                lambda q, k, v, mask=None: (
                    (scores_of(q, k) + (0 if mask is None else mask * -1e9)).softmax(-1) @ v
                ),
            ],
        ),
        wrong(
            "the mask is added as it is",
            lambda q, k, v, mask=None: (
                (scores_of(q, k) + (0 if mask is None else mask)).softmax(-1) @ v
            ),
            "You add the mask to the scores, where True counts as 1: allowed keys get one point "
            "more, and forbidden ones still take part. A boolean mask says where to put −∞.",
        ),
        wrong(
            "a forbidden score becomes 0",
            lambda q, k, v, mask=None: (scores_of(q, k) * _kept(mask)).softmax(-1) @ v,
            "You set the forbidden scores to 0. That is an ordinary score, and exp(0) = 1 an "
            "ordinary share. Only −∞ gives the weight 0.",
        ),
        wrong(
            "the mask is applied after the softmax",
            lambda q, k, v, mask=None: scores_of(q, k).softmax(-1) * _kept(mask) @ v,
            "The forbidden weights are 0, but the rest of the row adds up to less than 1: the "
            "forbidden keys took their share in the softmax. Put −∞ in their scores before it.",
        ),
        wrong(
            "zero times infinity",
            lambda q, k, v, mask=None: (
                (scores_of(q, k) + (0 if mask is None else ~mask * -math.inf)).softmax(-1) @ v
            ),
            "Where a key is allowed you add 0 · (−∞), which is NaN and not 0. Use "
            "scores.masked_fill(~mask, -torch.inf).",
        ),
        wrong(
            "the mask is transposed",
            lambda q, k, v, mask=None: (
                weights_of(scores_of(q, k), None if mask is None else mask.mT) @ v
            ),
            "You use the mask the other way round on its axes. Row i of the mask belongs to query "
            "i and column j to key j, as in the scores.",
        ),
        wrong(
            "causal without being asked",
            lambda q, k, v, mask=None: scaled_dot_product_attention(q, k, v, is_causal=True),
            "You mask every key behind the query. Which keys are forbidden is for `mask` to say; "
            "without one, every query may see every key.",
        ),
        wrong(
            "the mask is forgotten",
            lambda q, k, v, mask=None: attention(q, k, v),
            "Your output does not depend on the mask. Where it is False the weight has to be 0, "
            "and the others of the row have to add up to 1 again.",
        ),
        wrong(
            "softmax over the queries",
            lambda q, k, v, mask=None: forbid(scores_of(q, k), mask).softmax(-2).nan_to_num(0) @ v,
            "Your weights add up to 1 down each key's column. It is each query that shares out "
            "its attention among the keys: take the softmax over the last axis.",
            variants=[
                lambda q, k, v, mask=None: forbid(scores_of(q, k), mask).softmax(-2) @ v,
                lambda q, k, v, mask=None: forbid(scores_of(q, k), mask).softmax(1) @ v,
            ],
        ),
        wrong(
            "softmax over all pairs at once",
            lambda q, k, v, mask=None: (
                (s := forbid(scores_of(q, k), mask)).flatten(-2).softmax(-1).view_as(s) @ v
            ),
            "All weights of a sequence together add up to 1. Each query has a budget of its own: "
            "every row has to add up to 1.",
        ),
        wrong(
            "no softmax",
            lambda q, k, v, mask=None: (scores_of(q, k) * _kept(mask)) @ v,
            "The softmax is missing. Scores are not weights: they may be negative, and need "
            "not add up to 1.",
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda q, k, v, mask=None: (
                weights_of(normalize(q, dim=-1) @ normalize(k, dim=-1).mT, mask) @ v
            ),
            "You compare by the cosine. The score is the dot product, divided by √d_k: the length "
            "of a query says how sharply it asks.",
            variants=[
                lambda q, k, v, mask=None: (
                    weights_of(scores_of(normalize(q, dim=-1), normalize(k, dim=-1)), mask) @ v
                ),
            ],
        ),
        wrong(
            "queries compared with queries",
            lambda q, k, v, mask=None: weights_of(scores_of(q, q), mask) @ v,
            "Your scores compare the queries with one another. Each query is compared with the "
            "keys: query @ key.mT, of shape [..., T_q, T_k].",
        ),
        wrong(
            "query and key swapped",
            lambda q, k, v, mask=None: weights_of(scores_of(k, q), mask) @ v,
            "You compute key @ query.mT, in which a row belongs to a key. It is the query that "
            "asks, so the rows are its: query @ key.mT.",
        ),
        wrong(
            "the keys are averaged",
            lambda q, k, v, mask=None: weights_of(scores_of(q, k), mask) @ k,
            "You average the keys. A key is for being found; what is handed over is the value: "
            "weights @ value.",
        ),
        wrong(
            "the weights instead of the average",
            lambda q, k, v, mask=None: weights_of(scores_of(q, k), mask),
            "You return the weights [..., T_q, T_k]. One step is left: weights @ value.",
        ),
        wrong(
            "the output is transposed",
            lambda q, k, v, mask=None: attention(q, k, v, mask=mask).mT,
            "Your output is [..., d_v, T_q]. There is one row for each query: weights @ value is "
            "[..., T_q, T_k] times [..., T_k, d_v].",
        ),
    )


def _kept(mask: Tensor | None) -> Tensor | float:
    return 1.0 if mask is None else mask
