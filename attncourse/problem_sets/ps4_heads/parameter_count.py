"""`ps4.parameter_count`: the learned numbers of an attention layer."""

from __future__ import annotations

from collections.abc import Iterator

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps4.parameter_count", points=3, minutes=15, difficulty="medium")
class ParameterCount:
    """The learned numbers of a layer: W_q, W_k, W_v, W_o and, where there are any, their biases."""

    @staticmethod
    def reference(
        d_model: int, num_heads: int, d_k: int, d_v: int, num_kv_heads: int, bias: bool
    ) -> int:
        return _count(d_model, num_heads, d_k, d_v, num_kv_heads, bias)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Every size is drawn, and in the basic cases their order too: constants would have a table.
        yield from draw.shuffled(
            [
                case("no biases", *_sizes(draw), False, basic=True),
                case("biases", *_sizes(draw), True, basic=True),
            ]
        )
        h, d = draw.whole(3, 12), draw.whole(5, 40)
        D, _, d_k, d_v, _ = _sizes(draw)
        yield case("h · d_k = h · d_v = D", h * d, h, d, d, h, False)
        yield case("one head", D, 1, d_k, d_v, 1, True)
        yield case("groups of heads share keys and values", *_grouped(draw), False)
        yield case("groups of heads, with biases", *_grouped(draw), True)
        yield case("one key head for all", *_sizes(draw)[:4], 1, False)

    misconceptions = (
        wrong(
            "W_o is forgotten",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, bias) - (h * d_v * D + bias * D)
            ),
            "W_o is missing. It is a matrix of D rows and h · d_v columns, which mixes the heads, "
            "and has a bias of its own.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, bias) - h * d_v * D,
            ],
        ),
        wrong(
            "the bias of W_o is forgotten",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, bias) - bias * D,
            "The bias of W_o is missing. It has a number for each of the D features that come out.",
        ),
        wrong(
            "the bias of W_o has a number for each column",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, bias) + bias * (h * d_v - D)
            ),
            "A bias is added to what comes out, so it has a number for each row of its matrix. "
            "W_o has D rows: D numbers, not h · d_v.",
        ),
        wrong(
            "every bias has D numbers",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, False) + 4 * D * bias,
            "You give each bias D numbers. A bias has one for each row of its matrix: h · d_k for "
            "the queries, h_kv · d_k for the keys, h_kv · d_v for the values, D for W_o.",
        ),
        wrong(
            "one bias for all heads",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, False) + bias * (2 * d_k + d_v + D)
            ),
            "Your biases of queries, keys and values are those of a single head. Each head has its "
            "own: one number for every row of W_q, W_k and W_v.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, False) + bias * (2 * d_k + d_v)
                ),
                lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, False) + 4 * bias,
            ],
        ),
        wrong(
            "the biases of keys and values are not shared",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, False) + bias * (2 * h * d_k + h * d_v + D)
            ),
            "Your biases of keys and values have h heads. Where groups of query heads share a key "
            "head, they share its bias too: h_kv · d_k and h_kv · d_v.",
        ),
        wrong(
            "the biases are not counted",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, False),
            "With `bias=True` each of the four matrices has a bias, which is learned as well: one "
            "number for each of its rows.",
            variants=[lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h, False)],
        ),
        wrong(
            "biases are always counted",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, True),
            "You count biases that are not there. Many layers have none; `bias` says which this "
            "one is.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h_kv, not bias),
            ],
        ),
        wrong(
            "keys and values of every query head",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_v, h, bias),
            "You count h heads of keys and values. With grouped queries there are only h_kv of "
            "them: W_k is [h_kv · d_k, D] and W_v [h_kv · d_v, D].",
        ),
        wrong(
            "keys are shared, values are not",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, bias) + (h - h_kv) * d_v * (D + bias)
            ),
            "Only one of keys and values has h_kv heads in your count. A group shares both.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, bias) + (h - h_kv) * d_k * (D + bias)
                ),
            ],
        ),
        wrong(
            "W_o has h_kv heads",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, bias) - (h - h_kv) * d_v * D
            ),
            "Your W_o reads h_kv heads. Only keys and values are shared: each of the h query heads "
            "has an output of its own, and W_o has h · d_v columns.",
        ),
        wrong(
            "the queries are shared too",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h_kv, d_k, d_v, h_kv, bias),
            "You count h_kv heads of queries. Only keys and values are shared; there are h query "
            "heads, with h outputs.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, bias) - (h - h_kv) * d_k * (D + bias)
                ),
            ],
        ),
        wrong(
            "four squares of D",
            lambda D, h, d_k, d_v, h_kv, bias: 4 * D * D + bias * 4 * D,
            "4 D² is right where h · d_k = h · d_v = D, which is a habit and no law. The matrices "
            "are [h · d_k, D], twice with h_kv in place of h, and [D, h · d_v].",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: 4 * D * D,
                lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, D // h, D // h, h_kv, bias),
                lambda D, h, d_k, d_v, h_kv, bias: 3 * D * D,
            ],
        ),
        wrong(
            "d_k for the values too",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_k, d_k, h_kv, bias),
            "You use d_k for the values as well. W_v has d_v rows a head, and W_o d_v columns a "
            "head; it is queries and keys alone that must agree in d_k.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, bias) + h * (d_k - d_v) * D
                ),
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, bias) + h_kv * (d_k - d_v) * (D + bias)
                ),
            ],
        ),
        wrong(
            "d_k and d_v swapped",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, h, d_v, d_k, h_kv, bias),
            "You have d_k and d_v the wrong way round. d_k is the size of a query and a key, d_v "
            "that of a value and of what a head hands over.",
        ),
        wrong(
            "every head has a W_o of its own",
            lambda D, h, d_k, d_v, h_kv, bias: (
                _count(D, h, d_k, d_v, h_kv, bias) + (h - 1) * (h * d_v * D + bias * D)
            ),
            "You count W_o once for every head. There is one, and it reads the heads side by side: "
            "D rows, h · d_v columns.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    _count(D, h, d_k, d_v, h_kv, bias) + (h - 1) * h * d_v * D
                ),
            ],
        ),
        wrong(
            "one head alone",
            lambda D, h, d_k, d_v, h_kv, bias: _count(D, 1, d_k, d_v, 1, bias),
            "You count a single head. There are h of them, each with its own rows of W_q and its "
            "own columns of W_o.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: (
                    (2 * d_k + d_v) * D + D * h * d_v + bias * (2 * d_k + d_v + D)
                ),
            ],
        ),
        wrong(
            "the matrices of D · D in every head",
            lambda D, h, d_k, d_v, h_kv, bias: 4 * h * D * D + bias * 4 * h * D,
            "You count full [D, D] matrices for each head. A head projects to d_k and d_v features "
            "only.",
            variants=[
                lambda D, h, d_k, d_v, h_kv, bias: 4 * h * D * D,
                lambda D, h, d_k, d_v, h_kv, bias: 3 * h * D * D + D * D,
            ],
        ),
    )


def _count(d_model: int, num_heads: int, d_k: int, d_v: int, num_kv_heads: int, bias: bool) -> int:
    rows = num_heads * d_k + num_kv_heads * (d_k + d_v)
    return rows * d_model + d_model * num_heads * d_v + bias * (rows + d_model)


def _sizes(draw: Draw) -> tuple[int, int, int, int, int]:
    """D, h, d_k, d_v and as many key heads; h · d_k and h · d_v are not D."""
    h, d_k = draw.whole(3, 12), draw.whole(5, 40)
    d_v = d_k + draw.whole(1, 30)
    return h * d_v + draw.whole(1, 50), h, d_k, d_v, h


def _grouped(draw: Draw) -> tuple[int, int, int, int, int]:
    """The same, with several groups of two heads or more."""
    D, _, d_k, d_v, _ = _sizes(draw)
    h_kv = draw.whole(2, 5)
    return D, h_kv * draw.whole(2, 5), d_k, d_v, h_kv
