"""Circuits and their invariants: against the plain d × d formula, under every gauge, at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused
from strategies import distinct_sizes, leading_dimensions, normal, seeds

from attncourse.attention import SelfAttention, dot_affinity
from attncourse.circuits import (
    balanced_cosine,
    compress,
    directionality,
    factor_bilinear,
    ov_circuit,
    positive_energy,
    principal_angles,
    qk_circuit,
    regauge,
    subspace_overlap,
    symmetry,
)

INVARIANTS = {
    "symmetry": symmetry,
    "balanced_cosine": balanced_cosine,
    "positive_energy": positive_energy,
    "directionality": directionality,
    "subspace_overlap": subspace_overlap,
    "principal_angles": principal_angles,
}
SPECTRAL = [name for name in INVARIANTS if name != "directionality"]


def close(actual, expected, tolerance=1e-9):
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def head(seed, *shape):
    return normal(seed, *shape), normal(seed + 1, *shape)


def gauge(seed, d_k):
    """An invertible matrix that is not a rotation: singular values from 1/3 to 3."""
    U, _, Vh = torch.linalg.svd(normal(seed, d_k, d_k))
    return U @ torch.logspace(-1, 1, d_k, base=3).double().diag() @ Vh


# ---------------------------------------------------------------- the plain formulas


def naive(name, W_q, W_k):
    """The definition on the d × d matrix, with numpy, for one head."""
    Q, K = W_q.numpy(), W_k.numpy()
    M = Q.T @ K
    if name == "symmetry":
        return (M * M.T).sum() / (M * M).sum()
    if name == "balanced_cosine":
        return np.trace(M) / np.linalg.svd(M, compute_uv=False).sum()
    if name == "positive_energy":
        eigenvalues = np.linalg.eigvalsh((M + M.T) / 2)
        return (eigenvalues[eigenvalues > 0] ** 2).sum() / (eigenvalues**2).sum()
    if name == "directionality":
        excess = []
        for norms in (np.linalg.norm(M, axis=0), np.linalg.norm(M, axis=1)):  # columns, rows
            threshold = norms.mean() + 2 * norms.std(ddof=1)
            excess.append((norms[norms > threshold] - threshold).sum())
        columns, rows = excess
        return (columns - rows) / (columns + rows) if columns + rows > 0 else 0.0
    # P projects on the row space; the non-zero singular values of P_a P_b are the cosines
    P_a, P_b = (np.linalg.pinv(W) @ W for W in (Q, K))
    cosines = np.linalg.svd(P_a @ P_b, compute_uv=False)[: min(len(Q), len(K), M.shape[0])]
    if name == "subspace_overlap":
        return (cosines**2).mean()
    return np.arccos(cosines.clip(-1, 1))


@pytest.mark.parametrize("name", INVARIANTS)
@given(sizes=distinct_sizes(2, largest=12), seed=seeds)
def test_a_statistic_is_its_formula_on_the_d_by_d_matrix(name, sizes, seed):
    d_k, d_model = sorted(sizes)
    W_q, W_k = head(seed, d_k, d_model)
    expected = torch.tensor(naive(name, W_q, W_k), dtype=torch.float64)
    # the plain formula's own angles are only good to half the digits
    close(INVARIANTS[name](W_q, W_k), expected, 1e-6 if name == "principal_angles" else 1e-9)


def test_directionality_is_its_formula_where_something_sticks_out():
    """Random heads of a few features hardly ever have an outlier; these do, on both sides."""
    values = []
    for seed in range(20):
        W_q, W_k = head(seed, 3, 50)
        W_q[:, seed % 5] *= 4
        W_k[:, 7] *= 1 + seed % 4
        values.append(directionality(W_q, W_k))
        close(values[-1], torch.tensor(naive("directionality", W_q, W_k)))
    assert torch.stack(values).std() > 0.1


@pytest.mark.parametrize("name", [n for n in INVARIANTS if n != "principal_angles"])
def test_more_rows_than_features_are_no_trouble(name):
    W_q, W_k = head(0, 7, 4)
    expected = torch.tensor(naive(name, W_q, W_k), dtype=torch.float64)
    close(INVARIANTS[name](W_q, W_k), expected)


@pytest.mark.parametrize("name", INVARIANTS)
@given(leading=leading_dimensions, seed=seeds)
def test_each_head_of_a_batch_has_its_own_statistic(name, leading, seed):
    W_q, W_k = head(seed, *leading, 3, 8)
    values = INVARIANTS[name](W_q, W_k)
    angles = (3,) if name == "principal_angles" else ()
    assert values.shape == leading + angles
    for index in np.ndindex(leading):
        assert torch.equal(values[index], INVARIANTS[name](W_q[index], W_k[index]))


@pytest.mark.parametrize("name", INVARIANTS)
def test_leading_dimensions_broadcast_as_one_key_for_several_queries_needs(name):
    W_q, W_k = normal(0, 2, 4, 3, 8), normal(1, 2, 1, 3, 8)
    expected = INVARIANTS[name](W_q, W_k.expand(2, 4, 3, 8).clone())
    assert torch.equal(INVARIANTS[name](W_q, W_k), expected)


# ---------------------------------------------------------------- circuits, factors, gauges


@given(leading_dimensions, distinct_sizes(4), seeds)
def test_the_qk_circuit_is_all_that_the_scores_need(leading, sizes, seed):
    T, d_k, d_query, d_context = sizes
    W_q, W_k = normal(seed, *leading, d_k, d_query), normal(seed + 1, *leading, d_k, d_context)
    x, y = normal(seed + 2, T, d_query), normal(seed + 3, T, d_context)
    scores = dot_affinity(x @ W_q.mT, y @ W_k.mT)
    torch.testing.assert_close(x @ qk_circuit(W_q, W_k) @ y.mT, scores)


def test_the_ov_circuit_is_all_that_the_output_needs():
    torch.manual_seed(0)
    layer = SelfAttention(12, num_heads=3, d_k=2, d_v=5).double()
    x = normal(0, 7, 12)
    output, weights = layer(x, return_weights=True)
    circuits = ov_circuit(layer.W_o, layer.W_v)
    assert circuits.shape == (3, 12, 12)
    close(output, sum(weights[h] @ x @ circuits[h].mT for h in range(3)))


@given(leading_dimensions, distinct_sizes(3), seeds)
def test_a_change_of_gauge_changes_the_weights_and_no_score(leading, sizes, seed):
    d_k, *d = sizes
    W_q, W_k = normal(seed, *leading, d_k, d[0]), normal(seed + 1, *leading, d_k, d[1])
    new_q, new_k = regauge(W_q, W_k, gauge(seed, d_k))
    assert new_q.shape == W_q.shape
    assert new_k.shape == W_k.shape
    close(qk_circuit(new_q, new_k), qk_circuit(W_q, W_k))
    assert not torch.allclose(new_q, W_q)


def test_a_change_of_gauge_leaves_the_ov_circuit_alone_too():
    W_v, W_o = normal(0, 3, 8), normal(1, 8, 3)
    new_v, new_o_transposed = regauge(W_v, W_o.mT, gauge(2, 3))
    close(ov_circuit(new_o_transposed.mT, new_v), ov_circuit(W_o, W_v))
    assert not torch.allclose(new_v, W_v)


@pytest.mark.parametrize("name", INVARIANTS)
@given(distinct_sizes(2, largest=12), seeds)
def test_a_statistic_does_not_depend_on_the_gauge(name, sizes, seed):
    d_k, d_model = sorted(sizes)
    W_q, W_k = head(seed, d_k, d_model)
    new = regauge(W_q, W_k, gauge(seed, d_k))
    close(INVARIANTS[name](*new), INVARIANTS[name](W_q, W_k), 1e-7)


def test_the_element_wise_cosine_does_depend_on_the_gauge():
    W_q, W_k = head(0, 3, 8)
    W_k = W_q + 0.3 * W_k
    new_q, new_k = regauge(W_q, W_k, gauge(2, 3))

    def cosine(a, b):
        return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))

    assert cosine(W_q, W_k) > 0.9
    assert cosine(new_q, new_k) < 0.7


@given(leading_dimensions, distinct_sizes(2), seeds)
def test_any_bilinear_form_has_factors_and_they_are_balanced(leading, sizes, seed):
    M = normal(seed, *leading, *sizes)
    W_q, W_k = factor_bilinear(M, min(sizes))
    close(qk_circuit(W_q, W_k), M)
    close(W_q @ W_q.mT, W_k @ W_k.mT)


def test_gradients_of_factors_are_right_until_singular_values_coincide():
    M = normal(0, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda M: qk_circuit(*factor_bilinear(M, 2)), M)
    zeros = torch.zeros(3, 5).double().requires_grad_()
    factor_bilinear(zeros, 2)[0].sum().backward()
    assert zeros.grad.isnan().all()


@given(st.integers(1, 6), seeds)
def test_factors_of_lower_rank_are_the_closest_there_are(d_k, seed):
    M = normal(seed, 7, 9)
    distance = torch.linalg.matrix_norm(qk_circuit(*factor_bilinear(M, d_k)) - M)
    close(distance, torch.linalg.svdvals(M)[d_k:].square().sum().sqrt())
    low = normal(seed, 7, d_k) @ normal(seed + 1, d_k, 9)
    close(qk_circuit(*factor_bilinear(low, d_k)), low)


# ---------------------------------------------------------------- known values


def antisymmetric(d):
    """Factors of a random antisymmetric M: M = P - Pᵀ."""
    P = normal(0, 2, d)
    return torch.stack([P[0], -P[1]]), torch.stack([P[1], P[0]])


@given(distinct_sizes(2, largest=12), seeds)
def test_one_shared_matrix_is_symmetric_balanced_and_positive(sizes, seed):
    W = normal(seed, *sorted(sizes))
    for statistic in (symmetry, balanced_cosine, positive_energy, subspace_overlap):
        close(statistic(W, W), torch.tensor(1.0).double())
    close(directionality(W, W), torch.tensor(0.0).double(), 1e-6)


def test_a_negative_shared_matrix_is_symmetric_too_but_the_other_statistics_tell():
    W = normal(0, 3, 8)
    assert [float(s(W, -W)) for s in (symmetry, balanced_cosine, positive_energy)] == pytest.approx(
        [1, -1, 0]
    )


def test_an_antisymmetric_form_has_symmetry_minus_one_and_no_trace():
    W_q, W_k = antisymmetric(9)
    M = qk_circuit(W_q, W_k)
    close(M, -M.mT)
    close(symmetry(W_q, W_k), torch.tensor(-1.0).double())
    close(balanced_cosine(W_q, W_k), torch.tensor(0.0).double())
    close(directionality(W_q, W_k), torch.tensor(0.0).double(), 1e-6)
    assert positive_energy(W_q, W_k) == 0.5  # rounding errors are not asked for their sign
    assert positive_energy(W_q.float(), W_k.float()) == 0.5


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_balanced_cosine_is_one_only_if_one_shared_matrix_would_do(scale):
    """A symmetric PSD M has it in every gauge; turn M or make it indefinite, and it falls."""
    W = scale * normal(0, 3, 8)
    close(balanced_cosine(*regauge(W, W, gauge(1, 3))), torch.tensor(1.0).double())
    indefinite = torch.tensor([1.0, 1.0, -1.0]).double().diag() @ W
    assert balanced_cosine(W, indefinite) < 0.99
    assert symmetry(W, indefinite) == pytest.approx(1)
    turned = W @ torch.linalg.qr(normal(2, 8, 8)).Q
    assert balanced_cosine(W, turned) < 0.9


def test_balanced_cosine_is_the_cosine_of_the_balanced_factors():
    W_q, W_k = head(0, 3, 8)
    a, b = factor_bilinear(qk_circuit(W_q, W_k), 3)
    expected = torch.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    close(balanced_cosine(W_q, W_k), expected)


def test_random_heads_are_at_chance_level():
    """Means within three standard errors; E⟨M, Mᵀ⟩ = d_k d_model, E‖M‖² = d_k d_model²."""
    d_k, d_model, heads = 8, 64, 400
    W_q, W_k = head(0, heads, d_k, d_model)
    expected = {symmetry: 1 / d_model, balanced_cosine: 0, positive_energy: 0.5, subspace_overlap: d_k / d_model}  # fmt: skip
    for statistic, mean in expected.items():
        values = statistic(W_q, W_k)
        assert values.std() < 0.06, statistic
        assert abs(values.mean() - mean) < 3 * values.std() / math.sqrt(heads), statistic
    assert float(symmetry(W_q, W_k).std()) == pytest.approx(math.sqrt(2) / d_model, rel=0.15)


def test_counting_positive_eigenvalues_says_nothing_and_energy_does():
    """A generic M of rank k: k positive and k negative, however nearly symmetric and PSD it is."""
    d_k, d_model = 3, 12
    shared, noise = normal(0, d_k, d_model), normal(1, d_k, d_model)
    energies = []
    for amount in (0.01, 0.3, 30.0):
        W_q, W_k = shared, shared + amount * noise
        M = qk_circuit(W_q, W_k)
        eigenvalues = torch.linalg.eigvalsh(M + M.mT)
        assert (eigenvalues > 1e-9).sum() == (eigenvalues < -1e-9).sum() == d_k
        energies.append(float(positive_energy(W_q, W_k)))
    assert energies[0] > 0.999
    assert energies == sorted(energies, reverse=True)
    assert 0.3 < energies[-1] < 0.7


def test_directionality_says_which_side_has_the_outliers():
    W_q, W_k = head(0, 4, 60)
    W_k[:, 5] *= 20  # one feature that decides who is attended to
    assert directionality(W_q, W_k) > 0.5
    close(directionality(W_k, W_q), -directionality(W_q, W_k), 1e-12)
    assert directionality(W_q, W_k, outlier=50.0) == 0


def test_directionality_of_norms_that_are_all_alike_is_zero_not_rounding():
    Q = torch.linalg.qr(normal(0, 200, 200)).Q
    for dtype in (torch.float32, torch.float64):
        assert directionality(Q.to(dtype), Q.roll(1, 0).to(dtype)) == 0
    assert directionality(torch.ones(2, 1), torch.ones(2, 1)) == 0


def test_summed_heads_are_one_head_of_stacked_rows():
    W_q, W_k = head(0, 5, 3, 20)
    M = qk_circuit(W_q, W_k).sum(0)
    expected = (M * M.mT).sum() / M.square().sum()
    close(symmetry(W_q.flatten(0, 1), W_k.flatten(0, 1)), expected)
    assert abs(expected - symmetry(W_q, W_k).mean()) > 1e-3


# ---------------------------------------------------------------- subspaces


def test_angles_between_known_planes():
    """The plane of axes 0, 1 and one that is turned away from it by known angles."""
    angles = torch.tensor([0.3, 1.1]).double()
    e = torch.eye(5).double()
    turned = angles.cos()[:, None] * e[:2] + angles.sin()[:, None] * e[2:4]
    W_a, W_b = normal(0, 2, 2) @ e[:2], normal(1, 2, 2) @ turned
    close(principal_angles(W_a, W_b), angles)
    close(subspace_overlap(W_a, W_b), angles.cos().square().mean())


@pytest.mark.parametrize("angle", [1e-9, 1e-5, math.pi / 2 - 1e-9])
def test_tiny_and_nearly_right_angles_are_exact(angle):
    """The arc cosine of 1 - 1e-18 / 2 would say 0."""
    W_a = torch.tensor([[1, 0, 0], [0, 0, 2]]).double()
    W_b = torch.tensor([[math.cos(angle), math.sin(angle), 0]], dtype=torch.float64)
    close(principal_angles(W_a, W_b), torch.tensor([angle], dtype=torch.float64), 1e-15)
    close(principal_angles(W_b, W_a), torch.tensor([angle], dtype=torch.float64), 1e-15)


@given(distinct_sizes(3, largest=12), seeds)
def test_subspaces_of_different_dimension_have_as_many_angles_as_the_smaller(sizes, seed):
    d_a, d_b, d_model = sorted(sizes)
    W_a, W_b = normal(seed, d_a, d_model), normal(seed + 1, d_b, d_model)
    angles = principal_angles(W_a, W_b)
    assert angles.shape == (d_a,)
    assert (angles.diff() >= 0).all()
    close(subspace_overlap(W_a, W_b), angles.cos().square().mean())
    close(subspace_overlap(W_b, W_a), subspace_overlap(W_a, W_b))
    inside = normal(seed + 2, d_a, d_b) @ W_b
    close(subspace_overlap(inside, W_b), torch.tensor(1.0).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dependent_rows_do_not_count_twice(dtype):
    W_a, W_b = normal(0, 2, 9).to(dtype), normal(1, 3, 9).to(dtype)
    doubled = torch.cat([W_a, W_a[:1], W_a.sum(0, keepdim=True), torch.zeros_like(W_a[:1])])
    close(subspace_overlap(doubled, W_b), subspace_overlap(W_a, W_b), 1e-5)


# What would fail: a tolerance that grows with the features, which are many and say nothing of rank.
def test_a_short_row_among_many_features_still_counts():
    W_a, W_b = (W.float() for W in head(0, 32, 4096))
    expected, overlap = principal_angles(W_a, W_b), subspace_overlap(W_a, W_b)
    W_a[0] *= 1e-3
    close(principal_angles(W_a, W_b), expected, 1e-4)
    close(subspace_overlap(W_a, W_b), overlap, 1e-5)


def test_the_overlap_of_badly_conditioned_rows_ends_where_it_says():
    W_a, W_b = (W.float() for W in head(0, 3, 8))
    overlap = subspace_overlap(W_a, W_b)
    for condition, same in ((1e3, True), (1e8, False)):
        stretched = torch.tensor([[condition**0.5], [condition**-0.5], [1]]) * W_a
        changed = subspace_overlap(stretched, W_b)
        assert bool((changed - overlap).abs() < 1e-3) == same


@pytest.mark.parametrize("name", [n for n in SPECTRAL if n != "principal_angles"])
def test_nothing_but_the_dot_products_of_rows_matters(name):
    W_q, W_k = head(0, 3, 8)
    rotation = torch.linalg.qr(normal(2, 8, 8)).Q
    close(INVARIANTS[name](W_q @ rotation, W_k @ rotation), INVARIANTS[name](W_q, W_k))


# ---------------------------------------------------------------- compression


@given(leading_dimensions, distinct_sizes(4, largest=12), seeds)
def test_compressed_matrices_have_the_same_dot_products(leading, sizes, seed):
    *rows, d_model = sizes
    weights = [normal(seed + i, *leading, d, d_model) for i, d in enumerate(rows)]
    small = compress(*weights)
    assert all(
        a.shape == (*leading, d, min(sum(rows), d_model)) for a, d in zip(small, rows, strict=True)
    )
    for a, W_a in zip(small, weights, strict=True):
        for b, W_b in zip(small, weights, strict=True):
            close(a @ b.mT, W_a @ W_b.mT)


@pytest.mark.parametrize("name", SPECTRAL)
def test_compressing_changes_no_statistic_but_directionality(name):
    W_q, W_k = head(0, 4, 3, 40)
    W_v = normal(2, 4, 5, 40)
    small_q, small_k, _ = compress(W_q, W_k, W_v)
    assert small_q.shape == (4, 3, 11)
    close(INVARIANTS[name](small_q, small_k), INVARIANTS[name](W_q, W_k))


# ---------------------------------------------------------------- numbers at the edge


@pytest.mark.parametrize("name", INVARIANTS)
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_float32_is_as_good_as_float64_whatever_the_size_of_the_weights(name, size):
    W_q, W_k = head(0, 6, 8, 64)
    expected = INVARIANTS[name](W_q, W_k)
    actual = INVARIANTS[name](size * W_q.float(), size * W_k.float())
    assert actual.dtype == torch.float32
    # directionality divides two small differences
    close(actual, expected.float(), 2e-3 if name == "directionality" else 1e-5)


@pytest.mark.parametrize("name", INVARIANTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_computed_in_float32(name, dtype):
    W_q, W_k = (W.to(dtype) for W in head(0, 8, 64))
    actual = INVARIANTS[name](W_q, W_k)
    assert actual.dtype == torch.float32
    close(actual, INVARIANTS[name](W_q.float(), W_k.float()), 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_factored_and_regauged_in_float32(dtype):
    W_q, W_k, A = (W.to(dtype) for W in (*head(0, 3, 8), gauge(2, 3)))
    for half, full in (
        (regauge(W_q, W_k, A), regauge(W_q.float(), W_k.float(), A.float())),
        (factor_bilinear(W_q, 2), factor_bilinear(W_q.float(), 2)),
    ):
        for actual, expected in zip(half, full, strict=True):
            assert torch.equal(actual, expected.to(dtype))


@pytest.mark.parametrize("name", [n for n in INVARIANTS if n != "principal_angles"])
def test_a_head_of_zeros_has_a_statistic_and_it_is_not_nan(name):
    W, zeros = normal(0, 2, 3, 8), torch.zeros(2, 3, 8).double()
    nothing = torch.full((2,), 0.5 if name == "positive_energy" else 0.0).double()
    for pair in ((W, zeros), (zeros, W), (zeros, zeros)):
        assert torch.equal(INVARIANTS[name](*pair), nothing)


@given(seeds)
def test_statistics_stay_in_their_range(seed):
    W = normal(seed, 3, 8).float()
    for W_k in (W, -W, W + 1e-7 * normal(seed + 1, 3, 8).float(), normal(seed + 1, 3, 8).float()):
        assert -1 <= symmetry(W, W_k) <= 1
        assert -1 <= balanced_cosine(W, W_k) <= 1
        assert 0 <= positive_energy(W, W_k) <= 1
        assert -1 <= directionality(W, W_k) <= 1
        assert 0 <= subspace_overlap(W, W_k) <= 1
        assert (principal_angles(W, W_k) >= 0).all()
        assert (principal_angles(W, W_k) <= math.pi / 2).all()


def test_no_argument_is_changed():
    W_q, W_k, A = normal(0, 2, 3, 8), normal(1, 2, 3, 8), gauge(2, 3)
    copies = [t.clone() for t in (W_q, W_k, A)]
    regauge(W_q, W_k, A)
    compress(W_q, W_k)
    for statistic in INVARIANTS.values():
        statistic(W_q, W_k)
    for tensor, copy in zip((W_q, W_k, A), copies, strict=True):
        assert torch.equal(tensor, copy)


NAN = torch.full((3, 8), torch.nan)
W = torch.ones(3, 8)

BAD_INPUT = {
    "no tensor": (TypeError, lambda: symmetry([[1.0]], W), ["W_q", "list", "torch.Tensor"]),
    "second no tensor": (TypeError, lambda: qk_circuit(W, None), ["W_k", "NoneType"]),
    "integers": (TypeError, lambda: ov_circuit(W.T.long(), W.long()), ["W_o", "int64", "floating"]),
    "one dimension": (ValueError, lambda: symmetry(W[0], W[0]), ["W_q", "[8]", "rows"]),
    "dtypes": (TypeError, lambda: balanced_cosine(W, W.double()), ["W_q", "W_k", "float32", "float64"]),
    "NaN": (ValueError, lambda: positive_energy(W, NAN), ["W_k", "NaN", "[0, 0]"]),
    "d_k": (ValueError, lambda: symmetry(W, W[:2]), ["W_q", "W_k", "d_k", "[3, 8]", "[2, 8]"]),
    "d_model": (ValueError, lambda: symmetry(W, W[:, :5]), ["W_q", "W_k", "d_model", "[3, 8]", "[3, 5]"]),
    "circuit": (ValueError, lambda: qk_circuit(W, W[:2]), ["d_k", "[3, 8]", "[2, 8]"]),
    "d_v": (ValueError, lambda: ov_circuit(W, W), ["W_o", "W_v", "d_v", "8 is not 3"]),
    "overlap": (ValueError, lambda: subspace_overlap(W, W[:, :5]), ["W_a", "W_b", "d_model", "[3, 5]"]),
    "leading": (ValueError, lambda: symmetry(W.expand(2, 3, 8), W.expand(4, 3, 8)), ["[2, 3, 8]", "[4, 3, 8]"]),
    "empty": (ValueError, lambda: symmetry(W[:0], W[:0]), ["W_q", "empty", "[0, 8]"]),
    "no heads": (ValueError, lambda: symmetry(W.expand(0, 3, 8), W), ["W_q", "empty", "[0, 3, 8]"]),
    "dependent rows": (ValueError, lambda: principal_angles(torch.eye(3, 8), W), ["W_b", "independent", "3 rows", "rank 1"]),
    "more rows than columns": (ValueError, lambda: principal_angles(normal(0, 9, 4), normal(1, 2, 4)), ["W_a", "9 rows", "rank 4"]),
    "outlier": (ValueError, lambda: directionality(W, W, outlier=math.nan), ["outlier", "nan"]),
    "gauge shape": (ValueError, lambda: regauge(W, W, torch.eye(8)), ["A", "[..., d_k, d_k]", "3", "[8, 8]"]),
    "gauge singular": (ValueError, lambda: regauge(W, W, torch.ones(3, 3)), ["A", "invertible"]),
    "gauge dtype": (TypeError, lambda: regauge(W, W, torch.eye(3).double()), ["A", "float64"]),
    "rank": (ValueError, lambda: factor_bilinear(W, 4), ["d_k", "at most 3", "[3, 8]", "4"]),
    "rank type": (TypeError, lambda: factor_bilinear(W, 2.0), ["d_k", "2.0"]),
    "rank zero": (ValueError, lambda: factor_bilinear(W, 0), ["d_k", "0"]),
    "nothing to compress": (ValueError, lambda: compress(), ["weights", "none"]),
    "compress": (ValueError, lambda: compress(W, W[:, :5]), ["d_model", "[3, 8]", "[3, 5]"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_told_what_was_given_and_what_is_wanted(name):
    assert_refused(*BAD_INPUT[name])
