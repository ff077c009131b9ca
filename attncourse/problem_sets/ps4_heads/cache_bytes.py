"""`ps4.cache_bytes`: what a model has to keep of the tokens that it has read."""

from __future__ import annotations

from collections.abc import Iterator

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps4.cache_bytes", points=3, minutes=15, difficulty="medium")
class CacheBytes:
    """Bytes of the keys and values of all tokens read, in all layers, for all sequences."""

    @staticmethod
    def reference(
        num_layers: int,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        d_head: int,
        tokens: int,
        sequences: int = 1,
        bits: int = 16,
    ) -> int:
        numbers = 2 * num_layers * num_kv_heads * d_head * tokens * sequences
        return numbers * bits // 8

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Every size is drawn, and in the basic cases their order too: constants would have a table.
        yield from draw.shuffled(
            [
                case("as many key heads as query heads", *_model(draw, 1), basic=True),
                case("groups of heads", *_model(draw, draw.whole(2, 8)), basic=True, weight=2),
            ]
        )
        yield case("one key head for all", *_model(draw, 8, num_kv_heads=1))
        yield case("h · d_head = D", *_model(draw, draw.whole(2, 8), habit=True))
        yield case("several sequences at once", *_model(draw, 4), sequences=draw.whole(3, 40))
        yield case("eight bits a number", *_model(draw, 4), bits=8)
        yield case("four bits: half a byte", *_model(draw, 2), bits=4)
        yield case("32 bits", *_model(draw, 1), sequences=draw.whole(3, 40), bits=32)
        yield case("the first token", *_model(draw, 4)[:5], 1)

    misconceptions = (
        wrong(
            "bits for bytes",
            lambda *model, **more: 8 * _cache(*model, **more),
            "You return bits. A byte has eight of them: divide by 8.",
        ),
        wrong(
            "whole bytes for every number",
            lambda *model, bits=16, **more: _cache(*model, **more) // 2 * max(1, bits // 8),
            "You give every number a whole byte at least. Two numbers of four bits share one: "
            "multiply everything first, and divide by 8 last.",
            variants=[
                lambda *model, bits=16, **more: _cache(*model, **more) // 2 * (bits // 8),
            ],
        ),
        wrong(
            "two bytes a number, and its bits too",
            lambda *model, **more: 2 * _cache(*model, **more),
            "You return twice what is kept. The 2 of key and value belongs there once, and so does "
            "the size of a number: b / 8 bytes, and not two bytes as well.",
        ),
        wrong(
            "always two bytes a number",
            lambda *model, bits=16, **more: _cache(*model, **more),
            "Your result does not depend on `bits`. A number of b bits takes b / 8 bytes.",
        ),
        wrong(
            "keys alone, or values alone",
            lambda *model, **more: _cache(*model, **more) / 2,
            "You return half of what is kept. Do you count keys or values alone? Both are kept: "
            "without the value, what the key has found could not be handed over. (Or do you divide "
            "the bits by 16? A byte has eight.)",
        ),
        wrong(
            "queries are kept too",
            lambda *model, **more: 1.5 * _cache(*model, **more),
            "You keep queries as well. A query is needed once, when its token is read; no later "
            "token ever asks for it.",
            variants=[
                lambda n, D, h, h_kv, d, T, **more: (
                    _cache(n, D, h, h_kv, d, T, **more) + _cache(n, D, h, h, d, T, **more) // 2
                ),
            ],
        ),
        wrong(
            "the key heads are forgotten",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, 1, d, T, **more),
            "You count a single key head. There are num_kv_heads of them in every layer.",
        ),
        wrong(
            "query heads instead of key heads",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h, d, T, **more),
            "You count the query heads. What is kept are keys and values, and of those there are "
            "num_kv_heads: that the cache shrinks is what grouped queries are for.",
        ),
        wrong(
            "D / h taken for d_head",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, D // h, T, **more),
            "You take D / h for the size of a head. That is a habit and no law, and many models do "
            "otherwise: use d_head.",
            variants=[
                lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, D / h, T, **more),
            ],
        ),
        wrong(
            "all of d_model",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, 1, D, T, **more),
            "You count D features of a key and of a value. A layer keeps num_kv_heads · d_head of "
            "each, which has nothing to do with D.",
            variants=[
                lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, D, T, **more),
                lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h, D, T, **more),
            ],
        ),
        wrong(
            "both kinds of heads multiplied",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h * h_kv, d, T, **more),
            "You multiply by both numbers of heads. The query heads keep nothing: only "
            "num_kv_heads counts.",
        ),
        wrong(
            "the size of a group instead of the key heads",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h // h_kv, d, T, **more),
            "You count h / h_kv heads, the query heads in a group. What is kept is one key and one "
            "value for each group: num_kv_heads.",
        ),
        wrong(
            "one layer",
            lambda n, D, h, h_kv, d, T, **more: _cache(1, D, h, h_kv, d, T, **more),
            "You count one layer. Every layer has keys and values of its own for each token.",
        ),
        wrong(
            "one sequence",
            lambda *model, sequences=1, **more: _cache(*model, **more),
            "Your result does not depend on `sequences`. Each sequence has keys and values of its "
            "own.",
        ),
        wrong(
            "every pair of tokens",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, d, T * T, **more),
            "You count pairs of tokens, T². Those are the scores, which nobody keeps; keys and "
            "values are as many as tokens.",
            variants=[
                lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h, 1, T * T, **more) / 2,
                lambda n, D, h, h_kv, d, T, **more: _cache(
                    n, D, h, h_kv, d, T * (T + 1) // 2, **more
                ),
            ],
        ),
        wrong(
            "one token",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, d, 1, **more),
            "This is what one token adds. Asked for is what all of them take: times `tokens`.",
        ),
        wrong(
            "in larger units",
            lambda *model, **more: _cache(*model, **more) / 1024**3,
            "You return kilo-, mega- or gigabytes. Asked for are bytes.",
            variants=[
                lambda *model, **more: _cache(*model, **more) / 1024,
                lambda *model, **more: _cache(*model, **more) / 1024**2,
                lambda *model, **more: _cache(*model, **more) / 1000**2,
                lambda *model, **more: _cache(*model, **more) / 1000**3,
            ],
        ),
        wrong(
            "the size of the matrices",
            lambda n, D, h, h_kv, d, T, **more: _cache(n, D, h, h_kv, d, D, **more),
            "This is how much W_k and W_v take, which do not grow with the tokens. Kept for each "
            "token are its key and its value.",
        ),
    )


def _cache(
    num_layers: int,
    d_model: int,
    num_heads: int,
    num_kv_heads: int,
    d_head: float,
    tokens: int,
    sequences: int = 1,
    bits: int = 16,
) -> float:
    return 2 * num_layers * num_kv_heads * d_head * tokens * sequences * bits / 8


def _model(
    draw: Draw, group: int, *, num_kv_heads: int | None = None, habit: bool = False
) -> tuple[int, int, int, int, int, int]:
    """Layers, D, heads, key heads, size of a head, and the tokens that were read."""
    h_kv = num_kv_heads or draw.whole(3, 16)
    h, d_head = h_kv * group, draw.whole(24, 130)
    D = h * (d_head if habit else d_head + draw.whole(5, 60))
    return draw.whole(5, 90), D, h, h_kv, d_head, draw.whole(300, 9000)
