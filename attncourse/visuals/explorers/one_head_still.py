"""The explorer of one head as a still picture, for a page in which no script runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from attncourse.palette import LIGHT
from attncourse.visuals.figures import PIXELS, Picture, panels, show

# In pixels of the page. The numbers of a small head then fit a phone in nearly full size.
LETTER, PADDING, GAP, ROW, BOX, ARCS = 5.8, 9, 12, 34, 24, 22

Numbers = Sequence[Sequence[float]]


def draw_head(
    tokens: Sequence[str], x: Numbers, asks: int, *, W_q: Numbers, W_k: Numbers, W_v: Numbers,
    W_o: Numbers,
) -> Picture:  # fmt: skip
    """All that a head computes for the token that asks: a row for each token, as in the explorer.

    Args:
        tokens: T words.
        x: ``[T, d_model]``.
        asks: the number of the token that asks, from 0.
        W_q, W_k: ``[d_k, d_model]``.
        W_v: ``[d_v, d_model]``.
        W_o: ``[d_model, d_v]``.
    """
    X = np.asarray(x)
    query, keys, values = np.asarray(W_q) @ X[asks], X @ np.asarray(W_k).T, X @ np.asarray(W_v).T
    scores = keys @ query / np.sqrt(len(query))
    exponentials = np.exp(scores - scores.max())
    weights = exponentials / exponentials.sum()
    average = weights @ values
    output = np.asarray(W_o) @ average

    columns = {
        "": [*tokens, "output"],
        "token": [*map(_listed, X), _listed(output)],
        "key": [*map(_listed, keys), _listed(query)],
        "score": list(map(_short, scores)),
        "weight": [f"{weight:.3f}" for weight in weights],
        "value": [*map(_listed, values), _listed(average)],
    }
    left, edges = 0.0, {}
    for name, texts in columns.items():
        width = LETTER * max(map(len, [name, *texts])) + (PADDING if name else 0)
        edges[name] = (left, left + width)
        left += width + GAP
    width = left - GAP + ARCS  # these run on the right, from the values to their average
    # Head, query, a row for each token, output.
    rows = [(n + 0.5) * ROW for n in range(len(tokens) + 3)]
    top, ask, *lines, bottom = rows
    (axes,) = panels("", width=width / PIXELS, height=len(rows) * ROW / PIXELS)
    axes.set(xlim=(0, width), ylim=(len(rows) * ROW, 0), position=(0, 0, 1, 1))
    axes.set_axis_off()
    picture = _Rows(axes, edges)

    for name in list(columns)[1:]:
        picture.say(name, top, name, LIGHT.get(name, LIGHT["muted"]))
    picture.say("token", ask, f"query of “{tokens[asks]}”", LIGHT["query"])
    picture.box("key", ask, _listed(query), "query")
    for i, line in enumerate(lines):
        colour = LIGHT["query" if i == asks else "ink"]
        axes.text(0, line, tokens[i], va="center", color=colour, parse_math=False)
        picture.join("key", ask, "score", line, "query", 1)
        for before, after, kind, thick in (
            ("token", "key", "key", 1),
            ("key", "score", "key", 1),
            ("score", "weight", "muted", 1),
            ("weight", "value", "muted", 0.5 + 4 * weights[i]),
        ):
            picture.join(before, line, after, line, kind, thick)
        picture.bend("value", line, bottom, 0.5 + 4 * weights[i])
        for name in list(columns)[1:]:
            kind = name if name in ("key", "value") else "line"
            picture.box(name, line, columns[name][i], kind)
    picture.box("value", bottom, _listed(average), "value", heavy=True)
    picture.say("weight", bottom, "average", LIGHT["muted"])
    picture.join("token", bottom, "value", bottom, "muted", 1, under=True)
    picture.box("token", bottom, _listed(output), "line")
    axes.text(0, bottom, "output", va="center", color=LIGHT["muted"])
    return show(
        axes,
        alt=f"One attention head when “{tokens[asks]}” asks with the query {_listed(query)}. "
        + " ".join(
            f"{token}: key {columns['key'][i]}, score {columns['score'][i]}, "
            f"weight {columns['weight'][i]}, value {columns['value'][i]}."
            for i, token in enumerate(tokens)
        )
        + f" Average of the values: {_listed(average)}. Output: {_listed(output)}.",
    )


class _Rows:
    """Boxes and lines in columns whose left and right edges are known."""

    def __init__(self, axes: Axes, edges: dict[str, tuple[float, float]]) -> None:
        self._axes, self._edges = axes, edges

    def _middle(self, column: str) -> float:
        return sum(self._edges[column]) / 2

    def say(self, column: str, y: float, text: str, colour: str) -> None:
        paper = {"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 3}
        self._axes.text(
            self._middle(column), y, text, ha="center", va="center", color=colour, bbox=paper,
            parse_math=False,
        )  # fmt: skip

    def box(self, column: str, y: float, text: str, kind: str, heavy: bool = False) -> None:
        left, right = self._edges[column]
        self._axes.add_patch(
            FancyBboxPatch(
                (left, y - BOX / 2), right - left, BOX, boxstyle="round,pad=0,rounding_size=4",
                facecolor=LIGHT["paper"], edgecolor=LIGHT[kind], linewidth=1.8 if heavy else 1,
            )
        )  # fmt: skip
        colour = LIGHT["ink" if kind == "line" else kind]
        self._axes.text(self._middle(column), y, text, ha="center", va="center", color=colour)

    def join(
        self, before: str, from_y: float, after: str, to_y: float, kind: str, width: float,
        under: bool = False,
    ) -> None:  # fmt: skip
        ends = (self._edges[before][1], self._edges[after][0])
        self._axes.plot(
            ends, (from_y, to_y), color=LIGHT[kind], lw=width, zorder=0 if under else 0.5,
            solid_capstyle="butt",
        )  # fmt: skip

    def bend(self, column: str, from_y: float, to_y: float, width: float) -> None:
        right = self._edges[column][1]
        self._axes.add_patch(
            FancyArrowPatch(
                (right, from_y), (right, to_y), arrowstyle="-", color=LIGHT["value"], lw=width,
                connectionstyle=f"arc3,rad={-1.1 * ARCS / (to_y - from_y):.3f}",
                shrinkA=0, shrinkB=0,
                zorder=0.5, clip_on=False,
            )
        )  # fmt: skip


def _short(x: float) -> str:
    """A number with no more decimals than it needs, and no more than fit: 0.5, 3.44, 16.9, 155."""
    most = 2 if abs(x) < 10 else 1 if abs(x) < 100 else 0
    return f"{round(float(x), most) + 0.0:g}".replace("-", "−")


def _listed(numbers: Sequence[float] | np.ndarray) -> str:
    return ", ".join(map(_short, numbers))
