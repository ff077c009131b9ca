"""The items of problem set 1: similarity, and attention that uses nothing else.

A lambda per misconception keeps the wrong programs beside the sentences they earn. In every
batch all sizes differ, so that a swapped axis shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize, scaled_dot_product_attention

from attncourse.attention import attend, attention_weights, cosine_affinity
from attncourse.feature_maps import pixel_affinity, pixels_as_tokens
from attncourse.grading.declaring import Case, Draw, case, item, wrong


@item("ps1.cosine_affinity", points=3, minutes=15, difficulty="easy")
class CosineAffinity:
    """Cosines of the rows of x and y: [..., T_q, D], [..., T_k, D] -> [..., T_q, T_k]."""

    reference = cosine_affinity

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[3.0, 4.0, 0.0], [0.0, 2.0, 0.0]])  # lengths 5 and 2, cosine 0.8
        with_zero = draw(2, 4, 3)
        with_zero[1, 2] = 0
        yield case("two vectors that can be done by hand", by_hand, core=True)
        yield case("a batch against itself", draw(2, 5, 7), core=True)
        yield case("x against a y of another length", draw(2, 3, 6), draw(2, 4, 6), weight=2)
        yield case("no batch dimension", draw(4, 6), draw(3, 6))
        yield case("two batch dimensions", draw(2, 3, 4, 5))
        yield case("a zero vector: 0, not NaN", with_zero)
        yield case("vectors of length 0.001: the angle is what counts", 1e-3 * draw(3, 5))
        yield case("float64", draw(2, 3, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 5), draw(2, 4, 5), gradient=True)

    misconceptions = (
        wrong(
            "NaN for a zero vector",
            lambda x, y=None: (
                (x / x.norm(dim=-1, keepdim=True))
                @ ((y := x if y is None else y) / y.norm(dim=-1, keepdim=True)).mT
            ),
            "A zero vector has length 0, and 0 / 0 is NaN. It has no direction, so let its cosine "
            "with anything be 0: keep the length that you divide by away from zero, for instance "
            "with .clamp_min(1e-12).",
        ),
        wrong(
            "a constant added to the length",
            lambda x, y=None: _unit_plus(x, 1e-6) @ _unit_plus(x if y is None else y, 1e-6).mT,
            "Adding a constant to the length changes every cosine a little, and those of short "
            "vectors a lot. Divide by max(length, ε) instead, as in .clamp_min(1e-12): that "
            "touches zero vectors alone.",
            also=[
                lambda x, y=None: _unit_plus(x, 1e-5) @ _unit_plus(x if y is None else y, 1e-5).mT,
                lambda x, y=None: _unit_plus(x, 1e-4) @ _unit_plus(x if y is None else y, 1e-4).mT,
                lambda x, y=None: _unit_plus(x, 1e-8) @ _unit_plus(x if y is None else y, 1e-8).mT,
                lambda x, y=None: (
                    (x @ (x if y is None else y).mT)
                    / (_lengths(x) * _lengths(x if y is None else y).mT + 1e-6)
                ),
                lambda x, y=None: (
                    (x @ (x if y is None else y).mT)
                    / (_lengths(x) * _lengths(x if y is None else y).mT + 1e-8)
                ),
            ],
        ),
        wrong(
            "the length is cut out of the gradient",
            lambda x, y=None: (
                (x / _lengths(x).detach().clamp_min(1e-12))
                @ ((y := x if y is None else y) / _lengths(y).detach().clamp_min(1e-12)).mT
            ),
            "The values are right, the gradients are not: the length is treated as a constant. It "
            "depends on x too, so leave it in the graph: no .detach() and no no_grad around it.",
        ),
        wrong(
            "the input is changed",
            lambda x, y=None: _unit_in_place(x) @ (x if y is None else _unit_in_place(y)).mT,
            "Your function changes the tensor it was given. `x /= …` writes into x itself, and "
            "whoever called you still needs it: write `x = x / …`, which makes a new tensor.",
        ),
        wrong(
            "y is forgotten",
            lambda x, y=None: normalize(x, dim=-1) @ normalize(x, dim=-1).mT,
            "You compare x with itself even if y is given. The columns belong to y: "
            "only when y is None does x take its place.",
        ),
        wrong(
            "x and y swapped",
            lambda x, y=None: normalize(x if y is None else y, dim=-1) @ normalize(x, dim=-1).mT,
            "Your result is transposed. Rows belong to x and columns to y: "
            "[..., T_q, D] times [..., D, T_k] gives [..., T_q, T_k].",
        ),
        wrong(
            "only one side has length 1",
            lambda x, y=None: normalize(x, dim=-1) @ (x if y is None else y).mT,
            "Only one of the two sides is divided by its length. The cosine divides by both: "
            "the length of each row of x and the length of each row of y.",
            also=[lambda x, y=None: x @ normalize(x if y is None else y, dim=-1).mT],
        ),
        wrong(
            "no division by the lengths",
            lambda x, y=None: x @ (x if y is None else y).mT,
            "This is the plain dot product, which grows with the lengths of the vectors. "
            "Divide each vector by its length first.",
        ),
        wrong(
            "divided by the squared length",
            lambda x, y=None: (
                (x / x.square().sum(-1, keepdim=True).clamp_min(1e-24))
                @ (
                    (y := x if y is None else y) / y.square().sum(-1, keepdim=True).clamp_min(1e-24)
                ).mT
            ),
            "You divide by the sum of squares, which is the length squared. Take its square root, "
            "or use .norm(dim=-1, keepdim=True).",
        ),
        wrong(
            "normalised over the tokens",
            lambda x, y=None: normalize(x, dim=-2) @ normalize(x if y is None else y, dim=-2).mT,
            "Your lengths are taken along the tokens. One vector is one row, so its length runs "
            "over the last axis, the features: dim=-1.",
        ),
        wrong(
            "one length for the whole tensor",
            lambda x, y=None: (x / x.norm()) @ ((y := x if y is None else y) / y.norm()).mT,
            "You divide everything by one number, the length of the whole tensor. Every row has a "
            "length of its own: .norm(dim=-1, keepdim=True) has the shape [..., T, 1].",
        ),
        wrong(
            "the cosine distance",
            lambda x, y=None: 1 - _cosine(x, y),
            "This is 1 − cosine, a distance: 0 for the same direction. Affinity is the cosine "
            "itself: 1 for the same direction.",
        ),
        wrong(
            "squeezed into 0 to 1",
            lambda x, y=None: (1 + _cosine(x, y)) / 2,
            "You map the cosine to the range from 0 to 1. Leave it between −1 and 1: opposite "
            "vectors have affinity −1.",
        ),
    )


def _cosine(x: Tensor, y: Tensor | None = None) -> Tensor:
    return normalize(x, dim=-1) @ normalize(x if y is None else y, dim=-1).mT


def _lengths(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def _unit_plus(x: Tensor, constant: float) -> Tensor:
    return x / (_lengths(x) + constant)


def _unit_in_place(x: Tensor) -> Tensor:
    x /= _lengths(x).clamp_min(1e-12)
    return x


@item("ps1.pixels_as_tokens", points=2, minutes=10, difficulty="easy")
class PixelsAsTokens:
    """Each pixel of a feature map as one token, row by row: [B, C, H, W] -> [B, H·W, C]."""

    reference = pixels_as_tokens

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        numbered = torch.arange(2.0 * 3 * 4).view(1, 2, 3, 4)
        yield case("numbered pixels, batch of one", numbered, core=True)
        yield case("a batch", draw(2, 3, 4, 5), core=True, weight=2)
        yield case("a square map, where a swap of H and W has the right shape", draw(2, 3, 4, 4))
        yield case("a map of one pixel", draw(3, 5, 1, 1))
        yield case("a map that is not contiguous in memory", draw(2, 5, 4, 3).permute(0, 3, 2, 1))
        yield case("float64", draw(2, 3, 2, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 4, 5), gradient=True)

    misconceptions = (
        wrong(
            "view where the memory is not contiguous",
            lambda x: x.view(x.shape[0], x.shape[1], -1).mT,
            "`.view` needs the pixels to lie one after another in memory, and an earlier permute "
            "or transpose may have changed that. `.flatten(2)` or `.reshape` copies when it must.",
        ),
        wrong(
            "leaves torch on the way",
            lambda x: torch.from_numpy(
                x.detach().numpy().transpose(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1]).copy()
            ),
            "The values are right, but the way through numpy (or .detach()) cuts the gradient: "
            "nothing before this function could learn. Rearrange the axes with torch.",
            also=[lambda x: x.detach().flatten(2).mT],
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x: x.reshape(x.shape[0], -1, x.shape[1]),
            "The shape is right, the content is not. A reshape keeps the order of the numbers, in "
            "which a whole channel comes before the next, so your tokens mix pixels. Flatten H and "
            "W to [B, C, H·W] first, then transpose.",
        ),
        wrong(
            "columns before rows",
            lambda x: x.permute(0, 3, 2, 1).flatten(1, 2),
            "H and W are swapped: your tokens run down the columns. Pixel (h, w) is token "
            "h·W + w, so W must be the faster of the two: put the axes in the order B, H, W, C.",
        ),
        wrong(
            "channels first",
            lambda x: x.flatten(2),
            "This is [B, C, H·W]: each row is a channel. A token is a pixel with all its "
            "channels, so one transpose of the last two axes is missing.",
        ),
        wrong(
            "height and width kept apart",
            lambda x: x.permute(0, 2, 3, 1),
            "You have [B, H, W, C], with the channels in the right place. Merge H and W into one "
            "axis of tokens.",
        ),
        wrong(
            "the batch is swallowed",
            lambda x: x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]),
            "All images ended up in one long list [B·H·W, C]. Pixels of different images must not "
            "meet: keep B as the first axis.",
        ),
        wrong(
            "batch and channel swapped",
            lambda x: x.permute(1, 2, 3, 0).flatten(1, 2),
            "You moved the batch to the back and kept the channels in front. It is the other way "
            "round: B stays first, C comes last.",
        ),
    )


@item("ps1.pixel_affinity", points=3, minutes=15, difficulty="medium")
class PixelAffinity:
    """The cosine of every pixel with every other: [B, C, H, W] -> [B, H·W, H·W]."""

    reference = pixel_affinity

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        red_and_grey = torch.tensor([[[[1.0, 2.0, 1.0]], [[0.0, 0.0, 1.0]]]])  # [1, 2, 1, 3]
        with_black = draw(2, 3, 2, 4)
        with_black[1, :, 1, 2] = 0
        yield case("three pixels that can be done by hand", red_and_grey, core=True)
        yield case("a batch", draw(2, 3, 4, 5), core=True, weight=2)
        yield case("a square map, where a swap of H and W has the right shape", draw(2, 3, 4, 4))
        yield case("as many channels as pixels", draw(2, 6, 2, 3))
        yield case("a black pixel: 0, not NaN", with_black)
        yield case("float64", draw(2, 3, 2, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 2, 4), gradient=True)

    misconceptions = (
        wrong(
            "NaN for a black pixel",
            lambda x: (u := (t := _tokens(x)) / t.norm(dim=-1, keepdim=True)) @ u.mT,
            "A black pixel has length 0, and 0 / 0 is NaN. Keep the length that you divide by away "
            "from zero, for instance with .clamp_min(1e-12): its cosine with any pixel is then 0.",
        ),
        wrong(
            "a constant added to the length",
            lambda x: (u := _unit_plus(_tokens(x), 1e-6)) @ u.mT,
            "Adding a constant to the length changes every cosine a little, and those of dark "
            "pixels a lot. Divide by max(length, ε) instead, as in .clamp_min(1e-12): that touches "
            "black pixels alone.",
            also=[
                lambda x: (u := _unit_plus(_tokens(x), 1e-8)) @ u.mT,
                lambda x: (u := _unit_plus(_tokens(x), 1e-5)) @ u.mT,
                lambda x: (t := _tokens(x)) @ t.mT / (_lengths(t) * _lengths(t).mT + 1e-8),
                lambda x: (t := _tokens(x)) @ t.mT / (_lengths(t) * _lengths(t).mT + 1e-6),
            ],
        ),
        wrong(
            "the length is cut out of the gradient",
            lambda x: (
                (u := (t := _tokens(x)) / t.norm(dim=-1, keepdim=True).detach().clamp_min(1e-12))
                @ u.mT
            ),
            "The values are right, the gradients are not: the length is treated as a constant. "
            "Leave it in the graph: no .detach() and no no_grad around it.",
        ),
        wrong(
            "no gradient",
            lambda x: _cosine(_tokens(x.detach())),
            "The values are right, but nothing before this function could learn from them: the "
            "gradient is cut. Look for .detach(), .numpy() or no_grad on the way.",
        ),
        wrong(
            "the input is changed",
            lambda x: (t := _tokens(x.div_(x.norm(dim=1, keepdim=True).clamp_min(1e-12)))) @ t.mT,
            "Your function changes the feature map it was given. Operations that end in _ and "
            "`x /= …` write into x itself: write `x = x / …`, which makes a new tensor.",
        ),
        wrong(
            "no division by the lengths",
            lambda x: _tokens(x) @ _tokens(x).mT,
            "This is the dot product of the pixels, which grows with their brightness. Divide each "
            "pixel by its length over the channels first.",
        ),
        wrong(
            "columns before rows",
            lambda x: _cosine(_tokens(x.mT)),
            "H and W are swapped: your pixels run down the columns. Pixel (h, w) is token h·W + w.",
        ),
        wrong(
            "reshaped without moving the channels",
            lambda x: _cosine(x.reshape(x.shape[0], -1, x.shape[1])),
            "The shape is right, but your tokens mix pixels: a reshape keeps the order of the "
            "numbers. Flatten H and W to [B, C, H·W], then transpose the last two axes.",
        ),
        wrong(
            "channels compared with channels",
            lambda x: _cosine(x.flatten(2)),
            "This compares channels: [B, C, C]. Pixels are to be compared, each with its C "
            "channels as one vector: [B, H·W, C] times [B, C, H·W].",
        ),
        wrong(
            "normalised over the pixels",
            lambda x: (t := normalize(_tokens(x), dim=-2)) @ t.mT,
            "Your lengths run over the pixels. The length of one pixel runs over its channels: "
            "the last axis of [B, H·W, C], the middle one of [B, C, H·W].",
        ),
        wrong(
            "softmax on top",
            lambda x: _cosine(_tokens(x)).softmax(-1),
            "You went one step too far: the affinity is the cosine itself. The softmax that turns "
            "it into weights is the next item.",
        ),
        wrong(
            "pixels of different images compared",
            lambda x: _cosine(_tokens(x).flatten(0, 1)),
            "All images ended up in one long list of pixels. Each image is compared with itself "
            "only: keep B as the first axis.",
        ),
    )


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).mT  # [B, H·W, C]


def _softmax_by_hand(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    e = scores.exp()
    if mask is not None:
        e = e * mask
    total = e.sum(-1, keepdim=True)
    return e / total.where(total != 0, 1)


@item("ps1.attention_weights", points=4, minutes=20, difficulty="medium")
class AttentionWeights:
    """Softmax over the keys that the mask allows: [..., T_q, T_k] -> [..., T_q, T_k]."""

    reference = attention_weights

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        mask, no_row_empty = draw.mask(4, 6), draw.mask(3, 5)
        mask[2] = False
        largest_forbidden = draw(2, 3, 5) + 1000 * ~no_row_empty
        very_low = -1000 - 100 * draw(2, 3, 5).abs()
        by_hand = torch.tensor([[0.0, math.log(3)], [5.0, 5.0], [0.0, -math.log(4)]])
        yield case("three rows that can be done by hand", by_hand, core=True)
        yield case("a batch of scores", draw(2, 3, 5), core=True)
        yield case("a mask for each image", draw(2, 3, 5), mask=draw.mask(2, 3, 5), weight=2)
        yield case("one mask for all images", draw(3, 4, 6), mask=draw.mask(4, 6))
        yield case("a row that may attend to nothing: zeros", draw(2, 4, 6), mask=mask)
        yield case("scores in the thousands", 1000 * draw(2, 3, 5))
        yield case("scores in the thousands, all negative", very_low, mask=draw.mask(2, 3, 5))
        yield case("a forbidden score in the thousands", largest_forbidden, mask=no_row_empty)
        yield case("float64", draw(2, 3, 5, dtype=torch.float64), mask=draw.mask(3, 5))
        yield case("gradients", draw(2, 3, 5), mask=draw.mask(2, 3, 5), gradient=True)

    misconceptions = (
        wrong(
            "a fully masked row gives NaN",
            lambda scores, mask=None: (
                scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            ).softmax(-1),
            "A row that may attend to nothing became NaN: the softmax of only −∞ is 0 / 0. Make "
            "such a row zeros after the softmax, for instance with .masked_fill(~mask, 0).",
        ),
        wrong(
            "a fully masked row gives equal weights",
            lambda scores, mask=None: (
                scores if mask is None else scores.masked_fill(~mask, -1e9)
            ).softmax(-1),
            "A row that may attend to nothing got equal weights: filled with one large negative "
            "number, all its scores are the same. Set forbidden weights to 0 after the softmax.",
            also=[
                lambda scores, mask=None: (
                    scores
                    if mask is None
                    else scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores + (~mask) * -1e9
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -1e4)
                ).softmax(-1),
            ],
        ),
        wrong(
            "large scores overflow",
            _softmax_by_hand,
            "exp() of a score above 88 is infinite in float32, and ∞ / ∞ is NaN. Subtract each "
            "row's largest score first, which changes no weight, or use .softmax(-1).",
            also=[
                lambda scores, mask=None: (
                    (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).exp()
                    / (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                    .exp()
                    .sum(-1, keepdim=True)
                ),
            ],
        ),
        wrong(
            "one largest score for all rows",
            lambda scores, mask=None: _softmax_by_hand(scores - scores.max(), mask),
            "You subtract the largest score of the whole tensor. In a row far below it every "
            "exp() is 0, and nothing is left to divide. Each row has a largest score of its own: "
            ".amax(-1, keepdim=True), or simply .softmax(-1).",
            also=[
                lambda scores, mask=None: (
                    (e := (scores - scores.max()).exp() * (1 if mask is None else mask))
                    / e.sum(-1, keepdim=True)
                ),
            ],
        ),
        wrong(
            "renormalised after the softmax",
            lambda scores, mask=None: (
                scores.softmax(-1)
                if mask is None
                else (w := scores.softmax(-1) * mask) / w.sum(-1, keepdim=True).clamp_min(1e-12)
            ),
            "You take the softmax over all keys, and then divide anew what the allowed ones got. "
            "Where a forbidden key has by far the largest score, nothing is left to divide: the "
            "other weights are 0 already. Put −∞ in the forbidden scores before the softmax.",
            also=[
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask)
                    / (total := w.sum(-1, keepdim=True)).where(total != 0, 1)
                ),
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask) / w.sum(-1, keepdim=True)
                ),
                lambda scores, mask=None: (
                    scores.softmax(-1)
                    if mask is None
                    else (w := scores.softmax(-1) * mask) / (w.sum(-1, keepdim=True) + 1e-9)
                ),
            ],
        ),
        wrong(
            "the filling is not low enough",
            lambda scores, mask=None: (
                scores.softmax(-1)
                if mask is None
                else scores.masked_fill(~mask, -100).softmax(-1) * mask
            ),
            "You fill the forbidden scores with a number, and an allowed score may be lower still: "
            "then it is the forbidden key that wins the softmax. Only −∞ is below everything.",
            also=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -100)
                ).softmax(-1),
            ],
        ),
        wrong(
            "the mask is forgotten",
            lambda scores, mask=None: scores.softmax(-1),
            "Your weights are right without a mask and pay no heed to one. Where the mask is "
            "False the weight must be 0, and the rest of the row must still add up to 1.",
        ),
        wrong(
            "the mask is inverted",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(mask, -torch.inf))
                .softmax(-1)
                .nan_to_num(0)
            ),
            "Your mask works the wrong way round. True means: may attend. It is where the mask is "
            "False that the weight must be 0.",
            also=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(mask, -torch.inf)
                ).softmax(-1),
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(mask, -1e9)
                ).softmax(-1),
            ],
        ),
        wrong(
            "the mask is applied after the softmax",
            lambda scores, mask=None: (
                scores.softmax(-1) if mask is None else scores.softmax(-1) * mask
            ),
            "The forbidden weights are 0, but the others no longer add up to 1: forbidden keys "
            "still took their share in the softmax. Put −∞ in their scores before it.",
        ),
        wrong(
            "a forbidden score becomes 0",
            lambda scores, mask=None: (scores if mask is None else scores * mask).softmax(-1),
            "You set the forbidden scores to 0, and exp(0) is 1: a score of 0 is an ordinary "
            "score. Only −∞ gives the weight 0.",
        ),
        wrong(
            "zero times infinity",
            lambda scores, mask=None: (
                scores if mask is None else scores + (~mask) * -torch.inf
            ).softmax(-1),
            "Where the key is allowed you add 0 · (−∞), and that is NaN, not 0. Use "
            "scores.masked_fill(~mask, -torch.inf).",
        ),
        wrong(
            "softmax over the queries",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                .softmax(-2)
                .nan_to_num(0)
            ),
            "Your weights add up to 1 down each key's column. It is each query that shares out its "
            "attention: take the softmax over the last axis, the keys.",
            also=[
                lambda scores, mask=None: (
                    scores if mask is None else scores.masked_fill(~mask, -torch.inf)
                ).softmax(-2),
            ],
        ),
        wrong(
            "softmax over all pairs at once",
            lambda scores, mask=None: (
                (scores if mask is None else scores.masked_fill(~mask, -torch.inf))
                .flatten(-2)
                .softmax(-1)
                .view_as(scores)
            ),
            "All weights together add up to 1. Each query has a budget of its own: every row must "
            "add up to 1.",
        ),
        wrong(
            "divided by the sum, without exp",
            lambda scores, mask=None: (
                (s := scores if mask is None else scores * mask) / s.sum(-1, keepdim=True)
            ),
            "You divide the scores by their sum. Scores may be negative, and then so are your "
            "weights. The softmax takes exp() first.",
        ),
    )


@item("ps1.raw_attention", points=3, minutes=15, difficulty="medium")
class RawAttention:
    """softmax(x xᵀ / √D) x, attention with no projection at all: [..., T, D] -> [..., T, D]."""

    @staticmethod
    def reference(x: Tensor) -> Tensor:
        return attend(x, x, x)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])  # scores 2 and 0
        yield case("two tokens that can be done by hand", by_hand, core=True)
        yield case("a batch", draw(2, 5, 7), core=True, weight=2)
        yield case("one token: itself", draw(2, 1, 5))
        yield case("no batch dimension", draw(6, 4))
        yield case("two batch dimensions", draw(2, 3, 4, 5))
        yield case("scores in the thousands", 30 * draw(2, 4, 6))
        # The root of 4 is exact: torch.tensor(D).sqrt(), a float32, is as good here as D ** 0.5.
        yield case("float64", draw(2, 3, 4, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 5), gradient=True)

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda x: _softmax_by_hand(x @ x.mT / x.shape[-1] ** 0.5) @ x,
            "exp() of a score above 88 is infinite in float32. Subtract each row's largest score "
            "first, which changes no weight, or use .softmax(-1).",
            also=[
                lambda x: (e := (x @ x.mT / x.shape[-1] ** 0.5).exp()) / e.sum(-1, keepdim=True) @ x
            ],
        ),
        wrong(
            "the weights are cut out of the gradient",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1).detach() @ x,
            "The values are right, but the weights are treated as constants in the gradient. They "
            "depend on x too: leave them in the graph.",
        ),
        wrong(
            "no division by √D",
            lambda x: (x @ x.mT).softmax(-1) @ x,
            "The √D is missing. Two different tokens of D independent entries, with mean 0 and "
            "variance 1, have a dot product of variance D, so divide the scores by D ** 0.5 before "
            "the softmax.",
        ),
        wrong(
            "divided by D instead of its root",
            lambda x: (x @ x.mT / x.shape[-1]).softmax(-1) @ x,
            "You divide by D. Dividing by a number divides the variance by its square, so it is √D "
            "that brings a variance of D back to 1.",
        ),
        wrong(
            "divided by √T",
            lambda x: (x @ x.mT / x.shape[-2] ** 0.5).softmax(-1) @ x,
            "You divide by the root of the number of tokens. What makes a dot product grow is the "
            "number of features: divide by √D, with D = x.shape[-1].",
        ),
        wrong(
            "divided after the softmax",
            lambda x: (x @ x.mT).softmax(-1) / x.shape[-1] ** 0.5 @ x,
            "You divide the weights, which then no longer add up to 1. Divide the scores by √D, "
            "before the softmax.",
        ),
        wrong(
            "softmax over the queries",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-2) @ x,
            "Your weights add up to 1 down the columns, so an output is no average of tokens. Take "
            "the softmax over the last axis. The scores are symmetric; the weights are not.",
            also=[lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1).mT @ x],
        ),
        wrong(
            "no softmax",
            lambda x: x @ x.mT / x.shape[-1] ** 0.5 @ x,
            "The softmax is missing: the scores themselves are no weights, they may be negative "
            "and need not add up to 1.",
        ),
        wrong(
            "the weights instead of the average",
            lambda x: (x @ x.mT / x.shape[-1] ** 0.5).softmax(-1),
            "You return the weights [..., T, T]. One step is left: multiply them with x, so that "
            "each token becomes a weighted average of all tokens.",
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda x: _cosine(x).softmax(-1) @ x,
            "You compare with the cosine. Here the scores are x xᵀ / √D, so longer vectors speak "
            "louder. The cosine comes back in the next item, with its own trouble.",
            also=[lambda x: (_cosine(x) / x.shape[-1] ** 0.5).softmax(-1) @ x],
        ),
        wrong(
            "averages of normalised tokens",
            lambda x: scaled_dot_product_attention(u := normalize(x, dim=-1), u, u),
            "You replaced x by vectors of length 1. The tokens that are compared and averaged are "
            "x itself.",
        ),
    )


@item("ps1.max_cosine_weight", points=2, minutes=15, difficulty="medium")
class MaxCosineWeight:
    """The most that softmax(cosine / τ) can give one of n keys: 1 / (1 + (n − 1) e^(−2/τ))."""

    @staticmethod
    def reference(n: int, temperature: float = 1.0) -> float:
        return 1 / (1 + (n - 1) * math.exp(-2 / temperature))

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        yield case("a hundred keys", 100, core=True)
        yield case("seven keys", 7, core=True)
        yield case("temperature 0.1", 100, temperature=0.1, weight=2)
        yield case("temperature 3", 20, temperature=3.0)
        yield case("one key: it gets everything", 1)
        yield case("a million keys, temperature 0.02", 1_000_000, temperature=0.02)

    misconceptions = (
        wrong(
            "the temperature is forgotten",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2)),
            "Your bound does not depend on the temperature. The scores are cosine / τ, so the gap "
            "between the best and the worst key is 2 / τ.",
        ),
        wrong(
            "multiplied by the temperature",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2 * temperature)),
            "A small temperature must sharpen: you multiply by τ where the scores are divided by "
            "it. The gap between the best and the worst key is 2 / τ.",
        ),
        wrong(
            "the temperature outside the exponent",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2) / temperature),
            "The temperature belongs into the exponent: the scores are divided by τ before exp().",
            also=[
                lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2)) / temperature,
                lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-2) * temperature),
            ],
        ),
        wrong(
            "n instead of n − 1",
            lambda n, temperature=1.0: 1 / (1 + n * math.exp(-2 / temperature)),
            "The best key is counted twice: it is the 1, and the others are n − 1, not n. With a "
            "single key the weight must be exactly 1.",
        ),
        wrong(
            "a gap of 1 instead of 2",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(-1 / temperature)),
            "You let the other keys have cosine 0. A cosine goes down to −1, so the largest gap is "
            "1 − (−1) = 2.",
        ),
        wrong(
            "the wrong sign in the exponent",
            lambda n, temperature=1.0: 1 / (1 + (n - 1) * math.exp(2 / temperature)),
            "This is the smallest possible weight. Divide numerator and denominator by exp(1/τ), "
            "the best key's own term: what is left of the others is exp(−2/τ).",
        ),
        wrong(
            "equal weights",
            lambda n, temperature=1.0: 1 / n,
            "1 / n is what all keys get when they are equally similar. The largest weight needs "
            "one key at cosine 1 and all others at −1.",
        ),
        wrong(
            "in percent",
            lambda n, temperature=1.0: 100 / (1 + (n - 1) * math.exp(-2 / temperature)),
            "You return percent. A weight is between 0 and 1.",
        ),
    )
