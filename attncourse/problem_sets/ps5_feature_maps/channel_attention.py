"""`ps5.channel_attention`: DANet's attention between channels, as printed and as published code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.attention import attend
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps5_feature_maps.common import (
    EXP_OVERFLOWS,
    THE_MAP_IS_OVERWRITTEN,
    VIEW_NEEDS_NEIGHBOURS,
    Back,
    There,
    as_pixels,
    as_tokens,
    by_hand,
    by_rows,
    reshaped_tokens,
    viewed_tokens,
    whole_numbers,
)


@item("ps5.channel_attention", points=3, minutes=20, difficulty="medium")
class ChannelAttention:
    """E_j = β Σ_i softmax_i(A_i·A_j) A_i + A_j over channels; the code's form has −A_i·A_j."""

    @staticmethod
    def reference(x: Tensor, beta: Tensor, form: str = "paper") -> Tensor:
        channels = x.flatten(2)
        query = channels if form == "paper" else -channels
        return beta * attend(query, channels, channels, scale=1.0).view_as(x) + x

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        yield case("one channel: (1 + β) A", draw(2, 1, 3, 4), _beta(draw), basic=True)
        yield case("a batch", _map(draw, 2, 3, 4, 5), _beta(draw), basic=True, weight=2)
        yield case("the code's form", _map(draw, 2, 5, 4, 3), _beta(draw), form="code", weight=3)
        yield case("as many channels as pixels", _map(draw, 2, 6, 2, 3), _beta(draw))
        yield case("β = 0: the map itself", _map(draw, 3, 5, 2, 4), 0 * _beta(draw))
        yield case("scores in the hundreds", *whole_numbers(draw(2, 4, 3, 5)), _beta(draw))
        yield case("a map that is not contiguous in memory", _map(draw, 2, 3, 5, 4).mT, _beta(draw))
        yield case(
            "the code's form in float64, with gradients",
            _map(draw, 2, 5, 3, 2).double(),
            _beta(draw).double(),
            form="code",
            gradient=True,
        )

    misconceptions = (
        wrong(
            "large scores overflow",
            lambda *given, form="paper": _block(*given, form=form, weigh=by_hand),
            EXP_OVERFLOWS,
        ),
        wrong(
            "β is made a number",
            lambda *given, form="paper": _block(
                *given, form=form, out=lambda found, x, beta: beta.item() * found + x
            ),
            "The output is right, but β can never leave its 0: .item(), float(…) and a fresh "
            "nn.Parameter cut it off from what is learned. Multiply by the tensor as it is.",
            variants=[lambda x, beta, form="paper": _block(x, beta.detach(), form=form)],
        ),
        wrong(
            "the input is overwritten",
            lambda x, beta, form="paper": x.add_(_block(x, beta, form=form, out=_not_added)),
            THE_MAP_IS_OVERWRITTEN,
        ),
        wrong(
            "no gradient",
            lambda *given, form="paper": _block(*given, form=form).detach(),
            "The output is right, but the gradient is cut. Look for .detach(), .data, "
            "torch.tensor(…) or no_grad; weights depend on the map too.",
            variants=[
                lambda *given, form="paper": _block(
                    *given, form=form, weigh=lambda scores: scores.softmax(-1).detach()
                ),
            ],
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda x, beta, form="paper": _block(
                x, beta, form=form, there=lambda x: viewed_tokens(x).mT
            ),
            VIEW_NEEDS_NEIGHBOURS,
        ),
        wrong(
            "the two forms are mixed up",
            lambda x, beta, form="paper": _block(
                x, beta, form="code" if form == "paper" else "paper"
            ),
            "You have the two forms the wrong way round. In the paper's, a channel attends most to "
            "those that are like it; the code subtracts the scores from the largest, and there it "
            "attends to those that are least like it.",
        ),
        wrong(
            "the form is ignored",
            lambda x, beta, form="paper": _block(x, beta),
            'Your result does not depend on `form`. With `form="code"` the softmax is taken of the '
            "row's largest score minus the score, which turns the order round. (To subtract the "
            "largest *from* the scores changes nothing: a softmax does not see it.)",
        ),
        wrong(
            "always the code's form",
            lambda x, beta, form="paper": _block(x, beta, form="code"),
            "You take the code's form in any case. `form` is a word, and `if form:` is true of any "
            'word: ask whether `form == "code"`.',
        ),
        wrong(
            "β is started anew",
            lambda *given, form="paper": _block(
                *given, form=form, out=lambda found, x, beta: torch.zeros_like(beta) * found + x
            ),
            "Your result is x itself, whatever β is. Training starts with β = 0; here β is handed "
            "to you with the value it has by now. Use `beta`, and start none anew.",
        ),
        wrong(
            "the largest score of another row",
            lambda *given, form="paper": _block(*given, form=form, largest=_of_each_column),
            "What is subtracted from has to be the same number for all i, or it decides with them: "
            "the largest score of channel j's own row, `scores.amax(-1, keepdim=True)`.",
            variants=[
                lambda *given, form="paper": _block(
                    *given, form=form, largest=lambda scores: scores.amax(-1)
                ),
            ],
        ),
        wrong(
            "one minus the weights",
            lambda x, beta, form="paper": _block(
                *(x, beta),
                weigh=lambda scores: (
                    scores.softmax(-1) if form == "paper" else 1 - scores.softmax(-1)
                ),
            ),
            "For the code's form you turn the weights round, after the softmax, and they no longer "
            "are a distribution. It is the scores that are turned round, before it.",
            variants=[
                lambda x, beta, form="paper": _block(
                    *(x, beta),
                    weigh=lambda scores: scores.softmax(-1) * (1 if form == "paper" else -1),
                ),
            ],
        ),
        wrong(
            "β is forgotten",
            lambda *given, form="paper": _block(
                *given, form=form, out=lambda found, x, beta: found + x
            ),
            "Your result does not depend on β. It stands before what the attention found: β = 0, "
            "where training starts, leaves the map as it is.",
        ),
        wrong(
            "the map is not added",
            lambda *given, form="paper": _block(*given, form=form, out=_not_added),
            "You return what the attention found. It is added to the map: `β · … + x`.",
            variants=[
                lambda *given, form="paper": _block(
                    *given, form=form, out=lambda found, x, beta: found
                ),
            ],
        ),
        wrong(
            "β before the map",
            lambda *given, form="paper": _block(
                *given, form=form, out=lambda found, x, beta: found + beta * x
            ),
            "β stands before the wrong one, or before both. The map goes through whole; β says how "
            "much of what the attention found is added.",
            variants=[
                lambda *given, form="paper": _block(
                    *given, form=form, out=lambda found, x, beta: beta * (found + x)
                ),
                lambda *given, form="paper": _block(
                    *given, form=form, out=lambda found, x, beta: beta * found + (1 - beta) * x
                ),
            ],
        ),
        wrong(
            "pixels attend to pixels",
            lambda *given, form="paper": _block(*given, form=form, there=as_tokens, back=as_pixels),
            "Your scores are [H·W, H·W]: pixels ask pixels. Here the channels are the tokens and "
            "the pixels their features, so the scores are [C, C], `x.flatten(2) @ "
            "x.flatten(2).mT`.",
        ),
        wrong(
            "the channels are torn apart",
            lambda *given, form="paper": _block(
                *given,
                form=form,
                there=lambda x: x.permute(0, 2, 3, 1).reshape(len(x), x.shape[1], -1),
            ),
            "Your rows are no channels: the axes were moved, and then reshaped in another order. "
            "In [B, C, H, W] each channel lies together already, so `.flatten(2)` is all, and "
            "nothing has to be transposed.",
            variants=[
                lambda *given, form="paper": _block(*given, form=form, there=reshaped_tokens),
            ],
        ),
        wrong(
            "softmax over the channel that asks",
            lambda *given, form="paper": _block(
                *given, form=form, weigh=lambda scores: scores.softmax(-2)
            ),
            "Your weights add up to 1 down each column, over the channels that ask, or they are "
            "used transposed. Each channel j shares out its own attention among all i. The scores "
            "are symmetric; the weights are not.",
        ),
        wrong(
            "no softmax",
            lambda *given, form="paper": _block(*given, form=form, weigh=lambda scores: scores),
            "The softmax is missing between the scores and the average.",
        ),
        wrong(
            "divided by the root of the pixels",
            lambda x, beta, form="paper": _block(x, beta, form=form, scale=x[0, 0].numel() ** -0.5),
            "You divide the scores by a root. This block has none: the dot products of the "
            "channels go into the softmax as they are.",
            variants=[
                lambda x, beta, form="paper": _block(x, beta, form=form, scale=1 / x[0, 0].numel()),
                lambda x, beta, form="paper": _block(x, beta, form=form, scale=x.shape[1] ** -0.5),
            ],
        ),
        wrong(
            "cosine",
            lambda x, beta, form="paper": _block(
                x, beta, form=form, compare=lambda channels: normalize(channels, dim=-1)
            ),
            "You normalise the channels. The scores are their dot products, lengths and all.",
        ),
        wrong(
            "left without height and width",
            lambda *given, form="paper": _block(*given, form=form).flatten(2),
            "H and W are still one axis. A map is wanted, [B, C, H, W].",
        ),
    )


