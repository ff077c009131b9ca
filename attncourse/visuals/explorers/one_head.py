"""One attention head on a few tokens, step by step, with every number in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers
from attncourse.visuals.explorers.one_head_still import draw_head

# What fits beside one another, on a phone too, and what a reader can still add up.
MAX_TOKENS, MAX_FEATURES, MAX_KEY, MAX_VALUE = 4, 3, 3, 2
LIMIT, GRID = 6.0, 0.25  # a number that the reader may change: its size, and its steps
STEPS = 6  # tokens, project, score, softmax, average, output
MATRICES = ("w_q", "w_k", "w_v", "w_o")


class OneHead(Explorer):
    """A head that the reader walks through: ``W_o Σ_j softmax_j(q_i · k_j / √d_k) v_j``.

    One token asks; each step shows its numbers in the picture and writes its sums out. The reader
    picks the token that asks, and changes any number of the tokens and of the matrices.

    Args:
        tokens: 2 to 4 words.
        x: ``[T, d_model]``, the features of each token; d_model is at most 3.
        features: a word for each of the d_model features.
        W_q, W_k: ``[d_k, d_model]``, d_k at most 3.
        W_v: ``[d_v, d_model]``, d_v at most 2.
        W_o: ``[d_model, d_v]``.
        asks: the number of the token that asks at first, from 0; the last when left out.
        step: how far the reader has come at first: 1 shows the tokens alone, 6 everything.

    Raises:
        TypeError: a matrix is not made of numbers, or a word is not a string.
        ValueError: shapes do not fit one another or the picture, a number is no multiple of 1/4
            from -6 to 6, or ``asks`` or ``step`` lies outside of its range.

    ``x``, ``w_q``, ``w_k``, ``w_v``, ``w_o``, ``asks`` and ``step`` follow the reader's hand and
    may be set later; the rest is fixed.
    """

    explorer = "one_head"
    _esm = module_source("one_head")

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    features = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_q = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_k = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_v = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_o = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    asks = traitlets.Int().tag(sync=True)
    step = traitlets.Int(1, min=1, max=STEPS).tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str],
        x: Any,
        features: Sequence[str],
        *,
        W_q: Any,
        W_k: Any,
        W_v: Any,
        W_o: Any,
        asks: int | None = None,
        step: int = 1,
    ) -> None:
        words = {"tokens": list(tokens), "features": list(features)}
        for name, given in words.items():
            if not all(isinstance(word, str) for word in given):
                raise TypeError(f"{name} must be words, got {given!r}")
        n, d_model = len(words["tokens"]), len(words["features"])
        if not 2 <= n <= MAX_TOKENS:
            raise ValueError(f"tokens must be 2 to {MAX_TOKENS} words, got {n}")
        if not 1 <= d_model <= MAX_FEATURES:
            raise ValueError(f"features must be 1 to {MAX_FEATURES} words, got {d_model}")
        query = _matrix("W_q", W_q, (None, d_model), f"[d_k, {d_model}], d_k from 1 to {MAX_KEY}")
        value = _matrix("W_v", W_v, (None, d_model), f"[d_v, {d_model}], d_v from 1 to {MAX_VALUE}")
        d_k, d_v = len(query), len(value)
        for name, size, largest in (("W_q", d_k, MAX_KEY), ("W_v", d_v, MAX_VALUE)):
            if not 1 <= size <= largest:
                raise ValueError(f"{name} must have 1 to {largest} rows, got {size}")
        asks = n - 1 if asks is None else asks
        if asks not in range(n):
            raise ValueError(f"asks must be the number of a token, 0 to {n - 1}, got {asks}")
        if step not in range(1, STEPS + 1):
            raise ValueError(f"step must be from 1 to {STEPS}, got {step}")
        super().__init__(
            **words,
            x=_matrix("x", x, (n, d_model)),
            w_q=query,
            w_k=_matrix("W_k", W_k, (d_k, d_model)),
            w_v=value,
            w_o=_matrix("W_o", W_o, (d_model, d_v)),
            asks=asks,
            step=step,
        )

    @traitlets.validate("x", *MATRICES)
    def _keeps_its_shape(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        # Before the first value is in, the constructor has seen to the shape.
        before = np.shape(getattr(self, name)) if getattr(self, name) else None
        return _matrix(name, proposal["value"], before or (None, None))

    @traitlets.validate("asks")
    def _is_a_token(self, proposal: Any) -> int:
        asks: int = proposal["value"]
        if asks not in range(len(self.tokens)):
            raise ValueError(
                f"asks must be the number of a token, 0 to {len(self.tokens) - 1}, got {asks}"
            )
        return asks

    def description(self) -> str:
        return (
            f"Interactive figure: one attention head on the tokens {', '.join(self.tokens)}. Step "
            "from tokens to query, key and value, scores, weights, the average of the values and "
            "the output, each with its sums, and change any number. It needs JavaScript."
        )

    def still(self) -> str:
        matrices = {name.replace("w", "W"): getattr(self, name) for name in MATRICES}
        picture = draw_head(self.tokens, self.x, self.asks, **matrices)
        return str(picture._repr_mimebundle_()["text/html"])


def _matrix(
    name: str, given: Any, shape: tuple[int | None, int | None], wanted: str | None = None
) -> list[list[float]]:
    """``given`` as rows of floats that fit ``shape`` (None: any size) and the reader's steps."""
    wanted = wanted or str(list(shape))
    rows: list[list[float]] = numbers(name, given, wanted, 2)
    sizes = np.shape(rows)
    if any(want not in (None, got) for want, got in zip(shape, sizes, strict=True)):
        raise ValueError(f"{name} must have shape {wanted}, got {list(sizes)}")
    entries = np.asarray(rows)
    if (np.abs(entries) > LIMIT).any() or (entries % GRID).any():
        raise ValueError(
            f"{name} must hold multiples of {GRID:g} from {-LIMIT:g} to {LIMIT:g}, got {rows}"
        )
    return rows
