"""The facts on which the course rests, one section each, and where each of them stops being true.

Every test here is of something that is *proved* in a chapter; it would fail if the proof were
wrong or the library did something else. Scores are rows of queries by columns of keys, s_ij; q_i
is row i of ``x W_qᵀ``.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import normal, seeds
from torch import nn

from attncourse.attention import (
    CrossAttention,
    SelfAttention,
    attend,
    attention_weights,
    cosine_affinity,
    dot_affinity,
)
from attncourse.circuits import (
    balanced_cosine,
    factor_bilinear,
    ov_circuit,
    positive_energy,
    qk_circuit,
    regauge,
)
from attncourse.feature_maps import FeatureMapAttention, pixels_as_tokens, tokens_as_pixels

T, D, D_K = 7, 12, 4
ROUNDING = 1e-9


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=ROUNDING)


def shared_queries(seed):
    """``q_i = W x_i`` for one W that makes queries and keys alike."""
    return normal(seed, T, D) @ normal(seed + 1, D_K, D).T / math.sqrt(D)


def shared_scores(seed):
    return dot_affinity(shared_queries(seed))


def separate_scores(seed):
    keys = normal(seed, T, D) @ normal(seed + 2, D_K, D).T / math.sqrt(D)
    return dot_affinity(shared_queries(seed), keys)


def layer(mode, **settings):
    torch.manual_seed(0)
    return SelfAttention(D, projections=mode, num_heads=3, **settings).double()


def own(scores):
    """s_ii in a column, to stand beside s_ij."""
    return scores.diagonal().unsqueeze(1)


# ------------------------------------------- 1. one shared W: no pair can prefer each other


@given(seeds)
def test_fact_1_shared_scores_are_symmetric_and_positive_semi_definite(seed):
    scores = shared_scores(seed)
    close(scores, scores.T)
    assert torch.linalg.eigvalsh(scores).min() > -ROUNDING
    assert (scores.abs() <= (own(scores) * own(scores).T).sqrt() + ROUNDING).all()


@given(seeds)
def test_fact_1_what_two_tokens_lose_by_looking_at_each_other_is_their_squared_distance(seed):
    queries, scores = shared_queries(seed), shared_scores(seed)
    close(own(scores) + own(scores).T - 2 * scores, torch.cdist(queries, queries).square())
    prefers_other = scores > own(scores) + ROUNDING
    assert not (prefers_other & prefers_other.T).any()


@pytest.mark.parametrize("mode", ["raw", "shared", "tied_qk"])
@given(seed=seeds)
def test_fact_1_the_attention_map_alone_shows_it(mode, seed):
    weights = layer(mode)(normal(seed, T, D), return_weights=True)[1]
    for A in weights:
        assert (own(A) * own(A).T * (1 + ROUNDING) >= A * A.T).all()


def test_fact_1_ends_with_separate_projections():
    scores = separate_scores(0)
    assert (scores - scores.T).abs().max() > 0.1
    prefers_other = scores > own(scores)
    assert (prefers_other & prefers_other.T).any()
    A = attention_weights(scores)
    assert (1.1 * own(A) * own(A).T < A * A.T).any()


# ------------------------------------------- 2. cycles


@given(seeds)
def test_fact_2_around_a_cycle_the_losses_add_up_to_half_the_squared_steps(seed):
    queries, scores = shared_queries(seed), shared_scores(seed)
    before = scores.diagonal(-1).sum() + scores[0, -1]  # s_{i,i-1}, and token 0 looks at the last
    steps = queries - queries.roll(1, 0)
    close(scores.trace() - before, steps.square().sum() / 2)


@given(seeds)
def test_fact_2_not_everyone_in_a_cycle_can_prefer_its_predecessor_to_itself(seed):
    scores = shared_scores(seed)
    predecessor = scores.gather(1, torch.arange(-1, T - 1).remainder(T).unsqueeze(1))
    assert not (predecessor > own(scores) + ROUNDING).all()


def test_fact_2_ends_on_an_open_path_where_norms_fall():
    """Everyone but the first, who has no predecessor, prefers it: 1 > 1/2 > 1/4 > ... in a row."""
    queries = 0.5 ** torch.arange(T).double().unsqueeze(1)
    scores = dot_affinity(queries)
    assert (scores.diagonal(-1) > scores.diagonal()[1:]).all()


@given(seeds)
def test_fact_2_on_an_open_path_it_takes_falling_norms(seed):
    queries = shared_queries(seed)
    scores = dot_affinity(queries)
    prefers = scores.diagonal(-1) > scores.diagonal()[1:]
    falls = queries.norm(dim=1)[:-1] > queries.norm(dim=1)[1:]
    assert (falls | ~prefers).all()


def test_fact_2_ends_with_separate_projections():
    """A cyclic shift of one-hot tokens: everyone looks at its predecessor, the first at the last."""
    W_q, W_k = factor_bilinear(torch.eye(T).double().roll(-1, 1), T)
    scores = qk_circuit(W_q, W_k)  # the tokens are one-hot
    assert (scores.argmax(1) == torch.arange(-1, T - 1) % T).all()
    assert (scores.max(1).values > scores.diagonal()).all()


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3))
def test_fact_2_three_classes_cannot_each_prefer_the_next_with_symmetric_scores(numbers):
    AB, BC, CA = numbers  # s(A, B) = s(B, A), and so on; the diagonal is masked
    assert not (AB > CA and BC > AB and CA > BC)


# ------------------------------------------- 3. when a token looks at itself


@given(seeds)
def test_fact_3_with_equal_norms_self_is_the_largest_score(seed):
    queries = nn.functional.normalize(shared_queries(seed), dim=1)
    scores = 3 * dot_affinity(queries)
    assert (scores.argmax(1) == torch.arange(T)).all()
    assert (cosine_affinity(normal(seed, T, D)).argmax(1) == torch.arange(T)).all()


@given(seeds)
def test_fact_3_with_normalised_keys_self_is_the_largest_score(seed):
    queries = shared_queries(seed)
    scores = dot_affinity(queries, nn.functional.normalize(queries, dim=1))
    assert (scores.argmax(1) == torch.arange(T)).all()


def test_fact_3_ends_with_unequal_norms():
    scores = dot_affinity(torch.tensor([[1.0, 0.0], [3.0, 0.1]]))
    assert scores[0, 1] > scores[0, 0]  # the short one looks at the long one
    assert (shared_scores(0).argmax(1) != torch.arange(T)).any()


def test_fact_3_ends_with_separate_projections_whatever_the_norms():
    queries, keys = normal(0, T, D_K), normal(1, T, D_K)
    assert (cosine_affinity(queries, keys).argmax(1) != torch.arange(T)).any()


# ------------------------------------------- 4. symmetric scores, asymmetric weights


def test_fact_4_weights_are_not_symmetric_although_the_scores_are():
    scores = shared_scores(0)
    A = attention_weights(scores)
    close(scores, scores.T)
    assert (A - A.T).abs().max() > 0.1


@given(seeds)
def test_fact_4_shared_attention_is_a_reversible_markov_chain(seed):
    scores = shared_scores(seed)
    A = attention_weights(scores)
    stationary = scores.logsumexp(1).softmax(0)  # π_i ∝ Σ_j e^{s_ij}
    flow = stationary.unsqueeze(1) * A
    close(flow, flow.T)  # detailed balance
    close(stationary @ A, stationary)


def around(A, i, j, k):
    """Probability of the round trip i -> j -> k -> i."""
    return A[i, j] * A[j, k] * A[k, i]


@given(seeds)
def test_fact_4_a_round_trip_is_as_likely_in_either_direction(seed):
    """Kolmogorov's criterion: it needs no π, so it can be asked of any attention map."""
    A = attention_weights(shared_scores(seed))
    torch.testing.assert_close(around(A, 0, 1, 2), around(A, 2, 1, 0))


