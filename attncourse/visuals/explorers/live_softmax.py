"""A few scores, the weights that softmax makes of them, and the average that these give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MAX_TOKENS = 8  # what fits beside the figure without scrolling
TEMPERATURES = (1 / 8, 8.0)  # the slider's ends


class LiveSoftmax(Explorer):
    """One query's scores for a few tokens, each a handle; ``softmax(scores / temperature)``.

    Args:
        scores: one number per token.
        labels: one word per token.
        values: ``[n, 2]``, each token's value as a point in the plane; when given, the figure
            shows them, their convex hull and the weighted average. None shows the weights alone.
        temperature: what the scores are divided by, from 1/8 to 8.

    Raises:
        TypeError: scores or values are not numbers, or a label is not a string.
        ValueError: lengths differ, there are fewer than 2 or more than 8 tokens, a number is
            NaN or infinite, or the temperature lies outside of its range.

    ``scores`` and ``temperature`` follow the reader's hand and may be set later; the rest is fixed.
    """

    explorer = "live_softmax"
    _esm = module_source("live_softmax")

    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    values = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)  # empty: no plane
    limit = traitlets.Int().tag(sync=True)  # a handle moves from -limit to limit
    temperature = traitlets.Float(1.0, min=TEMPERATURES[0], max=TEMPERATURES[1]).tag(sync=True)

    def __init__(
        self,
        scores: Sequence[float],
        labels: Sequence[str],
        values: Any = None,
        temperature: float = 1.0,
    ) -> None:
        checked_scores = numbers("scores", scores, "[n]", 1)
        n = len(checked_scores)
        if not 2 <= n <= MAX_TOKENS:
            raise ValueError(f"scores must be 2 to {MAX_TOKENS} numbers, got {n}")
        labels = [labels] if isinstance(labels, str) else list(labels)
        if not all(isinstance(label, str) for label in labels):
            raise TypeError(f"labels must be strings, got {labels!r}")
        if len(labels) != n:
            raise ValueError(
                f"labels must have one word per score: got {len(labels)} labels, {n} scores"
            )
        points = [] if values is None else numbers("values", values, "[n, 2]", 2)
        if values is not None and np.shape(points) != (n, 2):
            raise ValueError(
                f"values must have shape [n, 2] with one point per score, [{n}, 2]; "
                f"got {list(np.shape(points))}"
            )
        low, high = TEMPERATURES
        if not low <= temperature <= high:
            raise ValueError(f"temperature must lie between {low} and {high}, got {temperature}")
        super().__init__(
            scores=checked_scores,
            labels=labels,
            values=points,
            # Twice the largest, so that the button that doubles every score works at least once.
            limit=max(6, math.ceil(2 * max(map(abs, checked_scores)))),
            temperature=float(temperature),
        )

    @traitlets.validate("scores")
    def _scores_fit_the_sliders(self, proposal: Any) -> list[float]:
        scores: list[float] = proposal["value"]
        if len(scores) != len(self.labels) or not all(abs(x) <= self.limit for x in scores):
            raise ValueError(
                f"scores must be {len(self.labels)} numbers, one per label, from -{self.limit} "
                f"to {self.limit}; got {scores}"
            )
        return scores

    def description(self) -> str:
        plane = ", and the weighted average of their values moves" if self.values else ""
        return (
            f"Interactive figure: drag the scores of {', '.join(self.labels)}, and see the "
            f"attention weights that softmax makes of them{plane}. It needs JavaScript."
        )
