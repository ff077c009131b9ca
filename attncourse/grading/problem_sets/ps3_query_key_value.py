"""The items of problem set 3: what separate queries, keys and values are for.

A lambda per misconception keeps the wrong programs beside the sentences they earn. Weights are
`[d_out, D]`, as in `nn.Linear`. In every batch all sizes differ, so that a swapped axis shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, scaled_dot_product_attention

from attncourse import circuits
from attncourse.attention import attend
from attncourse.grading.comparing import structure_problem
from attncourse.grading.declaring import Case, Draw, Finding, case, item, wrong
from attncourse.grading.values import Foreign


@item("ps3.attend", points=4, minutes=20, difficulty="medium")
class Attend:
    """softmax(q kᵀ / √d_k) v under a mask: [..., T_q, d_k], [..., T_k, d_k], [..., T_k, d_v]."""

    reference = attend

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        first_alone = torch.ones(4, 4, dtype=torch.bool).tril()
        row_empty = draw.mask(4, 6)
        row_empty[2] = False
        # Whole numbers, and a root of 2: float32 holds these scores exactly, whoever computes them.
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
            core=True,
        )
        yield case("two keys that can be done by hand", *by_hand, core=True)
        yield case("a batch", draw(2, 3, 8), draw(2, 5, 8), draw(2, 5, 6), core=True, weight=2)
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
            lambda q, k, v, mask=None: _forbid(_scores(q, k), mask).softmax(-1) @ v,
            "A query that may attend to nothing became NaN: a row of −∞ has no softmax. Its "
            "output is zeros, so set forbidden weights to 0 once more after the softmax.",
            also=[
                lambda q, k, v, mask=None: (_scores(q, k) + _additive(mask, q)).softmax(-1) @ v,
            ],
        ),
        wrong(
            "NaN in the gradient of an empty row",
            lambda q, k, v, mask=None: (
                (_scores(q, k) + _additive(mask, q)).softmax(-1).nan_to_num(0) @ v
            ),
            "The output is right, the gradient is not. Where a query may attend to nothing, you "
            "take the softmax of a row of −∞ and replace the NaN afterwards; on the way back it is "
            "multiplied by all the same. `.masked_fill` before and after the softmax stops it.",
            also=[
                lambda q, k, v, mask=None: (
                    _forbid(_scores(q, k), mask).softmax(-1) @ v
                ).nan_to_num(0),
                lambda q, k, v, mask=None: (
                    (_scores(q, k) + _additive(mask, q)).softmax(-1) @ v
                ).nan_to_num(0),
                lambda q, k, v, mask=None: (
                    (
                        _scores(q, k).softmax(-1)
                        if mask is None
                        else (_scores(q, k) + _additive(mask, q)).softmax(-1).masked_fill(~mask, 0)
                    )
                    @ v
                ),
            ],
        ),
        wrong(
            "an average of everything where every key is forbidden",
            lambda q, k, v, mask=None: _forbid(_scores(q, k), mask, -1e9).softmax(-1) @ v,
            "A query that may attend to nothing got the average of all values: with the same "
            "large negative number in every place, all its scores are equal. Its output is zeros: "
            "set forbidden weights to 0 after the softmax.",
            also=[
                lambda q, k, v, mask=None: (
                    _forbid(_scores(q, k), mask, float(torch.finfo(q.dtype).min)).softmax(-1) @ v
                ),
                lambda q, k, v, mask=None: (
                    (_scores(q, k) + (0 if mask is None else ~mask * -1e9)).softmax(-1) @ v
                ),
            ],
        ),
        wrong(
            "the filling is not low enough",
            lambda q, k, v, mask=None: (
                (
                    (w := _forbid(_scores(q, k), mask, -100.0).softmax(-1))
                    * (torch.ones_like(w) if mask is None else mask)
                )
                @ v
            ),
            "You put a number in the place of a forbidden score, and an allowed score may be lower "
            "still: then the forbidden key wins the softmax. Only −∞ is below everything.",
            also=[
                lambda q, k, v, mask=None: _forbid(_scores(q, k), mask, -100.0).softmax(-1) @ v,
            ],
        ),
        wrong(
            "large scores overflow",
            lambda q, k, v, mask=None: (
                (e := _scores(q, k).exp() * _kept(mask))
                / (total := e.sum(-1, keepdim=True)).where(total != 0, 1)
                @ v
            ),
            "exp() of a score above 88 is infinite in float32, and ∞ / ∞ is NaN. `.softmax(-1)` "
            "subtracts each row's largest score first, which changes no weight.",
            also=[
                lambda q, k, v, mask=None: (
                    (e := _forbid(_scores(q, k), mask).exp()) / e.sum(-1, keepdim=True) @ v
                ),
            ],
        ),
        wrong(
            "renormalised after the softmax",
            lambda q, k, v, mask=None: (
                (w := _scores(q, k).softmax(-1) * _kept(mask))
                / w.sum(-1, keepdim=True).clamp_min(1e-12)
                @ v
            ),
            "You let the forbidden keys into the softmax and divide anew what is left. Where a "
            "forbidden key fits best by far, nothing is left. Put −∞ in its score before the "
            "softmax.",
            also=[
                lambda q, k, v, mask=None: (
                    (w := _scores(q, k).softmax(-1) * _kept(mask)) / w.sum(-1, keepdim=True) @ v
                ),
            ],
        ),
        wrong(
            "the weights are cut out of the gradient",
            lambda q, k, v, mask=None: _weights(_scores(q, k), mask).detach() @ v,
            "The output is right, but the weights are constants in your gradient, and no query or "
            "key could ever learn where to look. Leave them in the graph.",
        ),
        wrong(
            "no gradient",
            lambda q, k, v, mask=None: _attention(q, k, v, mask=mask).detach(),
            "The output is right, but nothing before this function could learn from it. Look for "
            ".detach(), .numpy(), .data or no_grad on the way.",
        ),
        wrong(
            "an input is changed",
            lambda q, k, v, mask=None: _weights(q.div_(q.shape[-1] ** 0.5) @ k.mT, mask) @ v,
            "Your function writes into what it was given: `query /= …` and operations that end in "
            "_ change the caller's tensor. Write `query = query / …`, which makes a new one.",
            also=[
                lambda q, k, v, mask=None: (
                    (
                        (w := _scores(q, k)).softmax(-1)
                        if mask is None
                        else (w := _scores(q, k).masked_fill(mask.logical_not_(), -math.inf))
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
                _weights(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, mask) @ v
            ),
            "Your function works for three dimensions, [B, T, d], and not for others. Count the "
            "axes from the end: `key.mT` or `key.transpose(-2, -1)`, and `@`, which takes any "
            "leading dimensions, in place of bmm.",
            also=[
                lambda q, k, v, mask=None: torch.bmm(
                    _weights(torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5, mask),
                    v,
                ),
                lambda q, k, v, mask=None: torch.einsum(
                    "bqk,bkd->bqd",
                    _weights(torch.einsum("bqd,bkd->bqk", q, k) / q.shape[-1] ** 0.5, mask),
                    v,
                ),
            ],
        ),
        wrong(
            "no division by √d_k",
            lambda q, k, v, mask=None: _weights(q @ k.mT, mask) @ v,
            "The √d_k is missing. A dot product of d_k independent terms of variance 1 has "
            "variance d_k, so divide the scores by `query.shape[-1] ** 0.5` before the softmax.",
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda q, k, v, mask=None: _weights(q @ k.mT / q.shape[-1], mask) @ v,
            "You divide by d_k. That makes the scores ever more alike as d_k grows; it is the root "
            "of d_k that keeps their variance at 1.",
        ),
        wrong(
            "multiplied by √d_k",
            lambda q, k, v, mask=None: _weights(q @ k.mT * q.shape[-1] ** 0.5, mask) @ v,
            "You multiply the scores by √d_k. They are too large already, which is why they are "
            "divided by it.",
        ),
        wrong(
            "divided by √d_v",
            lambda q, k, v, mask=None: _weights(q @ k.mT / v.shape[-1] ** 0.5, mask) @ v,
            "You divide by the root of the size of a value. The values take no part in the scores: "
            "what counts is d_k, the number of features of a query and of a key.",
        ),
        wrong(
            "divided by √T",
            lambda q, k, v, mask=None: _weights(q @ k.mT / k.shape[-2] ** 0.5, mask) @ v,
            "You divide by the root of a number of tokens. A dot product grows with the number of "
            "features: d_k is `query.shape[-1]`, the last axis.",
            also=[
                lambda q, k, v, mask=None: _weights(q @ k.mT / q.shape[-2] ** 0.5, mask) @ v,
                lambda q, k, v, mask=None: _weights(q @ k.mT / q.shape[0] ** 0.5, mask) @ v,
            ],
        ),
        wrong(
            "divided after the softmax",
            lambda q, k, v, mask=None: _weights(q @ k.mT, mask) / q.shape[-1] ** 0.5 @ v,
            "You divide the weights, or the output, by √d_k, so the weights no longer add up to 1. "
            "Divide the scores, before the softmax.",
            also=[
                lambda q, k, v, mask=None: _weights(_scores(q, k), mask) / q.shape[-1] ** 0.5 @ v,
            ],
        ),
        wrong(
            "the mask is inverted",
            lambda q, k, v, mask=None: _attention(q, k, v, mask=None if mask is None else ~mask),
            "Your mask works the wrong way round. True means: may attend. It is "
            "where the mask is False that −∞ belongs.",
            also=[
                lambda q, k, v, mask=None: (
                    _forbid(_scores(q, k), None if mask is None else ~mask).softmax(-1) @ v
                ),
                lambda q, k, v, mask=None: (
                    (_scores(q, k) + (0 if mask is None else mask * -1e9)).softmax(-1) @ v
                ),
            ],
        ),
        wrong(
            "the mask is added as it is",
            lambda q, k, v, mask=None: (
                (_scores(q, k) + (0 if mask is None else mask)).softmax(-1) @ v
            ),
            "You add the mask to the scores, where True counts as 1: allowed keys get one point "
            "more, and forbidden ones still take part. A boolean mask says where to put −∞.",
        ),
        wrong(
            "a forbidden score becomes 0",
            lambda q, k, v, mask=None: (_scores(q, k) * _kept(mask)).softmax(-1) @ v,
            "You set the forbidden scores to 0. That is an ordinary score, and exp(0) = 1 an "
            "ordinary share. Only −∞ gives the weight 0.",
        ),
        wrong(
            "the mask is applied after the softmax",
            lambda q, k, v, mask=None: _scores(q, k).softmax(-1) * _kept(mask) @ v,
            "The forbidden weights are 0, but the rest of the row adds up to less than 1: the "
            "forbidden keys took their share in the softmax. Put −∞ in their scores before it.",
        ),
        wrong(
            "zero times infinity",
            lambda q, k, v, mask=None: (
                (_scores(q, k) + (0 if mask is None else ~mask * -math.inf)).softmax(-1) @ v
            ),
            "Where a key is allowed you add 0 · (−∞), which is NaN and not 0. Use "
            "scores.masked_fill(~mask, -torch.inf).",
        ),
        wrong(
            "the mask is transposed",
            lambda q, k, v, mask=None: (
                _weights(_scores(q, k), None if mask is None else mask.mT) @ v
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
            lambda q, k, v, mask=None: _attention(q, k, v),
            "Your output does not depend on the mask. Where it is False the weight has to be 0, "
            "and the others of the row have to add up to 1 again.",
        ),
        wrong(
            "softmax over the queries",
            lambda q, k, v, mask=None: _forbid(_scores(q, k), mask).softmax(-2).nan_to_num(0) @ v,
            "Your weights add up to 1 down each key's column. It is each query that shares out "
            "its attention among the keys: take the softmax over the last axis.",
            also=[
                lambda q, k, v, mask=None: _forbid(_scores(q, k), mask).softmax(-2) @ v,
                lambda q, k, v, mask=None: _forbid(_scores(q, k), mask).softmax(1) @ v,
            ],
        ),
        wrong(
            "softmax over all pairs at once",
            lambda q, k, v, mask=None: (
                (s := _forbid(_scores(q, k), mask)).flatten(-2).softmax(-1).view_as(s) @ v
            ),
            "All weights of a sequence together add up to 1. Each query has a budget of its own: "
            "every row has to add up to 1.",
        ),
        wrong(
            "no softmax",
            lambda q, k, v, mask=None: (_scores(q, k) * _kept(mask)) @ v,
            "The softmax is missing. Scores are no weights: they may be negative, and need not "
            "add up to 1.",
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda q, k, v, mask=None: (
                _weights(normalize(q, dim=-1) @ normalize(k, dim=-1).mT, mask) @ v
            ),
            "You compare by the cosine. The score is the dot product, divided by √d_k: the length "
            "of a query says how sharply it asks.",
            also=[
                lambda q, k, v, mask=None: (
                    _weights(_scores(normalize(q, dim=-1), normalize(k, dim=-1)), mask) @ v
                ),
            ],
        ),
        wrong(
            "queries compared with queries",
            lambda q, k, v, mask=None: _weights(_scores(q, q), mask) @ v,
            "Your scores compare the queries with one another. Each query is compared with the "
            "keys: query @ key.mT, of shape [..., T_q, T_k].",
        ),
        wrong(
            "query and key swapped",
            lambda q, k, v, mask=None: _weights(_scores(k, q), mask) @ v,
            "You compute key @ query.mT, in which a row belongs to a key. It is the query that "
            "asks, so the rows are its: query @ key.mT.",
        ),
        wrong(
            "the keys are averaged",
            lambda q, k, v, mask=None: _weights(_scores(q, k), mask) @ k,
            "You average the keys. A key is for being found; what is handed over is the value: "
            "weights @ value.",
        ),
        wrong(
            "the weights instead of the average",
            lambda q, k, v, mask=None: _weights(_scores(q, k), mask),
            "You return the weights [..., T_q, T_k]. One step is left: weights @ value.",
        ),
        wrong(
            "the output is transposed",
            lambda q, k, v, mask=None: _attention(q, k, v, mask=mask).mT,
            "Your output is [..., d_v, T_q]. There is one row for each query: weights @ value is "
            "[..., T_q, T_k] times [..., T_k, d_v].",
        ),
    )


def _weights(scores: Tensor, mask: Tensor | None) -> Tensor:
    weights = _forbid(scores, mask).softmax(-1)
    return weights if mask is None else weights.masked_fill(~mask, 0)


def _attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    scores = _scores(q, k) if scale is None else q @ k.mT * scale
    return _weights(scores, mask) @ v


def _additive(mask: Tensor | None, like: Tensor) -> Tensor | float:
    if mask is None:
        return 0.0
    return torch.zeros(mask.shape, dtype=like.dtype).masked_fill(~mask, -math.inf)


def _kept(mask: Tensor | None) -> Tensor | float:
    return 1.0 if mask is None else mask


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT / query.shape[-1] ** 0.5


def _forbid(scores: Tensor, mask: Tensor | None, filling: float = -math.inf) -> Tensor:
    return scores if mask is None else scores.masked_fill(~mask, filling)


@item("ps3.qk_circuit", points=2, minutes=10, difficulty="easy")
class QKCircuit:
    """M = W_qᵀ W_k, the one matrix behind the scores: [..., d_k, D_q], [..., d_k, D_k]."""

    reference = circuits.qk_circuit

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        W_q, W_k = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])
        yield case("one row each, by hand", W_q, W_k, core=True)
        yield case("as many features on both sides", draw(3, 5), draw(3, 5), core=True)
        yield case("queries and keys of different sizes", draw(3, 5), draw(3, 7), weight=2)
        yield case("d_k = D: every product has the right shape", draw(4, 4), draw(4, 4))
        yield case("a batch of heads", draw(2, 3, 6), draw(2, 3, 5))
        yield case("layers of heads", draw(2, 3, 4, 5), draw(2, 3, 4, 6))
        yield case("float64", draw(4, 3, dtype=torch.float64), draw(4, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 4), draw(2, 3, 6), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda W_q, W_k: (W_q.mT @ W_k).detach(),
            "The values are right, but W_q and W_k could not learn from them: the gradient is cut. "
            "Look for .detach(), .data, .numpy() or no_grad.",
        ),
        wrong(
            "heads are transposed too",
            lambda W_q, W_k: W_q.permute(*reversed(range(W_q.ndim))) @ W_k,
            "Your function is right for a single head only: `.T` turns round all axes, those of "
            "the heads too. `.mT` or .transpose(-2, -1) swaps the last two alone.",
            also=[
                lambda W_q, W_k: W_q.T @ W_k,
                lambda W_q, W_k: W_q.t() @ W_k,
                lambda W_q, W_k: W_q.transpose(0, 1) @ W_k,
                lambda W_q, W_k: torch.mm(W_q.mT, W_k),
                lambda W_q, W_k: torch.einsum("aq,ak->qk", W_q, W_k),
            ],
        ),
        wrong(
            "exactly one leading dimension",
            lambda W_q, W_k: W_q.transpose(1, 2) @ W_k,
            "Your function wants exactly one leading dimension. There is none for a single head, "
            "and there are two for layers of heads: count the axes from the end, W_q.mT @ W_k.",
            also=[
                lambda W_q, W_k: torch.bmm(W_q.transpose(1, 2), W_k),
                lambda W_q, W_k: torch.bmm(W_q.mT, W_k),
                lambda W_q, W_k: torch.einsum("haq,hak->hqk", W_q, W_k),
            ],
        ),
        wrong(
            "query and key swapped",
            lambda W_q, W_k: W_k.mT @ W_q,
            "This is Mᵀ. Row i of M belongs to feature i of the token that asks, so the query's "
            "matrix comes first: W_qᵀ W_k. M and Mᵀ are the same only where scores are symmetric.",
        ),
        wrong(
            "the transpose on the other side",
            lambda W_q, W_k: W_q @ W_k.mT,
            "W_q W_kᵀ sums over the features and leaves a [d_k, d_k] matrix. Papers that write "
            "x W_q have W_q as [D, d_k]; here it is [d_k, D], as in nn.Linear, and the product "
            "that sums over d_k is W_qᵀ W_k.",
        ),
        wrong(
            "no transpose",
            lambda W_q, W_k: W_q @ W_k,
            "You multiply [d_k, D] by [d_k, D] with no transpose, which can only work where d_k "
            "happens to be D. From (W_q x) · (W_k y) = xᵀ W_qᵀ W_k y the first one is transposed.",
        ),
        wrong(
            "entry by entry",
            lambda W_q, W_k: W_q * W_k,
            "`*` multiplies entry by entry. M is a matrix product, which sums over the d_k rows: "
            "W_q.mT @ W_k.",
        ),
        wrong(
            "divided by √d_k",
            lambda W_q, W_k: W_q.mT @ W_k / W_q.shape[-2] ** 0.5,
            "You divide by √d_k. M is the bilinear form before any scaling; the root belongs to "
            "the scores.",
        ),
        wrong(
            "made symmetric",
            lambda W_q, W_k: (M := W_q.mT @ W_k) / 2 + M.mT / 2,
            "You average M with its transpose. What is lost is the direction, the very thing that "
            "two separate matrices are for.",
        ),
        wrong(
            "one matrix for both",
            lambda W_q, W_k: W_q.mT @ W_q,
            "This is W_qᵀ W_q, what a shared projection gives: symmetric and never negative on the "
            "diagonal. W_k has to take part.",
            also=[lambda W_q, W_k: W_k.mT @ W_k],
        ),
        wrong(
            "the heads are added up",
            lambda W_q, W_k: (W_q.mT @ W_k).sum(tuple(range(W_q.ndim - 2))),
            "You add up the circuits of all heads. Each head has its own softmax and therefore its "
            "own M: keep the leading dimensions.",
            also=[lambda W_q, W_k: torch.einsum("...aq,...ak->qk", W_q, W_k)],
        ),
        wrong(
            "softmax on top",
            lambda W_q, W_k: (W_q.mT @ W_k).softmax(-1),
            "You went too far: M compares features, not tokens, and has no rows that add up to 1. "
            "The softmax is taken of the scores x M yᵀ.",
        ),
    )


@item("ps3.factor", points=3, minutes=20, difficulty="medium")
class Factor:
    """W_q, W_k of d_k rows whose W_qᵀ W_k comes closest to M: [..., D_q, D_k] -> a pair."""

    reference = circuits.factor_bilinear
    returns = ("W_q", "W_k")

    @staticmethod
    def reading(result: tuple[Tensor, Tensor], M: Tensor, d_k: int) -> Tensor:
        """W_qᵀ W_k"""
        W_q, W_k = result
        return W_q.mT @ W_k

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])  # keep the 3, drop the 1
        turned = torch.linalg.qr(draw(5, 5)).Q
        symmetric = turned * torch.tensor([3.0, -2.0, 1.3, -0.8, 0.5]) @ turned.mT
        yield case("a matrix that can be done by hand, d_k = 1", by_hand, 1, core=True)
        yield case("closest at d_k = 2", _with_gaps(draw, 6, 4), 2, core=True, weight=2)
        yield case("wider than it is high", _with_gaps(draw, 4, 7), 3)
        yield case("square", _with_gaps(draw, 5, 5), 2)
        yield case("symmetric, with negative eigenvalues too", symmetric, 3)
        yield case("M has rank d_k: nothing is lost", draw(6, 2) @ draw(2, 5), 2)
        yield case("every dimension: nothing is lost", draw(3, 5), 3)
        yield case("a batch of heads", _with_gaps(draw, 2, 4, 5), 3, weight=2)
        yield case("float64", _with_gaps(draw, 4, 6, dtype=torch.float64), 2)

    misconceptions = (
        wrong(
            "one head only",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[:, :d_k].mT,
                USV.S[:d_k, None] * USV.Vh[:d_k],
            ),
            "Your function is right for a single M only. With leading dimensions the first axis is "
            "the heads, so count from the end: U[..., :d_k], S[..., :d_k, None] and "
            "Vh[..., :d_k, :].",
            also=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M)).U[:, :d_k].T,
                    torch.diag(USV.S[:d_k]) @ USV.Vh[:d_k],
                ),
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M)).U[:, :d_k].mT,
                    torch.diag(USV.S[:d_k]) @ USV.Vh[:d_k, :],
                ),
            ],
        ),
        wrong(
            "V in place of its transpose",
            lambda M, d_k: _factor(M, d_k, rows=lambda Vh: Vh[..., :d_k].mT),
            "You take columns of what torch.linalg.svd returns third. That is Vh, the transpose "
            "already: its first d_k rows belong to the largest singular values.",
            also=[
                lambda M, d_k: _factor(M, d_k, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 1.0, 0.0, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 0.0, 1.0, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 1.0, 0.0, rows=lambda Vh: Vh[..., :d_k].mT),
                lambda M, d_k: _factor(M, d_k, 0.0, 1.0, rows=lambda Vh: Vh[..., :d_k].mT),
            ],
        ),
        wrong(
            "the singular values along the wrong axis",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k].mT,
                USV.S[..., :d_k] * USV.Vh[..., :d_k, :],
            ),
            "`S[:d_k] * Vh[:d_k]` multiplies the columns of Vh, one after the other. A singular "
            "value belongs to a whole row of it: S[..., :d_k, None] * Vh[..., :d_k, :].",
            also=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k].mT,
                    USV.S[..., None, :d_k] * USV.Vh[..., :d_k, :],
                ),
            ],
        ),
        wrong(
            "U is not transposed",
            lambda M, d_k: _factor(M, d_k, columns=lambda U: U[..., :d_k, :]),
            "You take rows of U. The singular vectors are its columns: the first d_k of them, "
            "transposed, are U[..., :d_k].mT.",
        ),
        wrong(
            "the singular values twice",
            lambda M, d_k: _factor(M, d_k, left=1.0, right=1.0),
            "Both sides carry the singular values, so W_qᵀ W_k has their squares. Their product "
            "counts once: a root on each side, or all of it on one.",
        ),
        wrong(
            "the singular values are forgotten",
            lambda M, d_k: _factor(M, d_k, left=0.0, right=0.0),
            "The directions are right, the singular values are missing: without them every "
            "direction counts the same. M = U diag(S) Vh.",
        ),
        wrong(
            "half of the singular values",
            lambda M, d_k: _factor(M, d_k, left=0.5, right=0.0),
            "Only one side carries the root of the singular values. Put the root on both sides, or "
            "all of S on one.",
            also=[lambda M, d_k: _factor(M, d_k, left=0.25, right=0.25)],
        ),
        wrong(
            "the smallest singular values",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[..., -d_k:].mT,
                USV.S[..., -d_k:, None] * USV.Vh[..., -d_k:, :],
            ),
            "You keep the last singular values, and they are sorted falling: these are the "
            "smallest. The closest matrix keeps the d_k largest.",
            also=[
                lambda M, d_k: (
                    (L := torch.linalg.eigh(M @ M.mT)).eigenvectors[..., :d_k].mT,
                    L.eigenvectors[..., :d_k].mT @ M,
                ),
            ],
        ),
        wrong(
            "one matrix for both",
            lambda M, d_k: _twice(_factor(M, d_k)[1]),
            "Your W_q and W_k are one and the same, so W_qᵀ W_k is symmetric and never negative on "
            "the diagonal. M need not be either: take W_q from U and W_k from V.",
            also=[lambda M, d_k: _twice(_factor(M, d_k)[0])],
        ),
        wrong(
            "M is taken to be symmetric",
            lambda M, d_k: (
                (L := torch.linalg.eigh(M)).eigenvectors[..., -d_k:].mT,
                L.eigenvalues[..., -d_k:, None] * L.eigenvectors[..., -d_k:].mT,
            ),
            "You decompose M by eigenvalues, as if it were symmetric and its largest eigenvalues "
            "those that matter. A bilinear form need not be square, and size counts, not sign: "
            "take the singular values.",
            also=[
                lambda M, d_k: (
                    (L := torch.linalg.eigh((M + M.mT) / 2)).eigenvectors[..., -d_k:].mT,
                    L.eigenvalues[..., -d_k:, None] * L.eigenvectors[..., -d_k:].mT,
                ),
                lambda M, d_k: _twice(
                    (L := torch.linalg.eigh((M + M.mT) / 2)).eigenvalues[..., -d_k:, None].sqrt()
                    * L.eigenvectors[..., -d_k:].mT
                ),
            ],
        ),
        wrong(
            "the first d_k rows of M",
            lambda M, d_k: (
                torch.eye(M.shape[-2], dtype=M.dtype)[:d_k].expand(*M.shape[:-2], -1, -1),
                M[..., :d_k, :],
            ),
            "Your product is M with rows or columns cut off. That has rank d_k, but it is not the "
            "closest: the features that matter most need not come first. Take the singular value "
            "decomposition.",
            also=[
                lambda M, d_k: (
                    M[..., :d_k].mT,
                    torch.eye(M.shape[-1], dtype=M.dtype)[:d_k].expand(*M.shape[:-2], -1, -1),
                ),
            ],
        ),
        wrong(
            "another decomposition",
            lambda M, d_k: ((QR := torch.linalg.qr(M)).Q[..., :d_k].mT, QR.R[..., :d_k, :]),
            "Cut short, QR gives a matrix of rank d_k, but not the closest one: it goes by the "
            "order of the columns. The singular values say which directions matter.",
        ),
        wrong(
            "the mean is taken off",
            lambda M, d_k: _factor(M - M.mean(-2, keepdim=True), d_k),
            "You centre M first, as in a principal component analysis. A bilinear form has no mean "
            "to take off: decompose M itself.",
        ),
        wrong(
            "query and key swapped",
            lambda M, d_k: _factor(M, d_k)[::-1],
            "Your W_qᵀ W_k is close to Mᵀ. The rows of M belong to the query, so W_q comes from U "
            "and W_k from V.",
        ),
        wrong(
            "the other layout",
            lambda M, d_k: tuple(W.mT for W in _factor(M, d_k)),
            "You return [D, d_k]. As in nn.Linear a projection is [d_k, D]: transpose both.",
            also=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k]
                    * USV.S[..., None, :d_k],
                    USV.Vh[..., :d_k, :],
                ),
            ],
        ),
        wrong(
            "d_k is ignored",
            lambda M, d_k: _factor(M, min(M.shape[-2:])),
            "You keep every singular value, whatever d_k is. A head has d_k rows: keep the d_k "
            "largest.",
        ),
        wrong(
            "the product instead of the pair",
            lambda M, d_k: (f := _factor(M, d_k))[0].mT @ f[1],
            "You return the closest matrix itself. Return what makes it: the pair (W_q, W_k).",
        ),
    )


def _with_gaps(draw: Draw, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # Between singular values that are nearly equal, rounding would choose which to keep.
    U, S, Vh = torch.linalg.svd(draw(*shape, dtype=dtype), full_matrices=False)
    return U * (3 * 0.65 ** torch.arange(S.shape[-1], dtype=dtype)) @ Vh


def _factor(
    M: Tensor,
    d_k: int,
    left: float = 0.5,
    right: float = 0.5,
    columns: Callable[[Tensor], Tensor] | None = None,
    rows: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The singular vectors, each side with a power of the singular values."""
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    S = S[..., :d_k, None]
    U = U[..., :d_k].mT if columns is None else columns(U)
    return S**left * U, S**right * (Vh[..., :d_k, :] if rows is None else rows(Vh))


