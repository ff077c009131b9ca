"""Attention on feature maps ``[B, C, H, W]``: pixels are the tokens, channels their features."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from attncourse.attention import cosine_affinity, dot_affinity


def pixels_as_tokens(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` -> ``[B, H·W, C]``: one token for each pixel, row by row.

    Pixel (h, w) becomes token ``h·W + w``. The result is a view where that is possible.

    Raises:
        TypeError: ``x`` is no tensor.
        ValueError: ``x`` has not four dimensions.
    """
    _check_dimensions("x", x, "[B, C, H, W]", 4)
    return x.flatten(2).transpose(1, 2)


def tokens_as_pixels(tokens: Tensor, height: int, width: int) -> Tensor:
    """``[B, H·W, C]`` -> ``[B, C, H, W]``: the inverse of :func:`pixels_as_tokens`.

    Args:
        tokens: ``[B, H·W, C]``.
        height, width: H and W in pixels.

    Raises:
        TypeError: ``tokens`` is no tensor, ``height`` or ``width`` is no whole number.
        ValueError: ``tokens`` has not three dimensions, or not ``height × width`` tokens.
    """
    _check_dimensions("tokens", tokens, "[B, H·W, C]", 3)
    for name, size in (("height", height), ("width", width)):
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} must be a whole number of pixels, got {size!r}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1 pixel, got {size}")
    if tokens.shape[1] != height * width:
        raise ValueError(
            f"tokens must have height × width = {height} × {width} = {height * width} tokens, "
            f"got {list(tokens.shape)}"
        )
    return tokens.transpose(1, 2).unflatten(2, (height, width))


def pixel_affinity(x: Tensor, *, affinity: Literal["cosine", "dot"] = "cosine") -> Tensor:
    """How alike every two pixels of a feature map are, before anything is learned.

    Args:
        x: ``[B, C, H, W]``, floating point.
        affinity: ``"cosine"`` or ``"dot"``.

    Returns:
        ``[B, H·W, H·W]``; row ``h·W + w`` belongs to pixel (h, w).

    Raises:
        TypeError, ValueError: as :func:`pixels_as_tokens` and
            :func:`attncourse.attention.cosine_affinity`; or an unknown affinity.
    """
    try:
        compare = {"cosine": cosine_affinity, "dot": dot_affinity}[affinity]
    except (KeyError, TypeError):
        raise ValueError(f"affinity must be 'cosine' or 'dot', got {affinity!r}") from None
    return compare(pixels_as_tokens(x))


def _check_dimensions(name: str, x: Tensor, shape: str, dimensions: int) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape {shape}, got {type(x).__name__}")
    if x.ndim != dimensions:
        raise ValueError(f"{name} must have shape {shape}, got {list(x.shape)}")
