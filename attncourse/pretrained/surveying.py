"""How alike are the query, key and value projections of a trained model? Many heads, one table.

Beside every trained head stands a random one of the same shape: what a number means shows only
against what chance gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from attncourse.circuits import (
    balanced_cosine,
    compress,
    directionality,
    positive_energy,
    subspace_overlap,
    symmetry,
)
from attncourse.pretrained.heads import Heads
from attncourse.pretrained.layer import LayerHeads

Projections = tuple[Tensor, Tensor, Tensor]  # W_q, W_k, W_v, each [h, d_k, d_model]
HEAD, LAYER = "head", "layer"
TRAINED, RANDOM = "trained", "random"


class Statistic(NamedTuple):
    """One column of the survey.

    Attributes:
        label: what it is called in a table.
        gauge_invariant: whether it is a property of the head rather than of one of the many ways
            to write its projections down.
        of_sum: whether it is computed for the sum of a layer's heads too. Left out are the
            overlaps, since the heads of a layer together read everything, and what would take
            the singular values or eigenvalues of a whole ``[d_model, d_model]`` matrix.
        compute: ``[..., d_k, d_model]`` three times -> ``[...]``.
        of_features: whether it depends on which feature is which, and not on angles alone.
    """

    label: str
    gauge_invariant: bool
    of_sum: bool
    compute: Callable[[Tensor, Tensor, Tensor], Tensor]
    of_features: bool = False


def _cosine(W_a: Tensor, W_b: Tensor) -> Tensor:
    return F.cosine_similarity(W_a.flatten(-2), W_b.flatten(-2), dim=-1)


STATISTICS = {
    "cosine_qk": Statistic("element-wise cosine Q–K", False, True, lambda q, k, v: _cosine(q, k)),
    "cosine_qv": Statistic("element-wise cosine Q–V", False, True, lambda q, k, v: _cosine(q, v)),
    "cosine_kv": Statistic("element-wise cosine K–V", False, True, lambda q, k, v: _cosine(k, v)),
    "balanced_cosine": Statistic(
        "balanced cosine Q–K", True, False, lambda q, k, v: balanced_cosine(q, k)
    ),
    "symmetry": Statistic("symmetry", True, True, lambda q, k, v: symmetry(q, k)),
    "positive_energy": Statistic(
        "energy in the positive part", True, False, lambda q, k, v: positive_energy(q, k)
    ),
    "overlap_qk": Statistic(
        "row-space overlap Q–K", True, False, lambda q, k, v: subspace_overlap(q, k)
    ),
    "overlap_qv": Statistic(
        "row-space overlap Q–V", True, False, lambda q, k, v: subspace_overlap(q, v)
    ),
    "overlap_kv": Statistic(
        "row-space overlap K–V", True, False, lambda q, k, v: subspace_overlap(k, v)
    ),
    "directionality": Statistic(
        "directionality", True, True, lambda q, k, v: directionality(q, k), of_features=True
    ),
}


def survey(
    heads: Heads, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Every statistic of every head, and of each layer's heads summed, beside random ones.

    Summing the heads of a layer means ``Σ_h W_qᵀ W_k``, which is what published layer-wise
    numbers describe. It can be far from the typical head, so read both.

    Args:
        heads: from :func:`attncourse.pretrained.load_heads`; one layer is in memory at a time.
        seed: of the random projections, normal entries, with key heads shared as in the model.
        progress: called before each layer as ``progress(layers done, layers in all)``.

    Returns:
        One row for each head and each layer, trained and random. The columns are ``model``,
        ``weights`` (``"trained"`` or ``"random"``), ``level`` (``"head"`` or ``"layer"``),
        ``kind`` and ``modality`` as a layer has them, ``layer`` (counted from 0 in each of these),
        ``head`` (missing for a layer), then one for each of ``STATISTICS``; NaN where it is not
        computed for a sum. ``attrs["gauge_invariant"]`` says of each whether it is. Biases and
        norms are left out, and so is what makes scores beside M (``LayerHeads.beside``).

    Raises:
        CheckpointError: the checkpoint turns out damaged while it is read.
    """
    generator = torch.Generator().manual_seed(seed)
    rows: list[dict[str, object]] = []
    for number in range(heads.num_layers):
        if progress is not None:
            progress(number, heads.num_layers)
        layer = heads[number]
        for weights, projections in (
            (TRAINED, (layer.W_q, layer.W_k, layer.W_v)),
            (RANDOM, _random_projections(layer, generator)),
        ):
            place = {
                "model": heads.name,
                "weights": weights,
                "kind": layer.kind,
                "modality": layer.modality,
                "layer": layer.number,
            }
            rows += [place | row for row in _measure(projections)]
    if progress is not None:
        progress(heads.num_layers, heads.num_layers)
    columns = ["model", "weights", "level", "kind", "modality", "layer", "head", *STATISTICS]
    frame = pd.DataFrame(rows, columns=columns).astype({"head": "Int64"})
    frame.attrs["gauge_invariant"] = {
        name: statistic.gauge_invariant for name, statistic in STATISTICS.items()
    }
    return frame