def _twice(W: Tensor) -> tuple[Tensor, Tensor]:
    return W, W


@item("ps3.regauge", points=2, minutes=15, difficulty="medium")
class Regauge:
    """(A W_q, A⁻ᵀ W_k): other queries and keys, the same scores: [..., d_k, D] twice."""

    reference = circuits.regauge
    returns = ("W_q", "W_k")

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = (
            torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]),
            torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]]),
            torch.tensor([[1.0, 1.0], [0.0, 2.0]]),  # its inverse is [[1, −½], [0, ½]]
        )
        yield case("two rows, by hand", *by_hand, core=True)
        yield case("one head", draw(3, 5), draw(3, 5), _invertible(draw, 3), core=True, weight=2)
        yield case(
            "queries and keys of different sizes", draw(3, 5), draw(3, 4), _invertible(draw, 3)
        )
        yield case("d_k = D", draw(4, 4), draw(4, 4), _invertible(draw, 4))
        yield case(
            "d_k = 1: a factor and its inverse", draw(1, 3), draw(1, 3), torch.tensor([[-4.0]])
        )
        yield case("a batch of heads", draw(2, 3, 6), draw(2, 3, 6), _invertible(draw, 2, 3))
        yield case("one A for all heads", draw(2, 3, 5), draw(2, 3, 5), _invertible(draw, 3))
        yield case(
            "float64",
            *(draw(3, 5, dtype=torch.float64), draw(3, 5, dtype=torch.float64)),
            _invertible(draw, 3, dtype=torch.float64),
        )

    misconceptions = (
        wrong(
            "heads are transposed too",
            lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A).T @ W_k),
            "Your function is right for a single head only: `.T` turns round all axes, those of "
            "the heads too. `.mT` swaps the last two alone.",
            also=[
                lambda W_q, W_k, A: (
                    A @ W_q,
                    torch.linalg.inv(A).permute(*reversed(range(A.ndim))) @ W_k,
                ),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A.T) @ W_k),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.solve(A.T, W_k)),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A).t() @ W_k),
            ],
        ),
        wrong(
            "an input is changed",
            lambda W_q, W_k, A: (
                W_q.copy_(A @ W_q),
                W_k.copy_(torch.linalg.solve(A.mT, W_k)),
            ),
            "Your function overwrites the matrices it was given. Return new ones, and leave those "
            "of the caller alone.",
        ),
        wrong(
            "the inverse without its transpose",
            lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A) @ W_k),
            "The key gets A⁻¹, and it has to be A⁻ᵀ. Write it out: (A W_q)ᵀ (B W_k) = "
            "W_qᵀ AᵀB W_k, and AᵀB is the identity for B = (Aᵀ)⁻¹.",
            also=[lambda W_q, W_k, A: (A @ W_q, torch.linalg.solve(A, W_k))],
        ),
        wrong(
            "the transpose without the inverse",
            lambda W_q, W_k, A: (A @ W_q, A.mT @ W_k),
            "The key gets Aᵀ with no inverse. That is A⁻¹ for a rotation, but then A⁻ᵀ is A "
            "itself; for a general A it is neither. AᵀB has to be the identity: B = (Aᵀ)⁻¹.",
        ),
        wrong(
            "A on both sides",
            lambda W_q, W_k, A: (A @ W_q, A @ W_k),
            "You multiply both by A. The scores then have AᵀA in their middle, which is the "
            "identity for rotations alone. What A does to the query, the key has to undo.",
        ),
        wrong(
            "the inverse on both sides",
            lambda W_q, W_k, A: (torch.linalg.inv(A) @ W_q, torch.linalg.inv(A) @ W_k),
            "You multiply both by an inverse. One of the two has to make up for the other: A for "
            "the query, A⁻ᵀ for the key.",
            also=[lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_q, torch.linalg.inv(A).mT @ W_k)],
        ),
        wrong(
            "query and key changed roles",
            lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_q, A @ W_k),
            "This keeps the scores too, but it is another change of gauge: here A belongs to the "
            "query and A⁻ᵀ to the key.",
            also=[
                lambda W_q, W_k, A: (torch.linalg.inv(A) @ W_q, A.mT @ W_k),
                lambda W_q, W_k, A: (A.mT @ W_q, torch.linalg.inv(A) @ W_k),
            ],
        ),
        wrong(
            "the results in the wrong order",
            lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_k, A @ W_q),
            "You return the key's matrix first. Return the pair (W_q, W_k), in this order.",
        ),
        wrong(
            "the key stays as it was",
            lambda W_q, W_k, A: (A @ W_q, W_k),
            "You change the query and leave the key, so all scores change. The key has to make up "
            "for it with A⁻ᵀ.",
        ),
        wrong(
            "on the side of the features",
            lambda W_q, W_k, A: (W_q @ A, W_k @ torch.linalg.inv(A).mT),
            "You multiply from the right, which mixes the D features of a token. A is "
            "[d_k, d_k] and mixes the rows: A @ W_q.",
            also=[lambda W_q, W_k, A: (W_q @ A, torch.linalg.inv(A).mT @ W_k)],
        ),
        wrong(
            "the inverse of every entry",
            lambda W_q, W_k, A: (A @ W_q, (1 / A).mT @ W_k),
            "`1 / A` and `A ** -1` invert every entry by itself. The inverse of the matrix is "
            "torch.linalg.inv(A); torch.linalg.solve(A.mT, W_k) has it in one step.",
            also=[lambda W_q, W_k, A: (A @ W_q, (1 / A) @ W_k)],
        ),
        wrong(
            "the circuit instead of the pair",
            lambda W_q, W_k, A: W_q.mT @ W_k,
            "You return M, which no gauge changes. What is asked for is the new pair, two matrices "
            "of the old shapes.",
        ),
    )


