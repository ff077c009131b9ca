"""Real photographs that ship inside scikit-learn, so that no page needs a network."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F

Name = Literal["china", "flower"]


def photograph(name: Name, height: int, width: int) -> Tensor:
    """A photograph, averaged down to ``height`` × ``width`` pixels.

    Args:
        name: ``"china"`` (a temple roof before a hill) or ``"flower"`` (a dahlia);
            both are 427 × 640 pixels in scikit-learn.
        height, width: size in pixels, at most that of the original.

    Returns:
        ``[3, H, W]`` float32: red, green and blue as stored (sRGB), from 0 to 1.

    Raises:
        ValueError: an unknown name, or a size that is not within the original's.
    """
    if name not in get_args(Name):
        raise ValueError(f"name must be one of {', '.join(get_args(Name))}; got {name!r}")
    original = _load(name)
    _, full_height, full_width = original.shape
    if not (1 <= height <= full_height and 1 <= width <= full_width):
        raise ValueError(
            f"height and width must lie within the original's {full_height} × {full_width} pixels, "
            f"got {height} × {width}"
        )
    small = F.interpolate(original[None], size=(height, width), mode="area")  # [1, 3, H, W]
    return small[0]


@lru_cache
def _load(name: Name) -> Tensor:
    pixels = torch.tensor(load_sample_image(f"{name}.jpg"))  # [H, W, 3], 0..255
    return pixels.permute(2, 0, 1).float() / 255
