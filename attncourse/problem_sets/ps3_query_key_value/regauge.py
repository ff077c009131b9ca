"""`ps3.regauge`: other query and key matrices that give the same scores."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attncourse import circuits
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.problem_sets.ps3_query_key_value.common import invertible


@item("ps3.regauge", points=2, minutes=15, difficulty="medium")
class Regauge:
    """(A W_q, A⁻ᵀ W_k): other queries and keys, the same scores: [..., d_k, D] twice."""

    reference = circuits.regauge
    returns = ("W_q", "W_k")

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = (
            torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]),
            torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]]),
            torch.tensor([[1.0, 1.0], [0.0, 2.0]]),  # its inverse is [[1, −½], [0, ½]]
        )
        yield case("two rows, by hand", *by_hand, basic=True)
        yield case("one head", draw(3, 5), draw(3, 5), invertible(draw, 3), basic=True, weight=2)
        yield case(
            "queries and keys of different sizes", draw(3, 5), draw(3, 4), invertible(draw, 3)
        )
        yield case("d_k = D", draw(4, 4), draw(4, 4), invertible(draw, 4))
        yield case(
            "d_k = 1: a factor and its inverse", draw(1, 3), draw(1, 3), torch.tensor([[-4.0]])
        )
        yield case("a batch of heads", draw(2, 3, 6), draw(2, 3, 6), invertible(draw, 2, 3))
        yield case("one A for all heads", draw(2, 3, 5), draw(2, 3, 5), invertible(draw, 3))
        yield case(
            "float64",
            *(draw(3, 5, dtype=torch.float64), draw(3, 5, dtype=torch.float64)),
            invertible(draw, 3, dtype=torch.float64),
        )

    misconceptions = (
        wrong(
            "heads are transposed too",
            lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A).T @ W_k),
            "Your function is right for a single head only: `.T` turns round all axes, those of "
            "the heads too. `.mT` swaps the last two alone.",
            variants=[
                lambda W_q, W_k, A: (
                    A @ W_q,
                    torch.linalg.inv(A).permute(*reversed(range(A.ndim))) @ W_k,
                ),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A.T) @ W_k),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.solve(A.T, W_k)),
                lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A).t() @ W_k),
            ],
        ),
        wrong(
            "an input is changed",
            lambda W_q, W_k, A: (
                W_q.copy_(A @ W_q),
                W_k.copy_(torch.linalg.solve(A.mT, W_k)),
            ),
            "Your function overwrites the matrices it was given. Return new ones, and leave those "
            "of the caller alone.",
        ),
        wrong(
            "the inverse without its transpose",
            lambda W_q, W_k, A: (A @ W_q, torch.linalg.inv(A) @ W_k),
            "The key gets A⁻¹, and it has to be A⁻ᵀ. Write it out: (A W_q)ᵀ (B W_k) = "
            "W_qᵀ AᵀB W_k, and AᵀB is the identity for B = (Aᵀ)⁻¹.",
            variants=[lambda W_q, W_k, A: (A @ W_q, torch.linalg.solve(A, W_k))],
        ),
        wrong(
            "the transpose without the inverse",
            lambda W_q, W_k, A: (A @ W_q, A.mT @ W_k),
            "The key gets Aᵀ with no inverse. That is A⁻¹ for a rotation, but then A⁻ᵀ is A "
            "itself; for a general A it is neither. AᵀB has to be the identity: B = (Aᵀ)⁻¹.",
        ),
        wrong(
            "A on both sides",
            lambda W_q, W_k, A: (A @ W_q, A @ W_k),
            "You multiply both by A. The scores then have AᵀA in their middle, which is the "
            "identity for rotations alone. What A does to the query, the key has to undo.",
        ),
        wrong(
            "the inverse on both sides",
            lambda W_q, W_k, A: (torch.linalg.inv(A) @ W_q, torch.linalg.inv(A) @ W_k),
            "You multiply both by an inverse. One of the two has to make up for the other: A for "
            "the query, A⁻ᵀ for the key.",
            variants=[
                lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_q, torch.linalg.inv(A).mT @ W_k)
            ],
        ),
        wrong(
            "query and key changed roles",
            lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_q, A @ W_k),
            "This keeps the scores too, but it is another change of gauge: here A belongs to the "
            "query and A⁻ᵀ to the key.",
            variants=[
                lambda W_q, W_k, A: (torch.linalg.inv(A) @ W_q, A.mT @ W_k),
                lambda W_q, W_k, A: (A.mT @ W_q, torch.linalg.inv(A) @ W_k),
            ],
        ),
        wrong(
            "the results in the wrong order",
            lambda W_q, W_k, A: (torch.linalg.inv(A).mT @ W_k, A @ W_q),
            "You return the key's matrix first. Return the pair (W_q, W_k), in this order.",
        ),
        wrong(
            "the key stays as it was",
            lambda W_q, W_k, A: (A @ W_q, W_k),
            "You change the query and leave the key, so all scores change. The key has to make up "
            "for it with A⁻ᵀ.",
        ),
        wrong(
            "on the side of the features",
            lambda W_q, W_k, A: (W_q @ A, W_k @ torch.linalg.inv(A).mT),
            "You multiply from the right, which mixes the D features of a token. A is "
            "[d_k, d_k] and mixes the rows: A @ W_q.",
            variants=[lambda W_q, W_k, A: (W_q @ A, torch.linalg.inv(A).mT @ W_k)],
        ),
        wrong(
            "the inverse of every entry",
            lambda W_q, W_k, A: (A @ W_q, (1 / A).mT @ W_k),
            "`1 / A` and `A ** -1` invert every entry by itself. The inverse of the matrix is "
            "torch.linalg.inv(A); torch.linalg.solve(A.mT, W_k) has it in one step.",
            variants=[lambda W_q, W_k, A: (A @ W_q, (1 / A) @ W_k)],
        ),
        wrong(
            "the circuit instead of the pair",
            lambda W_q, W_k, A: W_q.mT @ W_k,
            "You return M, which no gauge changes. What is asked for is the new pair, two matrices "
            "of the old shapes.",
        ),
    )