def _invertible(draw: Draw, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # The exponential of a matrix is always invertible; that of half a normal one is tame as well.
    return torch.matrix_exp(draw(*shape, shape[-1], dtype=dtype) / 2)


@item("ps3.symmetry", points=3, minutes=20, difficulty="medium")
class Symmetry:
    """⟨M, Mᵀ⟩ / ‖M‖² of M = W_qᵀ W_k: 1 symmetric, −1 antisymmetric; [..., d_k, D] -> [...]."""

    reference = circuits.symmetry

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one, quarter_turn = torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        W, mixed = draw(3, 5), torch.tensor([[1.0, 2.0], [0.0, 1.0]])  # mixed: (1 + 0 + 0 + 1) / 6
        yield case("a matrix that can be done by hand", one, mixed, core=True)
        yield case("one head", draw(3, 5), draw(3, 5), core=True, weight=2)
        yield case("one matrix for both: 1", W, W)
        yield case("a quarter turn: −1", one, quarter_turn)
        yield case("a batch of heads", draw(2, 3, 7), draw(2, 3, 7), weight=2)
        yield case("layers of heads", draw(2, 3, 4, 5), draw(2, 3, 4, 5))
        yield case("more rows than features", draw(6, 4), draw(6, 4))
        yield case(
            "float64", draw(2, 3, 5, dtype=torch.float64), draw(2, 3, 5, dtype=torch.float64)
        )

    misconceptions = (
        wrong(
            "the cosine of W_q and W_k",
            lambda W_q, W_k: _inner(W_q, W_k) / (_inner(W_q, W_q) * _inner(W_k, W_k)).sqrt(),
            "You compare W_q with W_k. Multiply both by a change of gauge and no score changes, "
            "but this number does, so it says nothing about the head. Compare M with Mᵀ.",
            also=[lambda W_q, W_k: torch.cosine_similarity(W_q, W_k, dim=-1).mean(-1)],
        ),
        wrong(
            "the small matrix in place of M",
            lambda W_q, W_k: _symmetry_of(W_q @ W_k.mT),
            "You use W_q W_kᵀ, which is [d_k, d_k]. Its inner product with its transpose is that "
            "of M, but its norm is not, and changes with the gauge. M is W_qᵀ W_k, "
            "of shape [D, D].",
        ),
        wrong(
            "the share of the symmetric part",
            lambda W_q, W_k: (1 + _symmetry_of(W_q.mT @ W_k)) / 2,
            "This is ‖(M + Mᵀ)/2‖² / ‖M‖², the symmetric part's share, from 0 to 1. Symmetry is "
            "that share minus the antisymmetric part's, from −1 to 1.",
        ),
        wrong(
            "the norm of the symmetric part",
            lambda W_q, W_k: ((1 + _symmetry_of(W_q.mT @ W_k)) / 2).sqrt(),
            "This is ‖(M + Mᵀ)/2‖ / ‖M‖, a length against a length. Wanted is the inner product "
            "⟨M, Mᵀ⟩ against ‖M‖², which can be negative.",
            also=[lambda W_q, W_k: (2 + 2 * _symmetry_of(W_q.mT @ W_k)).sqrt()],
        ),
        wrong(
            "the antisymmetric part",
            lambda W_q, W_k: (1 - _symmetry_of(W_q.mT @ W_k)) / 2,
            "You measure how far M is from its transpose, which is 0 for a symmetric M. "
            "Symmetry is 1 there and −1 for an antisymmetric one.",
            also=[
                lambda W_q, W_k: ((1 - _symmetry_of(W_q.mT @ W_k)) / 2).sqrt(),
                lambda W_q, W_k: (2 - 2 * _symmetry_of(W_q.mT @ W_k)).sqrt(),
                lambda W_q, W_k: 1 - (2 - 2 * _symmetry_of(W_q.mT @ W_k)).sqrt(),
            ],
        ),
        wrong(
            "the sign is lost",
            lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).abs(),
            "Your result is never negative. An antisymmetric M, in which whoever looks at you is "
            "not looked at, has symmetry −1: leave out abs() and the square.",
            also=[lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).square()],
        ),
        wrong(
            "M with itself",
            lambda W_q, W_k: (M := W_q.mT @ W_k).square().sum((-2, -1)) / M.square().sum((-2, -1)),
            "You get 1 for every M: ⟨M, M⟩ = tr(Mᵀ M) compares M with itself. ⟨M, Mᵀ⟩ is the sum "
            "of M * M.mT, which is tr(M M).",
        ),
        wrong(
            "divided by the norm, not its square",
            lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M),
            "You divide by ‖M‖, and the result grows with the weights. Both M and Mᵀ have the "
            "norm ‖M‖, so divide by ‖M‖².",
            also=[lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT)],
        ),
        wrong(
            "another norm",
            lambda W_q, W_k: (
                _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M, ord=2).square()
            ),
            "You divide by another norm of M. ‖M‖² is the sum of its squared entries, which "
            "torch.linalg.matrix_norm takes where it is not told another.",
            also=[
                lambda W_q, W_k: (
                    _inner(M := W_q.mT @ W_k, M.mT)
                    / torch.linalg.matrix_norm(M, ord="nuc").square()
                ),
                lambda W_q, W_k: (
                    _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M, ord=1).square()
                ),
            ],
        ),
        wrong(
            "one norm for all heads",
            lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT) / M.square().sum(),
            "You divide every head by the norm of all of them together: M.norm() and "
            "torch.linalg.norm(M) run over all axes. Each head has a norm of its own, over the "
            "last two: M.square().sum((-2, -1)).",
        ),
        wrong(
            "a matrix product",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) @ M.mT).sum((-2, -1)) / _inner(M, M),
            "`@` multiplies matrices, and the sum of that is another one. ⟨M, Mᵀ⟩ goes entry by "
            "entry, M * M.mT; of M @ M it is the trace, not the sum.",
            also=[lambda W_q, W_k: ((M := W_q.mT @ W_k) @ M).sum((-2, -1)) / _inner(M, M)],
        ),
        wrong(
            "the diagonal alone",
            lambda W_q, W_k: _inner(W_q, W_k) / torch.linalg.matrix_norm(W_q.mT @ W_k),
            "The trace of M looks at the diagonal, and every M has the diagonal of its transpose. "
            "Symmetry is about the entries across it: the sum of M * M.mT.",
            also=[
                lambda W_q, W_k: (
                    _inner(W_q, W_k) / torch.linalg.matrix_norm(W_q.mT @ W_k, ord="nuc")
                ),
                lambda W_q, W_k: _inner(W_q, W_k) / (W_q.mT @ W_k).square().sum((-2, -1)),
            ],
        ),
        wrong(
            "row by row, then averaged",
            lambda W_q, W_k: torch.cosine_similarity(M := W_q.mT @ W_k, M.mT, dim=-1).mean(-1),
            "You take a cosine for every row and average. Then a row of tiny entries counts as "
            "much as one of large ones. Add up all products first, and divide once.",
        ),
        wrong(
            "the mean is taken off",
            lambda W_q, W_k: _symmetry_of((M := W_q.mT @ W_k) - M.mean((-2, -1), keepdim=True)),
            "You take the mean of the entries off before comparing, as a correlation does. The "
            "mean of M is a part of the circuit: leave it in.",
        ),
        wrong(
            "one number for all heads",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) * M.mT).sum() / M.square().sum(),
            "You return one number for all heads. Sum over the last two axes alone, "
            ".sum((-2, -1)): every head has a symmetry of its own.",
            also=[
                lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).mean(),
                lambda W_q, W_k: _symmetry_of((W_q.mT @ W_k).sum(tuple(range(W_q.ndim - 2)))),
            ],
        ),
        wrong(
            "heads are transposed too",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) * M.T).sum() / M.square().sum(),
            "Your function is right for a single head only. `.T` turns round all axes, those of "
            "the heads too, where `.mT` swaps the last two.",
            also=[lambda W_q, W_k: _inner(M := W_q.T @ W_k, M.T) / M.square().sum()],
        ),
    )


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1))


