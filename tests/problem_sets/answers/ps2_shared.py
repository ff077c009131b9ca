"""Answers to the items of problem set 2: right ones in many styles, and nameless wrong ones."""

import itertools
import math

import einops
import numpy as np
import torch
import torch.nn.functional as F
from torch import einsum

# --------------------------------------------------------------- ps2.shared_scores


def scores_matmul(x, W):
    q = x @ W.mT
    return q @ q.mT / math.sqrt(W.shape[0])


def scores_linear_and_transpose(x, W):
    d_k, _ = W.shape
    q = F.linear(x, W)
    return torch.matmul(q, q.transpose(-2, -1)) / d_k**0.5


def scores_einsum(x, W):
    return einsum("...id,kd,ke,...je->...ij", x, W, W, x) * W.shape[0] ** -0.5


def scores_through_the_metric(x, W):
    return x @ (W.T @ W) @ x.mT / W.shape[0] ** 0.5


def scores_scaled_before(x, W):
    q = x @ (W * W.shape[0] ** -0.25).mT
    return q @ q.mT


def scores_one_pair_at_a_time(x, W):
    flat = x.reshape(-1, *x.shape[-2:])
    tables = []
    for tokens in flat:
        projected = [W @ token for token in tokens]
        rows = [torch.stack([a.dot(b) for b in projected]) for a in projected]
        tables.append(torch.stack(rows) / len(W) ** 0.5)
    return torch.stack(tables).reshape(*x.shape[:-1], x.shape[-2])


def scores_einops(x, W):
    q = einops.einsum(x, W, "... t d, k d -> ... t k")
    return einops.einsum(q, q, "... i k, ... j k -> ... i j") / W.size(0) ** 0.5


def scores_from_distances(x, W):
    # Polarisation: 2 a·b = ‖a‖² + ‖b‖² − ‖a − b‖².
    q = (x @ W.mT).double()
    n = q.square().sum(-1)
    apart = (q[..., :, None, :] - q[..., None, :, :]).square().sum(-1)
    return ((n[..., :, None] + n[..., None, :] - apart) / 2 / W.shape[0] ** 0.5).to(x.dtype)


# ------------------------------------------------------------ ps2.learned_distance


def distance_subtract_then_project(x, W):
    d = x.unsqueeze(-2) - x.unsqueeze(-3)
    return (d @ W.mT).square().sum(-1)


def distance_project_then_subtract(x, W):
    q = F.linear(x, W)
    return ((q[..., :, None, :] - q[..., None, :, :]) ** 2).sum(dim=-1)


def distance_metric_between(x, W):
    M = W.T @ W
    d = x[..., :, None, :] - x[..., None, :, :]
    return einsum("...ijd,de,...ije->...ij", d, M, d)


def distance_cdist(x, W):
    q = x @ W.mT
    return torch.cdist(q, q, compute_mode="donot_use_mm_for_euclid_dist") ** 2


def distance_norm_squared(x, W):
    q = x @ W.mT
    return torch.linalg.vector_norm(q.unsqueeze(-2) - q.unsqueeze(-3), dim=-1) ** 2


def distance_expanded_in_float64(x, W):
    q = x.double() @ W.double().mT
    s = q @ q.mT
    n = s.diagonal(dim1=-2, dim2=-1)
    return (n.unsqueeze(-1) + n.unsqueeze(-2) - 2 * s).to(x.dtype)


def distance_expanded_about_the_mean(x, W):
    q = (x - x.mean(-2, keepdim=True)) @ W.mT
    s = q @ q.mT
    n = s.diagonal(dim1=-2, dim2=-1)
    return (n[..., None] + n[..., None, :] - 2 * s).clamp_min(0)


def distance_feature_by_feature(x, W):
    total = 0
    for row in W:
        q = x @ row
        total = total + (q[..., :, None] - q[..., None, :]) ** 2
    return total


def distance_loops(x, W):
    flat = x.reshape(-1, *x.shape[-2:])
    found = [torch.stack([((a - b) @ W.T).pow(2).sum() for a in t for b in t]) for t in flat]
    return torch.stack(found).reshape(*x.shape[:-1], x.shape[-2])


# ------------------------------------------------------------------ ps2.violations


