"""The picture of a survey: how symmetric trained heads are, and what they read in common."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from attncourse.palette import LIGHT
from attncourse.pretrained.surveying import parts
from attncourse.visuals.figures import Picture, panels, show

# Query and key in their own colours where each stands beside the value.
OVERLAPS = {
    "overlap_qk": ("Q–K", "ink"),
    "overlap_qv": ("Q–V", "query"),
    "overlap_kv": ("K–V", "key"),
}


def survey_picture(frame: pd.DataFrame) -> Picture:
    """Two panels for each model, and for each of its kinds of attention where it has several.

    They show symmetry and the overlap of the row spaces, layer by layer.

    Args:
        frame: from :func:`attncourse.pretrained.survey`, or several of them under one another.
    """
    drawn: list[Axes] = []
    alt: list[str] = []
    for model in frame["model"].unique():
        for part, rows in parts(frame[frame["model"] == model]):
            name = f"{model}, {part}" if part else model
            left, right = panels("Symmetry of the QK circuit", "Overlap of the row spaces")
            alt += [f"{name}.", _symmetry(left, rows, name), _overlaps(right, rows, name)]
            drawn += [left, right]
    return show(*drawn, alt=" ".join(alt))


def _symmetry(axes: Axes, frame: pd.DataFrame, name: str) -> str:
    """Draw one dot for each head and a line for the sums; say the same in words."""
    trained = frame[frame["weights"] == "trained"]
    heads, sums = (trained[trained["level"] == level] for level in ("head", "layer"))
    chance = frame.loc[(frame["weights"] == "random") & (frame["level"] == "head"), "symmetry"]
    axes.axhline(chance.median(), color=LIGHT["muted"], lw=1, ls=(0, (2, 2)), label="random")
    axes.plot(
        heads["layer"],
        heads["symmetry"],
        "o",
        ms=3,
        alpha=0.55,
        mew=0,
        color=LIGHT["ink"],
        label="each head",
    )
    axes.plot(sums["layer"], sums["symmetry"], "-o", ms=3, color=LIGHT["ink"], label="heads summed")
    _finish(axes, name)
    return (
        f"Symmetry: median {heads['symmetry'].median():.2f} for a head, "
        f"{sums['symmetry'].median():.2f} for a layer's heads summed, {chance.median():.2f} for "
        "random weights."
    )


def _overlaps(axes: Axes, frame: pd.DataFrame, name: str) -> str:
    """Draw the median overlap of each layer, for each pair of projections; say it in words."""
    heads = frame[frame["level"] == "head"]
    trained, random = (heads[heads["weights"] == weights] for weights in ("trained", "random"))
    chance = random[list(OVERLAPS)].median().mean()
    axes.axhline(chance, color=LIGHT["muted"], lw=1, ls=(0, (2, 2)), label="random")
    medians = []
    for column, (label, colour) in OVERLAPS.items():
        by_layer = trained.groupby("layer")[column].median()
        axes.plot(by_layer.index, by_layer, "-", marker="o", ms=3, color=LIGHT[colour], label=label)
        medians.append(f"{label} {trained[column].median():.2f}")
    axes.set_ylim(bottom=0)
    _finish(axes, name)
    return f"Median overlap of row spaces: {', '.join(medians)}, random weights {chance:.2f}."


def _finish(axes: Axes, model: str) -> None:
    # A long path would run over the edge; what tells models apart is mostly at its end.
    axes.set_xlabel(f"layer of {model if len(model) <= 30 else '…' + model[-29:]}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.45 * (high - low))  # room for the legend above the data
    axes.legend(loc="upper left", ncols=2, handlelength=1.5, columnspacing=1)
