"""`ps5.sagan_attention`: the block that γ lets in, with keys and values pooled or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool1d, max_pool2d

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.feature_maps import pixels_as_tokens, tokens_as_pixels
from attncourse.problem_sets.ps5_feature_maps.common import (
    EXP_OVERFLOWS,
    SOFTMAX_OVER_THE_BATCH,
    SQUEEZE_DROPS_CHANNELS,
    SQUEEZED,
    THE_MAP_IS_OVERWRITTEN,
    TOKENS_MIX_PIXELS,
    VIEW_NEEDS_NEIGHBOURS,
    Through,
    as_pixels,
    attended,
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


@item("ps5.sagan_attention", points=4, minutes=25, difficulty="hard")
class SAGANAttention:
    """γ W_v o + x, o_j = Σ_i softmax_i(f(x_i)·g(x_j)) h(x_i); `pool`: f and h max-pooled 2×2."""

    @staticmethod
    def reference(
        x: Tensor,
        W_f: Tensor,
        W_g: Tensor,
        W_h: Tensor,
        W_v: Tensor,
        gamma: Tensor,
        pool: bool = False,
    ) -> Tensor:
        key, query, value = (conv2d(x, W) for W in (W_f, W_g, W_h))
        if pool:
            key, value = max_pool2d(key, 2), max_pool2d(value, 2)
        o = attend(*map(pixels_as_tokens, (query, key, value)), scale=1.0)
        return gamma * conv2d(tokens_as_pixels(o, *x.shape[2:]), W_v) + x

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        yield case("one pixel: γ W_v h(x) + x", draw(2, 6, 1, 1), *_learned(draw, 6), basic=True)
        yield case("a batch", draw(2, 6, 3, 5), *_learned(draw, 6), basic=True, weight=2)
        yield case(
            "keys and values pooled", draw(3, 5, 4, 6), *_learned(draw, 5), pool=True, weight=2
        )
        *kernels, gamma = _learned(draw, 5)
        yield case("γ = 0: the map itself", draw(3, 5, 2, 4), *kernels, 0 * gamma)
        yield case("every kernel is square", draw(2, 4, 3, 5), *_learned(draw, 4, d=4, d_v=4))
        yield case("one channel, one feature", draw(2, 1, 3, 4), *_learned(draw, 1, d=1, d_v=1))
        *kernels, gamma = _learned(draw, 6)
        yield case("scores in the hundreds", *whole_numbers(draw(2, 6, 2, 5), *kernels), gamma)
        yield case(
            "a map that is not contiguous in memory", draw(2, 5, 4, 3).mT, *_learned(draw, 5)
        )
        yield case(
            "float64, with gradients",
            draw(2, 5, 3, 4, dtype=torch.float64),
            *_learned(draw, 5, dtype=torch.float64),
            gradient=True,
        )
        yield case(
            "float64, with gradients through the pooling",
            draw(2, 5, 2, 6, dtype=torch.float64),
            *_learned(draw, 5, dtype=torch.float64),
            pool=True,
            gradient=True,
        )

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda *given, pool=False: _block(*given, pool=pool, weigh=by_hand),
            EXP_OVERFLOWS,
        ),
        wrong(
            "γ is made a number",
            lambda *given, pool=False: _block(
                *given, pool=pool, out=lambda o, x, gamma: gamma.item() * o + x
            ),
            "The output is right, but γ can never leave its 0: .item(), float(…) and a fresh "
            "nn.Parameter cut it off from what is learned. Multiply by the tensor as it is.",
            variants=[
                lambda *given, pool=False: _block(
                    *given, pool=pool, out=lambda o, x, gamma: gamma.detach() * o + x
                )
            ],
        ),
        wrong(
            "the input is overwritten",
            lambda x, *learned, pool=False: x.add_(_block(x, *learned, pool=pool, out=_not_added)),
            THE_MAP_IS_OVERWRITTEN,
        ),
        wrong(
            "no gradient",
            lambda *given, pool=False: _block(*given, pool=pool).detach(),
            "The output is right, but the gradient is cut: nothing could learn. Look for "
            ".detach(), .data, nn.Parameter(…) around what you were given, or no_grad.",
        ),
        wrong(
            "the weights are cut off",
            lambda *given, pool=False: _block(
                *given, pool=pool, weigh=lambda scores: scores.softmax(-1).detach()
            ),
            "The output is right, but the gradient is cut at the weights: f and g never learn. "
            "Look for .detach(), .data or no_grad around the scores or their softmax.",
            variants=[
                lambda x, W_f, W_g, *rest, pool=False: _block(
                    *(x, W_f.detach(), W_g.detach(), *rest), pool=pool
                ),
            ],
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, *learned, pool=False: _block(
                *(as_pixels(viewed_tokens(x), x), *learned), pool=pool
            ),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "squeeze takes an axis of channels too",
            lambda *given, pool=False: _block(*given, pool=pool, through=SQUEEZED[0]),
            SQUEEZE_DROPS_CHANNELS,
            variants=[
                lambda *given, pool=False, through=through: _block(
                    *given, pool=pool, through=through
                )
                for through in SQUEEZED[1:]
            ],
        ),
        wrong(
            "γ is started anew",
            lambda *given, pool=False: _block(
                *given, pool=pool, out=lambda o, x, gamma: torch.zeros_like(gamma) * o + x
            ),
            "Your result is x itself, whatever γ is. Training starts with γ = 0; here γ is handed "
            "to you with the value it has by now. Use `gamma`, and start none anew.",
        ),
        wrong(
            "the pooling is forgotten",
            lambda *given, pool=False: _block(*given),
            "Your result does not depend on `pool`. Where it is True, f(x) and h(x) are max-pooled "
            "2 × 2, and there are a quarter as many pixels to be asked as pixels that ask.",
        ),
        wrong(
            "always pooled",
            lambda *given, pool=False: _block(*given, pool=True),
            "You pool keys and values in any case. Unless `pool` is True, all pixels are asked.",
        ),
        wrong(
            "pooled before the projection",
            lambda *given, pool=False: _block(*given, pool=pool, pool_x=pool),
            "You pool the map, and then project it. The largest of four projections is not the "
            "projection of the largest: pool f(x) and h(x).",
        ),
        wrong(
            "the mean in place of the largest",
            lambda *given, pool=False: _block(
                *given, pool=pool, pooled=lambda part: avg_pool2d(part, 2)
            ),
            "You take the mean of each square of four pixels. Max-pooling takes, in each channel, "
            "the largest of the four.",
            variants=[
                lambda *given, pool=False: _block(
                    *given, pool=pool, pooled=lambda part: part[..., ::2, ::2]
                ),
            ],
        ),
        wrong(
            "pooled along the list of tokens",
            lambda *given, pool=False: _block(
                *given,
                pool=pool,
                pooled=lambda part: max_pool1d(part.flatten(2), 4).unsqueeze(-1),
            ),
            "You pool runs of four tokens in the list, and such a run is no square of the map. "
            "Pool 2 × 2 while it still is a map, and flatten then.",
        ),
        wrong(
            "the scores are pooled",
            lambda *given, pool=False: _block(*given, pool=pool, pool_key=False, pool_scores=True),
            "You pool the scores in place of the keys. The largest of four scores is that of one "
            "of the four keys; max-pooling makes a new key of them, with the largest number in "
            "each feature, and asks that one. Pool f(x).",
        ),
        wrong(
            "keys are pooled, values are not",
            # torch's complaint is the same whichever of f, g, h and the scores are pooled.
            lambda *given, pool=False: _block(*given, pool=pool, pool_value=False),
            "With `pool` you have not as many weights in a row as values. A key is the label of a "
            "value, so there are as many of one as of the other: pool f(x) and h(x), both in the "
            "same way, and not the query g(x), nor the scores.",
            variants=[lambda *given, pool=False: _block(*given, pool=pool, pool_key=False)],
        ),
        wrong(
            "the queries are pooled too",
            lambda *given, pool=False: _block(*given, pool=pool, pool_query=True),
            "You pool the queries as well, and are left with a quarter of the map. Every pixel "
            "asks; pooled is only what is asked.",
        ),
        wrong(
            "query and key swapped",
            lambda x, W_f, W_g, *rest, pool=False: _block(x, W_g, W_f, *rest, pool=pool),
            "You have f and g the wrong way round. Mind the letters: pixel j asks, with g(x_j), "
            "and pixel i answers, with the key f(x_i). The softmax runs over i.",
            variants=[
                lambda x, W_f, W_g, *rest, pool=False: _block(
                    *(x, W_g, W_f, *rest), pool=pool, pool_query=True, pool_key=False
                ),
            ],
        ),
        wrong(
            "γ is forgotten",
            lambda *given, pool=False: _block(*given, pool=pool, out=lambda o, x, gamma: o + x),
            "Your result does not depend on γ. It stands before what the attention found: γ = 0, "
            "where training starts, leaves the map as it is.",
        ),
        wrong(
            "γ before the map",
            lambda *given, pool=False: _block(
                *given, pool=pool, out=lambda o, x, gamma: o + gamma * x
            ),
            "γ stands before the wrong one. The map goes through whole; γ says how much of what "
            "the attention found is added.",
        ),
        wrong(
            "γ before both",
            lambda *given, pool=False: _block(
                *given, pool=pool, out=lambda o, x, gamma: gamma * (o + x)
            ),
            "You multiply the sum by γ, so that γ = 0 wipes the map out. It stands before what the "
            "attention found, and not before x.",
        ),
        wrong(
            "γ and 1 − γ",
            lambda *given, pool=False: _block(
                *given, pool=pool, out=lambda o, x, gamma: gamma * o + (1 - gamma) * x
            ),
            "You blend: γ of the one and 1 − γ of the other. The map goes through whole, whatever "
            "γ is.",
        ),
        wrong(
            "the map is not added",
            lambda *given, pool=False: _block(*given, pool=pool, out=_not_added),
            "You return what the attention found, times γ. It is added to the map: `+ x`.",
            variants=[
                lambda *given, pool=False: _block(*given, pool=pool, out=lambda o, x, gamma: o),
            ],
        ),
        wrong(
            "γ in the scores",
            lambda *given, pool=False: _block(
                *given,
                pool=pool,
                weigh=lambda scores: (given[-1] * scores).softmax(-1),
                out=lambda o, x, gamma: o + x,
            ),
            "You multiply the scores by γ, as if it were a temperature. It stands outside, before "
            "what the attention found.",
        ),
        wrong(
            "divided by √d",
            lambda *given, pool=False: _block(*given, pool=pool, scale=len(given[1]) ** -0.5),
            "You divide the scores by √d. This block has none: f · g goes into the softmax as it "
            "is.",
            variants=[
                lambda *given, pool=False: _block(*given, pool=pool, scale=len(given[1]) ** 0.5)
            ],
        ),
        wrong(
            "softmax over the queries",
            lambda *given, pool=False: _block(
                *given, pool=pool, weigh=lambda scores: scores.softmax(-2)
            ),
            "Your weights add up to 1 over the pixels that ask. Each pixel j shares out its own "
            "attention among all i: the softmax runs over the axis of f.",
        ),
        wrong(
            "softmax over the batch",
            lambda *given, pool=False: _block(
                *given, pool=pool, weigh=lambda scores: scores.softmax(0)
            ),
            SOFTMAX_OVER_THE_BATCH,
        ),
        wrong(
            "weights by column",
            lambda *given, pool=False: _block(
                *given, pool=pool, weigh=lambda scores: scores.softmax(-1).mT
            ),
            "Your weights are right, and used transposed: pixel j gets what the others give to it. "
            "With h as tokens it is `weights @ h`; with channels in front, h @ weights.mT.",
        ),
        wrong(
            "reshaped without moving the channels",
            lambda *given, pool=False: _block(
                *given, pool=pool, there=reshaped_tokens, back=reshaped_pixels
            ),
            TOKENS_MIX_PIXELS,
            variants=[lambda *given, pool=False: _block(*given, pool=pool, there=reshaped_tokens)],
        ),
        wrong(
            "folded back without moving the channels",
            lambda *given, pool=False: _block(*given, pool=pool, back=reshaped_pixels),
            "The attention is right, the way back to a map is not. o is [B, H·W, d], and a reshape "
            "to [B, d, H, W] deals its numbers out in that order. Transpose to [B, d, H·W] first.",
        ),
        wrong(
            "the map comes back transposed",
            lambda *given, pool=False: _block(*given, pool=pool, back=transposed_pixels),
            "H and W are swapped where you fold o back to a map, so pixels are added that do not "
            "belong together. The last axis of [B, d, H·W] splits into (H, W).",
            variants=[
                lambda *given, pool=False: _block(*given, pool=pool, back=upright_pixels),
                lambda *given, pool=False: _block(
                    *given, pool=pool, back=upright_pixels, out=lambda o, x, gamma: x + gamma * o
                ),
            ],
        ),
        wrong(
            "v taken for the value",
            lambda x, W_f, W_g, W_h, W_v, gamma, pool=False: _block(
                x, W_f, W_g, W_v, W_h, gamma, pool=pool
            ),
            "You have h and v the wrong way round. In this paper h makes the values, and v is the "
            "last convolution, which brings what was found back to C channels.",
        ),
        wrong(
            "W_v is forgotten",
            lambda x, W_f, W_g, W_h, W_v, gamma, pool=False: (
                gamma * _o(x, W_f, W_g, W_h, pool=pool) + x
            ),
            "You add o as it is. W_v stands between: it brings the features of h back to C "
            "channels.",
        ),
    )


def _added(o: Tensor, x: Tensor, gamma: Tensor) -> Tensor:
    return gamma * o + x


def _not_added(o: Tensor, x: Tensor, gamma: Tensor) -> Tensor:
    return gamma * o


def _pooled(part: Tensor) -> Tensor:
    return max_pool2d(part, 2)


def _o(
    x: Tensor,
    W_f: Tensor,
    W_g: Tensor,
    W_h: Tensor,
    *,
    pool: bool = False,
    pooled: Callable[[Tensor], Tensor] = _pooled,
    pool_x: bool = False,
    pool_query: bool = False,
    pool_key: bool = True,
    pool_value: bool = True,
    pool_scores: bool = False,
    through: Through = project,
    weigh: Callable[[Tensor], Tensor] = by_rows,
    **how: Any,
) -> Tensor:
    """What the attention finds, before W_v; `pool_x`: pooled before the projections."""
    asked = _pooled(x) if pool_x else x
    query, key, value = through(x, W_g), through(asked, W_f), through(asked, W_h)
    if pool and not pool_x:
        query = pooled(query) if pool_query else query
        key = pooled(key) if pool_key else key
        value = pooled(value) if pool_value else value
    if pool and pool_scores:
        sizes = x.shape[-2:]
        return attended(
            *(query, key, value),
            weigh=lambda scores: weigh(pooled(scores.unflatten(-1, sizes)).flatten(2)),
            **how,
        )
    return attended(query, key, value, weigh=weigh, **how)


def _block(
    x: Tensor,
    W_f: Tensor,
    W_g: Tensor,
    W_h: Tensor,
    W_v: Tensor,
    gamma: Tensor,
    *,
    pool: bool = False,
    out: Callable[[Tensor, Tensor, Tensor], Tensor] = _added,
    through: Through = project,
    **how: Any,
) -> Tensor:
    """Right unless told otherwise; `how` as in `_o` and `attended`."""
    o = _o(x, W_f, W_g, W_h, pool=pool, through=through, **how)
    return out(through(o, W_v), x, gamma)


def _learned(
    draw: Draw, channels: int, d: int = 3, d_v: int = 7, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The kernels of f, g, h and v, and γ."""
    return (
        kernel(draw, d, channels, dtype),
        kernel(draw, d, channels, dtype),
        kernel(draw, d_v, channels, dtype),
        kernel(draw, channels, d_v, dtype),
        torch.tensor(draw.between(1.2, 2.0), dtype=dtype),
    )
