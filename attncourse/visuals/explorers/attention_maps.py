"""Pick a pixel of a feature map, see where it looks under each way of projecting."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import traitlets
from PIL import Image

from attncourse.visuals.explorers.base import Explorer, eight_bits, module_source, numbers

MAX_CELLS = 24  # each shows its weight in two digits, on a phone too
MAX_MODES = 4
MAX_PIXELS = 16384


class Question(NamedTuple):
    """What every cell is asked, and where the heads that learned it look.

    ``wanted`` has for each cell the cells that answer it. ``in_sight`` and ``masked`` hold for each
    mode its weights, ``[H·W, H·W]``, a row for each cell that asks: of heads that see their own
    place, and of heads that do not.
    """

    text: str
    wanted: Sequence[Sequence[int]]
    in_sight: Mapping[str, Any]
    masked: Mapping[str, Any]


class AttentionMaps(Explorer):
    """A picture of H × W cells, each a pixel of a feature map, and what it attends to.

    Args:
        picture: ``[3, ·, ·]``, floating point, red, green and blue from 0 to 1: H × W cells of
            equal size, at most 16,384 pixels in all; stored with 8 bits per number.
        grid: H and W, at most 24 cells in all.
        labels: what stands in each cell, row by row, such as ``"a red 5"``.
        questions: one or two, with the same modes in the same order, at most four of them.
        start: row and column of the cell picked first, counted from 0.

    Raises:
        TypeError: the picture is not floating point, or weights are no numbers.
        ValueError: a shape or a number lies outside of the limits above, a row of weights is not
            positive or does not add up to 1, or the parts do not fit one another.

    ``pick`` (a cell, row by row), ``question`` and ``masked`` follow the reader's hand and may be
    set later; the rest is fixed.
    """

    explorer = "attention_maps"
    _esm = module_source("attention_maps")

    height = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)  # the address of the picture, which holds it whole
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    modes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    wanted: Any = traitlets.List().tag(sync=True)  # [question][cell]: cells
    maps: Any = traitlets.List().tag(sync=True)  # [question][masked][mode][cell that asks][cell]
    pick = traitlets.Int().tag(sync=True)
    question = traitlets.Int().tag(sync=True)
    masked = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        picture: Any,
        *,
        grid: tuple[int, int],
        labels: Sequence[str],
        questions: Sequence[Question],
        start: tuple[int, int] = (0, 0),
        masked: bool = False,
    ) -> None:
        rgb = eight_bits("picture", picture, most=MAX_PIXELS)
        height, width = grid
        count = height * width
        if not 2 <= count <= MAX_CELLS:
            raise ValueError(f"grid must have 2 to {MAX_CELLS} cells, got {height} × {width}")
        if rgb.shape[1] % height or rgb.shape[2] % width:
            raise ValueError(
                f"picture must divide into {height} × {width} cells, got {list(rgb.shape)}"
            )
        if len(labels) != count:
            raise ValueError(f"labels must have one for each of {count} cells, got {len(labels)}")
        if not (0 <= start[0] < height and 0 <= start[1] < width):
            raise ValueError(
                f"start must be a row below {height} and a column below {width}, counted from 0; "
                f"got {tuple(start)}"
            )
        if not 1 <= len(questions) <= 2:
            raise ValueError(f"questions must be one or two, got {len(questions)}")
        modes = list(questions[0].in_sight)
        if not 1 <= len(modes) <= MAX_MODES:
            raise ValueError(f"a question must have 1 to {MAX_MODES} modes, got {len(modes)}")
        super().__init__(
            height=height,
            width=width,
            source=_address(rgb),
            labels=list(labels),
            modes=modes,
            texts=[each.text for each in questions],
            wanted=[_cells(each, count) for each in questions],
            maps=[
                [_weights(each.text, maps, modes, count) for maps in (each.in_sight, each.masked)]
                for each in questions
            ],
            pick=start[0] * width + start[1],
            question=0,
            masked=masked,
        )

    @traitlets.validate("pick", "question")
    def _is_there(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        most = len(self.labels if name == "pick" else self.texts)
        if not 0 <= value < most:
            raise ValueError(f"{name} must be from 0 to {most - 1}, got {value}")
        return int(value)

    def description(self) -> str:
        return (
            f"Interactive figure: a picture of {self.height} × {self.width} cells, and for the "
            f"picked one a map of its weights under each of: {', '.join(self.modes)}. "
            "It needs JavaScript."
        )


def _address(rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb.transpose(1, 2, 0)).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _cells(question: Question, count: int) -> list[list[int]]:
    """``wanted``, which has to name cells that are there."""
    wanted = [[int(cell) for cell in cells] for cells in question.wanted]
    if len(wanted) != count or not all(0 <= cell < count for cells in wanted for cell in cells):
        raise ValueError(
            f"wanted of {question.text!r} must have, for each of {count} cells, numbers of cells"
        )
    return wanted


def _weights(
    text: str, maps: Mapping[str, Any], modes: Sequence[str], count: int
) -> list[list[list[float]]]:
    """``[mode][cell that asks][cell]``, with as many digits as a page shows."""
    if list(maps) != list(modes):
        raise ValueError(f"maps of {text!r} must have the modes {list(modes)}, got {list(maps)}")
    found = []
    for mode, given in maps.items():
        name = f"the weights of {mode!r} for {text!r}"
        weights = np.asarray(numbers(name, given, "[H·W, H·W]", 2))
        if weights.shape != (count, count):
            raise ValueError(f"{name} must have shape {[count, count]}, got {list(weights.shape)}")
        if (weights < 0).any() or abs(weights.sum(1) - 1).max() > 1e-3:
            raise ValueError(f"{name} must be positive, each row adding up to 1")
        found.append(weights.round(4).tolist())
    return found