def violations_products(weights):
    A = weights.double()
    d = A.diagonal(dim1=-2, dim2=-1)
    found = A * A.mT > 1.00001 * d[..., :, None] * d[..., None, :]
    T = A.shape[-1]
    pairs = T * (T - 1)  # ordered: the diagonal never counts, it is tied with itself
    return (found.sum((-2, -1)) / max(pairs, 1)).to(weights.dtype)


def violations_logarithms(weights):
    s = weights.double().log()
    d = torch.diagonal(s, dim1=-2, dim2=-1)
    i, j = torch.triu_indices(*s.shape[-2:], offset=1)
    found = s[..., i, j] + s[..., j, i] > d[..., i] + d[..., j] + 1e-5
    return found.to(weights.dtype).sum(-1) / max(len(i), 1)


def violations_pair_by_pair(weights):
    shares = []
    for A in weights.reshape(-1, *weights.shape[-2:]).tolist():
        pairs = list(itertools.combinations(range(len(A)), 2))
        hits = sum(A[i][j] * A[j][i] > A[i][i] * A[j][j] * (1 + 1e-5) for i, j in pairs)
        shares.append(hits / len(pairs) if pairs else 0.0)
    return torch.tensor(shares, dtype=weights.dtype).reshape(weights.shape[:-2])


def violations_numpy(weights):
    A = weights.detach().numpy().astype(np.float64)
    i, j = np.triu_indices(A.shape[-1], k=1)
    own, cross = A[..., i, i] * A[..., j, j], A[..., i, j] * A[..., j, i]
    hits = (cross > own * 1.00001).sum(-1) / max(len(i), 1)
    return torch.as_tensor(hits).to(weights.dtype).reshape(weights.shape[:-2])


def violations_ratios(weights):
    # A_ij / A_ii times A_ji / A_jj, in float64; 0 / 0 is not a violation, and more / 0 is one.
    A = weights.double()
    ratio = A / A.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    found = torch.nan_to_num(ratio * ratio.mT, nan=0.0, posinf=math.inf) > 1 + 1e-5
    above = torch.ones(A.shape[-2:], dtype=torch.bool).triu(1)
    return ((found & above).sum((-2, -1)) / above.sum().clamp_min(1)).to(weights.dtype)


def violations_einsum(weights):
    A = weights.double()
    own = einsum("...ii,...jj->...ij", A, A)
    cross = einsum("...ij,...ji->...ij", A, A)
    found = torch.triu((cross - own > 1e-5 * own).to(weights.dtype), diagonal=1)
    T = weights.size(-1)
    return found.sum(dim=(-2, -1)) / max(1, math.comb(T, 2))


# ------------------------------------------------------------------ ps2.stationary


def stationary_logsumexp(scores):
    return scores.logsumexp(dim=-1).softmax(dim=-1)


def stationary_largest_subtracted(scores):
    e = torch.exp(scores - scores.amax((-2, -1), keepdim=True))
    return e.sum(-1) / e.sum((-2, -1)).unsqueeze(-1)


def stationary_one_softmax(scores):
    T = scores.shape[-1]
    pairs = scores.reshape(*scores.shape[:-2], T * T).softmax(-1)
    return pairs.reshape(scores.shape).sum(-2)  # symmetric: columns are as good as rows


def stationary_detailed_balance(scores):
    # π_0 A_0i = π_i A_i0, so log π_i = log A_0i − log A_i0 + log π_0.
    A = scores.double().log_softmax(-1)
    return (A[..., 0, :] - A[..., :, 0]).softmax(-1).to(scores.dtype)


def stationary_map_by_map(scores):
    found = []
    for s in scores.reshape(-1, *scores.shape[-2:]).double():
        e = (s - s.max()).exp()
        found.append(e.sum(1) / e.sum())
    return torch.stack(found).reshape(scores.shape[:-1]).to(scores.dtype)


def stationary_numpy(scores):
    s = scores.numpy().astype(np.longdouble)
    e = np.exp(s - s.max(axis=(-2, -1), keepdims=True))
    shares = e.sum(-1) / e.sum((-2, -1))[..., None]
    return torch.from_numpy(shares.astype(np.float64)).to(scores.dtype)


# ----------------------------------------------------------- ps2.attends_to_itself


def itself_largest_of_the_row(weights):
    own = weights.diagonal(dim1=-2, dim2=-1)
    return (own >= weights.amax(-1)).to(weights.dtype).mean(-1)


