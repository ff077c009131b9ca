"""The scores of trained heads, taken apart into a symmetric and an antisymmetric part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MIN_CLASSES, MAX_CLASSES = 3, 6  # two have no direction between them; seven cannot be read
MAX_LABEL_LENGTH = 8  # characters, what fits into a column on a phone
LARGEST_SCORES = (0.1, 1000)  # between these, two decimals at most tell the numbers apart


class CircuitSplit(Explorer):
    """``S + t A`` of a head's scores ``M = S + A`` between classes, for t from -1 to 1.

    ``S = (M + Mᵀ) / 2`` is the nearest symmetric matrix to M in the Frobenius norm, and
    ``A = (M − Mᵀ) / 2`` the rest. At t = 1 the sum is M, at 0 it is S, at -1 it is Mᵀ: query and
    key swapped. The tables show whole matrices; the arrows are the softmax of each row over the
    other classes, because a token that may attend to itself says little about the relation.

    A number added to a whole row of M changes no weight, and yet counts in both parts' energy
    and in the symmetry; subtract each row's mean first where that is not wanted. To subtract the
    columns' means too changes the weights, and with them the arrows.

    Args:
        heads: by name, each a pair ``(M, labels)``. M is ``[n, n]``, n from 3 to 6, the score
            with which each class (row) asks each (column), its largest between 0.1 and 1000 in
            absolute value; labels are n words of at most 8 characters.

    Raises:
        TypeError: heads is not a mapping of names to pairs, M not numbers, or a label not a string.
        ValueError: there is no head, M is not square, of another size, too small or too large to
            be shown, NaN or infinite, or labels are too few, too many, too long, empty or equal.

    ``head`` (a name) and ``t`` follow the reader's hand and may be set later.
    """

    explorer = "circuit_split"
    _esm = module_source("circuit_split")

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    matrices = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    labels = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    head = traitlets.Unicode().tag(sync=True)
    t = traitlets.Float(1.0, min=-1.0, max=1.0).tag(sync=True)

    def __init__(self, heads: Mapping[str, tuple[Any, Sequence[str]]]) -> None:
        if not isinstance(heads, Mapping):
            raise TypeError(
                f"heads must be a dict of name: (M, labels), got {type(heads).__name__}"
            )
        if not heads:
            raise ValueError("heads must hold at least one head, got none")
        checked = {name: _checked_head(name, head) for name, head in heads.items()}
        super().__init__(
            names=list(checked),
            matrices=[M for M, _ in checked.values()],
            labels=[labels for _, labels in checked.values()],
            head=next(iter(checked)),
        )

    @traitlets.validate("head")
    def _head_is_one_of_them(self, proposal: Any) -> str:
        if proposal["value"] not in self.names:
            raise ValueError(f"head must be one of {self.names}, got {proposal['value']!r}")
        return str(proposal["value"])

    def description(self) -> str:
        return (
            f"Interactive figure: the scores of a head ({', '.join(self.names)}) as the sum of a "
            "symmetric and an antisymmetric part, with a slider over the second. "
            "It needs JavaScript."
        )


def _checked_head(name: Any, head: Any) -> tuple[list[list[float]], list[str]]:
    if not isinstance(name, str):
        raise TypeError(f"heads must have names that are strings, got {name!r}")
    if not isinstance(head, tuple | list) or len(head) != 2:
        raise TypeError(f"heads[{name!r}] must be a pair (M, labels), got {type(head).__name__}")
    M = numbers(f"M of {name!r}", head[0], "[n, n]", 2)
    shape = list(np.shape(M))
    if shape[0] != shape[1] or not MIN_CLASSES <= shape[0] <= MAX_CLASSES:
        raise ValueError(
            f"M of {name!r} must have shape [n, n] with n from {MIN_CLASSES} to {MAX_CLASSES}, "
            f"got {shape}"
        )
    largest = np.abs(M).max()
    low, high = LARGEST_SCORES
    if not low <= largest < high:
        raise ValueError(
            f"M of {name!r} must have a largest score from {low} to {high}, so that its numbers "
            f"can be read; got {largest:.3g}. Multiply M by a number, and say so in the text."
        )
    labels = [head[1]] if isinstance(head[1], str) else list(head[1])
    if not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels of {name!r} must be strings, got {labels!r}")
    if len(labels) != shape[0]:
        raise ValueError(
            f"labels of {name!r} must have one word per class: got {len(labels)} labels, "
            f"{shape[0]} classes"
        )
    if len(set(labels)) < len(labels) or not all(0 < len(x) <= MAX_LABEL_LENGTH for x in labels):
        raise ValueError(
            f"labels of {name!r} must differ and have 1 to {MAX_LABEL_LENGTH} characters, "
            f"got {labels}"
        )
    return M, labels
