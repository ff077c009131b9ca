"""`ps4.multi_head_attention`: several heads beside each other, and W_o behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps4_heads.common import merge, split
from attncourse.problem_sets.steps import additive, attention, forbid, scores_of


@item("ps4.multi_head_attention", points=5, minutes=30, difficulty="hard")
class MultiHeadAttention:
    """h heads side by side, through W_o: x [..., T, D], W_q, W_k, W_v [h·d, D], W_o [D, h·d_v]."""

    @staticmethod
    def reference(
        x: Tensor,
        num_heads: int,
        W_q: Tensor,
        W_k: Tensor,
        W_v: Tensor,
        W_o: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        q, k, v = (split(x @ W.mT, num_heads) for W in (W_q, W_k, W_v))
        return merge(attend(q, k, v, mask=_for_all_heads(mask))) @ W_o.mT

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        first_alone = torch.ones(4, 4, dtype=torch.bool).tril()
        row_empty = draw.mask(4, 4)
        row_empty[2] = False
        yield case(
            "one token: the values and W_o alone",
            *(draw(2, 1, 6), *_weights(draw, 3, 6, d_k=4, d_v=5)),
            basic=True,
        )
        yield case(
            "one head: nothing to split", *(draw(3, 5, 6), *_weights(draw, 1, 6, d_k=4, d_v=7))
        )
        yield case(
            "a batch",
            *(draw(2, 5, 6), *_weights(draw, 3, 6, d_k=4, d_v=7)),
            basic=True,
            weight=2,
        )
        yield case(
            "h · d_k = h · d_v = D: every matrix is square",
            *(draw(3, 5, 8), *_weights(draw, 2, 8, d_k=4, d_v=4)),
        )
        yield case(
            "token 0 sees itself alone",
            *(draw(3, 4, 6), *_weights(draw, 2, 6, d_k=5, d_v=7)),
            mask=first_alone,
        )
        yield case(
            "a mask for each sequence",
            *(draw(2, 5, 6), *_weights(draw, 3, 6, d_k=4, d_v=7)),
            mask=draw.mask(2, 5, 5),
            weight=2,
        )
        yield case(
            "a mask for each sequence, and as many sequences as heads",
            *(draw(3, 5, 6), *_weights(draw, 3, 6, d_k=4, d_v=7)),
            mask=draw.mask(3, 5, 5),
        )
        yield case(
            "a token that may attend to nothing: zeros",
            *(draw(2, 4, 6), *_weights(draw, 3, 6, d_k=5, d_v=7)),
            mask=row_empty,
        )
        yield case("no batch dimension", draw(5, 6), *_weights(draw, 2, 6, d_k=4, d_v=7))
        yield case(
            "two batch dimensions",
            *(draw(2, 3, 4, 6), *_weights(draw, 5, 6, d_k=2, d_v=3)),
            mask=draw.mask(2, 3, 1, 4),
        )
        yield case(
            "float64",
            draw(2, 5, 6, dtype=torch.float64),
            *_weights(draw, 3, 6, d_k=4, d_v=7, dtype=torch.float64),
        )
        yield case(
            "gradients",
            *(draw(2, 4, 6), *_weights(draw, 3, 6, d_k=5, d_v=7)),
            mask=draw.mask(4, 4),
            gradient=True,
        )
        yield case(
            "gradients beside a token that may attend to nothing",
            *(draw(2, 4, 6), *_weights(draw, 3, 6, d_k=5, d_v=7)),
            mask=row_empty,
            gradient=True,
        )

    misconceptions = (
        wrong(
            "NaN where every key is forbidden",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-1) @ v,
            ),
            "A token that may attend to nothing became NaN: a row of −∞ has no softmax. Its output "
            "is zeros, so set forbidden weights to 0 once more after the softmax.",
        ),
        wrong(
            "NaN in the gradient of an empty row",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: (
                    (scores_of(q, k) + additive(m, q)).softmax(-1).nan_to_num(0) @ v
                ),
            ),
            "The output is right, the gradient is not: where a token may attend to nothing, the "
            "softmax of a row of −∞ is NaN, and replacing it afterwards does not help on the way "
            "back. `.masked_fill` before and after the softmax does.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    heads=lambda q, k, v, m: (
                        forbid(scores_of(q, k), m).softmax(-1) @ v
                    ).nan_to_num(0),
                ),
            ],
        ),
        wrong(
            "an average of everything where every key is forbidden",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m, -1e9).softmax(-1) @ v,
            ),
            "A token that may attend to nothing got the average of all values: with the same large "
            "negative number in every place, all its scores are equal. Its output is zeros: set "
            "forbidden weights to 0 after the softmax.",
        ),
        wrong(
            "no gradient",
            lambda *given, mask=None: _layer(*given, mask=mask).detach(),
            "The output is right, but no matrix could learn from it. Look for .detach(), "
            "nn.Parameter(…) around what you were given, torch.tensor(…) or no_grad.",
        ),
        wrong(
            "the sequences' masks are given to the heads",
            lambda *given, mask=None: _layer(*given, mask=mask, place=lambda m: m),
            "A mask [B, T, T] has a table for each sequence, and your scores are [B, h, T, T]: the "
            "table of sequence 1 goes to head 1. Give the mask a place for the heads: "
            "`mask.unsqueeze(-3)`. (Where B = h, torch would not even complain.)",
            variants=[
                lambda *given, mask=None: _layer(
                    *given, mask=mask, place=lambda m: m, heads=_fused
                ),
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    place=lambda m: m,
                    heads=lambda q, k, v, m: (scores_of(q, k) + additive(m, q)).softmax(-1) @ v,
                ),
            ],
        ),
        wrong(
            "the heads' place in the mask is counted from the front",
            lambda *given, mask=None: _layer(*given, mask=mask, place=lambda m: m.unsqueeze(1)),
            "You give the mask a place for the heads at axis 1, which is right for [B, T, T] "
            "alone. The mask may be [T, T] too, and then has nothing in front: count from the "
            "end, `mask.unsqueeze(-3)`.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given, mask=mask, place=lambda m: m.unsqueeze(1), heads=_fused
                ),
            ],
        ),
        wrong(
            "exactly one batch dimension",
            lambda x, h, W_q, W_k, W_v, W_o, mask=None: (
                lambda B, T, D: _layer(x, h, W_q, W_k, W_v, W_o, mask=mask)
            )(*x.shape),
            "Your function wants exactly three dimensions, [B, T, D]. `...` stands for any number "
            "of leading ones, also for none: count the axes from the end.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    place=lambda m: m if m.ndim < 3 else m.unsqueeze(1),
                    split=lambda x, h: x.reshape(x.shape[0], x.shape[1], h, -1).transpose(1, 2),
                    merge=lambda heads: heads.transpose(1, 2).flatten(2),
                ),
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    place=lambda m: m if m.ndim < 3 else m.unsqueeze(1),
                    split=lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2),
                    merge=lambda heads: heads.transpose(1, 2).flatten(2),
                ),
            ],
        ),
        wrong(
            "D / h taken for the size of a head",
            lambda x, h, *weights, mask=None: _layer(
                *(x, h, *weights),
                mask=mask,
                split=lambda y, h: y.reshape(*y.shape[:-1], h, x.shape[-1] // h).transpose(-2, -3),
            ),
            "You take D / h for the size of a head. It is a habit to choose sizes so, and no law: "
            "the matrices say how large a head is, d_k = W_q.shape[0] / h and d_v = W_v.shape[0] "
            "/ h. Side by side the heads have h · d_v features, and W_o brings them back to D.",
            variants=[
                lambda x, h, *weights, mask=None: _layer(
                    *(x, h, *weights),
                    mask=mask,
                    split=lambda y, h: y.unflatten(-1, (h, x.shape[-1] // h)).transpose(-2, -3),
                ),
                lambda x, h, *weights, mask=None: _layer(
                    *(x, h, *weights),
                    mask=mask,
                    merge=lambda heads: heads.transpose(-2, -3).reshape(x.shape),
                ),
                lambda x, h, *weights, mask=None: _layer(
                    *(x, h, *weights), mask=mask, scale=(x.shape[-1] / h) ** -0.5
                ),
                lambda x, h, *weights, mask=None: _layer(
                    *(x, h, *weights), mask=mask, scale=(x.shape[-1] // h) ** -0.5
                ),
            ],
        ),
        wrong(
            "d_k taken for d_v",
            lambda x, h, W_q, W_k, W_v, W_o, mask=None: _layer(
                *(x, h, W_q, W_k, W_v, W_o),
                mask=mask,
                split=lambda y, h: y.reshape(*y.shape[:-1], h, len(W_q) // h).transpose(-2, -3),
            ),
            "You split the values as if they had d_k features a head. A value has d_v, which is "
            "W_v.shape[0] / h; queries and keys alone have to agree.",
            variants=[
                lambda x, h, W_q, W_k, W_v, W_o, mask=None: _layer(
                    *(x, h, W_q, W_k, W_v, W_o),
                    mask=mask,
                    split=lambda y, h: y.unflatten(-1, (h, len(W_q) // h)).transpose(-2, -3),
                ),
                lambda x, h, W_q, W_k, W_v, W_o, mask=None: _layer(
                    *(x, h, W_q, W_k, W_v, W_o),
                    mask=mask,
                    merge=lambda heads: heads.transpose(-2, -3).reshape(*x.shape[:-1], len(W_q)),
                ),
            ],
        ),
        wrong(
            "view without transpose",
            lambda *given, mask=None: _layer(*given, mask=mask, split=_split_in_order),
            "You reshape [..., T, h·d] to [..., h, T, d] at once. That keeps the numbers in their "
            "order, so a head holds whole tokens instead of a part of each. Split the last axis to "
            "[..., T, h, d], then swap T and h, and on the way back swap first.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given, mask=mask, split=_split_in_order, merge=_merge_in_order
                ),
            ],
        ),
        wrong(
            "merged without transpose",
            lambda *given, mask=None: _layer(*given, mask=mask, merge=_merge_in_order),
            "Your heads are right, and are put together wrongly: a reshape of [..., h, T, d_v] to "
            "[..., T, h·d_v] mixes tokens. Swap h and T first.",
        ),
        wrong(
            "no heads in front of the tokens",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                place=lambda m: m,
                split=lambda x, h: x.unflatten(-1, (h, -1)),
                merge=lambda heads: heads.flatten(-2),
            ),
            "You split the features and leave the heads behind the tokens, [..., T, h, d]. Then "
            "`@` compares the heads of one token with each other, and no token sees another. Swap "
            "T and h.",
        ),
        wrong(
            "every h-th feature",
            lambda *given, mask=None: _layer(*given, mask=mask, split=_dealt_out),
            "You deal the features out like cards, so that head i gets the rows i, i + h, i + 2h … "
            "of each matrix. Heads are runs of neighbours: head i has rows i·d to i·d + d − 1.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    split=_dealt_out,
                    merge=lambda heads: heads.movedim(-3, -1).flatten(-2),
                ),
                lambda *given, mask=None: _layer(
                    *given, mask=mask, merge=lambda heads: heads.movedim(-3, -1).flatten(-2)
                ),
            ],
        ),
        wrong(
            "h taken for d",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                split=lambda x, h: x.unflatten(-1, (-1, h)).transpose(-2, -3),
            ),
            "You make heads of `num_heads` features each. It is the number of heads that is given; "
            "their size is what is left of the last axis.",
        ),
        wrong(
            "one wide head",
            lambda x, h, *weights, mask=None: _layer(
                *(x, 1, *weights), mask=mask, scale=(len(weights[0]) / h) ** -0.5
            ),
            "You attend with all h · d_k features at once, with a single softmax. Each head has a "
            "softmax of its own; that is all that makes them heads.",
            variants=[
                lambda x, h, *weights, mask=None: _layer(x, 1, *weights, mask=mask),
            ],
        ),
        wrong(
            "every head is the first",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                split=lambda x, h: split(x, h)[..., :1, :, :].expand(split(x, h).shape),
            ),
            "All your heads are the same, the first. In a loop over heads the slice has to move "
            "along: head i has features i·d to i·d + d − 1.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    split=lambda x, h: split(x, h)[..., -1:, :, :].expand(split(x, h).shape),
                ),
            ],
        ),
        wrong(
            "W_o is forgotten",
            lambda *given, mask=None: _layer(*given, mask=mask, out=lambda joined, W_o: joined),
            "You return the heads side by side, [..., T, h · d_v]. One step is left: W_o mixes "
            "them, and brings the features back to D.",
        ),
        wrong(
            "W_o on the wrong side",
            lambda *given, mask=None: _layer(
                *given, mask=mask, out=lambda joined, W_o: joined @ W_o
            ),
            "You multiply by W_o as it is. It is [D, h · d_v], as in nn.Linear: `heads @ W_o.mT`. "
            "Where h · d_v = D nothing but the values tells the two apart.",
        ),
        wrong(
            "the matrices on the wrong side",
            lambda x, h, W_q, W_k, W_v, W_o, mask=None: _layer(
                x, h, W_q.mT, W_k.mT, W_v.mT, W_o.mT, mask=mask
            ),
            "You multiply x @ W, but W is [h · d, D], as in nn.Linear: x @ W.mT. Where h · d = D "
            "nothing but the values tells the two apart.",
            variants=[
                lambda x, h, W_q, W_k, W_v, W_o, mask=None: _layer(
                    x, h, W_q.mT, W_k.mT, W_v.mT, W_o, mask=mask
                ),
                lambda x, h, W_q, W_k, W_v, W_o, mask=None: (
                    merge(
                        attention(
                            split(x @ W_q, h),
                            split(x @ W_k, h),
                            split(x @ W_v, h),
                            _for_all_heads(mask),
                        )
                    )
                    @ W_o
                ),
            ],
        ),
        wrong(
            "the residual is added",
            lambda x, *given, mask=None: x + _layer(x, *given, mask=mask),
            "You add x to the result. That is the residual connection, which stands around the "
            "layer; asked for is the layer alone.",
        ),
        wrong(
            "no division by √d_k",
            lambda *given, mask=None: _layer(*given, mask=mask, scale=1.0),
            "The √d_k is missing: divide each head's query @ key.mT by the root of its own d_k.",
        ),
        wrong(
            "divided by √d_model",
            lambda x, *given, mask=None: _layer(x, *given, mask=mask, scale=x.shape[-1] ** -0.5),
            "You divide by the root of the size of a token, or of all heads together. A dot "
            "product is taken within one head, over its d_k features: after the split it is "
            "`query.shape[-1]`.",
            variants=[
                lambda x, h, W_q, *given, mask=None: _layer(
                    x, h, W_q, *given, mask=mask, scale=len(W_q) ** -0.5
                ),
            ],
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda x, h, W_q, *given, mask=None: _layer(
                x, h, W_q, *given, mask=mask, scale=h / len(W_q)
            ),
            "You divide by d_k. It is the root of d_k that keeps the variance of the scores at 1.",
        ),
        wrong(
            "divided by √T",
            lambda x, *given, mask=None: _layer(x, *given, mask=mask, scale=x.shape[-2] ** -0.5),
            "You divide by the root of the number of tokens. A dot product grows with the number "
            "of features that it sums over: d_k, the last axis.",
        ),
        wrong(
            "the mask is inverted",
            lambda *given, mask=None: _layer(*given, mask=None if mask is None else ~mask),
            "Your mask works the wrong way round. True means: may attend. (In "
            "`nn.MultiheadAttention` it means the opposite.)",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=None if mask is None else ~mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-1) @ v,
                ),
            ],
        ),
        wrong(
            "the mask is applied after the softmax",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: scores_of(q, k).softmax(-1) * (1 if m is None else m) @ v,
            ),
            "The forbidden weights are 0, but the rest of the row adds up to less than 1. Put −∞ "
            "in the forbidden scores before the softmax.",
        ),
        wrong(
            "the mask is transposed",
            lambda *given, mask=None: _layer(
                *given, mask=mask if mask is None or mask.shape[-2] == 1 else mask.mT
            ),
            "Row i of the mask belongs to the token that asks, column j to the one that is asked: "
            "you have the two swapped.",
        ),
        wrong(
            "causal without being asked",
            lambda x, *given, mask=None: _layer(
                x,
                *given,
                mask=torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril(),
            ),
            "You mask every later token. Which are forbidden is for `mask` to say; without one, "
            "every token may see every other.",
        ),
        wrong(
            "the mask is forgotten",
            lambda *given, mask=None: _layer(*given),
            "Your output does not depend on the mask. Where it is False, the weight of every head "
            "has to be 0.",
        ),
        wrong(
            "softmax over the heads",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-3).nan_to_num(0) @ v,
            ),
            "Your weights add up to 1 over the heads, as if they shared one attention. Each head "
            "shares out its own among the keys: take the softmax over the last axis.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-3) @ v,
                ),
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(1) @ v,
                ),
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m, -1e9).softmax(-3) @ v,
                ),
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2).nan_to_num(0) @ v,
            ),
            "Your weights add up to 1 down each key's column. It is each query that shares out "
            "its attention among the keys: take the softmax over the last axis.",
            variants=[
                lambda *given, mask=None: _layer(
                    *given,
                    mask=mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2) @ v,
                ),
            ],
        ),
        wrong(
            "no softmax",
            lambda *given, mask=None: _layer(
                *given,
                mask=mask,
                heads=lambda q, k, v, m: scores_of(q, k) * (1 if m is None else m) @ v,
            ),
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "query and key swapped",
            lambda x, h, W_q, W_k, *given, mask=None: _layer(x, h, W_k, W_q, *given, mask=mask),
            "You compute key @ query.mT, in which a row belongs to a key. It is the query that "
            "asks, so the rows are its: query @ key.mT.",
        ),
    )


def _for_all_heads(mask: Tensor | None) -> Tensor | None:
    return mask if mask is None else mask.unsqueeze(-3)


def _layer(
    x: Tensor,
    num_heads: int,
    W_q: Tensor,
    W_k: Tensor,
    W_v: Tensor,
    W_o: Tensor,
    *,
    mask: Tensor | None = None,
    split: Callable[[Tensor, int], Tensor] = split,
    place: Callable[[Tensor], Tensor] = lambda mask: mask.unsqueeze(-3),
    heads: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor] = attention,
    scale: float | None = None,
    merge: Callable[[Tensor], Tensor] = merge,
    out: Callable[[Tensor, Tensor], Tensor] = lambda joined, W_o: joined @ W_o.mT,
) -> Tensor:
    """The layer, right unless told otherwise; `place` makes room for the heads in the mask."""
    q, k, v = (split(x @ W.mT, num_heads) for W in (W_q, W_k, W_v))
    if scale is not None:
        q = q * (scale * q.shape[-1] ** 0.5)
    return out(merge(heads(q, k, v, mask if mask is None else place(mask))), W_o)


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _split_in_order(x: Tensor, num_heads: int) -> Tensor:
    return x.reshape(*x.shape[:-2], num_heads, x.shape[-2], -1)


def _merge_in_order(heads: Tensor) -> Tensor:
    return heads.reshape(*heads.shape[:-3], heads.shape[-2], -1)


def _dealt_out(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (-1, num_heads)).movedim(-1, -3)


def _weights(
    draw: Draw, num_heads: int, D: int, *, d_k: int, d_v: int, dtype: torch.dtype = torch.float32
) -> tuple[int, Tensor, Tensor, Tensor, Tensor]:
    """Heads, W_q, W_k, W_v and W_o that keep the variance of a token's features at about 1."""
    into = (1.5 * draw(num_heads * d, D, dtype=dtype) / D**0.5 for d in (d_k, d_k, d_v))
    W_o = 1.5 * draw(D, num_heads * d_v, dtype=dtype) / (num_heads * d_v) ** 0.5
    return (num_heads, *into, W_o)
