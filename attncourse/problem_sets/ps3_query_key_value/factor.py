"""`ps3.factor`: the two matrices of d_k rows whose QK circuit comes closest to a given one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from attncourse import circuits
from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw


@item("ps3.factor", points=3, minutes=20, difficulty="medium")
class Factor:
    """W_q, W_k of d_k rows whose W_qᵀ W_k comes closest to M: [..., D_q, D_k] -> a pair."""

    reference = circuits.factor_bilinear
    returns = ("W_q", "W_k")

    @staticmethod
    def invariant(result: tuple[Tensor, Tensor], M: Tensor, d_k: int) -> Tensor:
        """W_qᵀ W_k"""
        W_q, W_k = result
        return W_q.mT @ W_k

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        by_hand = torch.tensor([[0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])  # keep the 3, drop the 1
        turned = torch.linalg.qr(draw(5, 5)).Q
        symmetric = turned * torch.tensor([3.0, -2.0, 1.3, -0.8, 0.5]) @ turned.mT
        yield case("a matrix that can be done by hand, d_k = 1", by_hand, 1, basic=True)
        yield case("closest at d_k = 2", _with_gaps(draw, 6, 4), 2, basic=True, weight=2)
        yield case("wider than it is high", _with_gaps(draw, 4, 7), 3)
        yield case("square", _with_gaps(draw, 5, 5), 2)
        yield case("symmetric, with negative eigenvalues too", symmetric, 3)
        yield case("M has rank d_k: nothing is lost", draw(6, 2) @ draw(2, 5), 2)
        yield case("every dimension: nothing is lost", draw(3, 5), 3)
        yield case("a batch of heads", _with_gaps(draw, 2, 4, 5), 3, weight=2)
        yield case("float64", _with_gaps(draw, 4, 6, dtype=torch.float64), 2)

    misconceptions = (
        wrong(
            "one head only",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[:, :d_k].mT,
                USV.S[:d_k, None] * USV.Vh[:d_k],
            ),
            "Your function is right for a single M only. With leading dimensions the first axis is "
            "the heads, so count from the end: U[..., :d_k], S[..., :d_k, None] and "
            "Vh[..., :d_k, :].",
            variants=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M)).U[:, :d_k].T,
                    torch.diag(USV.S[:d_k]) @ USV.Vh[:d_k],
                ),
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M)).U[:, :d_k].mT,
                    torch.diag(USV.S[:d_k]) @ USV.Vh[:d_k, :],
                ),
            ],
        ),
        wrong(
            "V in place of its transpose",
            lambda M, d_k: _factor(M, d_k, rows=lambda Vh: Vh[..., :d_k].mT),
            "You take columns of what torch.linalg.svd returns third. That is Vh, the transpose "
            "already: its first d_k rows belong to the largest singular values.",
            variants=[
                lambda M, d_k: _factor(M, d_k, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 1.0, 0.0, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 0.0, 1.0, rows=lambda Vh: Vh.mT[..., :d_k, :]),
                lambda M, d_k: _factor(M, d_k, 1.0, 0.0, rows=lambda Vh: Vh[..., :d_k].mT),
                lambda M, d_k: _factor(M, d_k, 0.0, 1.0, rows=lambda Vh: Vh[..., :d_k].mT),
            ],
        ),
        wrong(
            "the singular values along the wrong axis",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k].mT,
                USV.S[..., :d_k] * USV.Vh[..., :d_k, :],
            ),
            "`S[:d_k] * Vh[:d_k]` multiplies the columns of Vh, one after the other. A singular "
            "value belongs to a whole row of it: S[..., :d_k, None] * Vh[..., :d_k, :].",
            variants=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k].mT,
                    USV.S[..., None, :d_k] * USV.Vh[..., :d_k, :],
                ),
            ],
        ),
        wrong(
            "U is not transposed",
            lambda M, d_k: _factor(M, d_k, columns=lambda U: U[..., :d_k, :]),
            "You take rows of U. The singular vectors are its columns: the first d_k of them, "
            "transposed, are U[..., :d_k].mT.",
        ),
        wrong(
            "the singular values twice",
            lambda M, d_k: _factor(M, d_k, left=1.0, right=1.0),
            "Both sides carry the singular values, so W_qᵀ W_k has their squares. Their product "
            "counts once: a root on each side, or all of it on one.",
        ),
        wrong(
            "the singular values are forgotten",
            lambda M, d_k: _factor(M, d_k, left=0.0, right=0.0),
            "The directions are right, the singular values are missing: without them every "
            "direction counts the same. M = U diag(S) Vh.",
        ),
        wrong(
            "half of the singular values",
            lambda M, d_k: _factor(M, d_k, left=0.5, right=0.0),
            "Only one side carries the root of the singular values. Put the root on both sides, or "
            "all of S on one.",
            variants=[lambda M, d_k: _factor(M, d_k, left=0.25, right=0.25)],
        ),
        wrong(
            "the smallest singular values",
            lambda M, d_k: (
                (USV := torch.linalg.svd(M, full_matrices=False)).U[..., -d_k:].mT,
                USV.S[..., -d_k:, None] * USV.Vh[..., -d_k:, :],
            ),
            "You keep the last singular values, and they are sorted falling: these are the "
            "smallest. The closest matrix keeps the d_k largest.",
            variants=[
                lambda M, d_k: (
                    (L := torch.linalg.eigh(M @ M.mT)).eigenvectors[..., :d_k].mT,
                    L.eigenvectors[..., :d_k].mT @ M,
                ),
            ],
        ),
        wrong(
            "one matrix for both",
            lambda M, d_k: _twice(_factor(M, d_k)[1]),
            "Your W_q and W_k are one and the same, so W_qᵀ W_k is symmetric and never negative on "
            "the diagonal. M need not be either: take W_q from U and W_k from V.",
            variants=[lambda M, d_k: _twice(_factor(M, d_k)[0])],
        ),
        wrong(
            "M is taken to be symmetric",
            lambda M, d_k: (
                (L := torch.linalg.eigh(M)).eigenvectors[..., -d_k:].mT,
                L.eigenvalues[..., -d_k:, None] * L.eigenvectors[..., -d_k:].mT,
            ),
            "You decompose M by eigenvalues, as if it were symmetric and its largest eigenvalues "
            "those that matter. A bilinear form need not be square, and size counts, not sign: "
            "take the singular values.",
            variants=[
                lambda M, d_k: (
                    (L := torch.linalg.eigh((M + M.mT) / 2)).eigenvectors[..., -d_k:].mT,
                    L.eigenvalues[..., -d_k:, None] * L.eigenvectors[..., -d_k:].mT,
                ),
                lambda M, d_k: _twice(
                    (L := torch.linalg.eigh((M + M.mT) / 2)).eigenvalues[..., -d_k:, None].sqrt()
                    * L.eigenvectors[..., -d_k:].mT
                ),
            ],
        ),
        wrong(
            "the first d_k rows of M",
            lambda M, d_k: (
                torch.eye(M.shape[-2], dtype=M.dtype)[:d_k].expand(*M.shape[:-2], -1, -1),
                M[..., :d_k, :],
            ),
            "Your product is M with rows or columns cut off. That has rank d_k, but it is not the "
            "closest: the features that matter most need not come first. Take the singular value "
            "decomposition.",
            variants=[
                lambda M, d_k: (
                    M[..., :d_k].mT,
                    torch.eye(M.shape[-1], dtype=M.dtype)[:d_k].expand(*M.shape[:-2], -1, -1),
                ),
            ],
        ),
        wrong(
            "another decomposition",
            lambda M, d_k: ((QR := torch.linalg.qr(M)).Q[..., :d_k].mT, QR.R[..., :d_k, :]),
            "Cut short, QR gives a matrix of rank d_k, but not the closest one: it goes by the "
            "order of the columns. The singular values say which directions matter.",
        ),
        wrong(
            "the mean is taken off",
            lambda M, d_k: _factor(M - M.mean(-2, keepdim=True), d_k),
            "You centre M first, as in a principal component analysis. A bilinear form has no mean "
            "to take off: decompose M itself.",
        ),
        wrong(
            "query and key swapped",
            lambda M, d_k: _factor(M, d_k)[::-1],
            "Your W_qᵀ W_k is close to Mᵀ. The rows of M belong to the query, so W_q comes from U "
            "and W_k from V.",
        ),
        wrong(
            "the other layout",
            lambda M, d_k: tuple(W.mT for W in _factor(M, d_k)),
            "You return [D, d_k]. As in nn.Linear a projection is [d_k, D]: transpose both.",
            variants=[
                lambda M, d_k: (
                    (USV := torch.linalg.svd(M, full_matrices=False)).U[..., :d_k]
                    * USV.S[..., None, :d_k],
                    USV.Vh[..., :d_k, :],
                ),
            ],
        ),
        wrong(
            "d_k is ignored",
            lambda M, d_k: _factor(M, min(M.shape[-2:])),
            "You keep every singular value, whatever d_k is. A head has d_k rows: keep the d_k "
            "largest.",
        ),
        wrong(
            "the product instead of the pair",
            lambda M, d_k: (f := _factor(M, d_k))[0].mT @ f[1],
            "You return the closest matrix itself. Return what makes it: the pair (W_q, W_k).",
        ),
    )


def _with_gaps(draw: Draw, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # Between singular values that are nearly equal, rounding would choose which to keep.
    U, S, Vh = torch.linalg.svd(draw(*shape, dtype=dtype), full_matrices=False)
    return U * (3 * 0.65 ** torch.arange(S.shape[-1], dtype=dtype)) @ Vh


def _factor(
    M: Tensor,
    d_k: int,
    left: float = 0.5,
    right: float = 0.5,
    columns: Callable[[Tensor], Tensor] | None = None,
    rows: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The singular vectors, each side with a power of the singular values."""
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    S = S[..., :d_k, None]
    U = U[..., :d_k].mT if columns is None else columns(U)
    return S**left * U, S**right * (Vh[..., :d_k, :] if rows is None else rows(Vh))


def _twice(W: Tensor) -> tuple[Tensor, Tensor]:
    return W, W
