"""`ps3.self_attention`: one head of self-attention in each of the five projection modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import linear

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.steps import attention, scores_of


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
        by_mode = {
            "raw": (x, x, x),
            "shared": (q, q, q),
            "tied_qk": (q, q, v),
            "tied_kv": (q, k, k),
            "separate": (q, k, v),
        }
        return attend(*by_mode[projections])

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one = (draw(2, 1, 6), "separate", *_projections(draw, 6, 4, 3))
        yield case("one token: the value alone", *one, basic=True)
        batch = (draw(2, 5, 7), "separate", *_projections(draw, 7, 4, 3))
        yield case("separate: a batch", *batch, basic=True, weight=2)
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
            variants=[
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
                "raw": lambda: attention(x, x, x),
                "shared": lambda: attention(v := linear(x, W_v, b_v), v, v),
                "tied_qk": lambda: attention(k := linear(x, W_k, b_k), k, linear(x, W_v, b_v)),
                "tied_kv": lambda: attention(linear(x, W_q, b_q), v := linear(x, W_v, b_v), v),
                "separate": lambda: _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v),
            }[mode](),
            "Of a tied pair you use the second matrix. The first one serves both: W_q in `tied_qk` "
            "and in `shared`, W_k in `tied_kv`.",
            variants=[
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
            variants=[
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
            variants=[
                lambda x, mode, *weights: _head(x, "separate" if mode == "raw" else mode, *weights),
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                    attention(x, x, linear(x, W_v, b_v))
                    if mode == "raw"
                    else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
                ),
            ],
        ),
        wrong(
            "raw is scaled by a d_k that it does not have",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                attention(x, x, x, scale=len(W_q) ** -0.5)
                if mode == "raw"
                else _head(x, mode, W_q, b_q, W_k, b_k, W_v, b_v)
            ),
            "In `raw` you divide by the root of W_q's rows. Nothing is projected there, so queries "
            "and keys have all D features: take d_k from the query itself.",
        ),
        wrong(
            "tied matrices, separate biases",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: {
                "raw": lambda: attention(x, x, x),
                "shared": lambda: attention(
                    linear(x, W_q, b_q), linear(x, W_q, b_k), linear(x, W_q, b_v)
                ),
                "tied_qk": lambda: attention(
                    linear(x, W_q, b_q), linear(x, W_q, b_k), linear(x, W_v, b_v)
                ),
                "tied_kv": lambda: attention(
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
            "The bias of the query is missing. It is not a constant in the scores: b_q · k_j "
            "differs from key to key. (It is the key's bias that changes no weight.)",
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
            lambda x, mode, *weights: _key_asks_query(*_parts(x, mode, *weights)),
            "You compute key @ query.mT. A row of the scores belongs to the token that asks: "
            "query @ key.mT.",
            variants=[
                lambda x, mode, *weights: (
                    _key_asks_query(*_parts(x, mode, *weights))
                    if mode == "separate"
                    else _head(x, mode, *weights)
                ),
            ],
        ),
        wrong(
            "the value is not projected",
            lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
                attention(
                    linear(x, W_q, b_q),
                    linear(x, W_k, b_k) if mode in ("tied_kv", "separate") else linear(x, W_q, b_q),
                    x,
                )
                if mode != "raw"
                else attention(x, x, x)
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
            variants=[
                lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: {
                    "raw": lambda: attention(x, x, x),
                    "shared": lambda: attention(s := x @ W_q + b_q, s, s),
                    "tied_qk": lambda: attention(s := x @ W_q + b_q, s, x @ W_v + b_v),
                    "tied_kv": lambda: attention(x @ W_q + b_q, s := x @ W_k + b_k, s),
                    "separate": lambda: attention(x @ W_q + b_q, x @ W_k + b_k, x @ W_v + b_v),
                }[mode](),
            ],
        ),
        wrong(
            "separate ties something",
            lambda x, mode, *weights: _head(x, "tied_kv" if mode == "separate" else mode, *weights),
            "In `separate` two of the three still share a projection. Query, key and value each "
            "have their own: W_q, W_k and W_v.",
            variants=[
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
            variants=[
                lambda x, mode, *weights: _head(x, "tied_qk", *weights),
                lambda x, mode, *weights: _head(x, "tied_kv", *weights),
                lambda x, mode, *weights: _head(x, "shared", *weights),
                lambda x, mode, *weights: _head(x, "raw", *weights),
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda x, mode, *weights: (
                (s := scores_of(*(p := _parts(x, mode, *weights))[:2])).softmax(-2) @ p[2]
            ),
            "Your weights add up to 1 down the columns. Each token shares out its own attention: "
            "take the softmax over the last axis, the keys.",
        ),
        wrong(
            "no softmax",
            lambda x, mode, *weights: scores_of(*(p := _parts(x, mode, *weights))[:2]) @ p[2],
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "the weights instead of the average",
            lambda x, mode, *weights: scores_of(*_parts(x, mode, *weights)[:2]).softmax(-1),
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


def _key_asks_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention(k, q, v)


def _head(
    x: Tensor,
    mode: str,
    *weights: Tensor,
    scale: float | None = None,
    tied: Callable[[Tensor], Tensor] = lambda part: part,
) -> Tensor:
    W_q, b_q, W_k, b_k, W_v, b_v = weights
    return attention(*_parts(x, mode, W_q, b_q, W_k, b_k, W_v, b_v, tied), scale=scale)
