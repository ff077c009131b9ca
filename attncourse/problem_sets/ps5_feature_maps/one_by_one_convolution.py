"""`ps5.one_by_one_convolution`: one linear map, applied to every pixel."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps5_feature_maps.common import (
    SQUEEZE_DROPS_CHANNELS,
    VIEW_NEEDS_NEIGHBOURS,
    There,
    as_pixels,
    as_tokens,
    kernel,
    reshaped_pixels,
    reshaped_tokens,
    transposed_pixels,
    upright_pixels,
    viewed_tokens,
)


@item("ps5.one_by_one_convolution", points=2, minutes=10, difficulty="easy")
class OneByOneConvolution:
    """A 1×1 convolution: x [B, C_in, H, W], kernel [C_out, C_in, 1, 1], bias [C_out] or None."""

    @staticmethod
    def reference(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return conv2d(x, kernel, bias)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one = (draw(2, 3, 1, 1), kernel(draw, 4, 3))
        yield case("one pixel: a matrix times a vector", *one, basic=True)
        yield case("a batch", draw(2, 3, 4, 5), kernel(draw, 6, 3), draw(6), basic=True, weight=2)
        yield case("no bias", draw(3, 2, 5, 4), kernel(draw, 7, 2), basic=True)
        yield case(
            "as many channels out as in, and as many columns",
            *(draw(2, 4, 3, 4), kernel(draw, 4, 4), draw(4)),
        )
        yield case("one channel comes out", draw(2, 3, 4, 5), kernel(draw, 1, 3), draw(1))
        yield case(
            "a map that is not contiguous in memory",
            *(draw(2, 3, 5, 4).mT, kernel(draw, 6, 3), draw(6)),
        )
        yield case(
            "float64",
            draw(2, 3, 2, 4, dtype=torch.float64),
            kernel(draw, 5, 3, torch.float64),
            draw(5, dtype=torch.float64),
        )
        yield case("gradients", draw(2, 3, 4, 5), kernel(draw, 6, 3), draw(6), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda x, kernel, bias=None: _apply(x, kernel, bias).detach(),
            "The values are right, but the gradient is cut: neither the map nor the kernel nor the "
            "bias gets any. Look for .detach(), .data, .numpy(), torch.tensor(…) or no_grad.",
        ),
        wrong(
            "the kernel is cut off",
            lambda x, kernel, bias=None: _apply(x, kernel.detach(), bias),
            "The values are right, but the kernel gets no gradient, or kernel and bias get none: "
            "they could not learn. `nn.Parameter(kernel)`, as in a layer made anew, has the same "
            "numbers and knows nothing of the kernel you were given; so it is with .detach() and "
            ".data. Use the tensor as it is, in `conv2d` for instance.",
            variants=[
                lambda x, kernel, bias=None: _apply(
                    x, kernel.detach(), None if bias is None else bias.detach()
                ),
            ],
        ),
        wrong(
            "the bias is cut off",
            lambda x, kernel, bias=None: _apply(x, kernel, None if bias is None else bias.detach()),
            "The values are right, but the bias gets no gradient, so it could not learn. Look for "
            ".detach(), .data, torch.tensor(…) or nn.Parameter(…) around it.",
        ),
        wrong(
            "the map is cut off",
            lambda x, kernel, bias=None: _apply(x.detach(), kernel, bias),
            "The values are right, but the map gets no gradient, so nothing before this "
            "convolution could learn. Look for .detach(), .data or torch.tensor(…) around `x`.",
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, kernel, bias=None: _apply(x, kernel, bias, there=viewed_tokens),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "squeeze takes an axis of channels too",
            lambda x, kernel, bias=None: (
                torch.einsum("oc,bchw->bohw", kernel.squeeze(), x) + _along_channels(bias)
            ),
            SQUEEZE_DROPS_CHANNELS,
            variants=[
                lambda x, kernel, bias=None: linear(
                    x.movedim(1, -1), kernel.squeeze(), bias
                ).movedim(-1, 1),
                lambda x, kernel, bias=None: (
                    (as_tokens(x) @ kernel.squeeze().mT).mT.unflatten(-1, x.shape[-2:])
                    + _along_channels(bias)
                ),
            ],
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x, kernel, bias=None: reshaped_pixels(
                _tokens(x, kernel, bias, there=reshaped_tokens), x
            ),
            "The shape is right, the content is not. A reshape to [B, H·W, C] keeps the numbers in "
            "their order, in which a whole channel comes before the next, so the kernel is applied "
            "to pieces of one channel. Flatten H and W first, then transpose; and the other way "
            "round on the way back.",
            variants=[
                lambda x, kernel, bias=None: as_pixels(
                    _tokens(x, kernel, bias, there=reshaped_tokens), x
                ),
                lambda x, kernel, bias=None: reshaped_pixels(_tokens(x, kernel, bias), x),
            ],
        ),
        wrong(
            "the map comes back transposed",
            lambda x, kernel, bias=None: transposed_pixels(_tokens(x, kernel, bias), x),
            "H and W are swapped in your result. A 1×1 convolution moves no pixel: pixel (h, w) of "
            "the output is made of pixel (h, w) of the input.",
            variants=[
                lambda x, kernel, bias=None: upright_pixels(_tokens(x, kernel, bias), x),
                lambda x, kernel, bias=None: _apply(x, kernel, bias).mT,
            ],
        ),
        wrong(
            "the bias is added along the width",
            lambda x, kernel, bias=None: (
                _apply(x, kernel) if bias is None else _apply(x, kernel) + bias
            ),
            "`+ bias` lines up the last axes, so each column of the map gets a number of its own, "
            "or torch refuses. The bias belongs to the channels: `bias[:, None, None]`.",
        ),
        wrong(
            "the bias is added along the height",
            lambda x, kernel, bias=None: (
                _apply(x, kernel) if bias is None else _apply(x, kernel) + bias[:, None]
            ),
            "`+ bias[:, None]` lines up with height and width, so each row of the map gets a "
            "number of its own, or torch refuses. It is right for [B, C_out, H·W]; a map has one "
            "axis more behind the channels: `bias[:, None, None]`.",
        ),
        wrong(
            "the bias is forgotten",
            lambda x, kernel, bias=None: _apply(x, kernel),
            "Your result does not depend on the bias. It is one number for each channel that comes "
            "out, added at every pixel.",
        ),
        wrong(
            "the kernel is transposed",
            lambda x, kernel, bias=None: _apply(x, kernel.mT.transpose(0, 1), bias),
            "You use the kernel the wrong way round. Its rows are the channels that come out, as "
            "in `nn.Linear`: for tokens [B, H·W, C_in] it is `tokens @ W.mT`.",
            variants=[
                lambda x, kernel, bias=None: as_pixels(
                    as_tokens(x) @ kernel[:, :, 0, 0] + (0 if bias is None else bias), x
                ),
                lambda x, kernel, bias=None: (
                    torch.einsum("co,bchw->bohw", kernel[:, :, 0, 0], x) + _along_channels(bias)
                ),
            ],
        ),
        wrong(
            "the matrix is applied along the width",
            lambda x, kernel, bias=None: linear(x, kernel[:, :, 0, 0], bias),
            "You apply the matrix to the map as it lies. `linear` and `@` take the last axes for "
            "the features, and in a map those are height and width; the channels are axis 1. Move "
            "them to the back first, or flatten the pixels to [B, C_in, H·W] and put the matrix "
            "in front.",
            variants=[
                lambda x, kernel, bias=None: x @ kernel[:, :, 0, 0].mT + _along_channels(bias),
                lambda x, kernel, bias=None: kernel[:, :, 0, 0] @ x + _along_channels(bias),
            ],
        ),
        wrong(
            "channels last",
            lambda x, kernel, bias=None: _apply(x, kernel, bias).movedim(1, -1),
            "Your channels stand last, [B, H, W, C_out], where `@` and `linear` want them. A map "
            "has them right behind the batch: `.movedim(-1, 1)`.",
        ),
        wrong(
            "left as tokens",
            lambda x, kernel, bias=None: _tokens(x, kernel, bias),
            "H and W are still one axis. A map is wanted, [B, C_out, H, W]: transpose, then "
            "`.unflatten(-1, (H, W))`.",
            variants=[lambda x, kernel, bias=None: _apply(x, kernel, bias).flatten(2)],
        ),
        wrong(
            "the channels are averaged",
            lambda x, kernel, bias=None: _apply(x, kernel) / x.shape[1] + _along_channels(bias),
            "You take the mean over the input's channels. A linear map takes their weighted sum.",
        ),
    )


def _along_channels(bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None else bias[:, None, None]


def _tokens(
    x: Tensor, kernel: Tensor, bias: Tensor | None = None, *, there: There = as_tokens
) -> Tensor:
    return linear(there(x), kernel[:, :, 0, 0], bias)


def _apply(
    x: Tensor, kernel: Tensor, bias: Tensor | None = None, *, there: There = as_tokens
) -> Tensor:
    """Right unless told otherwise."""
    return as_pixels(_tokens(x, kernel, bias, there=there), x)
