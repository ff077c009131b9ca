"""`ps3.symmetry`: how symmetric the QK circuit of each head is, from -1 to 1."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attncourse import circuits
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps3.symmetry", points=3, minutes=20, difficulty="medium")
class Symmetry:
    """⟨M, Mᵀ⟩ / ‖M‖² of M = W_qᵀ W_k: 1 symmetric, −1 antisymmetric; [..., d_k, D] -> [...]."""

    reference = circuits.symmetry

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        one, quarter_turn = torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        W, mixed = draw(3, 5), torch.tensor([[1.0, 2.0], [0.0, 1.0]])  # mixed: (1 + 0 + 0 + 1) / 6
        yield case("a matrix that can be done by hand", one, mixed, basic=True)
        yield case("one head", draw(3, 5), draw(3, 5), basic=True, weight=2)
        yield case("one matrix for both: 1", W, W)
        yield case("a quarter turn: −1", one, quarter_turn)
        yield case("a batch of heads", draw(2, 3, 7), draw(2, 3, 7), weight=2)
        yield case("layers of heads", draw(2, 3, 4, 5), draw(2, 3, 4, 5))
        yield case("more rows than features", draw(6, 4), draw(6, 4))
        yield case(
            "float64", draw(2, 3, 5, dtype=torch.float64), draw(2, 3, 5, dtype=torch.float64)
        )

    misconceptions = (
        wrong(
            "the cosine of W_q and W_k",
            lambda W_q, W_k: _inner(W_q, W_k) / (_inner(W_q, W_q) * _inner(W_k, W_k)).sqrt(),
            "You compare W_q with W_k. Multiply both by a change of gauge and no score changes, "
            "but this number does, so it says nothing about the head. Compare M with Mᵀ.",
            variants=[lambda W_q, W_k: torch.cosine_similarity(W_q, W_k, dim=-1).mean(-1)],
        ),
        wrong(
            "the small matrix in place of M",
            lambda W_q, W_k: _symmetry_of(W_q @ W_k.mT),
            "You use W_q W_kᵀ, which is [d_k, d_k]. Its inner product with its transpose is that "
            "of M, but its norm is not, and changes with the gauge. M is W_qᵀ W_k, "
            "of shape [D, D].",
        ),
        wrong(
            "the share of the symmetric part",
            lambda W_q, W_k: (1 + _symmetry_of(W_q.mT @ W_k)) / 2,
            "This is ‖(M + Mᵀ)/2‖² / ‖M‖², the symmetric part's share, from 0 to 1. Symmetry is "
            "that share minus the antisymmetric part's, from −1 to 1.",
        ),
        wrong(
            "the norm of the symmetric part",
            lambda W_q, W_k: ((1 + _symmetry_of(W_q.mT @ W_k)) / 2).sqrt(),
            "This is ‖(M + Mᵀ)/2‖ / ‖M‖, a length against a length. Wanted is the inner product "
            "⟨M, Mᵀ⟩ against ‖M‖², which can be negative.",
            variants=[lambda W_q, W_k: (2 + 2 * _symmetry_of(W_q.mT @ W_k)).sqrt()],
        ),
        wrong(
            "the antisymmetric part",
            lambda W_q, W_k: (1 - _symmetry_of(W_q.mT @ W_k)) / 2,
            "You measure how far M is from its transpose, which is 0 for a symmetric M. "
            "Symmetry is 1 there and −1 for an antisymmetric one.",
            variants=[
                lambda W_q, W_k: ((1 - _symmetry_of(W_q.mT @ W_k)) / 2).sqrt(),
                lambda W_q, W_k: (2 - 2 * _symmetry_of(W_q.mT @ W_k)).sqrt(),
                lambda W_q, W_k: 1 - (2 - 2 * _symmetry_of(W_q.mT @ W_k)).sqrt(),
            ],
        ),
        wrong(
            "the sign is lost",
            lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).abs(),
            "Your result is never negative. An antisymmetric M, in which the one that looks at "
            "you is not looked at, has symmetry −1: leave out abs() and the square.",
            variants=[lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).square()],
        ),
        wrong(
            "M with itself",
            lambda W_q, W_k: (M := W_q.mT @ W_k).square().sum((-2, -1)) / M.square().sum((-2, -1)),
            "You get 1 for every M: ⟨M, M⟩ = tr(Mᵀ M) compares M with itself. ⟨M, Mᵀ⟩ is the sum "
            "of M * M.mT, which is tr(M M).",
        ),
        wrong(
            "divided by the norm, not its square",
            lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M),
            "You divide by ‖M‖, and the result grows with the weights. Both M and Mᵀ have the "
            "norm ‖M‖, so divide by ‖M‖².",
            variants=[lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT)],
        ),
        wrong(
            "another norm",
            lambda W_q, W_k: (
                _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M, ord=2).square()
            ),
            "You divide by another norm of M. ‖M‖² is the sum of its squared entries, which "
            "torch.linalg.matrix_norm takes by default.",
            variants=[
                lambda W_q, W_k: (
                    _inner(M := W_q.mT @ W_k, M.mT)
                    / torch.linalg.matrix_norm(M, ord="nuc").square()
                ),
                lambda W_q, W_k: (
                    _inner(M := W_q.mT @ W_k, M.mT) / torch.linalg.matrix_norm(M, ord=1).square()
                ),
            ],
        ),
        wrong(
            "one norm for all heads",
            lambda W_q, W_k: _inner(M := W_q.mT @ W_k, M.mT) / M.square().sum(),
            "You divide every head by the norm of all of them together: M.norm() and "
            "torch.linalg.norm(M) run over all axes. Each head has a norm of its own, over the "
            "last two: M.square().sum((-2, -1)).",
        ),
        wrong(
            "a matrix product",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) @ M.mT).sum((-2, -1)) / _inner(M, M),
            "`@` multiplies matrices, and the sum of that is another one. ⟨M, Mᵀ⟩ goes entry by "
            "entry, M * M.mT; of M @ M it is the trace, not the sum.",
            variants=[lambda W_q, W_k: ((M := W_q.mT @ W_k) @ M).sum((-2, -1)) / _inner(M, M)],
        ),
        wrong(
            "the diagonal alone",
            lambda W_q, W_k: _inner(W_q, W_k) / torch.linalg.matrix_norm(W_q.mT @ W_k),
            "The trace of M looks at the diagonal, and every M has the diagonal of its transpose. "
            "Symmetry is about the entries across it: the sum of M * M.mT.",
            variants=[
                lambda W_q, W_k: (
                    _inner(W_q, W_k) / torch.linalg.matrix_norm(W_q.mT @ W_k, ord="nuc")
                ),
                lambda W_q, W_k: _inner(W_q, W_k) / (W_q.mT @ W_k).square().sum((-2, -1)),
            ],
        ),
        wrong(
            "row by row, then averaged",
            lambda W_q, W_k: torch.cosine_similarity(M := W_q.mT @ W_k, M.mT, dim=-1).mean(-1),
            "You take a cosine for every row and average. Then a row of tiny entries counts as "
            "much as one of large ones. Add up all products first, and divide once.",
        ),
        wrong(
            "the mean is taken off",
            lambda W_q, W_k: _symmetry_of((M := W_q.mT @ W_k) - M.mean((-2, -1), keepdim=True)),
            "You take the mean of the entries off before comparing, as a correlation does. The "
            "mean of M is a part of the circuit: leave it in.",
        ),
        wrong(
            "one number for all heads",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) * M.mT).sum() / M.square().sum(),
            "You return one number for all heads. Sum over the last two axes alone, "
            ".sum((-2, -1)): every head has a symmetry of its own.",
            variants=[
                lambda W_q, W_k: _symmetry_of(W_q.mT @ W_k).mean(),
                lambda W_q, W_k: _symmetry_of((W_q.mT @ W_k).sum(tuple(range(W_q.ndim - 2)))),
            ],
        ),
        wrong(
            "heads are transposed too",
            lambda W_q, W_k: ((M := W_q.mT @ W_k) * M.T).sum() / M.square().sum(),
            "Your function is right for a single head only. `.T` turns round all axes, those of "
            "the heads too, where `.mT` swaps the last two.",
            variants=[lambda W_q, W_k: _inner(M := W_q.T @ W_k, M.T) / M.square().sum()],
        ),
    )


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1))


def _symmetry_of(M: Tensor) -> Tensor:
    return _inner(M, M.mT) / _inner(M, M)
