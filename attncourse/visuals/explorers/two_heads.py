"""Two heads that fetch a number each for one token, or one wide head made of their matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MAX_ITEMS = 4  # more names do not fit around a head
LIMIT = 3.0  # a coordinate of a query or a key, and a payload, lies between -LIMIT and LIMIT


class TwoHeads(Explorer):
    """What one token fetches from some items, each of which carries a number, its payload.

    A head gives item j the weight ``softmax(query · keys)[j]``. The first head writes the average
    of the payloads into the first feature of the output, the second into the second, each with a
    softmax of its own. ``merged`` makes one wide head of the same matrices: its query and its keys
    are those of both heads behind one another, so that its score is the sum of their two, and one
    softmax serves both features. Then the two features are equal, whatever the queries: the output
    stays on the diagonal. The proof stands in the chapter "heads".

    Args:
        names: a word for each item, 2 to 4.
        payloads: ``[n]``, the number that each carries.
        keys: ``[2, n, 2]``, of both heads.
        queries: ``[2, 2]``, the asking token's in each head.
        wishes: pairs of items; the first one's payload is wanted in the first feature, the second
            one's in the second.
        merged: whether the two are one wide head at first.

    Raises:
        TypeError: names are not text, or numbers are not numbers.
        ValueError: lengths differ, a number lies outside from -3 to 3, or a wish names no item.

    ``queries``, ``merged`` and ``wish``, the number of the wish that counts, follow the reader's
    hand and may be set later; the rest is fixed.
    """

    explorer = "two_heads"
    _esm = module_source("two_heads")

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    payloads = traitlets.List(traitlets.Float()).tag(sync=True)
    head_keys = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    queries = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    wishes = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    wish = traitlets.Int(0).tag(sync=True)
    limit = traitlets.Float(LIMIT).tag(sync=True)
    merged = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        names: Sequence[str],
        payloads: Any,
        keys: Any,
        *,
        queries: Any,
        wishes: Sequence[tuple[int, int]],
        merged: bool = False,
    ) -> None:
        n = len(names)
        if not 2 <= n <= MAX_ITEMS:
            raise ValueError(f"names must be 2 to {MAX_ITEMS} words, got {n}")
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"names must be words, got {names!r}")
        if not wishes:
            raise ValueError("wishes must hold at least one pair of items")
        for pair in wishes:
            if len(pair) != 2 or any(item not in range(n) for item in pair):
                raise ValueError(f"wishes must be pairs of items 0 to {n - 1}, got {pair!r}")
        super().__init__(
            names=list(names),
            payloads=_within("payloads", payloads, (n,)),
            head_keys=_within("keys", keys, (2, n, 2)),
            queries=_within("queries", queries, (2, 2)),
            wishes=[list(pair) for pair in wishes],
            merged=merged,
        )

    @traitlets.validate("queries")
    def _lie_in_the_planes(self, proposal: Any) -> Any:
        return _within("queries", proposal["value"], (2, 2))

    @traitlets.validate("wish")
    def _is_a_wish(self, proposal: Any) -> Any:
        if proposal["value"] not in range(len(self.wishes)):
            raise ValueError(
                f"wish must be from 0 to {len(self.wishes) - 1}, got {proposal['value']}"
            )
        return proposal["value"]

    def description(self) -> str:
        return (
            "Interactive figure: one token asks with two heads, and each fetches a number from "
            f"{', '.join(self.names)}. Move the two queries, make one wide head of the two, and "
            "see which pairs of numbers arrive. It needs JavaScript."
        )


def _within(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """``given`` as (nested) lists of floats from -LIMIT to LIMIT."""
    checked = numbers(name, given, str(list(shape)), len(shape))
    if np.shape(checked) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(np.shape(checked))}")
    if np.abs(checked).max() > LIMIT:
        raise ValueError(f"{name} must lie from {-LIMIT:g} to {LIMIT:g}, got {checked}")
    return checked
