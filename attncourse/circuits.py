"""The two matrices that a head really has, and what can be asked of them.

A head is ``W_q, W_k, W_v, W_o``, but its scores depend on the first two only through the QK
circuit ``M = W_qᵀ W_k`` (where to look), and its output on the last two only through the OV
circuit ``W_o W_v`` (what to move). Many pairs ``W_q, W_k`` make the same M: a change from one to
another is a change of *gauge*, and a question about the pair is well posed only if its answer
does not depend on the gauge. Every statistic in this file is such an answer.

Shapes, once for the whole file; ``...`` stands for any leading dimensions, of heads or layers,
which broadcast:

=============  =======================================================================
``W_q, W_k``   ``[..., d_k, d_model]``, as in ``nn.Linear`` and ``SelfAttention.W_q``
``W_v``        ``[..., d_v, d_model]``
``W_o``        ``[..., d_model, d_v]``
``M``          ``[..., d_model, d_model]``: row i belongs to feature i of the query's token
=============  =======================================================================

A statistic is a tensor of the leading dimensions alone; :func:`principal_angles` has one more. It
depends on neither the size of the weights nor biases, is 0 for a matrix of zeros unless it says
otherwise, is computed one head at a time in at least float32, never forms M where M is the larger,
and carries no gradient.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits". The proofs stand
in the chapter "query-and-key" of the book.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from attncourse.arguments import (
    broadcast,
    check_features,
    check_leading,
    check_same_kind,
    check_size,
    known_finite,
    shape_of,
)
from attncourse.device import one_thread

# ---------------------------------------------------------------- circuits and their factors


def qk_circuit(W_q: Tensor, W_k: Tensor) -> Tensor:
    """``M = W_qᵀ W_k``: the scores of ``x`` with ``y`` are ``x M yᵀ``, before any scaling.

    Args:
        W_q: ``[..., d_k, d_query]``.
        W_k: ``[..., d_k, d_context]``.

    Returns:
        ``[..., d_query, d_context]``.

    Raises:
        TypeError: an argument is not a floating-point tensor, or the two differ in dtype.
        ValueError: shapes do not fit, or there are NaN or infinite values.
    """
    _check_pair("d_k", -2, -2, W_q=W_q, W_k=W_k)
    return W_q.mT @ W_k


def ov_circuit(W_o: Tensor, W_v: Tensor) -> Tensor:
    """``W_o W_v``: a token ``x`` that is fully attended to adds ``W_o W_v x`` to the output.

    Args:
        W_o: ``[..., d_model, d_v]``.
        W_v: ``[..., d_v, d_context]``.

    Returns:
        ``[..., d_model, d_context]``.

    Raises:
        TypeError, ValueError: as :func:`qk_circuit`.
    """
    _check_pair("d_v", -1, -2, W_o=W_o, W_v=W_v)
    return W_o @ W_v


def regauge(W_q: Tensor, W_k: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """``(A W_q, A⁻ᵀ W_k)``: other queries and keys, the same M, the same scores.

    For the OV circuit: ``W_v, W_o_transposed = regauge(W_v, W_o.mT, A)``.

    Args:
        W_q, W_k: ``[..., d_k, d_model]``.
        A: ``[..., d_k, d_k]``, invertible.

    Raises:
        TypeError, ValueError: as :func:`qk_circuit`, or A has another shape or, where numbers are
            looked at (on the CPU, outside of ``torch.vmap``), no inverse.
    """
    _check_pair("d_k", -2, -2, W_q=W_q, W_k=W_k)
    check_features("A", A, "[..., d_k, d_k]")
    check_same_kind("W_q", W_q, "A", A)
    d_k, dtype = W_q.shape[-2], W_q.dtype
    if A.shape[-2:] != (d_k, d_k):
        raise ValueError(f"A must have shape [..., d_k, d_k], d_k = {d_k}; got {shape_of(A)}")
    check_leading(W_q=W_q, W_k=W_k, A=A)
    W_q, W_k, A = map(_precise, (W_q, W_k, A))
    if known_finite(A) and bool((torch.linalg.matrix_rank(A.detach()) < d_k).any()):
        raise ValueError("A must be invertible, and its rank is less than d_k")
    return (A @ W_q).to(dtype), torch.linalg.solve(A.mT, W_k).to(dtype)


def factor_bilinear(M: Tensor, d_k: int) -> tuple[Tensor, Tensor]:
    """``W_q, W_k`` of d_k rows whose ``W_qᵀ W_k`` comes closest to M, and is M at rank ≤ d_k.

    Of all the gauges this is the balanced one: ``W_q W_qᵀ = W_k W_kᵀ``, both diagonal. Gradients
    are sound only where the singular values of M all differ and none is 0; elsewhere, as for a
    matrix of zeros or one of low rank, they can be NaN or huge.

    Args:
        M: ``[..., d_query, d_context]``.
        d_k: at most the smaller of the two sizes.

    Returns:
        ``[..., d_k, d_query]`` and ``[..., d_k, d_context]``.

    Raises:
        TypeError: M is not a floating-point tensor, or d_k not a whole number.
        ValueError: d_k does not fit M, or M has NaN or infinite values.

    Source: Eckart and Young 1936: the truncated singular value decomposition is the closest.
    """
    check_features("M", M, "[..., d_query, d_context]")
    check_size("d_k", d_k)
    if d_k > min(M.shape[-2:]):
        raise ValueError(
            f"d_k must be at most {min(M.shape[-2:])}, which is the highest rank of an M of shape "
            f"{shape_of(M)}; got {d_k}"
        )
    U, S, Vh = torch.linalg.svd(_precise(M), full_matrices=False)
    root = S[..., :d_k, None].sqrt()
    return (root * U[..., :d_k].mT).to(M.dtype), (root * Vh[..., :d_k, :]).to(M.dtype)


# ---------------------------------------------------------------- invariants of the QK circuit


def symmetry(W_q: Tensor, W_k: Tensor) -> Tensor:
    """``⟨M, Mᵀ⟩ / ‖M‖²``: 1 if M is symmetric, -1 if antisymmetric, near 0 if random.

    It is the energy of the symmetric part of M minus that of the antisymmetric part, as a share
    of the whole. It says nothing about the sign of the form: ``M = -Wᵀ W`` has symmetry 1 too.
    Gaussian weights give 1/d_model on average, with a standard deviation of about √2/d_model.

    Args:
        W_q, W_k: ``[..., d_k, d_model]``. To sum a layer's heads, stack their rows:
            ``W_q.flatten(-3, -2)`` of ``[h, d_k, d_model]``.

    Raises:
        TypeError, ValueError: as :func:`qk_circuit`, or W_q and W_k differ in d_model.

    Source: Saponati et al. 2025 (arXiv 2502.10927), the symmetry score, there of summed heads.
    """
    _check_head(W_q, W_k)

    def of_one(W_q: Tensor, W_k: Tensor) -> Tensor:
        # ⟨M, Mᵀ⟩ = tr(M M) = tr((W_k W_qᵀ)²) and ‖M‖² = tr(W_q W_qᵀ W_k W_kᵀ): d_k × d_k suffices.
        cross = W_k @ W_q.mT
        return _ratio((cross * cross.mT).sum(), ((W_q @ W_q.mT) * (W_k @ W_k.mT)).sum())

    return _statistic(of_one, W_q, W_k)


def balanced_cosine(W_q: Tensor, W_k: Tensor) -> Tensor:
    """``tr M / ‖M‖_*``: the cosine of W_q and W_k in the balanced gauge, in [-1, 1].

    It is 1 if and only if M is symmetric, positive semi-definite and not zero: if and only if one
    shared matrix would give the same scores, whatever the tokens. Where the cosine of W_q and W_k
    element by element is positive, it is at least that large, in whatever gauge; for an M of zeros
    it is 0.

    Arguments and errors as in :func:`symmetry`.
    """
    _check_head(W_q, W_k)

    def of_one(W_q: Tensor, W_k: Tensor) -> Tensor:
        # An orthonormal basis on either side leaves the singular values alone.
        M = _triangular(W_q).mT @ _triangular(W_k)
        return _ratio((W_q * W_k).sum(), torch.linalg.svdvals(M).sum())

    return _statistic(of_one, W_q, W_k)


def positive_energy(W_q: Tensor, W_k: Tensor) -> Tensor:
    """``Σ λ₊² / Σ λ²`` over the eigenvalues λ of ``(M + Mᵀ) / 2``: 1 if none is negative.

    0.5 says that neither sign prevails, as in a random M, and in one with no symmetric part.
    The *number* of positive eigenvalues says little: the symmetric part of a generic M of rank k
    has k positive and k negative ones where 2 k ≤ d_model.

    Arguments and errors as in :func:`symmetry`.
    """
    _check_head(W_q, W_k)

    def of_one(W_q: Tensor, W_k: Tensor) -> Tensor:
        W_q, W_k = _triangular(torch.cat([W_q, W_k])).chunk(2)
        M = W_q.mT @ W_k  # 2 d_k × 2 d_k at most: all that W_q and W_k read
        eigenvalues = torch.linalg.eigvalsh(M + M.mT)
        positive, total = eigenvalues.clamp_min(0).square().sum(), eigenvalues.square().sum()
        rounding = (8 * len(M) * torch.finfo(M.dtype).eps) ** 2 * M.square().sum()
        return torch.where(total > rounding, _ratio(positive, total), 0.5)

    return _statistic(of_one, W_q, W_k)


def directionality(W_q: Tensor, W_k: Tensor, *, outlier: float = 2.0) -> Tensor:
    """``(c - r) / (c + r)``: do a few columns of M stick out, or a few rows? In [-1, 1].

    c is how far the norms of M's columns rise above ``mean + outlier · standard deviation`` of
    them all, added up; r is the same for the rows. Columns belong to the features of the key's
    token, rows to those of the query's, so it is positive if a few features decide who is
    *attended to*, and 0 if nothing sticks out. Symmetric **and** antisymmetric matrices have 0,
    and swapping W_q with W_k turns the sign: it does not measure symmetry. Unlike the other
    statistics it depends on the basis of the features.

    Args:
        W_q, W_k: as in :func:`symmetry`.
        outlier: standard deviations above the mean from which a norm sticks out.

    Raises:
        TypeError, ValueError: as :func:`symmetry`, or ``outlier`` is not a finite number.

    Source: Saponati et al. 2025 (arXiv 2502.10927), the directionality score as their published
    code computes it (``utils/scores.py``), sign included.
    """
    if not (isinstance(outlier, (int, float)) and math.isfinite(outlier)):
        raise ValueError(f"outlier must be a finite number, got {outlier!r}")

    def excess(squares: Tensor) -> Tensor:
        norms = squares.clamp_min(0).sqrt()
        if len(norms) == 1:  # which has no spread
            return norms.new_zeros(())
        rounding = 16 * torch.finfo(norms.dtype).eps * norms.mean()  # norms that are all alike
        threshold = norms.mean() + outlier * norms.std() + rounding
        return (norms - threshold).clamp_min(0).sum()

    _check_head(W_q, W_k)

    def of_one(W_q: Tensor, W_k: Tensor) -> Tensor:
        # Row i of M is W_kᵀ times column i of W_q: its norm needs W_k W_kᵀ alone.
        rows = excess((W_q * (W_k @ W_k.mT @ W_q)).sum(0))
        columns = excess((W_k * (W_q @ W_q.mT @ W_k)).sum(0))
        return _ratio(columns - rows, columns + rows)

    return _statistic(of_one, W_q, W_k)


# ---------------------------------------------------------------- what two matrices read


def subspace_overlap(W_a: Tensor, W_b: Tensor) -> Tensor:
    """Mean squared cosine of the principal angles between the row spaces: 0 apart, 1 nested.

    The row space of a projection is what it reads of a token; the rest does not reach the head.
    Two random ones overlap by ``max(d_a, d_b) / d_model``. Dependent rows do not count twice, and
    rows count as dependent where a singular value is below ``8 · rows · eps`` of the largest. So
    the answer does not depend on the gauge while W has a condition number up to
    ``1 / (8 · rows · eps)``, 8,192 for 128 rows in float32; beyond it directions are lost.

    Args:
        W_a: ``[..., d_a, d_model]``.
        W_b: ``[..., d_b, d_model]``.

    Raises:
        TypeError, ValueError: as :func:`symmetry`; d_a and d_b may differ.
    """
    _check_pair("d_model", -1, -1, W_a=W_a, W_b=W_b)

    def of_one(W_a: Tensor, W_b: Tensor) -> Tensor:
        A, B = _row_bases(W_a, W_b)
        angles = torch.minimum(_rank(A), _rank(B))
        return ((A.mT @ B).square().sum() / angles.clamp_min(1)).clamp_max(1)

    return _statistic(of_one, W_a, W_b)


def principal_angles(W_a: Tensor, W_b: Tensor) -> Tensor:
    """Angles between the row spaces, in radians, rising: ``[..., min(d_a, d_b)]`` in [0, π/2].

    Args:
        W_a: ``[..., d_a, d_model]``, its rows linearly independent.
        W_b: ``[..., d_b, d_model]``, its rows linearly independent, as :func:`subspace_overlap`
            tells.

    Raises:
        TypeError, ValueError: as :func:`subspace_overlap`, or rows are linearly dependent. Where
            numbers are not looked at, on a GPU and within ``torch.vmap``, such rows have angles
            of π/2 with everything in place of an error.

    Source: Björck and Golub 1973. The sine comes from its own decomposition, because the cosine
    of a small angle has lost it.
    """
    _check_pair("d_model", -1, -1, W_a=W_a, W_b=W_b)

    def of_one(W_a: Tensor, W_b: Tensor) -> Tensor:
        A, B = _row_bases(W_a, W_b)
        for name, W, basis in (("W_a", W_a, A), ("W_b", W_b, B)):
            if known_finite(basis) and bool(_rank(basis) < len(W)):
                raise ValueError(
                    f"the rows of {name} must be linearly independent, "
                    f"and {len(W)} rows have rank {int(_rank(basis))}"
                )
        if A.shape[1] < B.shape[1]:
            A, B = B, A
        cosines = A.mT @ B
        sines = torch.linalg.svdvals(B - A @ cosines).flip(0)
        return torch.atan2(sines, torch.linalg.svdvals(cosines))

    return _statistic(of_one, W_a, W_b)


def compress(*weights: Tensor) -> tuple[Tensor, ...]:
    """The same matrices in an orthonormal basis of all that they read of a token.

    Together they have so few rows that the basis is short, and whatever depends only on the dot
    products of rows stays as it was: :func:`symmetry`, :func:`balanced_cosine`,
    :func:`positive_energy`, the overlap and the angles, but not :func:`directionality`. To ask
    several of these of the same large heads, compress W_q, W_k and W_v once.

    Args:
        weights: each ``[..., rows, d_model]``.

    Returns:
        Each ``[..., rows, r]``, r the sum of all rows or d_model, whichever is less.

    Raises:
        TypeError, ValueError: as :func:`qk_circuit`; the matrices differ in d_model.
    """
    if not weights:
        raise ValueError("weights must be at least one matrix, got none")
    for i, W in enumerate(weights):
        _check_pair("d_model", -1, -1, **{"weights[0]": weights[0], f"weights[{i}] ": W})
    compressed = _of_each_head(lambda *one: _triangular(torch.cat(one)), *weights)
    return compressed.split([W.shape[-2] for W in weights], dim=-2)


# ---------------------------------------------------------------- one head at a time


def _of_each_head(of_one: Callable[..., Tensor], *weights: Tensor) -> Tensor:
    """``of_one`` of the matrices of each head, which it gets in at least float32.

    One head at a time: batched products would hold several copies of all the weights at once,
    and those of 1,024 heads at d_model = 4,096 are gigabytes.
    """
    leading = broadcast(*(W.shape[:-2] for W in weights))
    weights = tuple(W.expand(*leading, -1, -1) for W in weights)

    @torch.no_grad()  # in each thread
    def of_head(head: tuple[int, ...]) -> Tensor:
        return of_one(*(_precise(W[head]) for W in weights))

    # A transform such as vmap holds for the thread that is in it, and a GPU has threads of its own.
    on_the_cpu = known_finite(*weights) is not None
    heads = list(itertools.product(*map(range, leading)))
    values = _map(of_head, heads, in_threads=on_the_cpu)
    return torch.stack(values).reshape(leading + values[0].shape)


def _map(
    of_head: Callable[[tuple[int, ...]], Tensor], heads: list[tuple[int, ...]], *, in_threads: bool
) -> list[Tensor]:
    """One thread for each of several heads, where they are computed on the CPU.

    All threads on one head are no faster than one: its matrices are too small to be shared out,
    and where other programs run too, the threads wait for one another most of the time.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(heads) == 1 or not in_threads:
        return [of_head(head) for head in heads]
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(of_head, heads))


