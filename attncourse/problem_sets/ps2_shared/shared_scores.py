"""`ps2.shared_scores`: scaled scores of queries and keys that one matrix makes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps2_shared.common import dots, squared_distances


@item("ps2.shared_scores", points=2, minutes=10, difficulty="easy")
class SharedScores:
    """(x Wᵀ)(x Wᵀ)ᵀ / √d_k: [..., T, D], [d_k, D] -> [..., T, T]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return dots(x @ W.mT) / W.shape[0] ** 0.5

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        by_hand = torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
        in_float64 = draw(2, 3, 6, dtype=torch.float64), draw(4, 6, dtype=torch.float64)
        yield case("two tokens that can be done by hand", tokens, by_hand, basic=True)
        yield case("a batch", draw(2, 5, 7), draw(3, 7), basic=True, weight=2)
        yield case("a square W, where x W has the right shape too", draw(2, 3, 5), draw(5, 5))
        yield case("d_k larger than D", draw(2, 5, 4), draw(6, 4))
        yield case("one token", draw(2, 1, 5), draw(3, 5))
        yield case("no batch dimension", draw(6, 4), draw(3, 4))
        yield case("two batch dimensions", draw(2, 3, 5, 7), draw(4, 7))
        # The root of 4 is exact: torch.tensor(d_k).sqrt(), a float32, is as good as d_k ** 0.5.
        yield case("float64", *in_float64)
        yield case("gradients", draw(2, 3, 5), draw(4, 5), gradient=True)

    misconceptions = (
        wrong(
            "W is cut out of the gradient",
            lambda x, W: dots(x @ W.detach().mT) / W.shape[0] ** 0.5,
            "The values are right, but no gradient reaches W, so W would never learn. .detach() "
            "and .data cut it, and so does an nn.Linear or nn.Parameter that is made inside the "
            "function, for it is a new tensor. Multiply by W itself.",
        ),
        wrong(
            "one side is cut out of the gradient",
            lambda x, W: (q := x @ W.mT) @ q.detach().mT / W.shape[0] ** 0.5,
            "The values are right, the gradients are not: one of the two sides is treated as a "
            "constant. Query and key are the same q here, and it learns from both sides.",
            variants=[lambda x, W: (x @ W.mT) @ (x @ W.detach().mT).mT / W.shape[0] ** 0.5],
        ),
        wrong(
            "no gradient",
            lambda x, W: dots(x.detach() @ W.detach().mT) / W.shape[0] ** 0.5,
            "The values are right, but nothing can learn from them: the gradient is cut. Look for "
            ".detach(), .numpy(), .item(), torch.tensor(…) or no_grad on the way.",
        ),
        wrong(
            "the input is changed",
            lambda x, W: dots(x.mul_(W.shape[0] ** -0.25) @ W.mT),
            "Your function changes a tensor it was given. `x *= …` and operations that end in _ "
            "write into x itself, and the caller still needs it: write `x = x * …`.",
            variants=[lambda x, W: dots(x @ W.div_(W.shape[0] ** 0.25).mT)],
        ),
        wrong(
            "all axes turned round",
            lambda x, W: (q := x @ W.mT) @ q.T / W.shape[0] ** 0.5,
            "`.T` turns round all axes, the batch too, and `.t()` takes no batch at all. Exchange "
            "the last two axes alone: `.mT`, or .transpose(-2, -1).",
            variants=[lambda x, W: (q := x @ W.mT) @ q.t() / W.shape[0] ** 0.5],
        ),
        wrong(
            "leading dimensions are not free",
            lambda x, W: (q := x @ W.mT) @ q.transpose(1, 2) / W.shape[0] ** 0.5,
            "Your function works for three dimensions, [B, T, D], and not for others. Count the "
            "axes from the end: `.mT` or .transpose(-2, -1), and `@`, which takes any leading "
            "dimensions, in place of bmm.",
            variants=[
                lambda x, W: torch.bmm(q := x @ W.mT, q.transpose(1, 2)) / W.shape[0] ** 0.5,
                lambda x, W: torch.bmm(q := x @ W.mT, q.mT) / W.shape[0] ** 0.5,
                lambda x, W: torch.einsum("bik,bjk->bij", q := x @ W.mT, q) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "no division by √d_k",
            lambda x, W: dots(x @ W.mT),
            "The √d_k is missing. A dot product of two projected tokens has d_k terms, so it grows "
            "with d_k: divide by W.shape[0] ** 0.5.",
        ),
        wrong(
            "divided by d_k instead of its root",
            lambda x, W: dots(x @ W.mT) / W.shape[0],
            "You divide by d_k. It is the root that is wanted: either the dot product is divided "
            "by √d_k, or each of its two sides by the fourth root of d_k.",
        ),
        wrong(
            "divided by √D",
            lambda x, W: dots(x @ W.mT) / W.shape[1] ** 0.5,
            "You divide by the root of D, the width of the tokens. After the projection the dot "
            "product has d_k terms, and d_k is the number of rows of W: W.shape[0].",
        ),
        wrong(
            "divided by √T",
            lambda x, W: dots(x @ W.mT) / x.shape[-2] ** 0.5,
            "You divide by the root of how many tokens, or sequences, there are. What makes a dot "
            "product grow is the number of its terms, d_k: W.shape[0].",
            variants=[lambda x, W: dots(x @ W.mT) / len(x) ** 0.5],
        ),
        wrong(
            "multiplied by √d_k",
            lambda x, W: dots(x @ W.mT) * W.shape[0] ** 0.5,
            "You multiply by √d_k. The root is there to bring the scores back to the size that "
            "they had before d_k terms were added up: divide.",
        ),
        wrong(
            "W the wrong way round",
            lambda x, W: dots(x @ W) / W.shape[0] ** 0.5,
            "You multiply by W where Wᵀ is wanted. W has the layout of nn.Linear, [d_k, D], so a "
            "row of tokens becomes x @ W.mT. With a square W only the values show the difference.",
            variants=[lambda x, W: dots(x @ W) / W.shape[1] ** 0.5],
        ),
        wrong(
            "W on one side only",
            lambda x, W: (x @ W.mT) @ x.mT / W.shape[0] ** 0.5,
            "Only one side is projected. Query and key share the same W: q = x Wᵀ, and the scores "
            "are q qᵀ.",
            variants=[lambda x, W: x @ W @ x.mT / W.shape[0] ** 0.5],
        ),
        wrong(
            "W is forgotten",
            lambda x, W: dots(x) / W.shape[0] ** 0.5,
            "These are the scores of the raw tokens. Project first: q = x Wᵀ, and then q qᵀ.",
            variants=[
                lambda x, W: dots(x) / x.shape[-1] ** 0.5,
                lambda x, W: dots(x),
            ],
        ),
        wrong(
            "the cosine instead of the dot product",
            lambda x, W: dots(normalize(x @ W.mT, dim=-1)) / W.shape[0] ** 0.5,
            "You bring the projected tokens to length 1. Leave them as they are: with lengths of "
            "their own, W can also learn how sharply to look, which a cosine cannot.",
            variants=[
                lambda x, W: dots(normalize(x @ W.mT, dim=-1)),
                lambda x, W: dots(normalize(x, dim=-1) @ W.mT) / W.shape[0] ** 0.5,
            ],
        ),
        wrong(
            "softmax on top",
            lambda x, W: (dots(x @ W.mT) / W.shape[0] ** 0.5).softmax(-1),
            "You went one step too far: these are the weights. The scores are what stands before "
            "the softmax, and they are symmetric, while the weights are not.",
        ),
        wrong(
            "a distance instead of the dot product",
            lambda x, W: -squared_distances(x @ W.mT) / W.shape[0] ** 0.5,
            "These are negative squared distances. The scores are dot products, q qᵀ. How the two "
            "hang together is the next item.",
            variants=[lambda x, W: squared_distances(x @ W.mT) / W.shape[0] ** 0.5],
        ),
        wrong(
            "features compared with features",
            lambda x, W: (q := x @ W.mT).mT @ q / W.shape[0] ** 0.5,
            "This is qᵀ q, [..., d_k, d_k]: it compares features. Tokens are to be compared: q qᵀ, "
            "[..., T, d_k] times [..., d_k, T].",
        ),
        wrong(
            "the batch is swallowed",
            lambda x, W: dots((x @ W.mT).flatten(0, -2)) / W.shape[0] ** 0.5,
            "All tokens ended up in one long list. Each sequence of the batch is compared with "
            "itself only: keep the leading axes.",
        ),
    )
