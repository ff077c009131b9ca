"""`ps4.grouped_query_attention`: runs of query heads that share a key and a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.steps import attention, forbid, scores_of


@item("ps4.grouped_query_attention", points=4, minutes=25, difficulty="hard")
class GroupedQueryAttention:
    """Query head i uses key head i // (h / h_kv): [..., h, T_q, d_k], [..., h_kv, T_k, d] twice."""

    @staticmethod
    def reference(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        group = query.shape[-3] // key.shape[-3]
        shared = (part.repeat_interleave(group, -3) for part in (key, value))
        return attend(query, *shared, mask=mask)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        row_empty = draw.mask(5, 7)
        row_empty[2] = False
        yield case(
            "one key: each head gets the value of its group",
            *_heads(draw, 2, h=6, h_kv=3, T_q=4, T_k=1),
            basic=True,
        )
        yield case(
            "a batch",
            *_heads(draw, 2, h=6, h_kv=3, T_q=5, T_k=7, d_k=4, d_v=8),
            basic=True,
            weight=2,
        )
        yield case("larger groups than there are", *_heads(draw, 2, h=8, h_kv=2, T_q=3, T_k=5))
        yield case("as many key heads as query heads", *_heads(draw, 3, h=4, h_kv=4, T_q=5, T_k=6))
        yield case(
            "one key head for all",
            *_heads(draw, 3, h=4, h_kv=1, T_q=2, T_k=6),
            mask=draw.mask(2, 6),
        )
        yield case(
            "as many tokens as heads, and as many keys",
            *_heads(draw, 2, h=6, h_kv=2, T_q=6, T_k=6, d_k=4, d_v=4),
        )
        yield case(
            "a mask for all heads",
            *_heads(draw, 2, h=6, h_kv=3, T_q=5, T_k=7),
            mask=draw.mask(5, 7),
        )
        yield case(
            "a mask for each query head",
            *_heads(draw, 2, h=6, h_kv=2, T_q=5, T_k=7),
            mask=draw.mask(2, 6, 5, 7),
        )
        yield case(
            "a query that may attend to nothing: zeros",
            *_heads(draw, 2, h=6, h_kv=3, T_q=5, T_k=7),
            mask=row_empty,
        )
        yield case("no batch dimension", *_heads(draw, h=6, h_kv=3, T_q=4, T_k=5))
        yield case("two batch dimensions", *_heads(draw, 2, 3, h=4, h_kv=2, T_q=5, T_k=6))
        yield case(
            "float64", *_heads(draw, 2, h=6, h_kv=3, T_q=4, T_k=5, d_k=4, dtype=torch.float64)
        )
        yield case(
            "gradients",
            *_heads(draw, 2, h=6, h_kv=3, T_q=4, T_k=5),
            mask=draw.mask(4, 5),
            gradient=True,
        )

    misconceptions = (
        wrong(
            "NaN where every key is forbidden",
            lambda q, k, v, mask=None: _grouped(
                q, k, v, mask, heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-1) @ v
            ),
            "A query that may attend to nothing became NaN: a row of −∞ has no softmax. Its output "
            "is zeros, so set forbidden weights to 0 once more after the softmax.",
        ),
        wrong(
            "an average of everything where every key is forbidden",
            lambda q, k, v, mask=None: _grouped(
                q,
                k,
                v,
                mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m, -1e9).softmax(-1) @ v,
            ),
            "A query that may attend to nothing got the average of all values: with the same large "
            "negative number in every place, all its scores are equal. Its output is zeros: set "
            "forbidden weights to 0 after the softmax.",
        ),
        wrong(
            "no gradient",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask).detach(),
            "The output is right, but nothing could learn from it. Look for .detach(), "
            ".numpy(), torch.tensor(…) or no_grad.",
            variants=[
                lambda q, k, v, mask=None: _grouped(q, k.detach(), v.detach(), mask),
            ],
        ),
        wrong(
            "exactly one batch dimension",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, axis=1),
            "Your function counts the heads' axis from the front, and is right for four dimensions "
            "only. `...` stands for any number of leading ones, also for none: the heads are axis "
            "−3.",
            variants=[
                lambda q, k, v, mask=None: (lambda B, h, T_q, d_k: _grouped(q, k, v, mask))(
                    *q.shape
                ),
                lambda q, k, v, mask=None: (lambda B, h_kv, T_k, d_k: _grouped(q, k, v, mask))(
                    *k.shape
                ),
                lambda q, k, v, mask=None: _grouped(
                    q,
                    k,
                    v,
                    mask,
                    repeat=lambda part, group: (
                        part[:, :, None]
                        .expand(part.shape[0], part.shape[1], group, part.shape[2], part.shape[3])
                        .reshape(part.shape[0], -1, part.shape[2], part.shape[3])
                    ),
                ),
            ],
        ),
        wrong(
            "the group taken for a single key head",
            lambda q, k, v, mask=None: attention(
                q.unflatten(-3, (k.shape[-3], -1)).flatten(-3, -2),
                k,
                v,
                None
                if mask is None
                else mask.expand(*q.shape[:-1], k.shape[-2])
                .unflatten(-3, (k.shape[-3], -1))
                .flatten(-3, -2),
            ),
            "You lay the queries of a group behind one another, [..., h_kv, (h / h_kv) · T_q, "
            "d_k], which saves copies, and leave the result so. It has to be unfolded to "
            "[..., h, T_q, d_v] again.",
        ),
        wrong(
            "tiled instead of interleaved",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, repeat=_tiled),
            "Your key heads lie 0 1 2 0 1 2: query head i uses key head i mod h_kv. Groups are "
            "runs of neighbours, 0 0 1 1 2 2, with i // (h / h_kv): `repeat_interleave`, not "
            "`repeat`. Stored models rely on this order.",
            variants=[
                lambda q, k, v, mask=None: _grouped(q, k, v, mask, repeat_value=_tiled),
                lambda q, k, v, mask=None: _grouped(
                    q, k, v, mask, repeat=_tiled, repeat_value=_repeated
                ),
            ],
        ),
        wrong(
            "divided by h_kv instead of by the group",
            lambda q, k, v, mask=None: attention(
                q,
                k[..., _by_number_of_key_heads(q, k), :, :],
                v[..., _by_number_of_key_heads(q, k), :, :],
                mask,
            ),
            "You use i // h_kv for the key head of query head i. A group has h / h_kv heads, so it "
            "is i // (h / h_kv).",
            variants=[
                lambda q, k, v, mask=None: _grouped(
                    q, k, v, mask, repeat=lambda part, group: _repeated(part, part.shape[-3])
                ),
                lambda q, k, v, mask=None: torch.stack(
                    [
                        attention(
                            q[..., i, :, :],
                            k[..., i // k.shape[-3], :, :],
                            v[..., i // k.shape[-3], :, :],
                        )
                        for i in range(q.shape[-3])
                    ],
                    -3,
                ),
            ],
        ),
        wrong(
            "keys are repeated along the tokens",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, axis=-2),
            "You repeat along the axis of the tokens: every key is there several times, and the "
            "heads are as few as before. It is heads that are repeated, axis −3 of "
            "[..., h_kv, T_k, d].",
            variants=[
                lambda q, k, v, mask=None: _grouped(q, k, v, mask, axis=2),
                lambda q, k, v, mask=None: _grouped(
                    q,
                    k,
                    v,
                    mask,
                    repeat=lambda part, group: torch.cat([part] * group, -2),
                ),
            ],
        ),
        wrong(
            "features are repeated",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, axis=-1),
            "You repeat the features of each key. It is heads that are repeated, axis −3 of "
            "[..., h_kv, T_k, d].",
        ),
        wrong(
            "the batch is repeated",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, axis=0),
            "You repeat along the first axis, which is the batch. It is heads that are repeated, "
            "axis −3 of [..., h_kv, T_k, d].",
        ),
        wrong(
            "nothing is shared out",
            lambda q, k, v, mask=None: attention(q, k, v, mask),
            "Keys, or values, or both still have h_kv heads, and torch can pair them with h query "
            "heads only if h_kv is 1 or h. Repeat each key and value head for the query heads of "
            "its group, or give the queries an axis for the group.",
            variants=[
                lambda q, k, v, mask=None: scaled_dot_product_attention(q, k, v, attn_mask=mask),
                lambda q, k, v, mask=None: torch.einsum(
                    "...hqk,...hkd->...hqd", torch.einsum("...hqd,...hkd->...hqk", q, k), v
                ),
            ],
        ),
        wrong(
            "every group uses the first key head",
            lambda q, k, v, mask=None: attention(q, k[..., :1, :, :], v[..., :1, :, :], mask),
            "All your heads share one key head. That is multi-query attention; here there are h_kv "
            "of them, one for each group.",
            variants=[
                lambda q, k, v, mask=None: attention(
                    q, k.mean(-3, keepdim=True), v.mean(-3, keepdim=True), mask
                ),
            ],
        ),
        wrong(
            "the queries of a group become one",
            lambda q, k, v, mask=None: attention(q.unflatten(-3, (k.shape[-3], -1)).mean(-3), k, v),
            "You reduce the queries to h_kv heads. Only keys and values are shared: all h query "
            "heads stay, and so do h outputs.",
            variants=[
                lambda q, k, v, mask=None: attention(q[..., : k.shape[-3], :, :], k, v),
                lambda q, k, v, mask=None: attention(
                    q.unflatten(-3, (k.shape[-3], -1)).sum(-3), k, v
                ),
            ],
        ),
        wrong(
            "each head in the other's place",
            lambda q, k, v, mask=None: (
                _grouped(q, k, v, mask)
                .unflatten(-3, (k.shape[-3], -1))
                .transpose(-3, -4)
                .flatten(-4, -3)
            ),
            "Your heads are right and stand in another order. After the groups have had an axis of "
            "their own, [..., h_kv, h / h_kv, T_q, d_v], the first two become one in this order.",
        ),
        wrong(
            "no division by √d_k",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, scale=1.0),
            "The √d_k is missing: divide query @ key.mT by `query.shape[-1] ** 0.5` before the "
            "softmax.",
        ),
        wrong(
            "divided by √d_model",
            lambda q, k, v, mask=None: _grouped(
                q, k, v, mask, scale=(q.shape[-3] * q.shape[-1]) ** -0.5
            ),
            "You divide by the root of all heads' features together. A dot product is taken within "
            "one head, over d_k features, `query.shape[-1]`, whatever is shared.",
            variants=[
                lambda q, k, v, mask=None: _grouped(
                    q, k, v, mask, scale=(q.shape[-3] // k.shape[-3] * q.shape[-1]) ** -0.5
                ),
                lambda q, k, v, mask=None: _grouped(
                    q, k, v, mask, scale=(k.shape[-3] * q.shape[-1]) ** -0.5
                ),
            ],
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask, scale=1 / q.shape[-1]),
            "You divide by d_k. It is the root of d_k that keeps the variance of the scores at 1.",
        ),
        wrong(
            "the mask is inverted",
            lambda q, k, v, mask=None: _grouped(q, k, v, None if mask is None else ~mask),
            "Your mask works the wrong way round. True means: may attend.",
        ),
        wrong(
            "the mask is forgotten",
            lambda q, k, v, mask=None: _grouped(q, k, v),
            "Your output does not depend on the mask. Where it is False, the weight has to be 0.",
        ),
        wrong(
            "causal without being asked",
            lambda q, k, v, mask=None: _grouped(
                q, k, v, torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
            ),
            "You mask every key behind the query. Which keys are forbidden is for `mask` to say; "
            "without one, every query may see every key.",
        ),
        wrong(
            "the mask of a head belongs to its group",
            lambda q, k, v, mask=None: _grouped(
                q,
                k,
                v,
                mask
                if mask is None or mask.ndim < 3
                else mask[..., : k.shape[-3], :, :].repeat_interleave(
                    q.shape[-3] // k.shape[-3], -3
                ),
            ),
            "You share the mask within a group. Only keys and values are shared; a mask with heads "
            "has one table for each query head.",
            variants=[
                lambda q, k, v, mask=None: _grouped(
                    q,
                    k,
                    v,
                    mask if mask is None or mask.ndim < 3 else mask[..., :1, :, :],
                ),
            ],
        ),
        wrong(
            "softmax over the heads",
            lambda q, k, v, mask=None: _grouped(
                q, k, v, mask, heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-3) @ v
            ),
            "Your weights add up to 1 over the heads, or the group. Each query head shares out its "
            "own attention among the keys: take the softmax over the last axis.",
            variants=[
                lambda q, k, v, mask=None: _grouped(
                    q,
                    k,
                    v,
                    mask,
                    heads=lambda q, k, v, m: (
                        forbid(scores_of(q, k), m).softmax(-3).nan_to_num(0) @ v
                    ),
                ),
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda q, k, v, mask=None: _grouped(
                q,
                k,
                v,
                mask,
                heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2).nan_to_num(0) @ v,
            ),
            "Your weights add up to 1 down each key's column. It is each query that shares out "
            "its attention among the keys: take the softmax over the last axis.",
            variants=[
                lambda q, k, v, mask=None: _grouped(
                    q,
                    k,
                    v,
                    mask,
                    heads=lambda q, k, v, m: forbid(scores_of(q, k), m).softmax(-2) @ v,
                ),
            ],
        ),
        wrong(
            "no softmax",
            lambda q, k, v, mask=None: _grouped(
                q, k, v, mask, heads=lambda q, k, v, m: scores_of(q, k) * _kept(m) @ v
            ),
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "merged already",
            lambda q, k, v, mask=None: _grouped(q, k, v, mask).transpose(-2, -3).flatten(-2),
            "You join the heads to [..., T_q, h · d_v]. That is the next step of a layer; wanted "
            "here is [..., h, T_q, d_v].",
            variants=[lambda q, k, v, mask=None: _grouped(q, k, v, mask).transpose(-2, -3)],
        ),
    )


