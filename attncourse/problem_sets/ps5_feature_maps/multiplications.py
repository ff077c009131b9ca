"""`ps5.multiplications`: what attention over all pixels costs, and what pooling saves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps5.multiplications", points=2, minutes=15, difficulty="medium")
class Multiplications:
    """Multiplications of a block: four 1×1 convolutions, the scores, and the average."""

    @staticmethod
    def reference(height: int, width: int, channels: int, d: int, pool: bool = False) -> int:
        return _count(height, width, channels, d, pool)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Every size is drawn, and in the basic cases their order too: constants would have a table.
        yield from draw.shuffled(
            [
                _case("a wide map", *_sizes(draw, wide=True), basic=True),
                _case("a high map", *_sizes(draw, wide=False), basic=True),
            ]
        )
        yield _case("keys and values pooled", *_sizes(draw, wide=True), pool=True, weight=2)
        yield _case(
            "keys and values pooled, sides odd", *_sizes(draw, wide=False, odd=True), pool=True
        )
        yield _case("one row of pixels", 1, *_sizes(draw, wide=True)[1:])
        height, width, _, _ = _sizes(draw, wide=True)
        as_many = draw.whole(30, 90)
        yield _case("d = C, which is no rule", height, width, as_many, as_many, pool=True)

    misconceptions = (
        wrong(
            "half of what is pooled, not a quarter",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, keys=H * W // 2 if pool else H * W),
            "You halve the number of keys. Pooling 2 × 2 halves the height *and* the width: a "
            "quarter as many pixels are asked.",
        ),
        wrong(
            "divided from left to right",
            lambda H, W, C, d, pool=False: _count(
                H, W, C, d, keys=H // 2 * W // 2 if pool else H * W
            ),
            "`H // 2 * W // 2` goes from left to right: it halves H, multiplies by W, and halves "
            "the product. Where W is odd that is more than (H // 2) * (W // 2): use brackets.",
            variants=[
                lambda H, W, C, d, pool=False: _count(
                    H, W, C, d, keys=W // 2 * H // 2 if pool else H * W
                ),
            ],
        ),
        wrong(
            "a quarter of the pixels where a side is odd",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, keys=H * W // 4 if pool else H * W),
            "You divide the number of pixels by four. Where a side is odd its last row or column "
            "is dropped, so halve each side, and round down, before you multiply: "
            "(H // 2) · (W // 2).",
            variants=[
                lambda H, W, C, d, pool=False: _count(
                    H, W, C, d, keys=H * W / 4 if pool else H * W
                ),
                lambda H, W, C, d, pool=False: _count(
                    H, W, C, d, keys=-(-H // 2) * -(-W // 2) if pool else H * W
                ),
            ],
        ),
        wrong(
            "the pooling is forgotten",
            lambda H, W, C, d, pool=False: _count(H, W, C, d),
            "Your result does not depend on `pool`. Pooled 2 × 2, the keys and values are "
            "(H // 2) · (W // 2), which shortens the scores and the average.",
            variants=[lambda H, W, C, d, pool=False: _count(H, W, C, d, True)],
        ),
        wrong(
            "keys are pooled, values are not",
            lambda H, W, C, d, pool=False: (_count(H, W, C, d) + _count(H, W, C, d, pool)) // 2,
            "Only the scores, or only the average, got shorter. A key is the label of a value, so "
            "both are pooled: N queries meet (H // 2) · (W // 2) keys, and as many values are "
            "averaged.",
        ),
        wrong(
            "the queries are pooled too",
            lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * _keys(H, W, pool) ** 2 * d,
            "You pool the queries as well. Every pixel asks, H · W of them; pooled is only what is "
            "asked.",
            variants=[
                lambda H, W, C, d, pool=False: (
                    _count(H // 2, W // 2, C, d) if pool else _count(H, W, C, d)
                ),
            ],
        ),
        wrong(
            "pooled before the convolutions",
            lambda H, W, C, d, pool=False: (
                _count(H, W, C, d, pool) - 2 * (H * W - _keys(H, W, pool)) * C * d
            ),
            "You count the convolutions of keys and values on the pooled map. They are made of the "
            "whole map here, and pooled afterwards: each costs H · W · C · d.",
            variants=[
                lambda H, W, C, d, pool=False: (
                    _count(H, W, C, d, pool) - (H * W - _keys(H, W, pool)) * C * d
                ),
            ],
        ),
        wrong(
            "the average is forgotten",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, pool) - H * W * _keys(H, W, pool) * d,
            "You count N · N_k · d once. The scores cost that, and the average over the values "
            "costs it again.",
        ),
        wrong(
            "the last convolution is forgotten",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, pool) - H * W * C * d,
            "You count three convolutions. The fourth brings the d features that were found back "
            "to C channels.",
        ),
        wrong(
            "the convolutions are forgotten",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, pool) - 4 * H * W * C * d,
            "You count the pairs of pixels alone. The four 1×1 convolutions cost H · W · C · d "
            "each; on a small map with many channels they are the larger part.",
        ),
        wrong(
            "one convolution",
            lambda H, W, C, d, pool=False: H * W * C * d + 2 * H * W * _keys(H, W, pool) * d,
            "You count one convolution. There are four: three that make query, key and value, and "
            "one that brings back to C channels.",
        ),
        wrong(
            "no pairs",
            lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * _keys(H, W, pool) * d,
            "Your scores grow with the number of pixels, not with that of the pairs. Each of the "
            "H · W pixels asks each of those that can be asked.",
            variants=[lambda H, W, C, d, pool=False: 4 * H * W * C * d],
        ),
        wrong(
            "pairs within a row and within a column",
            lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * (H * H + W * W) * d,
            "You count pairs of rows and pairs of columns. All pixels are tokens of one list, so "
            "it is (H · W)² pairs.",
            variants=[
                lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * (H + W) ** 2 * d,
                lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * H * W * (H + W) * d,
            ],
        ),
        wrong(
            "a square map is taken for granted",
            lambda H, W, C, d, pool=False: _count(H, H, C, d, pool),
            "You use one side of the map twice. A map has H · W pixels, and H need not be W.",
            variants=[lambda H, W, C, d, pool=False: _count(W, W, C, d, pool)],
        ),
        wrong(
            "a pair costs one multiplication",
            lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * H * W * _keys(H, W, pool),
            "You count the pairs, one multiplication each. A score is a dot product of d features, "
            "and the average weighs d features of every value: N · N_k · d, twice.",
            variants=[
                lambda H, W, C, d, pool=False: (
                    4 * H * W * C * d + H * W * _keys(H, W, pool) * (d + 1)
                ),
            ],
        ),
        wrong(
            "the last convolution leads from d to d",
            lambda H, W, C, d, pool=False: _count(H, W, C, d, pool) - H * W * (C - d) * d,
            "Your last convolution costs d · d at each pixel. It brings the d features back to C "
            "channels: d · C, as the other three.",
        ),
        wrong(
            "C features in the scores",
            lambda H, W, C, d, pool=False: 4 * H * W * C * d + 2 * H * W * _keys(H, W, pool) * C,
            "You count C multiplications for a score, or for an average. Query, key and value have "
            "d features: that is what the convolutions before are for.",
            variants=[
                lambda H, W, C, d, pool=False: (
                    4 * H * W * C * d + H * W * _keys(H, W, pool) * (C + d)
                ),
            ],
        ),
        wrong(
            "convolutions of C to C",
            lambda H, W, C, d, pool=False: 4 * H * W * C * C + 2 * H * W * _keys(H, W, pool) * d,
            "You count kernels of C × C. They lead from C channels to d features, and the last one "
            "back: C · d multiplications at each pixel.",
        ),
        wrong(
            "additions too",
            lambda H, W, C, d, pool=False: 2 * _count(H, W, C, d, pool),
            "You count two operations for each product, as one does for FLOPs. Asked for are the "
            "multiplications alone.",
        ),
        wrong(
            "the learned numbers",
            lambda H, W, C, d, pool=False: 4 * C * d,
            "This is how many numbers the kernels hold. Each of them is used at every pixel, and "
            "the pairs of pixels cost more on top.",
        ),
    )


def _keys(height: int, width: int, pool: bool = False) -> int:
    return (height // 2) * (width // 2) if pool else height * width


def _count(
    height: int,
    width: int,
    channels: int,
    d: int,
    pool: bool = False,
    *,
    keys: float | None = None,
) -> int:
    """Right unless told otherwise; `keys`: how many pixels are asked."""
    pixels = height * width
    asked = _keys(height, width, pool) if keys is None else keys
    return int(4 * pixels * channels * d + 2 * pixels * asked * d)


def _case(
    name: str, height: int, width: int, channels: int, d: int, *, pool: bool = False, **how: Any
) -> Case:
    """Named with its sizes too, so that a student can do the sum by hand."""
    sizes = f"H = {height}, W = {width}, C = {channels}, d = {d}"
    pooled = {"pool": True} if pool else {}
    return case(f"{name}: {sizes}", height, width, channels, d, **pooled, **how)


def _sizes(draw: Draw, *, wide: bool, odd: bool = False) -> tuple[int, int, int, int]:
    """H, W, C and d: with pairs and convolutions that cost about as much, neither is lost."""
    short = 2 * draw.whole(3, 8) + odd
    long = short + 2 * draw.whole(2, 6)
    H, W = (short, long) if wide else (long, short)
    C = draw.whole(40, 200)
    return H, W, C, draw.whole(8, C - 8)
