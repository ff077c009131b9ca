"""Drag one W: projected tokens move, and the table of scores stays its own mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MAX_TOKENS = 6  # what two tables beside each other can hold
LIMIT = 1.5  # each entry of W stays within this distance from 0


class OneProjection(Explorer):
    """Tokens of two features and one 2 × 2 matrix W for queries and keys alike.

    The reader drags the columns of W, which are the images of the two axes. The figure shows
    ``q_i = W x_i`` in the plane, the scores ``q_i · q_j``, the weights ``softmax`` makes of each
    row, and who prefers whom. With ``normalised`` each ``q_i`` is divided by its length first.

    Args:
        tokens: ``[n, 2]``, from 2 to 6 tokens.
        labels: one word per token.
        features: what the two features are called.
        W: ``[2, 2]``, entries from -1.5 to 1.5, as in ``nn.Linear``: row r makes feature r of q.
        normalised: whether the scores are cosines.
        pair: two tokens i < j, counted from 0, that are looked at closely.

    Raises:
        TypeError: tokens or W are not numbers, or a label is not a string.
        ValueError: shapes do not fit, or a number is out of range, NaN or infinite.

    ``W``, ``normalised`` and ``pair`` follow the reader's hand and may be set later; the rest is
    fixed.
    """

    explorer = "one_projection"
    _esm = module_source("one_projection")

    tokens = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    features = traitlets.List(traitlets.Unicode()).tag(sync=True)
    limit = traitlets.Float(LIMIT).tag(sync=True)
    W = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    normalised = traitlets.Bool().tag(sync=True)
    pair = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)  # i < j

    def __init__(
        self,
        tokens: Any,
        labels: Sequence[str],
        *,
        features: Sequence[str] = ("first feature", "second feature"),
        W: Any = ((1.0, 0.0), (0.0, 1.0)),
        normalised: bool = False,
        pair: tuple[int, int] = (0, 1),
    ) -> None:
        points = numbers("tokens", tokens, "[n, 2]", 2)
        if not 2 <= len(points) <= MAX_TOKENS or len(points[0]) != 2:
            raise ValueError(
                f"tokens must have shape [n, 2] with n from 2 to {MAX_TOKENS}, "
                f"got {[len(points), len(points[0]) if points else 0]}"
            )
        if not any(map(any, points)):
            raise ValueError("tokens must not all be zero: no W could move them")
        super().__init__(
            tokens=points,
            labels=_words("labels", labels, len(points)),
            features=_words("features", features, 2),
            W=numbers("W", W, "[2, 2]", 2),
            normalised=normalised,
            pair=pair,
        )

    @traitlets.validate("W")
    def _handles_can_show_it(self, proposal: Any) -> list[list[float]]:
        W: list[list[float]] = proposal["value"]
        if [len(row) for row in W] != [2, 2] or not all(abs(w) <= LIMIT for row in W for w in row):
            raise ValueError(f"W must be [2, 2] with entries from -{LIMIT} to {LIMIT}; got {W}")
        return W

    @traitlets.validate("pair")
    def _pair_is_two_of_the_tokens(self, proposal: Any) -> tuple[int, int]:
        i, j = proposal["value"]
        if not 0 <= i < j < len(self.labels):
            raise ValueError(
                f"pair must be two tokens i < j below {len(self.labels)}, counted from 0; "
                f"got {i, j}"
            )
        return i, j

    def description(self) -> str:
        return (
            f"Interactive figure: drag the two columns of a matrix W that projects "
            f"{', '.join(self.labels)}, and see their scores, their attention weights and who "
            "prefers whom. It needs JavaScript."
        )


def _words(name: str, given: Sequence[str], count: int) -> list[str]:
    words = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(word, str) for word in words):
        raise TypeError(f"{name} must be strings, got {words!r}")
    if len(words) != count:
        raise ValueError(f"{name} must be {count} words, got {len(words)}")
    return words