def _measure(projections: Projections) -> Iterator[dict[str, object]]:
    """The rows of one layer: its heads, then their sum."""
    # The same angles in fewer coordinates: d_model = 4096 becomes 3 d_k = 384.
    compressed = compress(*projections)
    of_heads = {
        name: s.compute(*(projections if s.of_features else compressed)).tolist()
        for name, s in STATISTICS.items()
    }
    for head in range(len(projections[0])):
        yield {"level": HEAD, "head": head} | {name: of_heads[name][head] for name in STATISTICS}
    # Σ_h W_qᵀ W_k is the product of the stacked rows: one wide head instead of many.
    stacked = [W.flatten(0, 1) for W in projections]
    yield {"level": LAYER} | {
        name: s.compute(*stacked).item() for name, s in STATISTICS.items() if s.of_sum
    }


def _random_projections(layer: LayerHeads, generator: torch.Generator) -> Projections:
    """Normal numbers in the shapes of a layer."""
    groups, (h, *shape) = layer.num_key_value_heads, layer.W_q.shape
    W_k, W_v = (
        torch.randn(groups, *shape, generator=generator).repeat_interleave(h // groups, dim=0)
        for _ in range(2)
    )
    return torch.randn(h, *shape, generator=generator), W_k, W_v


def parts(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The survey of one model, its kinds apart: encoder, decoder and cross-attention.

    Args:
        frame: the rows of one model.

    Returns:
        Each part with what tells it from the others: its kind, its modality where kinds are the
        same, or nothing where there is one part alone.
    """
    if "kind" not in frame:  # a record of before there were kinds
        return [("", frame)]
    found = list(frame.groupby(["modality", "kind"], sort=False))
    kinds = [kind for (_, kind), _ in found]
    if len(found) == 1:
        return [("", frame)]
    return [
        (kind if kinds.count(kind) == 1 else f"{modality} {kind}", rows)
        for (modality, kind), rows in found
    ]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """The survey in a table to read: median and quartiles of each statistic.

    Args:
        frame: from :func:`survey`, or several of them under one another.

    Returns:
        One row for each model, level and statistic, with the columns ``trained`` and ``random``,
        each as ``"median [lower quartile, upper quartile]"``, and ``gauge-invariant``, yes or no.
        Where a model has several kinds of attention, the level names them: ``"cross: each head"``.
    """
    summary: dict[tuple[str, str, str], dict[str, str]] = {}
    for model in frame["model"].unique():
        for name, rows in parts(frame[frame["model"] == model]):
            for level, title in ((HEAD, "each head"), (LAYER, "heads of a layer summed")):
                part = rows[rows["level"] == level]
                titled = f"{name}: {title}" if name else title
                summary |= {
                    (model, titled, statistic.label): _row(part, column, statistic)
                    for column, statistic in STATISTICS.items()
                    if level == HEAD or statistic.of_sum
                }
    table = pd.DataFrame.from_dict(summary, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["model", "level", "statistic"])
    return table


def _row(part: pd.DataFrame, column: str, statistic: Statistic) -> dict[str, str]:
    return {
        weights: _quartiles(part.loc[part["weights"] == weights, column])
        for weights in (TRAINED, RANDOM)
    } | {"gauge-invariant": "yes" if statistic.gauge_invariant else "no"}


def _quartiles(values: pd.Series) -> str:
    lower, median, upper = values.quantile([0.25, 0.5, 0.75])
    return f"{median:.3f} [{lower:.3f}, {upper:.3f}]"