def _symmetry_of(M: Tensor) -> Tensor:
    return _inner(M, M.mT) / _inner(M, M)


@item("ps3.self_attention", points=4, minutes=25, difficulty="hard")
class SelfAttention:
    """One head in any of the five projection modes; x [..., T, D], W [d, D], b [d]."""

    @staticmethod
    def reference(
        x: Tensor,
        projections: str,
        W_q: Tensor,
        b_q: Tensor,
        W_k: Tensor,
        b_k: Tensor,
        W_v: Tensor,
        b_v: Tensor,
    ) -> Tensor:
        q, k, v = linear(x, W_q, b_q), linear(x, W_k, b_k), linear(x, W_v, b_v)
        dealt = {
            "raw": (x, x, x),
            "shared": (q, q, q),
            "tied_qk": (q, q, v),
            "tied_kv": (q, k, k),
            "separate": (q, k, v),
        }
        return attend(*dealt[projections])

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one = (draw(2, 1, 6), "separate", *_projections(draw, 6, 4, 3))
        yield case("one token: the value alone", *one, core=True)
        batch = (draw(2, 5, 7), "separate", *_projections(draw, 7, 4, 3))
        yield case("separate: a batch", *batch, core=True, weight=2)
        for mode in ("tied_qk", "tied_kv", "shared"):
            yield case(mode, draw(2, 4, 7), mode, *_projections(draw, 7, 3, 3), weight=1.5)
        yield case("raw", draw(2, 4, 7), "raw", *_projections(draw, 7, 3, 3))
        sizes = (draw(3, 4, 6), "tied_kv", *_projections(draw, 6, 5, 2))
        yield case("tied_kv beside a W_v of another size", *sizes)
        square = (draw(5, 4), "separate", *_projections(draw, 4, 4, 4))
        yield case("no batch dimension, and d_k = d_v = D", *square)
        yield case(
            "two batch dimensions", draw(2, 3, 4, 5), "tied_qk", *_projections(draw, 5, 6, 7)
        )
        exact = _projections(draw, 6, 4, 3, dtype=torch.float64)
        yield case("float64", draw(2, 5, 6, dtype=torch.float64), "separate", *exact)
        # Not "separate": a bias of the keys moves no weight there, so it has no gradient to check.
        for mode in ("tied_qk", "tied_kv"):
            given = (draw(2, 4, 6), mode, *_projections(draw, 6, 3, 3))
            yield case(f"gradients of {mode}", *given, gradient=True)

    misconceptions = (
        wrong(
            "the tied copy does not learn",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, b_q, W_k, b_k, W_v, b_v, tied=lambda part: part.detach()
            ),
            "The output is right, the gradient is not: the second use of a tied matrix is a copy "
            "cut out of the graph. One matrix in two roles learns from both: use the same tensor.",
        ),
        wrong(
            "no gradient",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, b_q, W_k, b_k, W_v, b_v
            ).detach(),
            "The output is right, but no matrix could learn from it. Look for .detach(), "
            "nn.Parameter(…) around what you were given, torch.tensor(…) or no_grad.",
        ),
        wrong(
            "tied_qk and tied_kv mixed up",
            lambda x, mode, *weights: _head(
                x, {"tied_qk": "tied_kv", "tied_kv": "tied_qk"}.get(mode, mode), *weights
            ),
            "You tie the wrong pair. `tied_qk` makes query and key one and leaves the value "
            "alone; `tied_kv` makes key and value one.",
            also=[
                lambda x, mode, *weights: _head(
                    x, "tied_kv" if mode == "tied_qk" else mode, *weights
                ),
                lambda x, mode, *weights: _head(
                    x, "tied_qk" if mode == "tied_kv" else mode, *weights
                ),
            ],
        ),
        wrong(
            "a tied pair takes the later matrix",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: {
                "raw": lambda: _attention(x, x, x),
                "shared": lambda: _attention(v := linear(x, W_v, b_v), v, v),
                "tied_qk": lambda: _attention(k := linear(x, W_k, b_k), k, linear(x, W_v, b_v)),
                "tied_kv": lambda: _attention(linear(x, W_q, b_q), v := linear(x, W_v, b_v), v),
                "separate": lambda: _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v),
            }[mode](),
            "Of a tied pair you use the second matrix. The first one serves both: W_q in `tied_qk` "
            "and in `shared`, W_k in `tied_kv`.",
            also=[
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    _head(x, "shared", W_k, b_k, W_k, b_k, W_v, b_v)
                    if mode == "shared"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    _head(x, "shared", W_v, b_v, W_k, b_k, W_v, b_v)
                    if mode == "shared"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    _head(x, mode, W_k, b_k, W_k, b_k, W_v, b_v)
                    if mode == "tied_qk"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    _head(x, mode, W_q, b_q, W_v, b_v, W_v, b_v)
                    if mode == "tied_kv"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
            ],
        ),
        wrong(
            "a tied pair takes the third along",
            lambda x, mode, *weights: _head(x, "shared" if "tied" in mode else mode, *weights),
            "You make all three one where only two are: in `tied_qk` the value keeps W_v, in "
            "`tied_kv` the query keeps W_q. All three are one in `shared` alone.",
            also=[
                lambda x, mode, *weights: _head(
                    x, "shared" if mode == "tied_qk" else mode, *weights
                ),
                lambda x, mode, *weights: _head(
                    x, "shared" if mode == "tied_kv" else mode, *weights
                ),
            ],
        ),
        wrong(
            "shared keeps a value of its own",
            lambda x, mode, *weights: _head(x, "tied_qk" if mode == "shared" else mode, *weights),
            "In `shared` your value still has its own matrix; that mode is `tied_qk`. Shared means "
            "one matrix for all three.",
        ),
        wrong(
            "raw is projected",
            lambda x, mode, *weights: _head(x, "shared" if mode == "raw" else mode, *weights),
            "In `raw` you still project. Raw attention uses no matrix and no bias: x is query, key "
            "and value, and d_k is D.",
            also=[
                lambda x, mode, *weights: _head(x, "separate" if mode == "raw" else mode, *weights),
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    _attention(x, x, linear(x, W_v, b_v))
                    if mode == "raw"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
            ],
        ),
        wrong(
            "raw is scaled by a d_k that it does not have",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                _attention(x, x, x, scale=len(W_q) ** -0.5)
                if mode == "raw"
                else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
            ),
            "In `raw` you divide by the root of W_q's rows. Nothing is projected there, so queries "
            "and keys have all D features: take d_k from the query itself.",
        ),
        wrong(
            "tied matrices, separate biases",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: {
                "raw": lambda: _attention(x, x, x),
                "shared": lambda: _attention(
                    linear(x, W_q, b_q), linear(x, W_q, b_k), linear(x, W_q, b_v)
                ),
                "tied_qk": lambda: _attention(
                    linear(x, W_q, b_q), linear(x, W_q, b_k), linear(x, W_v, b_v)
                ),
                "tied_kv": lambda: _attention(
                    linear(x, W_q, b_q), linear(x, W_k, b_k), linear(x, W_k, b_v)
                ),
                "separate": lambda: _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v),
            }[mode](),
            "You share the matrix and keep a bias for each role. A projection is its matrix and "
            "its bias: what is tied shares both.",
        ),
        wrong(
            "the biases are dropped",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, 0 * b_q, W_k, 0 * b_k, W_v, 0 * b_v
            ),
            "The biases are missing. A projection is x Wᵀ + b.",
        ),
        wrong(
            "the bias of the value is dropped",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, b_q, W_k, b_k, W_v, 0 * b_v
            ),
            "The bias of the value is missing. The weights of a row add up to 1, so it comes "
            "through to every output in full.",
        ),
        wrong(
            "the bias of the query is dropped",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, 0 * b_q, W_k, b_k, W_v, b_v
            ),
            "The bias of the query is missing. It is no constant in the scores: b_q · k_j differs "
            "from key to key. (It is the key's bias that changes no weight.)",
        ),
        wrong(
            "the bias of the key is dropped",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q, b_q, W_k, 0 * b_k, W_v, b_v
            ),
            "The bias of the key is missing. As a key's it changes no weight, but in `tied_kv` the "
            "key is the value too, and there it comes through in full.",
        ),
        wrong(
            "query and key swapped",
            lambda x, mode, *weights: _asked_by_the_key(*_parts(x, mode, *weights)),
            "You compute key @ query.mT. A row of the scores belongs to the token that asks: "
            "query @ key.mT.",
            also=[
                lambda x, mode, *weights: (
                    _asked_by_the_key(*_parts(x, mode, *weights))
                    if mode == "separate"
                    else _head(x, mode, *weights)
                ),
            ],
        ),
        wrong(
            "the value is not projected",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                _attention(
                    linear(x, W_q, b_q),
                    linear(x, W_k, b_k) if mode in ("tied_kv", "separate") else linear(x, W_q, b_q),
                    x,
                )
                if mode != "raw"
                else _attention(x, x, x)
            ),
            "You average x itself. Outside `raw` the value is projected as well: what is handed "
            "over is W_v x + b_v, or what the mode puts in its place.",
        ),
        wrong(
            "divided by √D",
            lambda x, mode, *weights: _head(x, mode, *weights, scale=x.shape[-1] ** -0.5),
            "You divide by the root of D, the size of a token. The dot product is taken of queries "
            "and keys, which have d_k features: `query.shape[-1]`, after the projection.",
        ),
        wrong(
            "no division by √d_k",
            lambda x, mode, *weights: _head(x, mode, *weights, scale=1.0),
            "The √d_k is missing: divide query @ key.mT by `query.shape[-1] ** 0.5` before the "
            "softmax.",
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda x, mode, W_q, *weights: _head(
                x, mode, W_q, *weights, scale=1 / (x.shape[-1] if mode == "raw" else len(W_q))
            ),
            "You divide by d_k. It is the root of d_k that keeps the variance of the scores at 1.",
        ),
        wrong(
            "the matrix on the wrong side",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: _head(
                x, mode, W_q.mT, b_q, W_k.mT, b_k, W_v.mT, b_v
            ),
            "You multiply x @ W, but W is [d, D], as in nn.Linear: x @ W.mT + b. Where d = D "
            "nothing but the values tells the two apart.",
            also=[
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: {
                    "raw": lambda: _attention(x, x, x),
                    "shared": lambda: _attention(s := x @ W_q + b_q, s, s),
                    "tied_qk": lambda: _attention(s := x @ W_q + b_q, s, x @ W_v + b_v),
                    "tied_kv": lambda: _attention(x @ W_q + b_q, s := x @ W_k + b_k, s),
                    "separate": lambda: _attention(x @ W_q + b_q, x @ W_k + b_k, x @ W_v + b_v),
                }[mode](),
            ],
        ),
        wrong(
            "separate ties something",
            lambda x, mode, *weights: _head(x, "tied_kv" if mode == "separate" else mode, *weights),
            "In `separate` two of the three still share a projection. Query, key and value each "
            "have their own: W_q, W_k and W_v.",
            also=[
                lambda x, mode, *weights: _head(
                    x, "tied_qk" if mode == "separate" else mode, *weights
                ),
                lambda x, mode, *weights: _head(
                    x, "shared" if mode == "separate" else mode, *weights
                ),
            ],
        ),
        wrong(
            "the mode is ignored",
            lambda x, mode, *weights: _head(x, "separate", *weights),
            "You do the same whatever the mode says. The mode decides which of the three matrices "
            "are used; the others are handed over all the same, and left aside.",
            also=[
                lambda x, mode, *weights: _head(x, "tied_qk", *weights),
                lambda x, mode, *weights: _head(x, "tied_kv", *weights),
                lambda x, mode, *weights: _head(x, "shared", *weights),
                lambda x, mode, *weights: _head(x, "raw", *weights),
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda x, mode, *weights: (
                (s := _scores(*(p := _parts(x, mode, *weights))[:2])).softmax(-2) @ p[2]
            ),
            "Your weights add up to 1 down the columns. Each token shares out its own attention: "
            "take the softmax over the last axis, the keys.",
        ),
        wrong(
            "no softmax",
            lambda x, mode, *weights: _scores(*(p := _parts(x, mode, *weights))[:2]) @ p[2],
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "the weights instead of the average",
            lambda x, mode, *weights: _scores(*_parts(x, mode, *weights)[:2]).softmax(-1),
            "You return the weights [..., T, T]. One step is left: weights @ value.",
        ),
    )


