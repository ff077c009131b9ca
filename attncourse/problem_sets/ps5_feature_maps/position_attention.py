"""`ps5.position_attention`: DANet's attention between pixels, and a map of what each looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d

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
    Back,
    There,
    Through,
    as_pixels,
    as_tokens,
    by_hand,
    by_rows,
    kernel,
    project,
    reshaped_pixels,
    reshaped_tokens,
    transposed_pixels,
    upright_pixels,
    viewed_tokens,
    whole_numbers,
)


@item("ps5.position_attention", points=3, minutes=20, difficulty="medium")
class PositionAttention:
    """E = α Σ_i softmax_i(B_i·C_j) D_i + A_j, and the weights of each pixel j as a map."""

    returns = ("output", "maps")

    @staticmethod
    def reference(
        x: Tensor, W_b: Tensor, W_c: Tensor, W_d: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor]:
        key, query, value = (pixels_as_tokens(conv2d(x, W)) for W in (W_b, W_c, W_d))
        found, weights = attend(query, key, value, scale=1.0, return_weights=True)
        sizes = x.shape[2:]
        maps = weights.unflatten(2, sizes).unflatten(1, sizes)
        return alpha * tokens_as_pixels(found, *sizes) + x, maps

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        yield case("one pixel: α D + A", draw(2, 5, 1, 1), *_learned(draw, 5), basic=True)
        yield case("a batch", draw(2, 6, 3, 5), *_learned(draw, 6), basic=True, weight=2)
        *kernels, alpha = _learned(draw, 5)
        yield case(
            "α = 0: the map itself, and still what each pixel looks at",
            *(draw(3, 5, 2, 4), *kernels, 0 * alpha),
        )
        yield case("a square map", draw(2, 5, 3, 3), *_learned(draw, 5))
        yield case("one channel, one feature", draw(2, 1, 3, 4), *_learned(draw, 1, d=1))
        *kernels, alpha = _learned(draw, 6)
        large = whole_numbers(draw(2, 6, 2, 5), *kernels)
        yield case("scores in the hundreds", *large, alpha)
        yield case(
            "a map that is not contiguous in memory", draw(3, 5, 4, 2).mT, *_learned(draw, 5)
        )
        yield case(
            "float64, with gradients of the output",
            draw(2, 5, 4, 3, dtype=torch.float64),
            *_learned(draw, 5, dtype=torch.float64),
            gradient=True,
        )

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda *given: _block(*given, weigh=by_hand),
            EXP_OVERFLOWS,
        ),
        wrong(
            "the input is overwritten",
            lambda x, *learned: (
                x.add_((found := _block(x, *learned, out=_not_added))[0]),
                found[1],
            ),
            THE_MAP_IS_OVERWRITTEN,
        ),
        wrong(
            "α is made a number",
            lambda *given: _block(*given, out=lambda found, x, alpha: alpha.item() * found + x),
            "The output is right, but α can never leave its 0: .item(), float(…) and a fresh "
            "nn.Parameter cut it off from what is learned. Multiply by the tensor as it is.",
            variants=[lambda x, W_b, W_c, W_d, alpha: _block(x, W_b, W_c, W_d, alpha.detach())],
        ),
        wrong(
            "no gradient",
            lambda *given: tuple(each.detach() for each in _block(*given)),
            "Output and maps are right, but the gradient of the output is cut: nothing could "
            "learn. Look for .detach(), .data, nn.Parameter(…) around what you were given, or "
            "no_grad. (The maps may be detached: they are looked at.)",
        ),
        wrong(
            "the weights are cut off",
            lambda *given: _block(*given, used=lambda weights: weights.detach()),
            "Output and maps are right, but the gradient is cut at the weights: the convolutions "
            "of B and C never learn. Detach the maps, if you like, but not the weights that the "
            "output is made with.",
            variants=[
                lambda x, W_b, W_c, *rest: _block(x, W_b.detach(), W_c.detach(), *rest),
            ],
        ),
        wrong(
            "squeeze takes an axis of channels too",
            lambda *given: _block(*given, through=SQUEEZED[0]),
            SQUEEZE_DROPS_CHANNELS,
            variants=[
                lambda *given, through=through: _block(*given, through=through)
                for through in SQUEEZED[1:]
            ],
        ),
        wrong(
            "α is started anew",
            lambda *given: _block(
                *given, out=lambda found, x, alpha: torch.zeros_like(alpha) * found + x
            ),
            "Your maps are right, and your output is x itself, whatever α is. Training starts "
            "with α = 0; here α is handed to you with the value it has by now. Use `alpha`, and "
            "start none anew.",
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, *learned: _block(as_pixels(viewed_tokens(x), x), *learned),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "a map of who looks at the pixel",
            lambda *given: _block(*given, maps=lambda weights, x: _maps(weights.mT, x)),
            "Your output is right and the maps are transposed: maps[b, h, w] shows how much every "
            "pixel looks *at* (h, w). Asked for is what (h, w) looks at, so the pixel that asks "
            "comes first; a map's numbers add up to 1.",
        ),
        wrong(
            "the maps are not unfolded",
            lambda *given: _block(*given, maps=lambda weights, x: weights),
            "Your weights are the table [B, H·W, H·W]. As a map for each pixel they are "
            "[B, H, W, H, W]: split both axes of pixels into (H, W).",
        ),
        wrong(
            "one axis of the maps is not unfolded",
            lambda *given: _block(
                *given, maps=lambda weights, x: weights.unflatten(-1, x.shape[2:])
            ),
            "One axis of your maps is still H·W. Split both: the pixels that ask into (H, W), and "
            "the pixels that are asked.",
            variants=[
                lambda *given: _block(
                    *given, maps=lambda weights, x: weights.unflatten(1, x.shape[2:])
                ),
            ],
        ),
        wrong(
            "the maps are split into columns and rows",
            lambda *given: _block(
                *given, maps=lambda weights, x: weights.reshape(len(x), *2 * x.mT.shape[2:])
            ),
            "H and W are swapped in your maps. Pixel (h, w) is token h·W + w, so an axis of H·W "
            "splits into (H, W).",
            variants=[
                lambda *given: _block(
                    *given, maps=lambda weights, x: _maps(weights, x).transpose(1, 2)
                ),
                lambda *given: _block(*given, maps=lambda weights, x: _maps(weights, x).mT),
                lambda *given: _block(
                    *given, maps=lambda weights, x: _maps(weights, x).mT.transpose(1, 2)
                ),
            ],
        ),
        wrong(
            "the maps are scores",
            lambda *given: _block(*given, scores=True),
            "Your maps hold the scores. What a pixel looks at are its weights, after the softmax.",
        ),
        wrong(
            "α in the maps too",
            lambda *given: _block(*given, maps=lambda weights, x: given[-1] * _maps(weights, x)),
            "You multiply the maps by α as well. How a pixel shares out its attention adds up to "
            "1; α says afterwards how much of what it finds is added.",
        ),
        wrong(
            "the output alone",
            lambda *given: _block(*given)[0],
            "One tensor comes back. Return two: `output, maps`.",
            variants=[lambda *given: _block(*given)[1]],
        ),
        wrong(
            "the maps come first",
            lambda *given: _block(*given)[::-1],
            "The two are there, in the other order: the output first, then the maps.",
        ),
        wrong(
            "α is forgotten",
            lambda *given: _block(*given, out=lambda found, x, alpha: found + x),
            "Your output does not depend on α. It stands before what the attention found: α = 0, "
            "where training starts, leaves the map as it is.",
        ),
        wrong(
            "the map is not added",
            lambda *given: _block(*given, out=_not_added),
            "Your output is what the attention found. It is added to the map: `α · … + x`.",
            variants=[lambda *given: _block(*given, out=lambda found, x, alpha: found)],
        ),
        wrong(
            "α before the map",
            lambda *given: _block(*given, out=lambda found, x, alpha: found + alpha * x),
            "α stands before the wrong one, or before both. The map goes through whole; α says how "
            "much of what the attention found is added.",
            variants=[
                lambda *given: _block(*given, out=lambda found, x, alpha: alpha * (found + x)),
                lambda *given: _block(
                    *given, out=lambda found, x, alpha: alpha * found + (1 - alpha) * x
                ),
            ],
        ),
        wrong(
            "query and key swapped",
            lambda x, W_b, W_c, *rest: _block(x, W_c, W_b, *rest),
            "You have B and C the wrong way round. In this paper pixel j asks, with C_j, and pixel "
            "i answers, with the key B_i. The softmax runs over i.",
        ),
        wrong(
            "softmax over the queries",
            lambda *given: _block(*given, weigh=lambda scores: scores.softmax(-2)),
            "Your weights add up to 1 over the pixels that ask. Each pixel j shares out its own "
            "attention among all i: the softmax runs over the axis of B.",
            variants=[
                # (B.mT @ C).softmax(-1), which the paper's letters invite, and D @ that.
                lambda *given: _block(
                    *given,
                    weigh=lambda scores: scores.softmax(-2),
                    maps=lambda weights, x: _maps(weights.mT, x),
                ),
            ],
        ),
        wrong(
            "softmax over the batch",
            lambda *given: _block(*given, weigh=lambda scores: scores.softmax(0)),
            SOFTMAX_OVER_THE_BATCH,
        ),
        wrong(
            "softmax over all pairs",
            lambda *given: _block(
                *given, weigh=lambda scores: scores.flatten(1).softmax(-1).view_as(scores)
            ),
            SOFTMAX_OVER_ALL_PAIRS,
        ),
        wrong(
            "weights by column",
            lambda *given: _block(*given, used=lambda weights: weights.mT),
            "Your maps are right, and the output uses the weights transposed: pixel j gets what "
            "the others give to it. With D as tokens it is `weights @ D`; with channels in front, "
            "D @ weights.mT.",
        ),
        wrong(
            "the output is divided by √d, the maps are not",
            lambda *given: (_block(*given, scale=len(given[1]) ** -0.5)[0], _block(*given)[1]),
            "Your maps are right, and for the output the scores are divided by √d. "
            "`scaled_dot_product_attention` does so unless it is told `scale=1.0`.",
        ),
        wrong(
            "divided by √d",
            lambda *given: _block(*given, scale=len(given[1]) ** -0.5),
            "You divide the scores by √d, or multiply by it. This block has none: B · C goes into "
            "the softmax as it is.",
            variants=[lambda *given: _block(*given, scale=len(given[1]) ** 0.5)],
        ),
        wrong(
            "the values are not projected",
            lambda x, W_b, W_c, W_d, alpha: _block(
                x, W_b, W_c, torch.eye(x.shape[1], dtype=x.dtype)[..., None, None], alpha
            ),
            "You average the map itself. What is averaged is D: the value keeps all C channels, "
            "but has a convolution of its own.",
        ),
        wrong(
            "reshaped without moving the channels",
            lambda *given: _block(*given, there=reshaped_tokens, back=reshaped_pixels),
            TOKENS_MIX_PIXELS,
            variants=[
                lambda *given: _block(*given, there=reshaped_tokens),
                lambda *given: _block(*given, there=reshaped_tokens, there_value=as_tokens),
            ],
        ),
        wrong(
            "folded back without moving the channels",
            lambda *given: _block(*given, back=reshaped_pixels),
            "The maps are right, the output's way back is not. It is [B, H·W, C] there, and a "
            "reshape to [B, C, H, W] deals its numbers out in that order. Transpose first.",
        ),
        wrong(
            "the map comes back transposed",
            lambda *given: _block(*given, back=transposed_pixels),
            "H and W are swapped where you fold the output back, so pixels are added that do not "
            "belong together. The last axis of [B, C, H·W] splits into (H, W).",
            variants=[
                lambda *given: _block(*given, back=upright_pixels),
                lambda *given: _block(
                    *given, back=upright_pixels, out=lambda found, x, alpha: x + alpha * found
                ),
            ],
        ),
    )


def _added(found: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
    return alpha * found + x


def _not_added(found: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
    return alpha * found


def _maps(weights: Tensor, x: Tensor) -> Tensor:
    """[B, H·W, H·W] -> [B, H, W, H, W]"""
    return weights.reshape(len(x), *2 * x.shape[2:])


def _block(
    x: Tensor,
    W_b: Tensor,
    W_c: Tensor,
    W_d: Tensor,
    alpha: Tensor,
    *,
    scale: float = 1.0,
    weigh: Callable[[Tensor], Tensor] = by_rows,
    used: Callable[[Tensor], Tensor] = lambda weights: weights,
    through: Through = project,
    there: There = as_tokens,
    there_value: There | None = None,
    back: Back = as_pixels,
    out: Callable[[Tensor, Tensor, Tensor], Tensor] = _added,
    maps: Callable[[Tensor, Tensor], Tensor] = _maps,
    scores: bool = False,
) -> tuple[Tensor, Tensor]:
    """Right unless told otherwise; `used` is what becomes of the weights for the output alone."""
    ways = (there, there, there_value or there)
    key, query, value = (way(through(x, W)) for way, W in zip(ways, (W_b, W_c, W_d), strict=True))
    table = query @ key.mT * scale
    weights = weigh(table)
    found = back(used(weights) @ value, x)
    return out(found, x, alpha), _maps(table, x) if scores else maps(weights, x)


def _learned(
    draw: Draw, channels: int, d: int = 3, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The kernels of B, C and D, and α."""
    return (
        kernel(draw, d, channels, dtype),
        kernel(draw, d, channels, dtype),
        kernel(draw, channels, channels, dtype),
        torch.tensor(draw.between(1.2, 2.0), dtype=dtype),
    )
