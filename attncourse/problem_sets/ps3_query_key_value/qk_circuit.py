"""`ps3.qk_circuit`: the one matrix that stands behind the scores of a head."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attncourse import circuits
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps3.qk_circuit", points=2, minutes=10, difficulty="easy")
class QKCircuit:
    """M = W_qᵀ W_k, the one matrix behind the scores: [..., d_k, D_q], [..., d_k, D_k]."""

    reference = circuits.qk_circuit

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        W_q, W_k = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])
        yield case("one row each, by hand", W_q, W_k, basic=True)
        yield case("as many features on both sides", draw(3, 5), draw(3, 5), basic=True)
        yield case("queries and keys of different sizes", draw(3, 5), draw(3, 7), weight=2)
        yield case("d_k = D: every product has the right shape", draw(4, 4), draw(4, 4))
        yield case("a batch of heads", draw(2, 3, 6), draw(2, 3, 5))
        yield case("layers of heads", draw(2, 3, 4, 5), draw(2, 3, 4, 6))
        yield case("float64", draw(4, 3, dtype=torch.float64), draw(4, 5, dtype=torch.float64))
        yield case("gradients", draw(2, 3, 4), draw(2, 3, 6), gradient=True)

    misconceptions = (
        wrong(
            "no gradient",
            lambda W_q, W_k: (W_q.mT @ W_k).detach(),
            "The values are right, but W_q and W_k could not learn from them: the gradient is cut. "
            "Look for .detach(), .data, .numpy() or no_grad.",
        ),
        wrong(
            "heads are transposed too",
            lambda W_q, W_k: W_q.permute(*reversed(range(W_q.ndim))) @ W_k,
            "Your function is right for a single head only: `.T` turns round all axes, those of "
            "the heads too. `.mT` or .transpose(-2, -1) swaps the last two alone.",
            variants=[
                lambda W_q, W_k: W_q.T @ W_k,
                lambda W_q, W_k: W_q.t() @ W_k,
                lambda W_q, W_k: W_q.transpose(0, 1) @ W_k,
                lambda W_q, W_k: torch.mm(W_q.mT, W_k),
                lambda W_q, W_k: torch.einsum("aq,ak->qk", W_q, W_k),
            ],
        ),
        wrong(
            "exactly one leading dimension",
            lambda W_q, W_k: W_q.transpose(1, 2) @ W_k,
            "Your function wants exactly one leading dimension. There is none for a single head, "
            "and there are two for layers of heads: count the axes from the end, W_q.mT @ W_k.",
            variants=[
                lambda W_q, W_k: torch.bmm(W_q.transpose(1, 2), W_k),
                lambda W_q, W_k: torch.bmm(W_q.mT, W_k),
                lambda W_q, W_k: torch.einsum("haq,hak->hqk", W_q, W_k),
            ],
        ),
        wrong(
            "query and key swapped",
            lambda W_q, W_k: W_k.mT @ W_q,
            "This is Mᵀ. Row i of M belongs to feature i of the token that asks, so the query's "
            "matrix comes first: W_qᵀ W_k. M and Mᵀ are the same only where scores are symmetric.",
        ),
        wrong(
            "the transpose on the other side",
            lambda W_q, W_k: W_q @ W_k.mT,
            "W_q W_kᵀ sums over the features and leaves a [d_k, d_k] matrix. Papers that write "
            "x W_q have W_q as [D, d_k]; here it is [d_k, D], as in nn.Linear, and the product "
            "that sums over d_k is W_qᵀ W_k.",
        ),
        wrong(
            "no transpose",
            lambda W_q, W_k: W_q @ W_k,
            "You multiply [d_k, D] by [d_k, D] with no transpose, which can only work where d_k "
            "happens to be D. From (W_q x) · (W_k y) = xᵀ W_qᵀ W_k y the first one is transposed.",
        ),
        wrong(
            "entry by entry",
            lambda W_q, W_k: W_q * W_k,
            "`*` multiplies entry by entry. M is a matrix product, which sums over the d_k rows: "
            "W_q.mT @ W_k.",
        ),
        wrong(
            "divided by √d_k",
            lambda W_q, W_k: W_q.mT @ W_k / W_q.shape[-2] ** 0.5,
            "You divide by √d_k. M is the bilinear form before any scaling; the root belongs to "
            "the scores.",
        ),
        wrong(
            "made symmetric",
            lambda W_q, W_k: (M := W_q.mT @ W_k) / 2 + M.mT / 2,
            "You average M with its transpose. What is lost is the direction, the very thing that "
            "two separate matrices are for.",
        ),
        wrong(
            "one matrix for both",
            lambda W_q, W_k: W_q.mT @ W_q,
            "This is W_qᵀ W_q, what a shared projection gives: symmetric and never negative on the "
            "diagonal. W_k has to take part.",
            variants=[lambda W_q, W_k: W_k.mT @ W_k],
        ),
        wrong(
            "the heads are added up",
            lambda W_q, W_k: (W_q.mT @ W_k).sum(tuple(range(W_q.ndim - 2))),
            "You add up the circuits of all heads. Each head has its own softmax and therefore its "
            "own M: keep the leading dimensions.",
            variants=[lambda W_q, W_k: torch.einsum("...aq,...ak->qk", W_q, W_k)],
        ),
        wrong(
            "softmax on top",
            lambda W_q, W_k: (W_q.mT @ W_k).softmax(-1),
            "You went too far: M compares features, not tokens, and has no rows that add up to 1. "
            "The softmax is taken of the scores x M yᵀ.",
        ),
    )