def itself_nobody_gets_more(weights):
    own = torch.einsum("...ii->...i", weights)
    more = (weights > own.unsqueeze(-1)).any(dim=-1)
    return 1 - more.to(weights.dtype).mean(dim=-1)


def itself_row_by_row(weights):
    shares = []
    for A in weights.reshape(-1, *weights.shape[-2:]).tolist():
        hits = sum(row[i] == max(row) for i, row in enumerate(A))
        shares.append(hits / len(A))
    return torch.tensor(shares, dtype=weights.dtype).reshape(weights.shape[:-2])


def itself_others_hidden(weights):
    T = weights.shape[-1]
    others = weights.masked_fill(torch.eye(T, dtype=torch.bool), -1).max(dim=-1).values
    own = torch.diagonal(weights, 0, -2, -1)
    return torch.where(own >= others, 1.0, 0.0).to(weights.dtype).sum(-1) / T


def itself_numpy(weights):
    A = weights.numpy()
    own = np.diagonal(A, axis1=-2, axis2=-1)
    share = np.asarray((own >= A.max(-1)).mean(-1))
    return torch.from_numpy(share).to(weights.dtype)


def itself_ranked(weights):
    ranked_first = weights.sort(dim=-1, descending=True).values[..., 0]
    return (weights.diagonal(dim1=-2, dim2=-1) == ranked_first).type_as(weights).mean(-1)


# ----------------------------------------------------------------- ps2.cycle_bound


def bound_walk_and_name_the_ring(wants):
    n, rings = len(wants), set()
    for token in range(n):
        for _ in range(n):  # after n steps the walk is on its ring
            token = wants[token]
        ring = [token]
        while wants[ring[-1]] != token:
            ring.append(wants[ring[-1]])
        if len(ring) > 2:
            rings.add(min(ring))
    return n - len(rings)


def bound_three_colours(wants):
    new, walking, done = 0, 1, 2
    state, granted = [new] * len(wants), len(wants)
    for start in range(len(wants)):
        path, token = [], start
        while state[token] == new:
            state[token] = walking
            path.append(token)
            token = wants[token]
        if state[token] == walking and wants[wants[token]] != token:
            granted -= 1
        for seen in path:
            state[seen] = done
    return granted


def bound_union_find(wants):
    parent = list(range(len(wants)))

    def root(token):
        while parent[token] != token:
            token = parent[token]
        return token

    granted = 0
    for token, wanted in enumerate(wants):
        a, b = root(token), root(wanted)
        closes_a_ring = a == b and wants[wanted] != token
        granted += not closes_a_ring
        parent[a] = b
    return granted


def bound_peel_the_leaves(wants):
    left = set(range(len(wants)))
    while leaves := left - {wants[i] for i in left}:
        left -= leaves
    rings = 0
    while left:
        token = left.pop()
        length = 1
        while (token := wants[token]) in left:
            left.remove(token)
            length += 1
        rings += length > 2
    return len(wants) - rings


def bound_recursion(wants):
    wants = tuple(wants)

    def ring(token, path=()):
        if token in path:
            return frozenset(path[path.index(token) :])
        return ring(wants[token], (*path, token))

    return len(wants) - len({r for r in map(ring, range(len(wants))) if len(r) >= 3})


def bound_powers_of_the_arrows(wants):
    # The trace of Pᵐ counts the tokens that come back after m steps.
    n = len(wants)
    P = torch.zeros(n, n, dtype=torch.float64)
    P[range(n), wants] = 1
    back = {m: int(P.matrix_power(m).diagonal().sum()) for m in range(1, n + 1)}
    rings = {}
    for m in range(1, n + 1):
        shorter = sum(rings[k] * k for k in rings if m % k == 0)
        rings[m] = (back[m] - shorter) // m
    return torch.tensor(n - sum(count for m, count in rings.items() if m > 2))


def bound_every_choice_of_wishes(wants):
    """By the definition: try all sets of wishes, the large ones first."""
    n = len(wants)
    for size in range(n, -1, -1):
        for granted in itertools.combinations(range(n), size):
            if _can_be_granted(granted, wants):
                return size
    raise AssertionError("the empty set can always be granted")


