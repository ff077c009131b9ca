"""The book's face: one attention map, computed and drawn, as cover, mark and favicon.

The tokens stand on a circle. Each one's query is its own place turned a step back, so each token
attends to the one before it: the pattern leans off the diagonal, which no single shared projection
can do. The query's row, the key's column and the value where they cross carry the three colours.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from sphinx.application import Sphinx
from torch import Tensor

from attncourse.attention import attention_weights
from attncourse.palette import LIGHT, MIDTONE, css_variable

FAINT = 0.55  # what carries none of the three colours stays behind what does


def attention_map(num_tokens: int, *, sharpness: float) -> Tensor:
    """Weights ``[num_tokens, num_tokens]`` of tokens that each look one step back on a circle."""
    angle = torch.arange(num_tokens) * (2 * math.pi / num_tokens)
    key = torch.stack([angle.cos(), angle.sin()], dim=-1)
    back = angle - 2 * math.pi / num_tokens
    query = torch.stack([back.cos(), back.sin()], dim=-1)
    return attention_weights(sharpness * query @ key.mT)


def mark_svg(num_tokens: int, *, sharpness: float, row: int, colours: dict[str, str]) -> str:
    """The map as an SVG drawing of dots whose area is the weight, without text.

    ``row`` is the query that is picked out; the key is the one it attends to most. ``colours``
    gives the fill of "query", "key", "value" and "other".
    """
    dots = [
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{colours[part]}"'
        f' fill-opacity="{FAINT if part == "other" else 1}"/>'
        for x, y, radius, part in _dots(attention_map(num_tokens, sharpness=sharpness), row)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {num_tokens} {num_tokens}">'
        + "".join(dots)
        + "</svg>"
    )


def _dots(weights: Tensor, row: int) -> list[tuple[float, float, float, str]]:
    largest = weights.max()
    column = int(weights[row].argmax())
    dots = []
    for i, j in torch.cartesian_prod(*map(torch.arange, weights.shape)).tolist():
        part = {(True, True): "value", (True, False): "query", (False, True): "key"}.get(
            (i == row, j == column), "other"
        )
        # Area, not radius, is what the eye compares. The floor keeps the grid visible.
        radius = 0.44 * math.sqrt(max(float(weights[i, j] / largest), 0.035))
        dots.append((j + 0.5, i + 0.5, radius, part))
    return dots


def _fills(colours: Mapping[str, str]) -> dict[str, str]:
    return {**colours, "other": colours["muted"]}


def cover_figure(title: str, subtitle: str) -> Figure:
    """The cover, 1200 x 630 px at 100 dpi: the size that previews of links expect."""
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    serif: dict[str, Any] = {"fontfamily": "STIXGeneral", "color": LIGHT["ink"], "va": "center"}
    title, subtitle = title.replace(", ", ",\n"), "\n".join(textwrap.wrap(subtitle, 32))
    figure.text(0.07, 0.60, title, fontsize=58, linespacing=1.15, **serif)
    figure.text(0.07, 0.24, subtitle, fontsize=25, linespacing=1.4, **serif)
    axes = figure.add_axes((0.50, 0.06, 0.462, 0.88))
    size = 9
    fill = _fills(LIGHT)
    for x, y, radius, part in _dots(attention_map(size, sharpness=2.4), row=5):
        alpha = FAINT if part == "other" else 1
        axes.add_patch(Circle((x, y), radius, color=fill[part], linewidth=0, alpha=alpha))
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    axes.set_axis_off()
    return figure


def draw(app: Sphinx) -> None:
    """Draw cover, mark and favicon below the site's ``_static`` (Sphinx event builder-inited)."""
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    themed = _fills({name: css_variable(name) for name in LIGHT})
    app.config.html_context["attn_mark"] = mark_svg(4, sharpness=1.2, row=2, colours=themed)
    app.config.html_context["attn_cover"] = mark_svg(9, sharpness=2.4, row=5, colours=themed)
    # A browser's tab is light or dark, and no style sheet reaches into it.
    favicon = mark_svg(3, sharpness=0.9, row=1, colours=_fills(MIDTONE))
    (static / "favicon.svg").write_text(favicon, encoding="utf-8")
    with mpl.rc_context():
        mpl.rcdefaults()  # nothing of the machine's own matplotlibrc
        cover_figure(app.config.html_title, app.config.html_context["attn_subtitle"]).savefig(
            static / "cover.png"
        )