def _repeated(part: Tensor, group: int) -> Tensor:
    return part.repeat_interleave(group, -3)


def _tiled(part: Tensor, group: int) -> Tensor:
    return torch.cat([part] * group, -3)


def _grouped(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    repeat: Callable[[Tensor, int], Tensor] = _repeated,
    repeat_value: Callable[[Tensor, int], Tensor] | None = None,
    axis: int | None = None,
    heads: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor] = attention,
    scale: float | None = None,
) -> Tensor:
    """Right unless told otherwise; `axis` is that along which keys and values are repeated."""
    group = q.shape[-3] // k.shape[-3]
    if axis is not None:
        along = axis
        repeat = lambda part, group: part.repeat_interleave(group, along)  # noqa: E731
    if scale is not None:
        q = q * (scale * q.shape[-1] ** 0.5)
    return heads(q, repeat(k, group), (repeat_value or repeat)(v, group), mask)


def _by_number_of_key_heads(q: Tensor, k: Tensor) -> Tensor:
    return torch.arange(q.shape[-3]) // k.shape[-3]


def _kept(mask: Tensor | None) -> Tensor | float:
    return 1.0 if mask is None else mask


def _heads(
    draw: Draw,
    *leading: int,
    h: int,
    h_kv: int,
    T_q: int,
    T_k: int,
    d_k: int = 8,
    d_v: int = 9,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value."""
    return (
        draw(*leading, h, T_q, d_k, dtype=dtype),
        draw(*leading, h_kv, T_k, d_k, dtype=dtype),
        draw(*leading, h_kv, T_k, d_v, dtype=dtype),
    )
