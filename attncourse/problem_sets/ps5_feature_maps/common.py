"""What several items of the set use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear

from attncourse.checking.random_inputs import Draw

There: TypeAlias = Callable[[Tensor], Tensor]
Back: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Through: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def kernel(draw: Draw, out: int, into: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Of a 1×1 convolution that keeps the variance: [out, into, 1, 1]."""
    return draw(out, into, 1, 1, dtype=dtype) / into**0.5


def whole_numbers(*tensors: Tensor) -> Iterator[Tensor]:
    """Several times as large, and whole: scores in the hundreds that no order of adding changes."""
    # In float32 a score of 300 is known to 3e-5 only, and a weight no better than its score.
    return ((4 * each).round() for each in tensors)


def project(x: Tensor, kernel: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C_out, H, W]"""
    return torch.einsum("oc,bchw->bohw", kernel[:, :, 0, 0], x)


SQUEEZE_DROPS_CHANNELS = (
    "`.squeeze()` drops every axis of size 1. Where a single channel goes in or comes out, that "
    "axis is gone too. Name what you drop: `kernel[:, :, 0, 0]`, or .flatten(1)."
)
SQUEEZED: tuple[Through, ...] = (
    # One mistake, about which each of torch's ways to multiply complains in its own words.
    lambda x, kernel: torch.einsum("oc,bchw->bohw", kernel.squeeze(), x),
    lambda x, kernel: as_pixels(linear(as_tokens(x), kernel.squeeze()), x),
    lambda x, kernel: as_pixels(as_tokens(x) @ kernel.squeeze().T, x),
    lambda x, kernel: as_pixels(as_tokens(x) @ kernel.squeeze().mT, x),
    lambda x, kernel: (kernel.squeeze() @ x.flatten(2)).unflatten(-1, x.shape[-2:]),
)
SOFTMAX_OVER_THE_BATCH = (
    "Your softmax runs along axis 0, over the pictures of the batch. (`torch.nn.functional."
    "softmax` without a `dim` chooses that axis too, where there are three.) A pixel's weights add "
    "up to 1 over the pixels that it asks: `dim=-1`, if those are the last axis."
)
VIEW_NEEDS_NEIGHBOURS = (
    "`.view` needs the pixels to lie one after another in memory, and in a map that was "
    "transposed or cropped they do not. `.flatten(2)` or `.reshape` copies when it must."
)
THE_MAP_IS_OVERWRITTEN = (
    "The output is right, and the map that you were given is overwritten: `x += …` writes "
    "where x lies, and autograd refuses it where x itself is learned. `x + …` makes a new "
    "map."
)
EXP_OVERFLOWS = (
    "exp() of a score above 88 is infinite in float32. Subtract each row's largest score "
    "first, which changes no weight, or use .softmax(-1)."
)
TOKENS_MIX_PIXELS = (
    "The shapes fit, the content does not. A view or a reshape to [B, H·W, d] keeps the "
    "numbers in their order, channel after channel, so your tokens mix pixels. Flatten H and "
    "W to [B, d, H·W], then transpose; on the way back transpose first."
)
SOFTMAX_OVER_ALL_PAIRS = (
    "Your weights add up to 1 over all pairs of pixels. Each pixel that asks has a softmax of "
    "its own, over the pixels that it asks."
)


# ---------------------------------------------------------------- there and back


def as_tokens(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H·W, C]"""
    return x.flatten(2).mT


def as_pixels(tokens: Tensor, like: Tensor) -> Tensor:
    """[B, H·W, C] -> [B, C, H, W], of the height and width of another map."""
    return tokens.mT.unflatten(-1, like.shape[-2:])


def viewed_tokens(x: Tensor) -> Tensor:
    """Right where the memory allows it."""
    return x.view(x.shape[0], x.shape[1], -1).mT


def reshaped_tokens(x: Tensor) -> Tensor:
    """The right shape, and tokens that mix pixels."""
    return x.reshape(x.shape[0], -1, x.shape[1])


def reshaped_pixels(tokens: Tensor, like: Tensor) -> Tensor:
    """The right shape, and channels that mix pixels."""
    return tokens.reshape(len(tokens), -1, *like.shape[-2:])


def square_pixels(tokens: Tensor, like: Tensor) -> Tensor:
    """Right where H = W."""
    side = int(tokens.shape[1] ** 0.5)
    return tokens.mT.reshape(len(tokens), -1, side, side)


def upright_pixels(tokens: Tensor, like: Tensor) -> Tensor:
    """[B, C, W, H], which is no map that was transposed."""
    return tokens.mT.reshape(len(tokens), -1, like.shape[-1], like.shape[-2])


def transposed_pixels(tokens: Tensor, like: Tensor) -> Tensor:
    """The right shape, and columns filled before rows."""
    return upright_pixels(tokens, like).mT


# ---------------------------------------------------------------- attention between pixels


def by_rows(scores: Tensor) -> Tensor:
    return scores.softmax(-1)


def by_hand(scores: Tensor) -> Tensor:
    """What overflows."""
    e = scores.exp()
    return e / e.sum(-1, keepdim=True)


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float = 1.0,
    weigh: Callable[[Tensor], Tensor] = by_rows,
    there: There = as_tokens,
    back: Back = as_pixels,
) -> Tensor:
    """From all pixels of one map to all of another, maps [B, ·, H, W]; right unless told otherwise.

    The scores have no √d.
    """
    scores = there(query) @ there(key).mT * scale
    return back(weigh(scores) @ there(value), query)
