"""Figures in the course's one style, as inline SVG that follows the page's light or dark mode.

A figure is a row of panels that wraps on a narrow screen, so that nothing in it shrinks. Each panel
is drawn by matplotlib in the book's own sans serif and in the light palette; :class:`Picture` then
turns every colour of the palette into the CSS custom property of the same name, so the page
decides, and the reader may change it while reading.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from attncourse.palette import LIGHT, css_variable
from attncourse.visuals.notebook_colours import HOST, colours_of_the_host
from attncourse.visuals.repeated import LETTER, once

PEN_COLOURS = [LIGHT[name] for name in ("ink", "key", "query", "value")]

# The book's sans serif, from a package: the same picture on every machine. What it has no glyph
# for comes from matplotlib's own, letter by letter.
FACE, FALLBACK = "Source Sans Pro", "DejaVu Sans"
# Style and weight, as matplotlib asks for them, of each file. The book's bold is a semibold.
FONT_FILES = {"Regular": ("normal", 400), "It": ("italic", 400), "Semibold": ("normal", 700)}

STYLE: Any = {
    "font.family": [FACE, FALLBACK],
    "font.size": 10,  # points of 4/3 px: 13 px on a screen, as a caption
    "mathtext.fontset": "custom",
    **{f"mathtext.{style}": FACE for style in ("rm", "sf")},
    **{f"mathtext.{style}": f"{FACE}:italic" for style in ("it", "cal")},
    **{f"mathtext.{style}": f"{FACE}:bold" for style in ("bf", "bfit")},
    "mathtext.fallback": "stixsans",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.facecolor": "none",
    "axes.prop_cycle": cycler(color=PEN_COLOURS),
    "figure.facecolor": "none",
    "grid.color": LIGHT["line"],
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",  # letters as shapes: no font of the page can push them over an edge
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
}

# In inches of 96 px: two panels stand beside each other in the narrowest text column, 41 rem, and
# one fills a phone when it has grown a little.
WIDTH, HEIGHT, GROWTH = 3.25, 2.6, 1.2
PIXELS = 96


def panels(*titles: str, width: float = WIDTH, height: float = HEIGHT) -> list[Axes]:
    """One empty panel for each title, each a matplotlib ``Axes`` in a figure of its own.

    Sets matplotlib to the course's style for the rest of the session, because matplotlib reads
    part of it only when something is drawn. What a `matplotlibrc` of the reader's says is set back.

    Args:
        titles: what stands above each panel.
        width, height: of each panel, in inches; a phone has room for 3.7, and what is wider
            shrinks there, its letters too. Three stand side by side where each has 2.4.
    """
    _set_style()
    made = []
    for title in titles:
        axes = Figure(figsize=(width, height), layout="constrained").add_subplot()
        axes.set_title(title)
        made.append(axes)
    return made


def _set_style() -> None:
    _load_face()
    # From matplotlib's own defaults: a reader's usetex or bounding box would be another picture.
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)


@cache
def _load_face() -> None:
    folder = files("font_source_sans_pro") / "files"
    for name, (style, weight) in FONT_FILES.items():
        file = str(folder / f"SourceSansPro-{name}.ttf")
        entry = FontEntry(file, name=FACE, style=style, weight=weight, size="scalable")
        fontManager.ttflist.insert(0, entry)  # before one of the same name that the system has


def heat(
    axes: Axes,
    matrix: Tensor,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    colour: str = "key",
    digits: int | None = None,
    marked: Sequence[tuple[int, int]] = (),
) -> None:
    """Draw a small matrix of numbers from 0 to 1 as cells of one colour, darker for more.

    Args:
        axes: from :func:`panels`.
        matrix: ``[rows, columns]``, values in [0, 1]; 1 gets the full colour, so that two
            matrices beside each other compare.
        rows, columns: labels; rows are queries and columns keys.
        colour: a name of the palette.
        digits: write the numbers into the cells with so many decimals.
        marked: (row, column) of the cells to frame.

    Raises:
        ValueError: the matrix does not have two dimensions, or a number lies outside [0, 1].
    """
    if matrix.ndim != 2 or not bool(((matrix >= 0) & (matrix <= 1)).all()):
        raise ValueError(
            f"matrix must be [rows, columns] with numbers from 0 to 1, got shape "
            f"{list(matrix.shape)} from {matrix.min().item():.3g} to {matrix.max().item():.3g}"
        )
    height, width = matrix.shape
    strongest = 0.5  # of the full colour: numbers on it stay readable, in light and in dark
    for i in range(height):
        for j in range(width):
            axes.add_patch(
                Rectangle(
                    (j, i), 1, 1, color=LIGHT[colour], alpha=strongest * float(matrix[i, j]), lw=0
                )
            )
            if digits is not None:
                axes.text(j + 0.5, i + 0.5, f"{matrix[i, j]:.{digits}f}", ha="center", va="center")
    axes.add_patch(Rectangle((0, 0), width, height, fill=False, ec=LIGHT["muted"], lw=0.8))
    for i, j in marked:
        axes.add_patch(
            Rectangle((j + 0.05, i + 0.05), 0.9, 0.9, fill=False, ec=LIGHT["ink"], lw=1.6)
        )
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_xticks([j + 0.5 for j in range(len(columns))], columns)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    axes.tick_params(length=0, labelcolor=LIGHT["ink"])
    axes.spines[:].set_visible(False)


def image(axes: Axes, pixels: Tensor) -> None:
    """Draw ``[3, H, W]`` colours or ``[H, W]`` greys, from 0 to 1, without axes around them."""
    array = pixels.permute(1, 2, 0) if pixels.ndim == 3 else pixels
    axes.imshow(array.clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="none")
    axes.set_axis_off()


class Picture:
    """A row of panels with one alternative text; see :func:`show`."""

    def __init__(self, drawn: Sequence[Axes], alt: str) -> None:
        if not drawn:
            raise ValueError("show needs at least one panel")
        if len(alt.split()) < 4:
            raise ValueError(f"alt must say what the figure shows, in a sentence; got {alt!r}")
        self.alt = " ".join(alt.split())
        self._figures = [cast(Figure, axes.figure) for axes in drawn]

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str | bytes]:
        return {"text/plain": repr(self), "text/html": self._html(), "image/png": self._png()}

    def save(self, file: Path) -> None:
        """Write the panels side by side, on white, to a PNG file."""
        file.write_bytes(self._png())

    def _html(self) -> str:
        widest = PIXELS * max(figure.get_figwidth() for figure in self._figures)
        columns = f"repeat(auto-fill,minmax(min(100%,{widest:.0f}px),1fr))"
        return (
            f'<div class="attn-figure" role="img" aria-label="{escape(self.alt)}" '
            f'style="display:grid;grid-template-columns:{columns};gap:1rem 1.5rem">'
            f"<style>{colours_of_the_host('.attn-figure')}</style>"
            + once("".join(_themed_svg(figure) for figure in self._figures))
            + "</div>"
        )

    def _png(self) -> bytes:
        """All panels side by side on white."""
        parts = []
        for figure in self._figures:
            buffer = io.BytesIO()
            with mpl.rc_context():
                _set_style()
                figure.savefig(buffer, format="png", dpi=150, facecolor="white")
            parts.append(Image.open(buffer).convert("RGB"))
        whole = Image.new(
            "RGB", (sum(p.width for p in parts), max(p.height for p in parts)), "white"
        )
        left = 0
        for part in parts:
            whole.paste(part, (left, 0))
            left += part.width
        buffer = io.BytesIO()
        whole.save(buffer, format="png", optimize=True)
        return buffer.getvalue()


def show(*drawn: Axes, alt: str) -> Picture:
    """The panels as one figure: inline SVG in a page or notebook, PNG on paper.

    Args:
        drawn: panels from :func:`panels`, in reading order.
        alt: what the figure shows, for a reader who cannot see it; computed numbers belong in it.

    Raises:
        ValueError: no panel, or an alternative text that is not a sentence.
    """
    return Picture(drawn, alt)


def _themed_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with mpl.rc_context():
        _set_style()
        mpl.rcParams["svg.hashsalt"] = "attncourse"
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Several figures share a page, and matplotlib gives each the same ids.
    own = "f" + hashlib.sha256(svg.encode()).hexdigest()[:10] + "-"
    svg = re.sub(r'\bid="', f'id="{own}', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{own}", svg)
    # But a letter is the same in all, and most of a figure is letters.
    for old in LETTER.findall(svg):
        new = "letter-" + old.removeprefix(own)
        svg = svg.replace(f'"{old}"', f'"{new}"').replace(f'"#{old}"', f'"#{new}"')
    for name, colour in LIGHT.items():
        svg = svg.replace(colour, css_variable(name, HOST))
    most = GROWTH * PIXELS * figure.get_figwidth()
    size = f"width:100%;max-width:{most:.0f}px;height:auto"
    return svg.replace("<svg", f'<svg aria-hidden="true" style="{size}"', 1)