def test_fact_4_ends_with_separate_projections():
    A = attention_weights(separate_scores(0))
    ratio = around(A, 0, 1, 2) / around(A, 2, 1, 0)
    assert not 0.5 < ratio < 2


# ------------------------------------------- 5. separate Q and K: any bilinear form of rank d_k


@given(st.integers(1, D), seeds)
def test_fact_5_every_bilinear_form_of_rank_d_k_is_a_head(rank, seed):
    M = normal(seed, D, rank) @ normal(seed + 1, rank, D)
    head = layer("separate", d_k=rank)
    W_q, W_k = factor_bilinear(M, rank)
    with torch.no_grad():
        head.in_proj.weight[:rank], head.in_proj.weight[3 * rank : 4 * rank] = W_q, W_k
    x = normal(seed + 2, T, D)
    expected = attention_weights(x @ M @ x.T / math.sqrt(rank))
    torch.testing.assert_close(head(x, return_weights=True)[1][0], expected, rtol=0, atol=1e-6)


def test_fact_5_ends_at_rank_d_k():
    M = normal(0, D, D)
    assert torch.linalg.matrix_rank(qk_circuit(*factor_bilinear(M, D_K))) == D_K
    assert (qk_circuit(*factor_bilinear(M, D_K)) - M).norm() > 1


