"""`ps3.cannot_carry`: the part of each token that a head with K = V does not transport."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps3_query_key_value.common import invertible


@item("ps3.cannot_carry", points=3, minutes=20, difficulty="hard")
class CannotCarry:
    """The part of x in ker W, which a head with K = V = W x neither sees nor moves: [..., T, D]."""

    @staticmethod
    def reference(x: Tensor, W: Tensor) -> Tensor:
        return _lost(x, W)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        x, W = torch.tensor([[3.0, 4.0, 5.0]]), torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
        dependent = draw(3, 6)[[0, 1, 2, 1]]  # the second row twice: rank 3
        yield case("a token that can be done by hand", x, W, basic=True)
        yield case("a batch", draw(2, 4, 7), draw(3, 7), basic=True, weight=2)
        yield case("one row", draw(4, 5), draw(1, 5))
        yield case("no batch dimension, and as many tokens as features", draw(6, 6), draw(3, 6))
        yield case("two batch dimensions", draw(2, 3, 4, 6), draw(5, 6))
        yield case("a row that is there twice", draw(2, 5, 6), dependent, weight=2)
        yield case("a W of zeros carries nothing", draw(3, 5), torch.zeros(2, 5))
        yield case("d_k = D: nothing is left", draw(2, 3, 4), invertible(draw, 4))
        yield case("more rows than features", draw(2, 3, 4), draw(6, 4))
        yield case("float64", draw(2, 3, 5, dtype=torch.float64), draw(2, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 6), draw(2, 6), gradient=True)

    misconceptions = (
        wrong(
            "W Wᵀ has no inverse",
            lambda x, W: x - x @ W.mT @ torch.linalg.inv(W @ W.mT) @ W,
            "You invert W Wᵀ, which has no inverse when rows of W depend on one another, or are "
            "more than the features. torch.linalg.pinv(W) is right in every case.",
            variants=[
                lambda x, W: x - x @ W.mT @ torch.linalg.solve(W @ W.mT, W),
                lambda x, W: x - x @ torch.linalg.solve(W @ W.mT, W).mT @ W,
                lambda x, W: (
                    x - x @ W.mT @ torch.cholesky_inverse(torch.linalg.cholesky(W @ W.mT)) @ W
                ),
            ],
        ),
        wrong(
            "as many directions as rows",
            lambda x, W: x - x @ (V := torch.linalg.svd(W).Vh[: len(W)]).mT @ V,
            "You count a direction for every row of W. Rows that depend on one another read fewer "
            "directions than they are many: count the singular values that are not 0.",
            variants=[
                lambda x, W: x - x @ (Q := torch.linalg.qr(W.mT).Q) @ Q.mT,
                lambda x, W: x @ (V := torch.linalg.svd(W).Vh[len(W) :]).mT @ V,
                lambda x, W: x - x @ (V := torch.linalg.svd(W, full_matrices=False).Vh).mT @ V,
            ],
        ),
        wrong(
            "directions of the kernel have no gradient",
            lambda x, W: x @ (V := torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :]).mT @ V,
            "The values are right, the gradient of W is not: torch counts those rows of Vh that "
            "have no singular value as constants. Take off what is carried instead: x − W⁺ W x.",
        ),
        wrong(
            "the gradient is cut",
            lambda x, W: _lost(x, W).detach(),
            "The values are right, but the gradient is cut. What the head cannot carry depends on "
            "x and on W: no .detach(), .numpy() or no_grad.",
            variants=[
                lambda x, W: _lost(x, W.detach()),
                lambda x, W: _lost(x.detach(), W),
            ],
        ),
        wrong(
            "an input is changed",
            lambda x, W: x.sub_(x @ (torch.linalg.pinv(W) @ W).mT),
            "Your function writes into x: `x -= …` changes the caller's tokens. Write `x - …`.",
        ),
        wrong(
            "the part that is carried",
            lambda x, W: x @ (torch.linalg.pinv(W) @ W).mT,
            "This is the part that the head does carry, the shadow of x on the rows of W. What it "
            "cannot carry is the rest: x minus this.",
        ),
        wrong(
            "the transpose in place of the pseudo-inverse",
            lambda x, W: x - x @ W.mT @ W,
            "You take Wᵀ W x off. That is the projection only if the rows of W have length 1 and "
            "stand at right angles; in general it is pinv(W) W x.",
            variants=[lambda x, W: x @ W.mT @ W],
        ),
        wrong(
            "rows made one long, not orthogonal",
            lambda x, W: x - x @ (U := normalize(W, dim=-1)).mT @ U,
            "You scale the rows of W to length 1, and treat them as if they stood at right angles. "
            "Where two rows lean towards each other, their common part is taken off twice.",
            variants=[
                lambda x, W: (
                    x
                    - sum(
                        ((x @ row)[..., None] * row / row.square().sum() for row in W),
                        start=torch.zeros_like(x),
                    )
                ),
                lambda x, W: x - x @ W.mT @ W / torch.linalg.matrix_norm(W, 2) ** 2,
                lambda x, W: x - x @ W.mT @ W / W.square().sum(),
            ],
        ),
        wrong(
            "row by row, each from what is left",
            lambda x, W: _one_row_after_the_other(x, W),
            "You take the rows off one after the other. A later row brings back what an earlier "
            "one had removed, unless the rows are made orthogonal first (Gram and Schmidt).",
        ),
        wrong(
            "columns of W in place of rows",
            lambda x, W: x - x @ (W @ torch.linalg.pinv(W)).mT,
            "You project with W pinv(W), which is [d_k, d_k]: that is about the keys, not the "
            "tokens. What W reads of a token are its rows: pinv(W) W, of shape [D, D].",
            variants=[
                lambda x, W: x - x @ W @ torch.linalg.pinv(W),
                lambda x, W: x - x @ W.mT @ torch.linalg.pinv(W),
            ],
        ),
        wrong(
            "the keys",
            lambda x, W: x @ W.mT,
            "This is W x, the keys and values themselves, with d_k features. Asked for is a part "
            "of x, with all D of them: carry W x back with pinv(W), and take it off x.",
        ),
        wrong(
            "the key is taken off the token",
            lambda x, W: x - x @ W.mT,
            "You take W x off x. One has d_k features, the other D: first carry W x back into the "
            "space of the tokens with pinv(W).",
        ),
        wrong(
            "a basis of the kernel",
            lambda x, W: torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :],
            "You return directions that W does not read, the same for all tokens. Asked for is how "
            "much of each token lies in them: project x on them.",
            variants=[
                lambda x, W: x @ torch.linalg.svd(W).Vh[torch.linalg.matrix_rank(W) :].mT,
                lambda x, W: torch.eye(W.shape[-1], dtype=W.dtype) - torch.linalg.pinv(W) @ W,
            ],
        ),
        wrong(
            "the amount instead of the part",
            lambda x, W: torch.linalg.vector_norm(_lost(x, W), dim=-1),
            "You return how long the lost part is. Asked for is the part itself, a vector of D "
            "features for every token.",
        ),
    )


def _lost(x: Tensor, W: Tensor) -> Tensor:
    return x - x @ (torch.linalg.pinv(W) @ W).mT


def _one_row_after_the_other(x: Tensor, W: Tensor) -> Tensor:
    for row in W:
        x = x - (x @ row)[..., None] * row / row.square().sum().clamp_min(1e-30)
    return x
