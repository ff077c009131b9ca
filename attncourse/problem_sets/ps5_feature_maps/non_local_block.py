"""`ps5.non_local_block`: attention between all pixels, added to the map that it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, normalize

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.feature_maps import pixels_as_tokens, tokens_as_pixels
from attncourse.problem_sets.ps5_feature_maps.common import (
    EXP_OVERFLOWS,
    SOFTMAX_OVER_ALL_PAIRS,
    SOFTMAX_OVER_THE_BATCH,
    SQUEEZE_DROPS_CHANNELS,
    SQUEEZED,
    THE_MAP_IS_OVERWRITTEN,
    TOKENS_MIX_PIXELS,
    VIEW_NEEDS_NEIGHBOURS,
    Through,
    as_pixels,
    as_tokens,
    attended,
    by_hand,
    kernel,
    project,
    reshaped_pixels,
    reshaped_tokens,
    square_pixels,
    transposed_pixels,
    upright_pixels,
    viewed_tokens,
    whole_numbers,
)


@item("ps5.non_local_block", points=4, minutes=25, difficulty="hard")
class NonLocalBlock:
    """W_z y + x, y_i = Σ_j softmax_j(θ(x_i)·φ(x_j)) g(x_j): x [B, C, H, W], 1×1 kernels."""

    @staticmethod
    def reference(x: Tensor, W_theta: Tensor, W_phi: Tensor, W_g: Tensor, W_z: Tensor) -> Tensor:
        theta, phi, g = (pixels_as_tokens(conv2d(x, W)) for W in (W_theta, W_phi, W_g))
        y = attend(theta, phi, g, scale=1.0)
        return conv2d(tokens_as_pixels(y, *x.shape[2:]), W_z) + x

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        yield case(
            "one pixel: θ and φ have no say", draw(2, 6, 1, 1), *_kernels(draw, 6, 4, 3), basic=True
        )
        yield case("a batch", draw(2, 6, 3, 5), *_kernels(draw, 6, 4, 7), basic=True, weight=2)
        *projections, W_z = _kernels(draw, 5, 3, 4)
        yield case("W_z = 0: the map itself", draw(3, 5, 2, 4), *projections, 0 * W_z)
        yield case("every kernel is square", draw(2, 4, 3, 5), *_kernels(draw, 4, 4, 4))
        yield case("one channel, one feature", draw(2, 1, 3, 4), *_kernels(draw, 1, 1, 1))
        yield case("as many features as pixels", draw(2, 5, 3, 2), *_kernels(draw, 5, 6, 6))
        yield case(
            "scores in the hundreds",
            *whole_numbers(draw(2, 6, 2, 5), *_kernels(draw, 6, 4, 3)),
        )
        yield case(
            "a map that is not contiguous in memory",
            *(draw(2, 3, 5, 2).mT, *_kernels(draw, 3, 6, 4)),
        )
        yield case(
            "float64, with gradients",
            draw(2, 5, 4, 2, dtype=torch.float64),
            *_kernels(draw, 5, 4, 3, dtype=torch.float64),
            gradient=True,
        )

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda x, *W: _block(x, *W, weigh=by_hand),
            EXP_OVERFLOWS,
        ),
        wrong(
            "the input is overwritten",
            lambda x, *W: x.add_(_block(x, *W, residual=False)),
            THE_MAP_IS_OVERWRITTEN,
        ),
        wrong(
            "no gradient",
            lambda x, *W: x + _block(x, *W, residual=False).detach(),
            "The output is right, but the gradient is cut: no kernel could learn. Look for "
            ".detach(), .data, nn.Parameter(…) around what you were given, or no_grad.",
            variants=[
                lambda x, *W: _block(x, *W).detach(),
                lambda x, *W: _block(x, *(each.detach() for each in W)),
            ],
        ),
        wrong(
            "the weights are cut off",
            lambda x, *W: _block(x, *W, weigh=lambda scores: scores.softmax(-1).detach()),
            "The output is right, but the gradient is cut at the weights: θ and φ never learn. "
            "Look for .detach(), .data or no_grad around the scores or their softmax.",
            variants=[
                lambda x, W_theta, W_phi, *W: _block(x, W_theta.detach(), W_phi.detach(), *W),
            ],
        ),
        wrong(
            "squeeze takes an axis of channels too",
            lambda x, *W: _block(x, *W, through=SQUEEZED[0]),
            SQUEEZE_DROPS_CHANNELS,
            variants=[
                lambda x, *W, through=through: _block(x, *W, through=through)
                for through in SQUEEZED[1:]
            ],
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, *W: _block(as_pixels(viewed_tokens(x), x), *W),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "the map is not added",
            lambda x, *W: _block(x, *W, residual=False),
            "You return W_z y alone. The block adds it to what came in, `+ x`: with W_z = 0, as it "
            "starts, it changes nothing.",
        ),
        wrong(
            "W_z is forgotten",
            lambda x, W_theta, W_phi, W_g, W_z: x + _y(x, W_theta, W_phi, W_g),
            "You add y and x as they are, or return y. W_z stands between: it brings the features "
            "of g back to C channels, and x is added behind it.",
            variants=[
                lambda x, W_theta, W_phi, W_g, W_z: _y(x, W_theta, W_phi, W_g) + x,
                lambda x, W_theta, W_phi, W_g, W_z: project(_y(x, W_theta, W_phi, W_g) + x, W_z),
                lambda x, W_theta, W_phi, W_g, W_z: _y(x, W_theta, W_phi, W_g),
            ],
        ),
        wrong(
            "pooled and divided by √d",
            lambda x, *W: _pooled(x, *W, scale=len(W[0]) ** -0.5),
            "This is the published code: there keys and values are max-pooled and the scores "
            "divided by √d. The formula here does neither. Every pixel answers every pixel, with "
            "θ · φ as it is.",
            variants=[lambda x, *W: _pooled(x, *W, scale=len(W[0]) ** -0.5, before=True)],
        ),
        wrong(
            "keys and values are pooled",
            lambda x, *W: _pooled(x, *W),
            "You pool keys and values. Published code of this block does so to save work; here j "
            "runs over all pixels.",
            variants=[lambda x, *W: _pooled(x, *W, before=True)],
        ),
        wrong(
            "multiplied by √d",
            lambda x, *W: _block(x, *W, scale=len(W[0]) ** 0.5),
            "You multiply the scores by √d. `scores / d ** -0.5` does that, where `* d ** -0.5` "
            "was meant; a well-known detection library once shipped this very slip. And this block "
            "has no √d at all: the scores are θ · φ as they are.",
        ),
        wrong(
            "divided by √d",
            lambda x, *W: _block(x, *W, scale=len(W[0]) ** -0.5),
            "You divide the scores by √d. That is the Transformer, and the published code of this "
            "block too; the formula here has none. Use θ · φ as it is.",
            variants=[
                lambda x, *W: _block(x, *W, scale=1 / len(W[0])),
                lambda x, *W: _block(x, *W, scale=x.shape[1] ** -0.5),
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda x, *W: _block(x, *W, weigh=lambda scores: scores.softmax(-2)),
            "Your weights add up to 1 down each key's column. It is each pixel that asks, i, that "
            "shares out its attention among all j: take the softmax over the axis of φ.",
        ),
        wrong(
            "weights by column",
            lambda x, *W: _block(x, *W, weigh=lambda scores: scores.softmax(-1).mT),
            "Your weights are right, and used transposed: pixel i gets what the others give to it. "
            "With g as tokens it is `weights @ g`; with channels in front, g @ weights.mT.",
        ),
        wrong(
            "softmax over the batch",
            lambda x, *W: _block(x, *W, weigh=lambda scores: scores.softmax(0)),
            SOFTMAX_OVER_THE_BATCH,
        ),
        wrong(
            "softmax over all pairs",
            lambda x, *W: _block(
                x, *W, weigh=lambda scores: scores.flatten(1).softmax(-1).view_as(scores)
            ),
            SOFTMAX_OVER_ALL_PAIRS,
        ),
        wrong(
            "no softmax",
            lambda x, *W: _block(x, *W, weigh=lambda scores: scores / scores.shape[-1]),
            "You average without a softmax. That is another form of the block, the dot product "
            "divided by the number of pixels; the embedded Gaussian has the softmax.",
            variants=[lambda x, *W: _block(x, *W, weigh=lambda scores: scores)],
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x, *W: _block(x, *W, there=reshaped_tokens, back=reshaped_pixels),
            TOKENS_MIX_PIXELS,
            variants=[
                lambda x, *W: _block(x, *W, there=reshaped_tokens),
                lambda x, *W: x + _block(as_pixels(reshaped_tokens(x), x), *W, residual=False),
                lambda x, *W: (
                    x
                    + _block(
                        *(as_pixels(reshaped_tokens(x), x), *W),
                        residual=False,
                        back=reshaped_pixels,
                    )
                ),
            ],
        ),
        wrong(
            "folded back without moving the channels",
            lambda x, *W: _block(x, *W, back=reshaped_pixels),
            "The attention is right, the way back to a map is not. y is [B, H·W, d], and a reshape "
            "to [B, d, H, W] deals its numbers out in that order. Transpose to [B, d, H·W] first.",
        ),
        wrong(
            "a square map is taken for granted",
            lambda x, *W: _block(x, *W, back=square_pixels),
            "You take the root of the number of pixels for height and width. That is right for a "
            "square map alone: H and W are `x.shape[2]` and `x.shape[3]`.",
        ),
        wrong(
            "the map comes back transposed",
            lambda x, *W: _block(x, *W, back=transposed_pixels),
            "H and W are swapped where you fold y back to a map, so pixels are added that do not "
            "belong together. The last axis of [B, d, H·W] splits into (H, W).",
            variants=[
                lambda x, *W: _block(x, *W, back=upright_pixels),
                lambda x, *W: x + _block(x, *W, back=upright_pixels, residual=False),
            ],
        ),
        wrong(
            "query and key swapped",
            lambda x, W_theta, W_phi, *W: _block(x, W_phi, W_theta, *W),
            "You have θ and φ the wrong way round. θ(x_i) is the query of the pixel that asks, "
            "φ(x_j) the key of the one that is asked.",
            variants=[
                # The scores as [key, query], with a softmax over the queries and then by column.
                lambda x, *W: _block(x, *W, weigh=lambda scores: scores.mT.softmax(-1)),
            ],
        ),
        wrong(
            "one kernel for query and key",
            lambda x, W_theta, W_phi, *W: _block(x, W_theta, W_theta, *W),
            "Query and key are made with the same kernel. θ has W_theta, φ has W_phi.",
            variants=[lambda x, W_theta, W_phi, *W: _block(x, W_phi, W_phi, *W)],
        ),
        wrong(
            "θ and φ are left out",
            lambda x, W_theta, W_phi, W_g, W_z: project(attended(x, x, project(x, W_g)), W_z) + x,
            "You compare the pixels of the map as they came. The scores are between what θ and φ "
            "make of them.",
        ),
        wrong(
            "the kernels are transposed",
            lambda x, *W: _block(x, *W, through=_transposed),
            "You use the kernels the wrong way round. Their rows are the channels that come out, "
            "as in `nn.Linear`: for tokens [B, H·W, C_in] it is `tokens @ W.mT`.",
            variants=[
                lambda x, *W: _block(
                    *(x, *W), through=lambda x, kernel: _transposed(x, kernel, contiguous=True)
                ),
            ],
        ),
        wrong(
            "channels attend to channels",
            lambda x, W_theta, W_phi, W_g, W_z: (
                project(
                    (
                        (project(x, W_theta).flatten(2) @ project(x, W_phi).flatten(2).mT).softmax(
                            -1
                        )
                        @ project(x, W_g).flatten(2)
                    ).unflatten(-1, x.shape[2:]),
                    W_z,
                )
                + x
            ),
            "Your scores are [d, d]: channels ask channels. The pixels are the tokens here, so the "
            "scores are [H·W, H·W]: the product sums over the channels.",
        ),
        wrong(
            "the values are not projected",
            lambda x, W_theta, W_phi, W_g, W_z: (
                project(attended(project(x, W_theta), project(x, W_phi), x), W_z) + x
            ),
            "You average the map itself, or its keys. What is averaged is g(x).",
            variants=[
                lambda x, W_theta, W_phi, W_g, W_z: _block(x, W_theta, W_phi, W_phi, W_z),
            ],
        ),
        wrong(
            "cosine",
            lambda x, W_theta, W_phi, W_g, W_z: (
                project(
                    attended(
                        normalize(project(x, W_theta)),
                        normalize(project(x, W_phi)),
                        project(x, W_g),
                    ),
                    W_z,
                )
                + x
            ),
            "You normalise θ and φ. The scores are their dot product, lengths and all.",
        ),
    )


def _y(
    x: Tensor,
    W_theta: Tensor,
    W_phi: Tensor,
    W_g: Tensor,
    *,
    through: Through = project,
    **how: Any,
) -> Tensor:
    """The average before W_z; `how` as in `attended`."""
    maps = (through(x, W) for W in (W_theta, W_phi, W_g))
    return attended(*maps, **how)


def _pooled(
    x: Tensor,
    W_theta: Tensor,
    W_phi: Tensor,
    W_g: Tensor,
    W_z: Tensor,
    *,
    scale: float = 1.0,
    before: bool = False,
) -> Tensor:
    """As published; `before`: pooled before the projections."""
    if before:
        key, value = (project(max_pool2d(x, 2), W) for W in (W_phi, W_g))
    else:
        key, value = (max_pool2d(project(x, W), 2) for W in (W_phi, W_g))
    return project(attended(project(x, W_theta), key, value, scale=scale), W_z) + x


def _transposed(x: Tensor, kernel: Tensor, *, contiguous: bool = False) -> Tensor:
    # Of sizes that do not fit torch speaks in other words where the memory is in order.
    tokens = as_tokens(x).contiguous() if contiguous else as_tokens(x)
    return as_pixels(tokens @ kernel[:, :, 0, 0], x)


def _block(
    x: Tensor,
    W_theta: Tensor,
    W_phi: Tensor,
    W_g: Tensor,
    W_z: Tensor,
    *,
    residual: bool = True,
    through: Through = project,
    **how: Any,
) -> Tensor:
    """Right unless told otherwise; `how` as in `attended`."""
    z = through(_y(x, W_theta, W_phi, W_g, through=through, **how), W_z)
    return z + x if residual else z


def _kernels(
    draw: Draw, channels: int, d: int, d_v: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of θ, φ, g and W_z."""
    return (
        kernel(draw, d, channels, dtype),
        kernel(draw, d, channels, dtype),
        kernel(draw, d_v, channels, dtype),
        kernel(draw, channels, d_v, dtype),
    )