@pytest.mark.parametrize(("d_k", "cheaper"), [(D_K, True), (D // 2, False), (D, False)])
def test_fact_5_it_has_two_d_d_k_parameters_instead_of_d_squared(d_k, cheaper):
    head = SelfAttention(D, d_k=d_k, d_v=1)
    parameters = head.W_q.numel() + head.W_k.numel()
    assert parameters == 2 * D * d_k
    assert (parameters < D**2) == cheaper


# ------------------------------------------- 6. gauge freedom


def invertible(seed):
    return normal(seed, D_K, D_K) + 4 * torch.eye(D_K).double()


@given(seeds)
def test_fact_6_a_change_of_gauge_changes_no_weight_and_no_output(seed):
    head, x = layer("separate", d_k=D_K, d_v=D_K), normal(seed, T, D)
    before = [t.detach() for t in head(x, return_weights=True)]
    with torch.no_grad():
        W_q, W_k = regauge(head.W_q, head.W_k, invertible(seed + 1))
        W_v, W_o_transposed = regauge(head.W_v, head.W_o.mT, invertible(seed + 2))
        for old, new in (
            (head.W_q, W_q),
            (head.W_k, W_k),
            (head.W_v, W_v),
            (head.W_o, W_o_transposed.mT),
        ):
            assert (old - new).abs().max() > 0.1
            old.copy_(new)
    for after, expected in zip(head(x, return_weights=True), before, strict=True):
        close(after, expected)


def test_fact_6_so_the_elementwise_cosine_of_W_q_and_W_k_is_no_property_of_the_head():
    W = normal(0, D_K, D)
    sign = torch.diag(torch.tensor([1.0, 1.0, -1.0, -1.0]).double())
    turn = torch.tensor([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]]).double()
    grow = torch.diag(torch.tensor([9.0, 1.0, 1.0, 1.0]).double())

    def cosine(W_q, W_k):
        return float(nn.functional.cosine_similarity(W_q.flatten(), W_k.flatten(), dim=0))

    assert cosine(W, W) == pytest.approx(1)
    for rotation in (sign, turn):  # a rotation of both leaves their dot product alone
        assert cosine(*regauge(W, W, rotation)) == pytest.approx(1)
    assert cosine(*regauge(W, W, grow)) < 0.7


# ------------------------------------------- 7. tr M and the balanced gauge


@given(seeds)
def test_fact_7_the_trace_of_M_is_the_dot_product_of_W_q_and_W_k_in_every_gauge(seed):
    W_q, W_k = normal(seed, D_K, D), normal(seed + 1, D_K, D)
    close((W_q * W_k).sum(), qk_circuit(W_q, W_k).trace())
    new_q, new_k = regauge(W_q, W_k, invertible(seed + 2))
    close((new_q * new_k).sum(), (W_q * W_k).sum())


@given(seeds)
def test_fact_7_the_balanced_cosine_is_one_where_one_shared_W_would_do(seed):
    W = normal(seed, D_K, D)
    W_q, W_k = regauge(W, W, invertible(seed + 1))
    assert float(balanced_cosine(W_q, W_k)) == pytest.approx(1)
    a, b = factor_bilinear(qk_circuit(W_q, W_k), D_K)
    close(a, b)  # and the balanced gauge finds that shared W
    close(a.T @ a, W.T @ W)


@given(seeds, st.sampled_from(["random", "one eigenvalue negative", "a little rotation"]))
def test_fact_7_and_only_there(seed, kind):
    W = normal(seed, D_K, D)
    W_k = {
        "random": normal(seed + 1, D_K, D),
        "one eigenvalue negative": torch.diag(torch.tensor([1.0, 1, 1, -1]).double()) @ W,
        "a little rotation": torch.matrix_exp(0.2 * (lambda a: a - a.T)(normal(seed, D_K, D_K)))
        @ W,
    }[kind]
    M = qk_circuit(W, W_k)
    assert (M - M.T).norm() > 1e-3 or torch.linalg.eigvalsh(M).min() < -1e-3
    assert balanced_cosine(W, W_k) < 1 - 1e-6


# ------------------------------------------- 8. counting eigenvalues says nothing


def positive_and_negative(M):
    eigenvalues = torch.linalg.eigvalsh(M + M.T)
    threshold = 1e-10 * eigenvalues.abs().max()
    return int((eigenvalues > threshold).sum()), int((eigenvalues < -threshold).sum())


@given(seeds, st.sampled_from([0.001, 1.0, 1000.0]))
def test_fact_8_the_symmetric_part_has_k_positive_and_k_negative_eigenvalues(seed, difference):
    W_q = normal(seed, D_K, D)
    W_k = W_q + difference * normal(seed + 1, D_K, D)
    assert positive_and_negative(qk_circuit(W_q, W_k)) == (D_K, D_K)


def test_fact_8_energy_tells_what_counting_cannot():
    W, noise = normal(0, D_K, D), normal(1, D_K, D)
    assert positive_energy(W, W + 0.001 * noise) > 0.999
    assert positive_energy(W, -W + 0.001 * noise) < 0.001


def test_fact_8_ends_where_W_q_and_W_k_read_the_same_directions():
    """Not generic: with one shared W nothing is negative, and with 2 k > d there is no room."""
    W = normal(0, D_K, D)
    assert positive_and_negative(qk_circuit(W, W)) == (D_K, 0)
    wide = qk_circuit(normal(0, 10, D), normal(1, 10, D))
    assert sum(positive_and_negative(wide)) == D


# ------------------------------------------- 9. one head of full width needs only two matrices


def test_fact_9_one_head_of_full_width_absorbs_W_q_in_W_k_and_W_v_in_W_o():
    torch.manual_seed(0)
    head, x = SelfAttention(D).double(), normal(1, T, D)
    expected = head(x)
    with torch.no_grad():
        identity = torch.eye(D).double()
        M, OV = qk_circuit(head.W_q, head.W_k)[0], ov_circuit(head.W_o, head.W_v)[0]
        head.in_proj.weight.copy_(torch.cat([identity, M, identity]))
        head.out_proj.weight.copy_(OV)
    close(head(x), expected)


@pytest.mark.parametrize(("d_k", "absorbs"), [(D, True), (D - 1, False), (D_K, False)])
def test_fact_9_ends_with_heads_of_lower_rank(d_k, absorbs):
    """With the query projection fixed, the best key projection misses a generic M of rank d_k."""
    M = qk_circuit(normal(0, d_k, D), normal(1, d_k, D))
    fixed = torch.eye(d_k, D).double()
    best = torch.linalg.lstsq(fixed.T, M, driver="gelsd").solution
    assert bool((fixed.T @ best - M).norm() < ROUNDING) == absorbs


# ------------------------------------------- 10. what a value can carry


@given(seeds)
def test_fact_10_without_value_projections_outputs_stay_in_the_convex_hull_of_the_inputs(seed):
    """No direction in which an output sticks out further than every input."""
    x = normal(seed, T, D)
    output = SelfAttention(D, projections="raw").double()(x)
    directions = torch.cat([torch.eye(D).double(), normal(seed + 1, 200, D), output])
    assert ((output @ directions.T).amax(0) <= (x @ directions.T).amax(0) + ROUNDING).all()


def test_fact_10_ends_with_a_value_projection():
    x, directions = normal(0, T, D), normal(1, 200, D)
    output = layer("separate")(x)
    assert ((output @ directions.T).amax(0) > (x @ directions.T).amax(0)).any()


def unseen_by(W_k, seed):
    """A vector of the kernel of W_k."""
    vector = normal(seed, D)
    return vector - torch.linalg.pinv(W_k) @ (W_k @ vector)


def moved_by_what_the_keys_do_not_see(mode, seed):
    """Change of token 0's output when the other tokens change by something in ker W_k."""
    torch.manual_seed(0)
    head, x = SelfAttention(D, projections=mode, d_k=D_K).double(), normal(seed, T, D)
    changed = x.clone()
    changed[1:] += unseen_by(head.W_k[0].detach(), seed + 1)
    return (head(changed) - head(x))[0].abs().max()


@given(seeds)
def test_fact_10_with_K_equal_V_nothing_in_the_kernel_of_W_k_is_transported(seed):
    assert moved_by_what_the_keys_do_not_see("tied_kv", seed) < ROUNDING


@pytest.mark.parametrize("mode", ["separate", "tied_qk"])
def test_fact_10_ends_with_a_value_of_its_own(mode):
    assert moved_by_what_the_keys_do_not_see(mode, 0) > 0.01


def test_fact_10_ends_where_the_kernel_is_empty():
    """d_k = d: K = V is a matter of capacity, for such a W_k sees everything."""
    torch.manual_seed(0)
    W_k = SelfAttention(D, projections="tied_kv").double().W_k[0].detach()
    assert unseen_by(W_k, 0).norm() < ROUNDING


# ------------------------------------------- 11. temperature


def bound(n):
    return 1 / (1 + (n - 1) * math.exp(-2))


@given(st.integers(1, 60), st.integers(1, 5), seeds)
def test_fact_11_raw_cosine_gives_no_key_more_than_its_bound(n, features, seed):
    weights = attention_weights(cosine_affinity(normal(seed, n, features)))
    assert weights.max() <= bound(n) + ROUNDING


@pytest.mark.parametrize("n", [2, 3, 100])
def test_fact_11_the_bound_is_reached_when_all_others_point_the_other_way(n):
    x = torch.cat([torch.ones(1, 4), -torch.ones(n - 1, 4)]).double()
    assert float(attention_weights(cosine_affinity(x)).max()) == pytest.approx(bound(n))


def test_fact_11_a_hundred_keys_leave_seven_percent():
    assert 0.065 < bound(100) < 0.075


def test_fact_11_ends_with_a_temperature_and_with_lengths():
    x = normal(0, 100, 64)
    assert attention_weights(20 * cosine_affinity(x)).max() > 0.9
    assert attention_weights(dot_affinity(x)).max() > 0.9


@pytest.mark.parametrize("d_k", [4, 64, 256])
def test_fact_11_a_dot_product_of_unit_variance_entries_has_variance_d_k(d_k):
    """So dividing by √d_k, which ``attend`` does, leaves scores of variance 1."""
    samples = 20_000
    query, key = normal(0, samples, d_k), normal(1, samples, d_k)
    products = (query * key).sum(1)
    # the variance of s² is about 2 d_k² (1 + 3/d_k), so its mean is off by this much at 4 sigma
    error = 4 * math.sqrt(2 * (1 + 3 / d_k) / samples)
    assert float(products.var()) == pytest.approx(d_k, rel=error)
    weights = attend(query[:1], key[:2], key[:2], return_weights=True)[1][0]
    log_ratio = (weights[0] / weights[1]).log()
    close(log_ratio, (query[0] @ (key[0] - key[1])) / math.sqrt(d_k))


def test_fact_11_ends_with_entries_that_depend_on_each_other():
    """Equal entries: the variance is d_k², and √d_k is not enough."""
    query, key = normal(0, 20_000, 1).expand(-1, 16), normal(1, 20_000, 1).expand(-1, 16)
    assert float((query * key).sum(1).var()) == pytest.approx(16**2, rel=0.15)


# ------------------------------------------- 12. 1×1 convolutions and the order of tokens


@given(seeds)
def test_fact_12_a_one_by_one_convolution_is_the_same_linear_map_for_every_pixel(seed):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(3, 5, 1).double()
    x = normal(seed, 2, 3, 4, 6)
    linear = pixels_as_tokens(x) @ convolution.weight[:, :, 0, 0].T + convolution.bias
    close(tokens_as_pixels(linear, 4, 6), convolution(x))


def test_fact_12_ends_with_a_larger_kernel():
    """With a 3×3 kernel a pixel's output depends on its neighbours too."""
    for size, padding, spreads in ((1, 0, False), (3, 1, True)):
        convolution = nn.Conv2d(3, 5, size, padding=padding).double()
        x = normal(0, 1, 3, 4, 6)
        changed = x.clone()
        changed[..., 1, 2] += 1
        moved = (convolution(changed) - convolution(x)).abs().amax(1)[0] > ROUNDING
        assert moved[1, 2]
        assert bool(moved.sum() > 1) == spreads


@pytest.mark.parametrize("mode", ["raw", "shared", "tied_qk", "tied_kv", "separate"])
@given(seed=seeds)
def test_fact_12_attention_without_mask_and_positions_does_not_know_the_order(mode, seed):
    order = torch.randperm(T, generator=torch.Generator().manual_seed(seed))
    x = normal(seed, T, D)
    close(layer(mode)(x[order]), layer(mode)(x)[order])
    image = normal(seed, 1, D, 2, 5)
    block = FeatureMapAttention(D, projections=mode).double()
    turned = image.flip(-1).flip(-2)
    close(block(turned), block(image).flip(-1).flip(-2))


@pytest.mark.parametrize("what", ["a causal mask", "positions"])
def test_fact_12_ends_with_a_mask_or_positions(what):
    x, order = normal(0, T, D), torch.arange(T).flip(0)
    positions = normal(1, T, D) if what == "positions" else 0
    mask = torch.ones(T, T, dtype=torch.bool).tril() if what == "a causal mask" else None
    head = layer("separate")
    assert not torch.allclose(
        head(x[order] + positions, mask=mask), head(x + positions, mask=mask)[order]
    )


# ------------------------------------------- 13. where tied Q = K is not a real limit


def cycle_scores(AB, BC, CA):
    """Scores of one shared W on the one-hot tokens A, B, C.

    The large diagonal makes them positive semi-definite. It is masked, so nobody sees it.
    """
    S = torch.tensor([[0, AB, CA], [AB, 0, BC], [CA, BC, 0]]).double() + 100 * torch.eye(3).double()
    W = torch.linalg.cholesky(S).T
    return dot_affinity(torch.eye(3).double() @ W.T)


def targets(scores):
    return scores.masked_fill(torch.eye(3, dtype=torch.bool), -torch.inf).argmax(1).tolist()


@given(st.permutations([1.0, 2.0, 3.0]))
def test_fact_13_one_shared_head_gets_at_most_two_of_three_in_the_cycle(numbers):
    right = [a == b for a, b in zip(targets(cycle_scores(*numbers)), [1, 2, 0], strict=True)]
    assert sum(right) <= 2


def test_fact_13_two_shared_heads_and_a_hidden_layer_solve_the_cycle():
    """Head 1 serves A and C, head 2 serves B; the hidden layer hears the one that serves its token.

    It is ``relu(head + gate x - 1)``, and the layer behind it adds up the heads.
    """
    tokens, gate = torch.eye(3).double(), torch.tensor([[1, 0, 1], [0, 1, 0]]).double()
    others = ~torch.eye(3, dtype=torch.bool)
    heads = torch.stack([cycle_scores(AB=3, CA=2, BC=1), cycle_scores(AB=1, CA=2, BC=3)])
    attended = attention_weights(10 * heads, others) @ tokens
    hidden = torch.relu(attended + (gate @ tokens)[..., None] - 1)
    assert hidden.sum(0).argmax(1).tolist() == [1, 2, 0]
    assert attended.argmax(2).tolist() == [[1, 0, 0], [2, 2, 1]]  # neither head does it alone


def test_fact_13_with_a_masked_diagonal_a_shared_head_serves_every_mutual_relation():
    """Pairs (0, 1), (2, 3), (4, 5): impossible beside the self-match, easy without it."""
    partner = torch.tensor([1, 0, 3, 2, 5, 4])
    S = torch.eye(6).double() + 0.9 * torch.eye(6).double()[partner]
    W = torch.linalg.cholesky(S).T
    tokens = torch.eye(6).double()
    scores = 50 * dot_affinity(tokens @ W.T)
    assert (attention_weights(scores).argmax(1) == torch.arange(6)).all()
    others = ~torch.eye(6, dtype=torch.bool)
    weights = attention_weights(scores, others)
    assert (weights.argmax(1) == partner).all()
    assert weights.amax(1).min() > 0.99


@pytest.mark.parametrize(
    ("mask", "finds"), [("none", 0), ("diagonal", 0), ("causal", 0), ("causal, diagonal", 1)]
)
def test_fact_13_with_positions_and_a_causal_mask_a_shared_head_finds_the_previous_token(
    mask, finds
):
    """Positions on a circle: among those before a token, the nearest is the one just before it.

    With any other mask it is not found, because all norms are equal: a token itself is nearest,
    and the next one is as near as the previous one.
    """
    angle = 0.3 * torch.arange(T).double()
    positions = torch.stack([angle.cos(), angle.sin()], dim=1)
    allowed = torch.ones(T, T, dtype=torch.bool)
    if "causal" in mask:
        allowed = allowed.tril()
    if "diagonal" in mask:
        allowed &= ~torch.eye(T, dtype=torch.bool)
    weights = attention_weights(500 * dot_affinity(positions), allowed)
    previous = weights.diagonal(-1)
    assert bool(previous.min() > 0.99) == finds


def test_fact_13_with_unequal_norms_a_shared_head_finds_the_previous_token_without_a_mask():
    """``q_i = 3⁻ⁱ (e_i + e_{i+1})``: 3 · 9⁻ⁱ with the previous one, 2 · 9⁻ⁱ with itself."""
    W = (torch.eye(T + 1, T) + torch.eye(T + 1, T).roll(1, 0)) * 3.0 ** -torch.arange(T)
    positions = torch.eye(T).double()
    weights = attention_weights(1e8 * dot_affinity(positions @ W.double().T))
    assert weights.diagonal(-1).min() > 0.99


# ------------------------------------------- 14. shapes


@pytest.mark.parametrize(("T_q", "T_k"), [(1, 5), (5, 1), (3, 7), (7, 3)])
def test_fact_14_query_and_key_may_differ_in_length(T_q, T_k):
    query, key, value = normal(0, 2, T_q, 4), normal(1, 2, T_k, 4), normal(2, 2, T_k, 6)
    output, weights = attend(query, key, value, return_weights=True)
    assert output.shape == (2, T_q, 6)
    assert weights.shape == (2, T_q, T_k)
    cross = CrossAttention(4, 6).double()
    assert cross(query, value).shape == (2, T_q, 4)
    theirs = nn.MultiheadAttention(4, 1, kdim=6, vdim=6, batch_first=True).double()
    assert theirs(query, value, value)[0].shape == (2, T_q, 4)


def test_fact_14_key_and_value_may_not():
    with pytest.raises(ValueError, match="one value per key"):
        attend(normal(0, 3, 4), normal(1, 5, 4), normal(2, 6, 4))


@given(seeds)
def test_fact_14_one_key_labels_one_value(seed):
    """Reordering keys and values together changes nothing; values alone, everything."""
    query, key, value = normal(seed, 3, 4), normal(seed + 1, 5, 4), normal(seed + 2, 5, 6)
    order = torch.arange(5).roll(1)
    close(attend(query, key[order], value[order]), attend(query, key, value))
    assert not torch.allclose(attend(query, key, value[order]), attend(query, key, value))


def test_fact_14_self_attention_does_not_mean_that_query_key_and_value_are_equal():
    head, x = layer("separate"), normal(0, T, D)
    query, key, value = (x @ W[0].T for W in (head.W_q, head.W_k, head.W_v))
    for a, b in ((query, key), (key, value), (query, value)):
        assert not torch.allclose(a, b)
