"""`ps5.heads_as_kernel`: the matrices of all heads as the kernel of one 1×1 convolution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps5.heads_as_kernel", points=2, minutes=10, difficulty="easy")
class HeadsAsKernel:
    """The matrices of all heads as one kernel of a 1×1 convolution: [h, d, C] -> [h·d, C, 1, 1]."""

    @staticmethod
    def reference(W: Tensor) -> Tensor:
        return W.flatten(0, 1)[:, :, None, None]

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Numbered from anywhere, or the answer would be a constant.
        numbered = draw.whole(1, 1000) + torch.arange(2.0 * 3 * 4).view(2, 3, 4)
        yield case("numbered entries: two heads of three rows", numbered, basic=True)
        yield case("three heads", draw(3, 4, 5), basic=True, weight=2)
        yield case("one head", draw(1, 4, 3))
        yield case("h · d = C: the transpose has the right shape", draw(2, 3, 6))
        yield case("matrices that are not contiguous in memory", draw(3, 5, 4).mT)
        yield case("float64", draw(2, 4, 3, dtype=torch.float64))
        yield case("gradients", draw(3, 2, 4), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda W: _kernel(W).detach(),
            "The values are right, but the gradient is cut: what is learned in the convolution "
            "would never reach the matrices. Look for .detach() and .data, and for nn.Parameter(…) "
            "around what you were given: it starts a leaf of its own.",
            variants=[lambda W: nn.Parameter(_kernel(W))],
        ),
        wrong(
            "view where the memory is not contiguous",
            lambda W: W.view(-1, W.shape[-1], 1, 1),
            "`.view` needs the numbers to lie in memory in the order of the axes, and matrices "
            "that were transposed do not. `.flatten(0, 1)` or `.reshape` copies when it must.",
            variants=[
                lambda W: W.view(W.shape[0] * W.shape[1], W.shape[2], 1, 1),
                lambda W: W.view(-1, W.shape[-1])[:, :, None, None],
            ],
        ),
        wrong(
            "transposed",
            lambda W: W.flatten(0, 1).mT[:, :, None, None],
            "Your kernel is [C, h·d, 1, 1]: its transpose. Course and torch agree here, outputs "
            "come first: a row of W makes one channel that comes out.",
            variants=[lambda W: W.mT.transpose(0, 1).flatten(1)[:, :, None, None]],
        ),
        wrong(
            "reshaped where a transpose was meant",
            lambda W: W.reshape(W.shape[-1], -1, 1, 1),
            "You reshape to [C, h·d, 1, 1], which tears the rows apart. Nothing needs to be moved: "
            "the rows of all heads lie below one another, [h·d, C], and each has C entries.",
        ),
        wrong(
            "the rows of the heads are mixed",
            lambda W: W.transpose(0, 1).flatten(0, 1)[:, :, None, None],
            "You take the first row of every head, then every second row. Heads are runs of "
            "neighbours: all d rows of head 0 come first.",
            variants=[lambda W: torch.stack(W.unbind(0), 1).flatten(0, 1)[..., None, None]],
        ),
        wrong(
            "the axes of the pixels are missing",
            lambda W: W.flatten(0, 1),
            "This is the matrix, [h·d, C]. The kernel of a convolution has two axes more, for the "
            "height and the width of its window, both 1 here: `[:, :, None, None]`.",
            variants=[lambda W: W.flatten(0, 1)[..., None]],
        ),
        wrong(
            "the axes of the pixels come first",
            lambda W: W.flatten(0, 1)[None, None],
            "Your 1 × 1 stands in front, as TensorFlow has it. In torch the height and the width "
            "of the window come last: [C_out, C_in, 1, 1].",
            variants=[lambda W: W.flatten(0, 1).mT[None, None]],
        ),
        wrong(
            "the heads are kept apart",
            lambda W: W[..., None, None],
            "You have a kernel for each head, [h, d, C, 1, 1]. One convolution does for all: join "
            "the first two axes.",
        ),
        wrong(
            "the heads read channels of their own",
            lambda W: W.transpose(0, 1).flatten(1)[:, :, None, None],
            "Your kernel is [d, h·C, 1, 1]: the heads side by side, so that each would read a part "
            "of h · C channels. All of them read the same C, and put out d each.",
        ),
        wrong(
            "the heads are added up",
            lambda W: W.sum(0)[:, :, None, None],
            "You add the heads up, or average them. Each has d channels of its own in the output.",
            variants=[lambda W: W.mean(0)[:, :, None, None]],
        ),
        wrong(
            "one head alone",
            lambda W: W[0, :, :, None, None],
            "Only one head comes back. The others make the channels behind its own.",
            variants=[lambda W: W[-1, :, :, None, None]],
        ),
    )


def _kernel(W: Tensor) -> Tensor:
    return W.flatten(0, 1)[:, :, None, None]