def _added(found: Tensor, x: Tensor, beta: Tensor) -> Tensor:
    return beta * found + x


def _not_added(found: Tensor, x: Tensor, beta: Tensor) -> Tensor:
    return beta * found


def _flat(x: Tensor) -> Tensor:
    return x.flatten(2)


def _as_map(channels: Tensor, like: Tensor) -> Tensor:
    return channels.reshape(like.shape)


def _of_each_row(scores: Tensor) -> Tensor:
    return scores.amax(-1, keepdim=True)


def _of_each_column(scores: Tensor) -> Tensor:
    return scores.amax(-2, keepdim=True)


def _as_they_are(channels: Tensor) -> Tensor:
    return channels


def _block(
    x: Tensor,
    beta: Tensor,
    *,
    form: str = "paper",
    there: There = _flat,
    back: Back = _as_map,
    compare: Callable[[Tensor], Tensor] = _as_they_are,
    scale: float = 1.0,
    largest: Callable[[Tensor], Tensor] = _of_each_row,
    weigh: Callable[[Tensor], Tensor] = by_rows,
    out: Callable[[Tensor, Tensor, Tensor], Tensor] = _added,
) -> Tensor:
    """Right unless told otherwise; `compare` is what the scores are taken of."""
    tokens = there(x)
    compared = compare(tokens)
    scores = compared @ compared.mT * scale
    if form == "code":
        scores = largest(scores) - scores
    return out(back(weigh(scores) @ tokens, x), x, beta)


def _map(draw: Draw, *shape: int) -> Tensor:
    # Small numbers: a channel's score with itself is the sum of H·W squares, and a larger one
    # would leave no weight for the others.
    return draw(*shape) / 2


def _beta(draw: Draw) -> Tensor:
    return torch.tensor(draw.between(1.2, 2.0))
