"""`ps4.causal_mask`: which keys are not in the future of a query, when the last of both meet."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps4.causal_mask", points=2, minutes=15, difficulty="medium")
class CausalMask:
    """True where key j is not later than query i, when the last query meets the last key."""

    @staticmethod
    def reference(T_q: int, T_k: int) -> Tensor:
        return _lower(T_q, T_k, T_k - T_q)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Both lengths are drawn: a mask of known size would be a constant.
        square = draw.whole(4, 60)
        yield case("as many queries as keys", square, square, basic=True)
        yield case("fewer queries: keys from a cache", *_lengths(draw), basic=True, weight=2)
        yield case("one query, the latest token: it sees all", 1, draw.whole(10, 200))
        yield case("two queries", 2, draw.whole(10, 200))
        yield case("more queries than keys: the first see nothing", *reversed(_lengths(draw)))
        yield case("one key", draw.whole(5, 200), 1)
        yield case("a single token", 1, 1)

    misconceptions = (
        wrong(
            "numbers instead of booleans",
            lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q).float(),
            "Your mask holds the numbers 0 and 1. Wanted are booleans, which say what is meant: "
            "`dtype=torch.bool`, or a comparison such as `j <= i`. Added to the scores, a 1 would "
            "forbid nothing.",
            variants=[
                lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q).long(),
                lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q).byte(),
            ],
        ),
        wrong(
            "a row that sees nothing is opened",
            lambda T_q, T_k: (mask := _lower(T_q, T_k, T_k - T_q)) | ~mask.any(-1, keepdim=True),
            "Where a query has no key to see, you let it see some. All keys are later than it, so "
            "its row is False throughout; that the softmax of nothing is zeros is for the "
            "attention to handle.",
            variants=[
                lambda T_q, T_k: _lower(T_q, T_k, max(T_k - T_q, 0)),
                lambda T_q, T_k: (
                    (mask := _lower(T_q, T_k, T_k - T_q))
                    | (~mask.any(-1, keepdim=True) & (torch.arange(T_k) == 0))
                ),
            ],
        ),
        wrong(
            "cut out of a square of the keys",
            lambda T_q, T_k: _lower(T_k, T_k)[-T_q:],
            "You take the last T_q rows of a square mask of the keys, which has no more than T_k "
            "rows. With more queries than keys some rows are missing. Compare positions instead: "
            "query i stands at i + T_k − T_q.",
            variants=[
                lambda T_q, T_k: _lower(T_k, T_k)[T_k - T_q :],
                lambda T_q, T_k: _lower(T_k, T_k)[T_k - T_q : T_k],
            ],
        ),
        wrong(
            "aligned at the top left",
            lambda T_q, T_k: _lower(T_q, T_k),
            "Your first query meets the first key. With keys from a cache the queries are the "
            "latest tokens: the last query meets the last key and sees all, so the diagonal moves "
            "by T_k − T_q. (torch's own is_causal=True is aligned as yours is.)",
            variants=[lambda T_q, T_k: _lower(max(T_q, T_k), max(T_q, T_k))[:T_q, :T_k]],
        ),
        wrong(
            "moved the wrong way",
            lambda T_q, T_k: _lower(T_q, T_k, T_q - T_k),
            "You move the diagonal by T_q − T_k, away from the corner. The last query sees all "
            "T_k keys: j ≤ i + (T_k − T_q).",
        ),
        wrong(
            "a token does not see itself",
            lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q - 1),
            "Your queries see only what is earlier than themselves. A token may see itself as "
            "well: ≤, not <. (The first one would otherwise have nothing to see.)",
            variants=[lambda T_q, T_k: _lower(T_q, T_k, -1)],
        ),
        wrong(
            "one token too far",
            lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q + 1),
            "Each query sees one key that is later than itself, the very token that it is to "
            "predict. Look at the end of the diagonal: query 0 of a square sees key 0 alone.",
            variants=[lambda T_q, T_k: _lower(T_q, T_k, 1)],
        ),
        wrong(
            "the mask is inverted",
            lambda T_q, T_k: ~_lower(T_q, T_k, T_k - T_q),
            "Yours is True where a key is forbidden, as `nn.MultiheadAttention` wants it. Here, as "
            "in scaled_dot_product_attention, True means: may attend.",
            variants=[
                lambda T_q, T_k: ~_lower(T_q, T_k),
                lambda T_q, T_k: torch.ones(T_q, T_k).triu(1),
                lambda T_q, T_k: torch.ones(T_q, T_k).triu(T_k - T_q + 1),
            ],
        ),
        wrong(
            "a mask to be added",
            lambda T_q, T_k: _added(_lower(T_q, T_k, T_k - T_q)),
            "Yours is a mask to add to the scores, 0 or −∞. Wanted are booleans: True where a "
            "query may attend.",
            variants=[
                lambda T_q, T_k: _added(_lower(T_q, T_k)),
                lambda T_q, T_k: ~_lower(T_q, T_k, T_k - T_q) * -1e9,
            ],
        ),
        wrong(
            "the future instead of the past",
            lambda T_q, T_k: ~_lower(T_q, T_k, T_k - T_q - 1),
            "Your queries see themselves and what comes later. Causal means: themselves and what "
            "came before, the triangle below the diagonal.",
            variants=[lambda T_q, T_k: ~_lower(T_q, T_k, -1)],
        ),
        wrong(
            "queries and keys swapped",
            lambda T_q, T_k: _lower(T_k, T_q, T_q - T_k),
            "Your mask is [T_k, T_q]. Rows belong to queries and columns to keys, as in the "
            "scores.",
            variants=[
                lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q).mT,
                lambda T_q, T_k: _lower(T_k, T_q),
            ],
        ),
        wrong(
            "a square",
            lambda T_q, T_k: _lower(T_k, T_k),
            "Your mask is square. There is a row for each of the T_q queries and a column for each "
            "of the T_k keys, and generation with a cache has fewer queries than keys.",
            variants=[lambda T_q, T_k: _lower(T_q, T_q)],
        ),
        wrong(
            "room for heads and batch",
            lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q)[None, None],
            "Your mask is [1, 1, T_q, T_k]. Broadcasting adds leading dimensions by itself, so "
            "[T_q, T_k] is enough.",
            variants=[lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q)[None]],
        ),
        wrong(
            "only itself",
            lambda T_q, T_k: _lower(T_q, T_k, T_k - T_q) & ~_lower(T_q, T_k, T_k - T_q - 1),
            "Each query sees one key only. Everything earlier is allowed as well.",
            variants=[lambda T_q, T_k: torch.eye(T_q, T_k, dtype=torch.bool)],
        ),
        wrong(
            "nothing is forbidden",
            lambda T_q, T_k: torch.ones(T_q, T_k, dtype=torch.bool),
            "Your mask allows everything. A query must not see keys that are later than itself.",
        ),
        wrong(
            "nothing is allowed",
            lambda T_q, T_k: torch.zeros(T_q, T_k, dtype=torch.bool),
            "Your mask is False everywhere. The triangle has to be cut out of ones, since True "
            "means: may attend.",
            variants=[lambda T_q, T_k: torch.zeros(T_q, T_k)],
        ),
    )


def _lower(rows: int, columns: int, diagonal: int = 0) -> Tensor:
    return torch.ones(rows, columns, dtype=torch.bool).tril(diagonal)


def _added(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)


def _lengths(draw: Draw) -> tuple[int, int]:
    """Fewer queries, more keys."""
    few = draw.whole(3, 40)
    return few, few + draw.whole(2, 40)
