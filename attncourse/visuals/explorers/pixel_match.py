"""Pick a pixel of a photograph, see what matches it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, eight_bits, module_source

MAX_PIXELS = 4096  # a page carries every pixel, and each move compares one with all of them
TEMPERATURES = (2.0**-9, 1.0)  # the slider's ends


class PixelMatch(Explorer):
    """A photograph whose picked pixel is the query and whose every pixel is a key.

    The weights are ``softmax(affinity / temperature)`` over all H·W pixels, with dot product or
    cosine between the pixels' features: the colour (3 numbers) or the colours of the 3 × 3
    neighbourhood (27 numbers; beyond the border the nearest pixel is repeated).

    Args:
        photo: ``[3, H, W]``, floating point, red, green and blue from 0 to 1, with at most 4096
            pixels; stored with 8 bits per number.
        start: row and column of the pixel picked first, counted from 0; the middle when left out.
        affinity: ``"dot"`` or ``"cosine"``.
        features: ``"colour"`` or ``"neighbourhood"``.
        centred: whether each feature's mean over the photograph is subtracted first.
        temperature: what the affinities are divided by, from 1/512 to 1.
        alt: what the photograph shows, in a few words.

    Raises:
        TypeError: ``photo`` is not floating point, or ``start`` is not two integers.
        ValueError: a shape or a value lies outside of the limits above.

    ``pick``, ``affinity``, ``features``, ``centred`` and ``temperature`` follow the reader's hand
    and may be set later; the photograph is fixed.
    """

    explorer = "pixel_match"
    _esm = module_source("pixel_match")

    height = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    pixels = traitlets.Unicode().tag(sync=True)  # base64 of uint8 [H, W, 3]
    alt = traitlets.Unicode().tag(sync=True)
    pick = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)  # row, column
    affinity = traitlets.Enum(("dot", "cosine")).tag(sync=True)
    features = traitlets.Enum(("colour", "neighbourhood")).tag(sync=True)
    centred = traitlets.Bool().tag(sync=True)
    temperature = traitlets.Float(1.0, min=TEMPERATURES[0], max=TEMPERATURES[1]).tag(sync=True)

    def __init__(
        self,
        photo: Any,
        *,
        start: tuple[int, int] | None = None,
        affinity: str = "cosine",
        features: str = "colour",
        centred: bool = False,
        temperature: float = 1.0,
        alt: str = "not described",
    ) -> None:
        rgb = eight_bits("photo", photo, most=MAX_PIXELS)
        _, height, width = rgb.shape
        for name, value, choices in (
            ("affinity", affinity, ("dot", "cosine")),
            ("features", features, ("colour", "neighbourhood")),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {value!r}")
        low, high = TEMPERATURES
        if not low <= temperature <= high:
            raise ValueError(f"temperature must lie between {low} and {high}, got {temperature}")
        super().__init__(
            height=height,
            width=width,
            pixels=base64.b64encode(rgb.transpose(1, 2, 0).tobytes()).decode("ascii"),
            alt=alt,
            pick=_checked_start(start, height, width),
            affinity=affinity,
            features=features,
            centred=centred,
            temperature=float(temperature),
        )

    @traitlets.validate("pick")
    def _pick_is_in_the_photo(self, proposal: Any) -> tuple[int, int]:
        row, column = proposal["value"]
        if not (0 <= row < self.height and 0 <= column < self.width):
            raise ValueError(
                f"pick must be a row below {self.height} and a column below {self.width}, "
                f"counted from 0; got {row, column}"
            )
        return row, column

    def description(self) -> str:
        return (
            f"Interactive figure. Photograph: {self.alt}. Pick a pixel, and see with which weight "
            "it attends to every other, by raw dot product or cosine and at any temperature. "
            "It needs JavaScript."
        )


def _checked_start(start: Any, height: int, width: int) -> tuple[int, int]:
    if start is None:
        return height // 2, width // 2
    if (
        not isinstance(start, tuple | list)
        or len(start) != 2
        or not all(isinstance(n, int | np.integer) for n in start)
    ):
        raise TypeError(f"start must be (row, column), two integers; got {start!r}")
    row, column = int(start[0]), int(start[1])
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"start must be a row below {height} and a column below {width}, counted from 0; "
            f"got {row, column}"
        )
    return row, column