def _statistic(of_one: Callable[..., Tensor], *weights: Tensor) -> Tensor:
    """:func:`_of_each_head` for what does not depend on the size of the matrices."""
    # Norms of M are fourth powers of the entries: weights of 1e-12 would count as zero.
    return _of_each_head(lambda *one: of_one(*map(_scaled, one)), *weights)


def _precise(W: Tensor) -> Tensor:
    """W in at least float32: there are no decompositions for less."""
    return W.to(torch.promote_types(W.dtype, torch.float32))


def _scaled(W: Tensor) -> Tensor:
    """W with a largest entry of 1."""
    largest = W.abs().amax()
    return W / largest.masked_fill(largest == 0, 1)


def _triangular(W: Tensor) -> Tensor:
    """W in an orthonormal basis of its row space, ``[rows, min(rows, d_model)]``.

    Whatever depends on the dot products of rows alone is the same for it, and much cheaper.
    """
    return torch.linalg.qr(W.mT, mode="r").R.mT


def _row_bases(W_a: Tensor, W_b: Tensor) -> tuple[Tensor, Tensor]:
    """Bases of both row spaces, as :func:`_row_basis`, in coordinates that they share."""
    a, b = _triangular(torch.cat([W_a, W_b])).split([len(W_a), len(W_b)])
    return _row_basis(a), _row_basis(b)


