"""The attention blocks of the vision papers, each drawn from the layers that it has."""

from __future__ import annotations

import re
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import nn

from attncourse.feature_maps import (
    ChannelAttention,
    NonLocalBlock,
    PositionAttention,
    SAGANAttention,
)
from attncourse.palette import LIGHT

Block = NonLocalBlock | SAGANAttention | PositionAttention | ChannelAttention

# Of each block its query, key, value and output convolution, and what the sum is multiplied by.
_NAMES: dict[type[nn.Module], tuple[str | None, ...]] = {
    NonLocalBlock: ("theta", "phi", "g", "W_z", None),
    SAGANAttention: ("g", "f", "h", "v", "gamma"),
    PositionAttention: ("query", "key", "value", None, "alpha"),
    ChannelAttention: (None, None, None, None, "beta"),
}
_SYMBOLS = {
    "theta": "θ", "phi": "φ", "alpha": "α", "beta": "β", "gamma": "γ",
    "query": "W_q", "key": "W_k", "value": "W_v",
}  # fmt: skip


class Parts(NamedTuple):
    """What a block is made of, in the words of a table; None for what it does not have.

    A projection reads ``"θ: C → C/2"``; ``gate`` is the letter of the number that starts at zero;
    ``pools`` says of what the code takes the largest of 2 × 2 pixels: ``"input"`` of key and value,
    or their ``"output"``.
    """

    query: str | None
    key: str | None
    value: str | None
    output: str | None
    gate: str | None
    normalised: str
    pools: str | None


def parts_of(block: Block) -> Parts:
    """Read off what the block has: its convolutions and their sizes, as parts of C."""
    *names, gate = _NAMES[type(block)]
    query, key, value, output = (_projection(block, name) for name in names)
    over = "channels" if isinstance(block, ChannelAttention) else "pixels"
    code = getattr(block, "form", "paper") == "code"
    if isinstance(block, NonLocalBlock) and block.affinity == "dot_product":
        normalised = "divided by their number"
    elif isinstance(block, ChannelAttention) and code:
        normalised = f"softmax of the negative, over {over}"
    else:
        normalised = f"softmax over {over}"
    if isinstance(block, NonLocalBlock) and code and block.affinity != "dot_product":
        normalised = f"÷ √({_part(block.g.out_channels, block.channels)}), {normalised}"
    pools = None
    if code and not isinstance(block, ChannelAttention):
        pools = "input" if isinstance(block, NonLocalBlock) else "output"
    return Parts(query, key, value, output, gate and _SYMBOLS[gate], normalised, pools)


def _projection(block: Block, name: str | None) -> str | None:
    layer = None if name is None else getattr(block, name, None)
    if layer is None or name is None:
        return None
    assert isinstance(layer, nn.Conv2d)
    channels = max(layer.in_channels, layer.out_channels)
    sizes = [_part(size, channels) for size in (layer.in_channels, layer.out_channels)]
    return f"{_SYMBOLS.get(name, name)}: {' → '.join(sizes)}"


def _part(size: int, channels: int) -> str:
    return "C" if size == channels else f"C/{channels // size}"


# ---------------------------------------------------------------- the drawing, in units of a box

_COLUMNS = {"query": 0.0, "key": 1.15, "value": 2.3}
_RESIDUAL = 3.15
_HALF, _TALL = 0.5, 0.34


def draw_block(axes: Axes, block: Block) -> None:
    """From x at the top to the sum at the bottom; what is not projected goes straight down.

    Args:
        axes: from :func:`attncourse.visuals.figures.panels`, 3.25 × 3 inches.
        block: of any size.
    """
    parts = parts_of(block)
    axes.set(xlim=(-0.62, 3.45), ylim=(-4.3, 0.3))
    axes.set_axis_off()
    middle = _COLUMNS["key"]
    _box(axes, middle, 0, "x", width=0.5)
    if parts.pools == "input":
        _line(axes, (middle, -0.17), (1.725, -0.48))
        _box(axes, 1.725, -0.62, "largest of 2 × 2", width=1.5, tall=0.28)
    for role, at in _COLUMNS.items():
        pooled = parts.pools if role != "query" else None
        start = (1.725, -0.76) if pooled == "input" else (middle, -0.17)
        end = -2.63 if role == "value" else -2.02
        if label := getattr(parts, role):
            _line(axes, start, (at, -1.03), head=True)
            _box(axes, at, -1.2, label, colour=role)
        else:
            _line(axes, start, (at, -1.03))
        _line(axes, (at, -1.03), (at, end), head=True)
        if pooled == "output":
            _box(axes, at, -1.62, "2 × 2", width=0.6, tall=0.24)
    _box(axes, 0.575, -2.2, parts.normalised, width=2.15)
    _line(axes, (0.575, -2.37), (0.575, -2.8))
    _line(axes, (0.575, -2.8), (2.3 - 0.45, -2.8), head=True)
    _box(axes, 2.3, -2.8, "average", width=0.9)
    below = -2.97
    if parts.output:
        _line(axes, (2.3, below), (2.3, -3.2), head=True)
        _box(axes, 2.3, -3.37, parts.output)
        below = -3.54
    _line(axes, (2.3, below), (2.3, -3.92), head=True)
    if parts.gate:
        axes.text(2.22, (below - 3.92) / 2, f"· {parts.gate}", ha="right", va="center")
    _box(axes, 2.3, -4.07, "+", width=0.34, tall=0.3)
    _line(axes, (middle + 0.25, 0), (_RESIDUAL, 0))
    _line(axes, (_RESIDUAL, 0), (_RESIDUAL, -4.07))
    _line(axes, (_RESIDUAL, -4.07), (2.3 + 0.18, -4.07), head=True)


def _box(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    width: float = 2 * _HALF,
    tall: float = _TALL,
    colour: str | None = None,
) -> None:
    edge = LIGHT[colour] if colour else LIGHT["muted"]
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - tall / 2), width, tall, boxstyle="round,pad=0,rounding_size=0.07",
            ec=edge, fc=LIGHT["paper"], lw=1.6 if colour else 1, zorder=2,
        )
    )  # fmt: skip
    subscripted = re.sub(r"_(\w)", r"$_\1$", text)
    axes.text(x, y, subscripted, ha="center", va="center", color=LIGHT["ink"], zorder=3)


def _line(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], *, head: bool = False
) -> None:
    style = "-|>,head_length=4,head_width=2.5" if head else "-"
    arrow = FancyArrowPatch(
        start, end, arrowstyle=style, color=LIGHT["muted"], lw=1, shrinkA=0, shrinkB=0, zorder=1
    )
    axes.add_patch(arrow)
