"""`ps4.cross_attention`: one sequence asks, another is asked, and some of it is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.steps import additive, attention, forbid, scores_of, weights_of


@item("ps4.cross_attention", points=4, minutes=20, difficulty="medium")
class CrossAttention:
    """One head from x [..., T_q, D_x] to a padded context [..., T_k, D_c]; is_token [..., T_k]."""

    @staticmethod
    def reference(
        x: Tensor,
        context: Tensor,
        W_q: Tensor,
        W_k: Tensor,
        W_v: Tensor,
        is_token: Tensor | None = None,
    ) -> Tensor:
        mask = None if is_token is None else is_token.unsqueeze(-2)
        return attend(x @ W_q.mT, context @ W_k.mT, context @ W_v.mT, mask=mask)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one_is_empty = draw.mask(3, 6)
        one_is_empty[1] = False
        yield case(
            "a context of one token: its value, whatever is asked",
            *(draw(2, 3, 6), draw(2, 1, 5), *_weights(draw, 6, 5, d_k=4, d_v=7)),
            basic=True,
        )
        yield case(
            "a batch",
            *(draw(2, 3, 6), draw(2, 5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)),
            basic=True,
            weight=2,
        )
        yield case(
            "a context with padding",
            *(draw(2, 3, 6), draw(2, 5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)),
            is_token=draw.mask(2, 5),
            weight=2,
        )
        yield case(
            "padding, and as many sequences as queries",
            *(draw(3, 3, 6), draw(3, 5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)),
            is_token=draw.mask(3, 5),
        )
        yield case(
            "a context that is all padding: zeros",
            *(draw(3, 4, 5), draw(3, 6, 7), *_weights(draw, 5, 7, d_k=4, d_v=8)),
            is_token=one_is_empty,
        )
        yield case(
            "both sequences of one size, where a swap has the right shape",
            *(draw(2, 4, 6), draw(2, 4, 6), *_weights(draw, 6, 6, d_k=6, d_v=6)),
        )
        yield case(
            "more queries than keys",
            *(draw(2, 6, 5), draw(2, 4, 7), *_weights(draw, 5, 7, d_k=3, d_v=8)),
        )
        yield case(
            "no batch dimension", draw(3, 6), draw(5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)
        )
        yield case(
            "two batch dimensions",
            *(draw(2, 3, 4, 6), draw(2, 3, 5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)),
            is_token=draw.mask(2, 3, 5),
        )
        yield case(
            "float64",
            *(draw(2, 3, 6, dtype=torch.float64), draw(2, 5, 7, dtype=torch.float64)),
            *_weights(draw, 6, 7, d_k=4, d_v=8, dtype=torch.float64),
        )
        yield case(
            "gradients",
            *(draw(2, 3, 6), draw(2, 5, 7), *_weights(draw, 6, 7, d_k=4, d_v=8)),
            is_token=draw.mask(2, 5),
            gradient=True,
        )
        yield case(
            "gradients beside a context that is all padding",
            *(draw(3, 4, 5), draw(3, 6, 7), *_weights(draw, 5, 7, d_k=4, d_v=8)),
            is_token=one_is_empty,
            gradient=True,
        )

    misconceptions = (
        wrong(
            "NaN where all is padding",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-1) @ v,
            ),
            "Where the context is all padding your output is NaN: a row of −∞ has no softmax. Its "
            "output is zeros, so set forbidden weights to 0 once more after the softmax.",
        ),
        wrong(
            "NaN in the gradient where all is padding",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: (
                    (scores_of(q, k) + additive(m, q)).softmax(-1).nan_to_num(0) @ v
                ),
            ),
            "The output is right, the gradient is not: where all is padding, the softmax of a row "
            "of −∞ is NaN, and replacing it afterwards does not help on the way back. "
            "`.masked_fill` before and after the softmax does.",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    head=lambda q, k, v, m: (forbid(scores_of(q, k), m).softmax(-1) @ v).nan_to_num(
                        0
                    ),
                ),
            ],
        ),
        wrong(
            "an average of the padding where all is padding",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: forbid(scores_of(q, k), m, -1e9).softmax(-1) @ v,
            ),
            "Where the context is all padding you hand over the average of the padding: with the "
            "same large negative number in every place, all scores are equal. The output is zeros: "
            "set forbidden weights to 0 after the softmax.",
        ),
        wrong(
            "no gradient",
            lambda *given, is_token=None: _layer(*given, is_token=is_token).detach(),
            "The output is right, but nothing could learn from it. Look for .detach(), "
            "nn.Parameter(…) around what you were given, torch.tensor(…) or no_grad.",
        ),
        wrong(
            "the padding has no place for the queries",
            lambda *given, is_token=None: _layer(*given, is_token=is_token, place=lambda m: m),
            "is_token is [..., T_k] and the scores are [..., T_q, T_k]. Without a place for the "
            "queries, torch takes the row of a sequence for that of a query: "
            "`is_token.unsqueeze(-2)`. (Where T_q is the size of the batch, nothing complains.)",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    place=lambda m: m,
                    head=lambda q, k, v, m: (scores_of(q, k) + additive(m, q)).softmax(-1) @ v,
                ),
            ],
        ),
        wrong(
            "the padding forbids queries",
            lambda *given, is_token=None: _layer(
                *given, is_token=is_token, place=lambda m: m.unsqueeze(-1)
            ),
            "You give is_token the axis of the queries, [..., T_k, 1]. It is keys that may be "
            "padding: [..., 1, T_k], by `is_token.unsqueeze(-2)`.",
        ),
        wrong(
            "exactly one batch dimension",
            lambda x, context, *given, is_token=None: (
                lambda B, T_q, D_x: _layer(x, context, *given, is_token=is_token)
            )(*x.shape),
            "Your function wants exactly three dimensions, [B, T, D]. `...` stands for any number "
            "of leading ones, also for none: count the axes from the end.",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    place=lambda m: m.unsqueeze(1),
                    head=_attention_of_three,
                ),
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    place=lambda m: m[:, None, :],
                    head=_attention_by_bmm,
                ),
            ],
        ),
        wrong(
            "the padding is inverted",
            lambda *given, is_token=None: _layer(
                *given, is_token=None if is_token is None else ~is_token
            ),
            "You attend to the padding and to nothing else. True means: a token, which may be "
            "attended to. (In the key_padding_mask of `nn.MultiheadAttention` True means the "
            "opposite.)",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=None if is_token is None else ~is_token,
                    head=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-1) @ v,
                ),
            ],
        ),
        wrong(
            "the padding is set to zero",
            lambda x, context, *given, is_token=None: _layer(
                *(x, context if is_token is None else context * is_token.unsqueeze(-1), *given)
            ),
            "You set the tokens of the padding, or their scores, to 0. A score of 0 is no mask: "
            "exp(0) = 1 is an ordinary share, which the others lack. Put −∞ in the scores.",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    head=lambda q, k, v, m: (
                        (scores_of(q, k) * (1 if m is None else m)).softmax(-1) @ v
                    ),
                ),
            ],
        ),
        wrong(
            "the padding is left out after the softmax",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: scores_of(q, k).softmax(-1) * (1 if m is None else m) @ v,
            ),
            "The padding has the weight 0, but the rest of the row adds up to less than 1: the "
            "padding took its share in the softmax. Put −∞ in its scores before.",
        ),
        wrong(
            "the padding is forgotten",
            lambda *given, is_token=None: _layer(*given),
            "Your output does not depend on is_token. Padding has to get the weight 0, and the "
            "tokens of the context the whole of 1.",
        ),
        wrong(
            "the two sequences swapped",
            lambda x, context, *given, is_token=None: _layer(context, x, *given),
            "You let the context ask and x be asked. The queries are made of x, which wants "
            "something; keys and values are made of the context. There is one output for each "
            "token of x.",
        ),
        wrong(
            "the values are made of x",
            lambda x, context, W_q, W_k, W_v, is_token=None: _layer(
                *(x, context, W_q, W_k, W_v), is_token=is_token, of_values=x
            ),
            "Your values are made of x. One key labels one value, so both are made of the same "
            "tokens, those of the context: that is why T_k and T_v agree.",
        ),
        wrong(
            "the keys are made of x",
            lambda x, context, W_q, W_k, W_v, is_token=None: _layer(
                *(x, context, W_q, W_k, W_v), is_token=is_token, of_keys=x
            ),
            "Your keys are made of x, so the scores compare x with itself. Keys and values are "
            "both made of the context.",
        ),
        wrong(
            "self-attention",
            lambda x, context, *given, is_token=None: _layer(x, x, *given),
            "You attend from x to x. Keys and values are made of the other sequence, the context.",
            variants=[
                lambda x, context, *given, is_token=None: _layer(
                    context, context, *given, is_token=is_token
                ),
            ],
        ),
        wrong(
            "x is asked as well",
            lambda x, context, *given, is_token=None: _layer(
                *(x, torch.cat([context, x], -2), *given),
                is_token=(
                    None
                    if is_token is None
                    else torch.cat([is_token, torch.ones(x.shape[:-1], dtype=torch.bool)], -1)
                ),
            ),
            "You join the two sequences, so that x is asked too. That is self-attention with a "
            "prefix; here keys and values are made of the context alone, which may have features "
            "of another size.",
            variants=[
                lambda x, context, *given, is_token=None: _layer(
                    x, torch.cat([x, context], -2), *given
                ),
            ],
        ),
        wrong(
            "both sequences cut to one length",
            lambda x, context, *given, is_token=None: _layer(
                *(x, context[..., : x.shape[-2], :], *given),
                is_token=None if is_token is None else is_token[..., : x.shape[-2]],
            ),
            "You cut the context to the length of x. Nothing asks for T_q = T_k: each query looks "
            "at all the tokens of the context, however many there are.",
        ),
        wrong(
            "causal",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: attention(
                    q,
                    k,
                    v,
                    (True if m is None else m)
                    & torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(),
                ),
            ),
            "You forbid later tokens of the context. The context is another sequence, which is "
            "there as a whole before anything is asked: only padding is forbidden.",
        ),
        wrong(
            "no division by √d_k",
            lambda *given, is_token=None: _layer(*given, is_token=is_token, scale=1.0),
            "The √d_k is missing: divide query @ key.mT by `query.shape[-1] ** 0.5` before the "
            "softmax.",
        ),
        wrong(
            "divided by the root of a token's size",
            lambda x, *given, is_token=None: _layer(
                x, *given, is_token=is_token, scale=x.shape[-1] ** -0.5
            ),
            "You divide by the root of the features of a token. The dot product is taken of "
            "queries and keys, which have d_k features, the rows of W_q.",
            variants=[
                lambda x, context, *given, is_token=None: _layer(
                    x, context, *given, is_token=is_token, scale=context.shape[-1] ** -0.5
                ),
            ],
        ),
        wrong(
            "divided by the root of a length",
            lambda x, context, *given, is_token=None: _layer(
                x, context, *given, is_token=is_token, scale=context.shape[-2] ** -0.5
            ),
            "You divide by the root of a number of tokens. A dot product grows with the number of "
            "features: d_k, the rows of W_q.",
            variants=[
                lambda x, *given, is_token=None: _layer(
                    x, *given, is_token=is_token, scale=x.shape[-2] ** -0.5
                ),
            ],
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda x, context, W_q, *given, is_token=None: _layer(
                x, context, W_q, *given, is_token=is_token, scale=1 / len(W_q)
            ),
            "You divide by d_k. It is the root of d_k that keeps the variance of the scores at 1.",
        ),
        wrong(
            "the matrices on the wrong side",
            lambda x, context, W_q, W_k, W_v, is_token=None: _layer(
                x, context, W_q.mT, W_k.mT, W_v.mT, is_token=is_token
            ),
            "You multiply x @ W, but W is [d, D], as in nn.Linear: x @ W.mT. Where d = D nothing "
            "but the values tells the two apart.",
        ),
        wrong(
            "the value is not projected",
            lambda x, context, W_q, W_k, W_v, is_token=None: _layer(
                x, context, W_q, W_k, torch.eye(context.shape[-1]), is_token=is_token
            ),
            "You average the tokens of the context as they are. What is handed over is the value, "
            "W_v times the token.",
        ),
        wrong(
            "softmax over the queries",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2).nan_to_num(0) @ v,
            ),
            "Your weights add up to 1 down each key's column. It is each query that shares out "
            "its attention: take the softmax over the last axis, the tokens of the context.",
            variants=[
                lambda *given, is_token=None: _layer(
                    *given,
                    is_token=is_token,
                    head=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2) @ v,
                ),
            ],
        ),
        wrong(
            "no softmax",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: scores_of(q, k) * (1 if m is None else m) @ v,
            ),
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "the weights instead of the average",
            lambda *given, is_token=None: _layer(
                *given,
                is_token=is_token,
                head=lambda q, k, v, m: attention(q, k, torch.eye(k.shape[-2], dtype=k.dtype), m),
            ),
            "You return the weights [..., T_q, T_k]. One step is left: weights @ value.",
        ),
    )


def _layer(
    x: Tensor,
    context: Tensor,
    W_q: Tensor,
    W_k: Tensor,
    W_v: Tensor,
    *,
    is_token: Tensor | None = None,
    of_keys: Tensor | None = None,
    of_values: Tensor | None = None,
    place: Callable[[Tensor], Tensor] = lambda is_token: is_token.unsqueeze(-2),
    head: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor] = attention,
    scale: float | None = None,
) -> Tensor:
    """The head, right unless told otherwise; `place` makes room for the queries in is_token."""
    q = x @ W_q.mT
    k = (context if of_keys is None else of_keys) @ W_k.mT
    v = (context if of_values is None else of_values) @ W_v.mT
    if scale is not None:
        q = q * (scale * q.shape[-1] ** 0.5)
    return head(q, k, v, is_token if is_token is None else place(is_token))


def _attention_of_three(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    return weights_of(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, mask) @ v


def _attention_by_bmm(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5
    return weights_of(scores, mask) @ v


def _weights(
    draw: Draw, D_x: int, D_c: int, *, d_k: int, d_v: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """W_q, W_k and W_v that keep the variance of a token's features at about 1."""
    W_q, W_k, W_v = (
        1.5 * draw(rows, size, dtype=dtype) / size**0.5
        for rows, size in ((d_k, D_x), (d_k, D_c), (d_v, D_c))
    )
    return W_q, W_k, W_v
