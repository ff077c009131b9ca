"""Items in a plane whose keys and values are two points each, or one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MAX_ITEMS = 6  # more do not fit into the plane
LIMIT = 3.0  # a coordinate lies between -LIMIT and LIMIT
TEMPERATURES = (1 / 8, 4.0)  # the slider's ends


class KeyValue(Explorer):
    """One query among items, each found by its key and handing over its value.

    The output is ``softmax(query · keys / temperature) · values``, by the course's dot product.
    With ``tied`` (K = V) every value sits on its key.

    A wish is a place to ask from and a place where the output is wanted. With K = V the output is
    the gradient of a convex function of the query, so ``(o(q) - o(q')) · (q - q') >= 0``: two
    wishes whose targets lie the other way round than their asking places cannot both be met,
    wherever the keys are. The proof stands in the chapter "value".

    Args:
        keys, values: ``[n, 2]``, coordinates from -3 to 3; 2 to 6 items.
        names: for each item the word for its key and the word for its value.
        query: ``[2]``.
        wishes: for the number of an item, from 0, the pair (ask, target), both ``[2]``.
        tied: whether the values sit on their keys at first.
        temperature: what the scores are divided by, from 1/8 to 4.

    Raises:
        TypeError: coordinates are not numbers, or a name is not a pair of strings.
        ValueError: lengths differ, a coordinate lies outside of the plane, a wish names no item,
            or the temperature lies outside of its range.

    ``keys_at``, ``values_at``, ``query``, ``tied`` and ``temperature`` follow the reader's hand and
    may be set later; the rest is fixed. ``values_at`` keeps the items' own values while K = V.
    """

    explorer = "key_value"
    _esm = module_source("key_value")

    # A trait of a widget cannot be called ``keys``.
    keys_at = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    values_at = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    names = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    asked = traitlets.List(traitlets.Int()).tag(sync=True)  # the item of each wish
    asks = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    targets = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    limit = traitlets.Float(LIMIT).tag(sync=True)
    tied = traitlets.Bool().tag(sync=True)
    temperature = traitlets.Float(0.5, min=TEMPERATURES[0], max=TEMPERATURES[1]).tag(sync=True)

    def __init__(
        self,
        keys: Any,
        values: Any,
        names: Sequence[tuple[str, str]],
        *,
        query: Any,
        wishes: Mapping[int, tuple[Any, Any]] | None = None,
        tied: bool = False,
        temperature: float = 0.5,
    ) -> None:
        n = len(keys)
        if not 2 <= n <= MAX_ITEMS:
            raise ValueError(f"keys must be 2 to {MAX_ITEMS} points, got {n}")
        pairs = [list(pair) for pair in names]
        if not all(len(p) == 2 and all(isinstance(word, str) for word in p) for p in pairs):
            raise TypeError(f"names must be pairs of words, (key, value); got {names!r}")
        if len(pairs) != n:
            raise ValueError(f"names must have one pair per key: got {len(pairs)} for {n} keys")
        wishes = {} if wishes is None else dict(wishes)
        if unknown := [item for item in wishes if item not in range(n)]:
            raise ValueError(f"wishes must be for items 0 to {n - 1}, got {unknown[0]!r}")
        low, high = TEMPERATURES
        if not low <= temperature <= high:
            raise ValueError(f"temperature must lie between {low} and {high}, got {temperature}")
        super().__init__(
            keys_at=_points("keys", keys, (n, 2)),
            values_at=_points("values", values, (n, 2)),
            names=pairs,
            query=_points("query", query, (2,)),
            asked=list(wishes),
            asks=[_points(f"the ask of wish {i}", ask, (2,)) for i, (ask, _) in wishes.items()],
            targets=[_points(f"the target of wish {i}", to, (2,)) for i, (_, to) in wishes.items()],
            tied=tied,
            temperature=float(temperature),
        )

    @traitlets.validate("keys_at", "values_at", "query")
    def _lies_in_the_plane(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        shape = (2,) if name == "query" else (len(self.names), 2)
        return _points(name, proposal["value"], shape)

    def description(self) -> str:
        found, got = (", ".join(words) for words in zip(*self.names, strict=True))
        return (
            f"Interactive figure: a plane with items found by their keys ({found}) that hand over "
            f"their values ({got}). Move the query, the keys and the values, put the values on "
            "their keys, and see where the weighted average of the values goes. It needs "
            "JavaScript."
        )


def _points(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """``given`` as (nested) lists of floats, all within the plane."""
    points = numbers(name, given, str(list(shape)), len(shape))
    if np.shape(points) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(np.shape(points))}")
    if np.abs(points).max() > LIMIT:
        raise ValueError(f"{name} must have coordinates from {-LIMIT:g} to {LIMIT:g}, got {points}")
    return points