def _projections(
    draw: Draw, D: int, d_k: int, d_v: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    """W_q, b_q, W_k, b_k, W_v, b_v that keep the variance of a token's features at about 1."""
    return tuple(
        part
        for size in (d_k, d_k, d_v)
        for part in (1.5 * draw(size, D, dtype=dtype) / D**0.5, draw(size, dtype=dtype))
    )


def _parts(
    x: Tensor,
    mode: str,
    W_q: Tensor,
    b_q: Tensor,
    W_k: Tensor,
    b_k: Tensor,
    W_v: Tensor,
    b_v: Tensor,
    tied: Callable[[Tensor], Tensor] = lambda part: part,
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value; `tied` is done to what serves a second time."""
    q, k, v = linear(x, W_q, b_q), linear(x, W_k, b_k), linear(x, W_v, b_v)
    return {
        "raw": (x, x, x),
        "shared": (q, tied(q), tied(q)),
        "tied_qk": (q, tied(q), v),
        "tied_kv": (q, k, tied(k)),
        "separate": (q, k, v),
    }[mode]


def _asked_by_the_key(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _attention(k, q, v)


def _head(
    x: Tensor,
    mode: str,
    *weights: Tensor,
    scale: float | None = None,
    tied: Callable[[Tensor], Tensor] = lambda part: part,
) -> Tensor:
    W_q, b_q, W_k, b_k, W_v, b_v = weights
    return _attention(*_parts(x, mode, W_q, b_q, W_k, b_k, W_v, b_v, tied), scale=scale)


class _Language(NamedTuple):
    """Sequences of three tokens, one of each class in random order, each with a payload.

    Every class hunts one other, in a circle. A token is the code of its class plus the code of
    its payload, and is asked for the payload of its prey.
    """

    tokens: Tensor  # [N, 3, D]
    targets: Tensor  # [N, 3]: the payload of each token's prey
    sought: Tensor  # [N, 3]: which of the three tokens is the prey
    payloads: Tensor  # [N, 3]: each token's own


_D, _PAYLOADS, _MOST_ROWS = 24, 10, 8


def _languages(draw: Draw, *counts: int) -> list[_Language]:
    """Sets of sequences in one language, whose codes and circle are drawn."""
    classes, codes = draw(3, _D), draw(_PAYLOADS, _D)
    forwards = bool(draw(1) > 0)
    spoken = []
    for count in counts:
        kinds = draw(count, 3).argsort(-1)
        payloads = draw(count, 3, _PAYLOADS).argmax(-1)
        prey = (kinds + (1 if forwards else 2)) % 3
        sought = (prey[:, :, None] == kinds[:, None, :]).int().argmax(-1)
        tokens = classes[kinds] + codes[payloads]
        spoken.append(_Language(tokens, payloads.gather(1, sought), sought, payloads))
    return spoken


class _Seen:
    """How trained weights do with sequences that they have never met."""

    def __init__(self, result: tuple[Tensor, Tensor, Tensor], fresh: _Language) -> None:
        _insist_that_they_fit(result)
        tokens = fresh.tokens.double()
        W_q, W_k, W_v = (W.double() for W in result)
        scores, values = _scores(tokens @ W_q.mT, tokens @ W_k.mT), tokens @ W_v.mT
        looked_at, itself = scores.argmax(-1), torch.arange(3)
        missed = looked_at != fresh.sought
        self.right = _share((scores.softmax(-1) @ values).argmax(-1) == fresh.targets)
        self.looks = _share(~missed)
        self.looks_the_other_way = _share(missed & (looked_at != itself))
        self.reads = _share(values.argmax(-1) == fresh.payloads)
        self.spread = scores.std().item()
        self.is_symmetric = circuits.symmetry(W_q, W_k).item() > 0.999


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()


def _right(
    result: tuple[Tensor, Tensor, Tensor], tokens: Tensor, targets: Tensor, *, masked: bool = False
) -> float:
    """How many payloads the head finds in these sequences, as a share; maybe never its own."""
    _insist_that_they_fit(result)
    query, key, value = (tokens.double() @ W.double().mT for W in result)
    mask = ~torch.eye(3, dtype=torch.bool) if masked else None
    return _share(attend(query, key, value, mask=mask).argmax(-1) == targets)


@item("ps3.train_cycle", points=5, minutes=40, difficulty="hard")
class TrainCycle:
    """Train one head, d_k at most 8, on [N, 3, D] tokens and [N, 3] targets; return its weights."""

    @staticmethod
    def reference(tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _train(tokens, targets)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        given, fresh = _languages(draw, 512, 500)
        yield case("training ends", given.tokens, given.targets, withheld=fresh, core=True)

    @staticmethod
    def judge(result: Any, case: Case) -> Iterator[Finding]:
        misfit = _misfit(result)
        yield Finding("three matrices that fit one another", misfit, core=True, weight=0.5)
        if misfit:
            return
        right = _right(result, case.withheld.tokens, case.withheld.targets)
        said = (
            f"it finds {100 * right:.1f} % of the payloads; a guess finds {100 / _PAYLOADS:.0f} %"
        )
        for wanted, core, weight in ((0.25, True, 0.5), (0.6, False, 1), (0.9, False, 1)):
            enough = right >= wanted
            name = f"{100 * wanted:.0f} % of the payloads of fresh sequences"
            yield Finding(name, None if enough else said, core=core, weight=weight)
        yield Finding(
            "99 % of the payloads of fresh sequences", None if right >= 0.99 else said, weight=3
        )

    misconceptions = (
        wrong(
            "the layers instead of their weights",
            lambda tokens, targets: tuple(nn.Linear(_D, rows) for rows in (8, 8, _PAYLOADS)),
            "You return layers. What is asked for are their matrices, three tensors: the `.weight` "
            "of each nn.Linear.",
            also=[lambda tokens, targets: nn.Linear(_D, 8)],
            shows=lambda result, case: any(
                isinstance(part, Foreign)
                and "." in part.type_name
                and not part.type_name.startswith("numpy.")
                for part in (result if isinstance(result, tuple) else (result,))
            ),
        ),
        wrong(
            "the matrices lie on their side",
            lambda tokens, targets: tuple(W.mT for W in _train(tokens, targets, steps=1)),
            "Your matrices are [D, d]. The head computes x @ W.mT, as nn.Linear does, so they have "
            "to be [d, D]: transpose them.",
            shows=lambda result, case: _misfit(tuple(W.mT for W in result)) is None,
        ),
        wrong(
            "too many rows",
            lambda tokens, targets: _train(tokens, targets, d_k=_D, steps=1),
            "Your W_q and W_k have more than 8 rows. Choose d_k from 1 to 8: for three classes "
            "that is plenty.",
            shows=lambda result, case: (
                len(result[0]) > _MOST_ROWS
                and result[0].shape == result[1].shape
                and _misfit((result[0][:1], result[1][:1], result[2])) is None
            ),
        ),
        wrong(
            "the numbers ran away",
            lambda tokens, targets: _train(
                *(tokens, targets),
                optimiser=lambda weights: torch.optim.SGD(weights, lr=1e3),
                loss=lambda logits, wanted: (
                    -logits.softmax(-1).log().gather(1, wanted[:, None]).mean()
                ),
            ),
            "There is NaN or infinity in your weights. A step was too large, or a logarithm met a "
            "0: lower the learning rate, and give the logits to torch.nn.functional.cross_entropy, "
            "which needs no softmax before it.",
            shows=lambda result, case: not all(bool(W.isfinite().all()) for W in result),
        ),
        wrong(
            "one matrix for query and key",
            lambda tokens, targets: _train(tokens, targets, shared=True),
            "Your W_q and W_k make symmetric scores, as one shared matrix does: a looks at b as "
            "hard as b at a. Round a circle of three such scores grant two wishes at most. Train "
            "two matrices, and start them from different numbers.",
            also=[lambda tokens, targets: _train(tokens, targets, shared=True, steps=0)],
            shows=lambda result, case: _Seen(result, case.withheld).is_symmetric,
        ),
        wrong(
            "query and key swapped",
            lambda tokens, targets: _swapped(*_train(tokens, targets)),
            "Your head goes round the circle the wrong way: it looks at the hunter, not at the "
            "prey. Return W_q first, then W_k. In training the rows of the scores belong to the "
            "queries: q @ k.mT, and the softmax over the last axis.",
            also=[lambda tokens, targets: _train(tokens, targets, scores=lambda s: s.mT)],
            shows=lambda result, case: _Seen(result, case.withheld).looks_the_other_way > 0.8,
        ),
        wrong(
            "one row is too few",
            lambda tokens, targets: _train(tokens, targets, d_k=1),
            "All rows of your W_q, or all of your W_k, point the same way, so the keys lie on one "
            "line: a query can prefer its one end or its other end, and three classes want three "
            "different keys. Take two rows or more, and start from random numbers that differ.",
            also=[
                lambda tokens, targets: tuple(
                    W if len(W) > 1 else W.repeat(4, 1) for W in _train(tokens, targets, d_k=1)
                ),
            ],
            shows=lambda result, case: (
                (_misfit(result) is None)
                and any(
                    len(sizes := torch.linalg.svdvals(W)) == 1 or bool(sizes[1] < 1e-4 * sizes[0])
                    for W in result[:2]
                )
            ),
        ),
        wrong(
            "the diagonal was masked in training",
            lambda tokens, targets: _train(
                *(tokens, targets),
                start=3.0,
                scores=lambda s: s.masked_fill(torch.eye(3, dtype=torch.bool), -math.inf),
            ),
            "With every token forbidden to look at itself, your head is right; without, as it is "
            "tried here, some look at themselves. Leave the mask out of your loop, and the head "
            "learns that too.",
            shows=lambda result, case: _right(result, *case.withheld[:2], masked=True) >= 0.99,
        ),
        wrong(
            "trained on the first sequences alone",
            lambda tokens, targets: _train(tokens[:8], targets[:8], steps=300),
            "Your head knows the first few sequences by heart and does badly with any other. It "
            "has to learn from all of them: does a `break`, a `return` inside the loop or a slice "
            "leave the rest out?",
            shows=lambda result, case: (
                (known := _right(result, case.args[0][:8], case.args[1][:8])) > 0.75
                and known - _Seen(result, case.withheld).right > 0.25
            ),
        ),
        wrong(
            "the numbers are too large",
            lambda tokens, targets: _train(tokens, targets, start=30.0),
            "Your scores are enormous. Every weight is then 0 or 1, and a softmax that is so sure "
            "has no gradient: what it looks at first, it looks at for ever. Start from smaller "
            "numbers, as nn.Linear does, or lower the learning rate.",
            also=[
                lambda tokens, targets: _train(
                    tokens, targets, optimiser=lambda weights: torch.optim.Adam(weights, lr=10)
                )
            ],
            shows=lambda result, case: _Seen(result, case.withheld).spread > 40,
        ),
        wrong(
            "the value has learned nothing",
            lambda tokens, targets: _train(tokens, targets, trained=(True, True, False)),
            "Your W_v reads no payload: even from a single token it cannot tell which one that "
            "token has. Is W_v among what the optimiser was given? And do logits and targets stay "
            "side by side when you flatten them?",
            also=[
                lambda tokens, targets: _train(tokens, targets.T.reshape(targets.shape)),
                lambda tokens, targets: _train(tokens, targets.roll(1, 0)),
            ],
            shows=lambda result, case: (
                (seen := _Seen(result, case.withheld)).reads < 0.4 and seen.spread > 3
            ),
        ),
        wrong(
            "nobody learned where to look",
            lambda tokens, targets: _train(tokens, targets, trained=(False, False, True)),
            "Your W_v reads the payloads, but the head looks at the wrong tokens. Are W_q and W_k "
            "among what the optimiser was given, do they start from random numbers, and does the "
            "gradient reach them? Zeros, a .detach() or an argmax on the way stop it.",
            also=[
                lambda tokens, targets: _train(tokens, targets, scores=lambda s: s.detach()),
                lambda tokens, targets: _train(tokens, targets, scores=lambda s: 0 * s),
            ],
            shows=lambda result, case: (
                (seen := _Seen(result, case.withheld)).reads > 0.6 and seen.looks < 0.6
            ),
        ),
        wrong(
            "stopped too early",
            lambda tokens, targets: _train(tokens, targets, steps=5),
            "Your head is on its way: it has begun to look at the prey and to read payloads. Give "
            "it more steps, or larger ones. Print the loss, and go on until it is near 0.",
            shows=lambda result, case: (
                (seen := _Seen(result, case.withheld)).looks > 0.6 and seen.reads > 0.4
            ),
        ),
        wrong(
            "training has hardly begun",
            lambda tokens, targets: _train(tokens, targets, steps=0),
            "Your weights are hardly better than those that training starts from. Print the loss: "
            "a guess has log 10 = 2.30, and it should fall to almost 0. If it stands still: was "
            "`.backward()` called, then the optimiser's step(), and with these very matrices?",
            also=[
                lambda tokens, targets: tuple(0 * W for W in _train(tokens, targets, steps=0)),
                lambda tokens, targets: _train(
                    tokens, targets, optimiser=lambda weights: torch.optim.Adam(weights, lr=1e-6)
                ),
            ],
            shows=lambda result, case: (
                (seen := _Seen(result, case.withheld)).reads < 0.4 and seen.spread < 1.5
            ),
        ),
    )


def _misfit(result: Any) -> str | None:
    """Why these are not the weights of such a head, if they are not."""
    fits = isinstance(result, tuple) and result and isinstance(result[0], Tensor)
    d_k = result[0].shape[0] if fits and result[0].ndim else _MOST_ROWS
    wanted = (torch.empty(d_k, _D), torch.empty(d_k, _D), torch.empty(_PAYLOADS, _D))
    if problem := structure_problem(result, wanted, ("W_q", "W_k", "W_v")):
        return problem
    if not 1 <= d_k <= _MOST_ROWS:
        return f"its W_q has {d_k} rows; d_k is to be 1 to {_MOST_ROWS}"
    if not all(bool(W.isfinite().all()) for W in result):
        return "there is NaN or infinity in the weights"
    return None


def _insist_that_they_fit(result: Any) -> None:
    # Millions of rows would fill the memory, and of complex weights any comparison misleads.
    if misfit := _misfit(result):
        raise ValueError(misfit)


def _swapped(W_q: Tensor, W_k: Tensor, W_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return W_k, W_q, W_v


def _train(
    tokens: Tensor,
    targets: Tensor,
    *,
    steps: int = 100,
    d_k: int = _MOST_ROWS,
    start: float = 1.0,
    shared: bool = False,
    trained: tuple[bool, bool, bool] = (True, True, True),
    optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] = (
        lambda weights: torch.optim.Adam(weights, lr=0.02)
    ),
    scores: Callable[[Tensor], Tensor] = lambda s: s,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> tuple[Tensor, Tensor, Tensor]:
    """One head, trained well unless told otherwise."""
    W_q, W_k, W_v = (
        (start * nn.Linear(_D, rows).weight.detach()).requires_grad_()
        for rows in (d_k, d_k, _PAYLOADS)
    )
    if shared:
        W_k = W_q
    learned = [W for W, is_learned in zip((W_q, W_k, W_v), trained, strict=True) if is_learned]
    stepper = optimiser(list(dict.fromkeys(learned)))
    for _ in range(steps):
        weights = scores(_scores(tokens @ W_q.mT, tokens @ W_k.mT)).softmax(-1)
        logits = weights @ (tokens @ W_v.mT)  # [N, 3, payloads]
        stepper.zero_grad()
        loss(logits.flatten(0, 1), targets.flatten()).backward()
        stepper.step()
    return W_q.detach(), W_k.detach(), W_v.detach()


@item("ps3.cannot_carry", points=3, minutes=20, difficulty="hard")
class CannotCarry:
    """The part of x in ker W, which a head with K = V = W x neither sees nor moves: [..., T, D]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return _lost(x, W)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        x, W = torch.tensor([[3.0, 4.0, 5.0]]), torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
        dependent = draw(3, 6)[[0, 1, 2, 1]]  # the second row twice: rank 3
        yield case("a token that can be done by hand", x, W, core=True)
        yield case("a batch", draw(2, 4, 7), draw(3, 7), core=True, weight=2)
        yield case("one row", draw(4, 5), draw(1, 5))
        yield case("no batch dimension, and as many tokens as features", draw(6, 6), draw(3, 6))
        yield case("two batch dimensions", draw(2, 3, 4, 6), draw(5, 6))
        yield case("a row that is there twice", draw(2, 5, 6), dependent, weight=2)
        yield case("a W of zeros carries nothing", draw(3, 5), torch.zeros(2, 5))
        yield case("d_k = D: nothing is left", draw(2, 3, 4), _invertible(draw, 4))
        yield case("more rows than features", draw(2, 3, 4), draw(6, 4))
        yield case("float64", draw(2, 3, 5, dtype=torch.float64), draw(2, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 6), draw(2, 6), gradient=True)

    misconceptions = (
        wrong(
            "W Wᵀ has no inverse",
            lambda x, W: x - x @ W.mT @ torch.linalg.inv(W @ W.mT) @ W,
            "You invert W Wᵀ, which has no inverse when rows of W depend on one another, or are "
            "more than the features. torch.linalg.pinv(W) is right in every case.",
            also=[
                lambda x, W: x - x @ W.mT @ torch.linalg.solve(W @ W.mT, W),
                lambda x, W: x - x @ torch.linalg.solve(W @ W.mT, W).mT @ W,
                lambda x, W: (
                    x - x @ W.mT @ torch.cholesky_inverse(torch.linalg.cholesky(W @ W.mT)) @ W
                ),
            ],
        ),
        wrong(
            "as many directions as rows",
            lambda x, W: x - x @ (V := torch.linalg.svd(W).Vh[: len(W)]).mT @ V,
            "You count a direction for every row of W. Rows that depend on one another read fewer "
            "directions than they are many: count the singular values that are not 0.",
            also=[
                lambda x, W: x - x @ (Q := torch.linalg.qr(W.mT).Q) @ Q.mT,
                lambda x, W: x @ (V := torch.linalg.svd(W).Vh[len(W) :]).mT @ V,
                lambda x, W: x - x @ (V := torch.linalg.svd(W, full_matrices=False).Vh).mT @ V,
            ],
        ),
        wrong(
            "directions of the kernel have no gradient",
            lambda x, W: x @ (V := torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :]).mT @ V,
            "The values are right, the gradient of W is not: torch counts those rows of Vh that "
            "have no singular value as constants. Take off what is carried instead: x − W⁺ W x.",
        ),
        wrong(
            "the gradient is cut",
            lambda x, W: _lost(x, W).detach(),
            "The values are right, but the gradient is cut. What the head cannot carry depends on "
            "x and on W: no .detach(), .numpy() or no_grad.",
            also=[
                lambda x, W: _lost(x, W.detach()),
                lambda x, W: _lost(x.detach(), W),
            ],
        ),
        wrong(
            "an input is changed",
            lambda x, W: x.sub_(x @ (torch.linalg.pinv(W) @ W).mT),
            "Your function writes into x: `x -= …` changes the caller's tokens. Write `x - …`.",
        ),
        wrong(
            "the part that is carried",
            lambda x, W: x @ (torch.linalg.pinv(W) @ W).mT,
            "This is the part that the head does carry, the shadow of x on the rows of W. What it "
            "cannot carry is the rest: x minus this.",
        ),
        wrong(
            "the transpose in place of the pseudo-inverse",
            lambda x, W: x - x @ W.mT @ W,
            "You take Wᵀ W x off. That is the projection only if the rows of W have length 1 and "
            "stand at right angles; in general it is pinv(W) W x.",
            also=[lambda x, W: x @ W.mT @ W],
        ),
        wrong(
            "rows made one long, not orthogonal",
            lambda x, W: x - x @ (U := normalize(W, dim=-1)).mT @ U,
            "You scale the rows of W to length 1, and treat them as if they stood at right angles. "
            "Where two rows lean towards each other, their common part is taken off twice.",
            also=[
                lambda x, W: (
                    x
                    - sum(
                        ((x @ row)[..., None] * row / row.square().sum() for row in W),
                        start=torch.zeros_like(x),
                    )
                ),
                lambda x, W: x - x @ W.mT @ W / torch.linalg.matrix_norm(W, 2) ** 2,
                lambda x, W: x - x @ W.mT @ W / W.square().sum(),
            ],
        ),
        wrong(
            "row by row, each from what is left",
            lambda x, W: _one_row_after_the_other(x, W),
            "You take the rows off one after the other. A later row brings back what an earlier "
            "one had removed, unless the rows are made orthogonal first (Gram and Schmidt).",
        ),
        wrong(
            "columns of W in place of rows",
            lambda x, W: x - x @ (W @ torch.linalg.pinv(W)).mT,
            "You project with W pinv(W), which is [d_k, d_k]: that is about the keys, not the "
            "tokens. What W reads of a token are its rows: pinv(W) W, of shape [D, D].",
            also=[
                lambda x, W: x - x @ W @ torch.linalg.pinv(W),
                lambda x, W: x - x @ W.mT @ torch.linalg.pinv(W),
            ],
        ),
        wrong(
            "the keys",
            lambda x, W: x @ W.mT,
            "This is W x, the keys and values themselves, with d_k features. Asked for is a part "
            "of x, with all D of them: carry W x back with pinv(W), and take it off x.",
        ),
        wrong(
            "the key is taken off the token",
            lambda x, W: x - x @ W.mT,
            "You take W x off x. One has d_k features, the other D: first carry W x back into the "
            "space of the tokens with pinv(W).",
        ),
        wrong(
            "a basis of the kernel",
            lambda x, W: torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :],
            "You return directions that W does not read, the same for all tokens. Asked for is how "
            "much of each token lies in them: project x on them.",
            also=[
                lambda x, W: x @ torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :].mT,
                lambda x, W: torch.eye(W.shape[-1], dtype=W.dtype) - torch.linalg.pinv(W) @ W,
            ],
        ),
        wrong(
            "the amount instead of the part",
            lambda x, W: torch.linalg.vector_norm(_lost(x, W), dim=-1),
            "You return how long the lost part is. Asked for is the part itself, a vector of D "
            "features for every token.",
        ),
    )


def _lost(x: Tensor, W: Tensor) -> Tensor:
    return x - x @ (torch.linalg.pinv(W) @ W).mT


def _one_row_after_the_other(x: Tensor, W: Tensor) -> Tensor:
    for row in W:
        x = x - (x @ row)[..., None] * row / row.square().sum().clamp_min(1e-30)
    return x
