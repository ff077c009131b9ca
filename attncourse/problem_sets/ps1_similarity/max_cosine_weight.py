"""`ps1.max_cosine_weight`: the most weight that a softmax of cosines can give one of n keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps1.max_cosine_weight", points=2, minutes=15, difficulty="medium")
class MaxCosineWeight:
    """The most that softmax(cosine / τ) can give one of n keys: 1 / (1 + (n − 1) e^(−2/τ))."""

    @staticmethod
    def reference(n: int, temperature: float = 1.0) -> float:
        return 1 / (1 + (n - 1) * math.exp(-2 / temperature))

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Drawn, and in a drawn order: six constants would have a table of six right answers.
        yield from draw.shuffled(
            [
                case("a few keys", draw.whole(5, 30), basic=True),
                case("some hundred keys", draw.whole(100, 900), basic=True),
            ]
        )
        few, more, many = draw.whole(40, 90), draw.whole(10, 30), draw.whole(500_000, 2_000_000)
        low, high = draw.between(0.3, 0.5), draw.between(2, 4)
        yield case("a temperature below 1", few, temperature=low, weight=2)
        yield case("a temperature above 1", more, temperature=high)
        yield case("one key: it gets everything", 1)
        yield case("a million keys, temperature 0.02", many, temperature=draw.between(0.018, 0.022))

    misconceptions = (
        wrong(
            "the temperature is forgotten",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2)),
            "Your bound does not depend on the temperature. The scores are cosine / τ, so the gap "
            "between the best and the worst key is 2 / τ.",
        ),
        wrong(
            "multiplied by the temperature",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2 * temperature)),
            "A small temperature must sharpen: you multiply by τ where the scores are divided by "
            "it. The gap between the best and the worst key is 2 / τ.",
        ),
        wrong(
            "the temperature outside the exponent",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2) / temperature),
            "The temperature belongs in the exponent: the scores are divided by τ before exp().",
            variants=[
                lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2)) / temperature,
                lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2) * temperature),
            ],
        ),
        wrong(
            "n instead of n − 1",
            lambda n, temperature=1.0: 1 / (1 + n * math.exp(-2 / temperature)),
            "The best key is counted twice: it is the 1, and the others are n − 1, not n. With a "
            "single key the weight must be exactly 1.",
        ),
        wrong(
            "a gap of 1 instead of 2",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-1 / temperature)),
            "You let the other keys have cosine 0. A cosine goes down to −1, so the largest gap is "
            "1 − (−1) = 2.",
        ),
        wrong(
            "the wrong sign in the exponent",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(2 / temperature)),
            "This is the smallest possible weight. Divide numerator and denominator by exp(1/τ), "
            "the best key's own term: what is left of the others is exp(−2/τ).",
        ),
        wrong(
            "equal weights",
            lambda n, temperature=1.0: 1 / n,
            "1 / n is what all keys get when they are equally similar. The largest weight needs "
            "one key at cosine 1 and all others at −1.",
        ),
        wrong(
            "in percent",
            lambda n, temperature=1.0: 100 / (1 + (n - 1) * math.exp(-2 / temperature)),
            "You return percent. A weight is between 0 and 1.",
        ),
    )