def _row_basis(W: Tensor) -> Tensor:
    """An orthonormal basis of the row space of W, ``[columns, min(W.shape)]``.

    As many of its columns as the rank of W lacks are zeros: a shape must not depend on numbers.
    """
    _, S, Vh = torch.linalg.svd(W, full_matrices=False)
    # Not d_model: at 4,096 features a row a thousandth as long as the others would not count.
    smallest = 8 * len(W) * torch.finfo(S.dtype).eps * S.amax()
    return Vh.masked_fill((smallest >= S).unsqueeze(-1), 0).mT


def _rank(basis: Tensor) -> Tensor:
    """How many columns of a basis are not zeros."""
    return basis.any(0).sum()


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """``a / b`` for b ≥ 0, kept in [-1, 1] against rounding; 0 where b is 0."""
    return (a / b.masked_fill(b == 0, torch.inf)).clamp(-1, 1)


# ---------------------------------------------------------------- checks of arguments


def _check_pair(size: str, axis_a: int, axis_b: int, **weights: Tensor) -> None:
    """Check two matrices, and that one's ``axis_a`` and the other's ``axis_b`` are as long."""
    (name_a, a), (name_b, b) = weights.items()
    for name, W in weights.items():
        check_features(name, W, "[..., rows, columns]")
        if W.numel() == 0:
            raise ValueError(f"{name} must not be empty, got {shape_of(W)}")
    check_same_kind(name_a, a, name_b, b)
    if a.shape[axis_a] != b.shape[axis_b]:
        raise ValueError(
            f"{name_a} and {name_b} must have the same {size}: {name_a} is {shape_of(a)}, "
            f"{name_b} is {shape_of(b)}; {a.shape[axis_a]} is not {b.shape[axis_b]}"
        )
    check_leading(**weights)


def _check_head(W_q: Tensor, W_k: Tensor) -> None:
    _check_pair("d_k", -2, -2, W_q=W_q, W_k=W_k)
    _check_pair("d_model", -1, -1, W_q=W_q, W_k=W_k)