def _can_be_granted(granted, wants):
    """Whether numbers exist for the pairs such that each granted wish is its row's largest.

    Each wish says of some pairs that one is larger than others. Such demands can be met if and
    only if no pair has to be larger than itself: pairs that are larger than no other are given
    the smallest numbers and put aside, until none is left or none can be.
    """
    larger = {}
    for i in granted:
        others = {frozenset((i, k)) for k in range(len(wants)) if k not in (i, wants[i])}
        larger.setdefault(frozenset((i, wants[i])), set()).update(others)
    while free := [pair for pair in larger if not larger[pair] & larger.keys()]:
        for pair in free:
            del larger[pair]
    return not larger


RIGHT = {
    "ps2.shared_scores": [
        scores_matmul,
        scores_linear_and_transpose,
        scores_einsum,
        scores_through_the_metric,
        scores_scaled_before,
        scores_one_pair_at_a_time,
        scores_einops,
        scores_from_distances,
    ],
    "ps2.learned_distance": [
        distance_subtract_then_project,
        distance_project_then_subtract,
        distance_metric_between,
        distance_cdist,
        distance_norm_squared,
        distance_expanded_in_float64,
        distance_expanded_about_the_mean,
        distance_feature_by_feature,
        distance_loops,
    ],
    "ps2.violations": [
        violations_products,
        violations_logarithms,
        violations_pair_by_pair,
        violations_numpy,
        violations_ratios,
        violations_einsum,
    ],
    "ps2.stationary": [
        stationary_logsumexp,
        stationary_largest_subtracted,
        stationary_one_softmax,
        stationary_detailed_balance,
        stationary_map_by_map,
        stationary_numpy,
    ],
    "ps2.attends_to_itself": [
        itself_largest_of_the_row,
        itself_nobody_gets_more,
        itself_row_by_row,
        itself_others_hidden,
        itself_numpy,
        itself_ranked,
    ],
    "ps2.cycle_bound": [
        bound_walk_and_name_the_ring,
        bound_three_colours,
        bound_union_find,
        bound_peel_the_leaves,
        bound_recursion,
        bound_powers_of_the_arrows,
        bound_every_choice_of_wishes,
    ],
}


def tables(x, W):
    return torch.zeros_like(x @ x.mT)


WRONG = {
    "ps2.shared_scores": {
        "zeros": tables,
        "a constant": lambda x, W: tables(x, W) + 0.123,
        "mean over the tokens": lambda x, W: (q := (x - x.mean(-2, keepdim=True)) @ W.mT) @ q.mT,
        "the first sequence": lambda x, W: scores_matmul(x.flatten(0, -3)[0], W),
    },
    "ps2.learned_distance": {
        "zeros": tables,
        "a constant": lambda x, W: tables(x, W) + 0.123,
        "largest difference": lambda x, W: torch.cdist(q := x @ W.mT, q, p=math.inf),
        "cosine distance": lambda x, W: 1 - (q := F.normalize(x @ W.mT, dim=-1)) @ q.mT,
    },
    "ps2.violations": {
        "a constant": lambda weights: weights.sum((-2, -1)) * 0 + 0.123,
        "mean weight on itself": lambda weights: weights.diagonal(dim1=-2, dim2=-1).mean(-1),
        "mean asymmetry": lambda weights: (weights - weights.mT).abs().mean((-2, -1)),
        "each map's first pair": lambda weights: (
            (weights[..., 0, -1] * weights[..., -1, 0]) > weights[..., 0, 0]
        ).to(weights.dtype),
    },
    "ps2.stationary": {
        "zeros": lambda scores: torch.zeros_like(scores[..., 0]),
        "the largest scores": lambda scores: scores.amax(-1).softmax(-1),
        "a random row": lambda scores: scores.softmax(-1)[..., -1, :],
        "NaN": lambda scores: torch.full_like(scores[..., 0], torch.nan),
    },
    "ps2.attends_to_itself": {
        "a constant": lambda weights: weights.sum((-2, -1)) * 0 + 0.123,
        "the largest of the diagonal": lambda weights: weights.diagonal(dim1=-2, dim2=-1).amax(-1),
        "the neighbour": lambda weights: (
            (weights.roll(1, -1).diagonal(dim1=-2, dim2=-1) >= weights.amax(-1))
            .to(weights.dtype)
            .mean(-1)
        ),
    },
    "ps2.cycle_bound": {
        "zero": lambda wants: 0,
        "the sum of the wishes": lambda wants: sum(wants),
        "pairs of tokens": lambda wants: math.comb(len(wants), 2),
    },
}
