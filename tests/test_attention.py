"""The mathematics of ``attncourse.attention``: against its definition, torch, and its proofs."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from functools import partial
from typing import get_args
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused
from strategies import (
    TOLERANCE,
    distinct_sizes,
    dtypes,
    leading_dimensions,
    normal,
    random_mask,
    seeds,
)
from torch import nn
from torch.nn import functional as F

from attncourse.attention import (
    _SHARES,
    CrossAttention,
    Projections,
    SelfAttention,
    _Shares,
    attend,
    attention_weights,
    cosine_affinity,
    dot_affinity,
)

MODES = get_args(Projections)
LEARNED = [mode for mode in MODES if mode != "raw"]
SYMMETRIC = ["raw", "shared", "tied_qk"]

# Which of query, key and value share a matrix: as many ways as a set of three can be divided.
PARTITIONS = ["qkv", "qk|v", "q|kv", "qv|k", "q|k|v"]
PARTITION_OF = {"shared": "qkv", "tied_qk": "qk|v", "tied_kv": "q|kv", "separate": "q|k|v"}


def close(actual, expected, dtype=torch.float64):
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE[dtype])


def attend_by_loops(query, key, value, mask, scale):
    """The definition, one number at a time; for two-dimensional arguments."""
    output = torch.zeros(len(query), value.shape[-1], dtype=value.dtype)
    for i in range(len(query)):
        allowed = [j for j in range(len(key)) if mask is None or mask[i, j]]
        e = {
            j: math.exp(scale * sum(a * b for a, b in zip(query[i], key[j], strict=True)))
            for j in allowed
        }
        for j in allowed:
            output[i] += e[j] / sum(e.values()) * value[j]
    return output


# ---------------------------------------------------------------- similarity


@given(leading_dimensions, distinct_sizes(3), dtypes, seeds)
def test_cosine_is_that_of_torch_for_every_pair_of_rows(leading, sizes, dtype, seed):
    T_q, T_k, D = sizes
    x = normal(seed, *leading, T_q, D, dtype=dtype)
    y = normal(seed + 1, *leading, T_k, D, dtype=dtype)
    expected = F.cosine_similarity(x.unsqueeze(-2), y.unsqueeze(-3), dim=-1)
    close(cosine_affinity(x, y), expected, dtype)
    close(cosine_affinity(x), cosine_affinity(x, x.clone()), dtype)


@given(distinct_sizes(2), seeds, st.floats(1e-3, 1e3))
def test_cosine_forgets_length_and_the_dot_product_does_not(sizes, seed, factor):
    x = normal(seed, *sizes)
    close(cosine_affinity(factor * x), cosine_affinity(x))
    torch.testing.assert_close(dot_affinity(factor * x), factor**2 * dot_affinity(x))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_cosine_of_very_short_and_very_long_vectors_is_exact(size):
    x = size * torch.tensor([[3.0, 4.0], [4.0, 3.0]])
    close(cosine_affinity(x), torch.tensor([[1.0, 0.96], [0.96, 1.0]]), torch.float32)


def test_a_zero_vector_has_cosine_zero_with_everything_and_no_gradient():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    affinity = cosine_affinity(x)
    close(affinity, torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.float32)
    affinity.sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[0] == 0).all()


@given(leading_dimensions, distinct_sizes(3), seeds)
def test_dot_affinity_is_the_product_of_every_pair_of_rows(leading, sizes, seed):
    T_q, T_k, D = sizes
    x, y = normal(seed, *leading, T_q, D), normal(seed + 1, *leading, T_k, D)
    close(dot_affinity(x, y), torch.einsum("...id,...jd->...ij", x, y))
    close(dot_affinity(x), torch.einsum("...id,...jd->...ij", x, x))


def test_affinities_broadcast_their_leading_dimensions():
    x, y = normal(0, 2, 1, 3, 4), normal(1, 5, 6, 4)
    assert cosine_affinity(x, y).shape == dot_affinity(x, y).shape == (2, 5, 3, 6)


# ---------------------------------------------------------------- weights


@given(leading_dimensions, distinct_sizes(2), dtypes, seeds, st.booleans())
def test_rows_of_weights_are_non_negative_and_sum_to_one_or_see_nothing(
    leading, sizes, dtype, seed, masked
):
    scores = 3 * normal(seed, *leading, *sizes, dtype=dtype)
    mask = random_mask(seed, *sizes) if masked else None
    weights = attention_weights(scores, mask)
    assert (weights >= 0).all()
    sees_something = torch.ones(sizes[0]) if mask is None else mask.any(-1).double()
    close(weights.sum(-1), sees_something.to(dtype).expand(*leading, -1), dtype)


@given(distinct_sizes(2), seeds, st.floats(-50, 50))
def test_adding_a_number_to_a_row_of_scores_changes_no_weight(sizes, seed, number):
    scores = normal(seed, *sizes)
    close(attention_weights(scores + number), attention_weights(scores))


@given(distinct_sizes(2), seeds)
def test_forbidden_keys_get_exactly_zero_and_the_rest_share_in_proportion(sizes, seed):
    scores, mask = normal(seed, *sizes), random_mask(seed, *sizes)
    weights = attention_weights(scores, mask)
    assert (weights[~mask] == 0).all()
    kept = attention_weights(scores) * mask
    total = kept.sum(-1, keepdim=True)
    close(weights, torch.where(total > 0, kept / total.clamp_min(1e-300), 0.0))


def test_huge_scores_do_not_overflow():
    scores = torch.tensor([[1e4, 1e4 - 1, -1e4]])
    expected = torch.tensor([[math.e / (math.e + 1), 1 / (math.e + 1), 0.0]])
    close(attention_weights(scores), expected, torch.float32)


def test_minus_infinity_in_the_scores_forbids_a_key_as_a_mask_does():
    scores, mask = (
        normal(0, 4, 3),
        torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).bool(),
    )
    close(attention_weights(scores.masked_fill(~mask, -torch.inf)), attention_weights(scores, mask))


def test_a_row_that_sees_nothing_is_zero_and_passes_back_a_zero_gradient():
    scores = normal(0, 2, 3).requires_grad_()
    mask = torch.tensor([[True, True, False], [False, False, False]])
    weights = attention_weights(scores, mask)
    assert (weights[1] == 0).all()
    (weights * normal(1, 2, 3)).sum().backward()
    assert scores.grad.isfinite().all()
    assert (scores.grad[1] == 0).all()
    assert (scores.grad[0, :2] != 0).all()


# ---------------------------------------------------------------- attend


@given(distinct_sizes(4, largest=6), seeds, st.booleans(), st.sampled_from([None, 0.3, -1.0]))
def test_attend_is_its_definition_number_by_number(sizes, seed, masked, scale):
    T_q, T_k, d_k, d_v = sizes
    query, key, value = (
        normal(seed, T_q, d_k),
        normal(seed + 1, T_k, d_k),
        normal(seed + 2, T_k, d_v),
    )
    mask = random_mask(seed, T_q, T_k) if masked else None
    used_scale = 1 / math.sqrt(d_k) if scale is None else scale
    expected = attend_by_loops(query, key, value, mask, used_scale)
    close(attend(query, key, value, mask=mask, scale=scale), expected)
    output, weights = attend(query, key, value, mask=mask, scale=scale, return_weights=True)
    close(output, expected)
    close(weights, attention_weights(used_scale * query @ key.mT, mask))


@given(leading_dimensions, distinct_sizes(4), dtypes, seeds, st.booleans(), st.booleans())
def test_attend_equals_torch_with_and_without_masks_for_any_leading_dimensions(
    leading, sizes, dtype, seed, masked, mask_has_leading
):
    T_q, T_k, d_k, d_v = sizes
    query = normal(seed, *leading, T_q, d_k, dtype=dtype)
    key = normal(seed + 1, *leading, T_k, d_k, dtype=dtype)
    value = normal(seed + 2, *leading, T_k, d_v, dtype=dtype)
    mask = None
    if masked:
        mask = random_mask(seed, *(leading if mask_has_leading else ()), T_q, T_k)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    close(attend(query, key, value, mask=mask), expected, dtype)
    close(attend(query, key, value, mask=mask, return_weights=True)[0], expected, dtype)


@pytest.mark.parametrize(
    "mask_shape", [(), (7,), (1, 7), (5, 1), (3, 1, 7), (2, 1, 5, 7), (3, 5, 7)]
)
def test_a_mask_may_have_any_shape_that_broadcasts_to_the_scores(mask_shape):
    query, key, value = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 7, 4), normal(2, 2, 3, 7, 6)
    mask = random_mask(3, *mask_shape)
    whole = mask.expand(2, 3, 5, 7)
    scores = (query @ key.mT / 2).masked_fill(~whole, -torch.inf)
    expected = scores.softmax(-1).nan_to_num(0) @ value
    close(attend(query, key, value, mask=mask), expected)
    close(attend(query, key, value, mask=mask, return_weights=True)[0], expected)


def test_leading_dimensions_broadcast():
    query, key, value = normal(0, 2, 1, 5, 4), normal(1, 3, 7, 4), normal(2, 1, 7, 6)
    output, weights = attend(query, key, value, return_weights=True)
    close(attend(query, key, value), output)
    assert output.shape == (2, 3, 5, 6)
    assert weights.shape == (2, 3, 5, 7)


@given(distinct_sizes(4), seeds)
def test_reordering_the_keys_with_their_values_changes_nothing(sizes, seed):
    T_q, T_k, d_k, d_v = sizes
    query, key, value = (
        normal(seed, T_q, d_k),
        normal(seed + 1, T_k, d_k),
        normal(seed + 2, T_k, d_v),
    )
    order = torch.randperm(T_k, generator=torch.Generator().manual_seed(seed))
    close(attend(query, key[order], value[order]), attend(query, key, value))


@pytest.mark.parametrize("return_weights", [False, True])
def test_what_is_masked_has_no_influence_at_all(return_weights):
    query, key, value = normal(0, 5, 4), normal(1, 7, 4), normal(2, 7, 6)
    mask = random_mask(3, 5, 7)
    mask[:, 2] = False
    other_key, other_value = key.clone(), value.clone()
    other_key[2], other_value[2] = 1e3, -1e3
    before = attend(query, key, value, mask=mask, return_weights=return_weights)
    after = attend(query, other_key, other_value, mask=mask, return_weights=return_weights)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("return_weights", [False, True])
def test_a_query_that_sees_nothing_gets_zeros_and_finite_gradients(return_weights):
    tensors = [
        normal(i, *shape).requires_grad_() for i, shape in enumerate([(3, 4), (5, 4), (5, 2)])
    ]
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    result = attend(*tensors, mask=mask, return_weights=return_weights)
    output = result[0] if return_weights else result
    assert (output[1] == 0).all()
    output.sum().backward()
    assert all(t.grad.isfinite().all() for t in tensors)
    assert (tensors[0].grad[1] == 0).all()


@pytest.mark.parametrize("sizes", [(4, 4), (4, 2), (2, 4)], ids=["d_v=d_k", "d_v<d_k", "d_v>d_k"])
@pytest.mark.parametrize("return_weights", [False, True])
def test_gradients_of_attend_are_right(sizes, return_weights):
    d_k, d_v = sizes
    tensors = [
        normal(i, *shape).requires_grad_()
        for i, shape in enumerate([(2, 3, d_k), (2, 5, d_k), (2, 5, d_v)])
    ]
    mask = random_mask(9, 3, 5)
    torch.autograd.gradcheck(
        lambda q, k, v: attend(q, k, v, mask=mask, return_weights=return_weights), tensors
    )


@pytest.mark.parametrize("function", [cosine_affinity, dot_affinity])
def test_gradients_of_the_affinities_are_right(function):
    torch.autograd.gradcheck(
        function, [normal(0, 3, 4).requires_grad_(), normal(1, 5, 4).requires_grad_()]
    )


def test_gradients_of_the_weights_are_right():
    mask = random_mask(1, 3, 5)
    torch.autograd.gradcheck(lambda s: attention_weights(s, mask), normal(0, 3, 5).requires_grad_())


@pytest.mark.parametrize("return_weights", [False, True])
@pytest.mark.parametrize("function", ["attend", "SelfAttention", "CrossAttention"])
def test_the_fused_kernel_is_used_exactly_where_no_weights_are_asked_for(function, return_weights):
    x, context = normal(0, 2, 7, 12), normal(1, 2, 9, 10)
    call, arguments = {
        "attend": (attend, (x, x, x)),
        "SelfAttention": (self_attention("separate"), (x,)),
        "CrossAttention": (cross_attention(), (x, context)),
    }[function]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call(*arguments, return_weights=return_weights)
    names = {event.name for event in profile.events()}
    fused = "aten::_scaled_dot_product_flash_attention_for_cpu" in names
    assert fused == (not return_weights)
    assert "aten::_scaled_dot_product_attention_math" not in names


def test_no_argument_is_changed():
    query, key, value, mask = (
        normal(0, 3, 4),
        normal(1, 5, 4),
        normal(2, 5, 2),
        random_mask(3, 3, 5),
    )
    copies = [t.clone() for t in (query, key, value, mask)]
    attend(query, key, value, mask=mask, return_weights=True)
    attend(query, key, value, mask=mask)
    attention_weights(query @ key.mT, mask)
    for tensor, copy in zip((query, key, value, mask), copies, strict=True):
        assert torch.equal(tensor, copy)


# ---------------------------------------------------------------- SelfAttention


def shaken(layer):
    """In double, with noise on every parameter: biases start at zero, and dropping them would pass."""
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def self_attention(mode, **settings):
    torch.manual_seed(0)
    return shaken(SelfAttention(12, projections=mode, num_heads=3, bias=mode != "raw", **settings))


@contextlib.contextmanager
def tied_as(partition):
    """Within, the partition is a mode of ``SelfAttention``."""
    groups = partition.split("|")
    shares = _Shares(
        *(next(i for i, group in enumerate(groups) if role in group) for role in "qkv")
    )
    with mock.patch.dict(_SHARES, {partition: shares}):
        yield


def by_hand(layer, x, mask=None, partition=None):
    """The layer from its public matrices alone, one head after the other."""
    output = torch.zeros_like(x)
    weights = []
    bias = dict.fromkeys("qkv", 0.0)
    if layer.projections != "raw" and layer.in_proj.bias is not None:
        groups = (partition or PARTITION_OF[layer.projections]).split("|")
        size = {"q": layer.d_k, "k": layer.d_k, "v": layer.d_v}
        blocks = layer.in_proj.bias.split([layer.num_heads * size[group[0]] for group in groups])
        for roles, block in zip(groups, blocks, strict=True):
            bias |= dict.fromkeys(roles, block.unflatten(0, (layer.num_heads, -1)))
        output = output + layer.out_proj.bias
    for h in range(layer.num_heads):
        head_bias = {role: b[h] if torch.is_tensor(b) else b for role, b in bias.items()}
        query = x @ layer.W_q[h].mT + head_bias["q"]
        key = x @ layer.W_k[h].mT + head_bias["k"]
        value = x @ layer.W_v[h].mT + head_bias["v"]
        one_output, one_weights = attend(query, key, value, mask=mask, return_weights=True)
        output = output + one_output @ layer.W_o[h].mT
        weights.append(one_weights)
    return output, torch.stack(weights, dim=-3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("leading", [(), (2,), (2, 5)])
@pytest.mark.parametrize("masked", [False, True])
def test_each_mode_is_the_sum_of_its_heads_matrices(mode, leading, masked):
    layer, x = self_attention(mode), normal(1, *leading, 7, 12)
    mask = random_mask(2, 7, 7) if masked else None
    expected_output, expected_weights = by_hand(layer, x, mask)
    output, weights = layer(x, mask=mask, return_weights=True)
    close(output, expected_output)
    close(weights, expected_weights)
    close(layer(x, mask=mask), expected_output)


@pytest.mark.parametrize(
    ("mode", "distinct"),
    [("raw", 1), ("shared", 1), ("tied_qk", 2), ("tied_kv", 2), ("separate", 3)],
)
def test_a_mode_ties_exactly_what_its_name_says(mode, distinct):
    layer = self_attention(mode)
    pointers = {name: getattr(layer, name).data_ptr() for name in ("W_q", "W_k", "W_v")}
    assert (pointers["W_q"] == pointers["W_k"]) == (mode in ("raw", "shared", "tied_qk"))
    assert (pointers["W_k"] == pointers["W_v"]) == (mode in ("raw", "shared", "tied_kv"))
    assert len(set(pointers.values())) == distinct
    per_head = 4 * 12 + 4  # d_k × d_model and the bias
    out = 12 * 12 + 12
    expected = 0 if mode == "raw" else 3 * distinct * per_head + out
    assert sum(p.numel() for p in layer.parameters()) == expected


@pytest.mark.parametrize("partition", PARTITIONS)
@settings(max_examples=25)
@given(
    sizes=distinct_sizes(4),
    num_heads=st.integers(1, 3),
    bias=st.booleans(),
    masked=st.booleans(),
    seed=seeds,
)
def test_any_roles_can_share_a_matrix_and_the_layer_is_the_sum_of_its_heads_matrices(
    partition, sizes, num_heads, bias, masked, seed
):
    T, d_model, d_k, d_v = sizes
    groups = partition.split("|")
    if "v" not in groups:
        d_v = d_k
    torch.manual_seed(seed)
    with tied_as(partition):
        layer = shaken(
            SelfAttention(
                d_model, projections=partition, num_heads=num_heads, d_k=d_k, d_v=d_v, bias=bias
            )
        )
        x, mask = normal(seed, 2, T, d_model), random_mask(seed, T, T) if masked else None
        output, weights = layer(x, mask=mask, return_weights=True)
        expected_output, expected_weights = by_hand(layer, x, mask, partition)
        close(output, expected_output)
        close(weights, expected_weights)
        close(layer(x, mask=mask), expected_output)
        pointers = {role: getattr(layer, f"W_{role}").data_ptr() for role in "qkv"}
        for a, b in itertools.combinations("qkv", 2):
            assert (pointers[a] == pointers[b]) == any(
                a in group and b in group for group in groups
            )


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_value_has_its_own_size_exactly_where_it_has_its_own_matrix(partition):
    roles = next(group for group in partition.split("|") if "v" in group)
    with tied_as(partition):

        def layer():
            return SelfAttention(4, projections=partition, num_heads=2, d_k=3, d_v=5)

        if roles == "v":
            assert layer().W_v.shape == (2, 5, 4)
        else:
            names = " and ".join({"q": "query", "k": "key", "v": "value"}[role] for role in roles)
            told = [repr(partition), f"one matrix for {names}, so", "d_k=3", "d_v=5"]
            assert_refused(ValueError, layer, told)


def test_the_type_names_the_modes_of_the_table():
    assert get_args(Projections) == tuple(_SHARES)


def test_the_docstring_tells_of_the_modes_and_sharings_of_the_table():
    rows = re.findall(
        r"^ *``(\w+)``  +(``W_[^`]+``|nothing)  +", SelfAttention.__doc__, re.MULTILINE
    )
    expected = {}
    for mode, shares in _SHARES.items():
        named = {}  # matrix -> its names
        for role, matrix in shares._asdict().items():
            named.setdefault(matrix, []).append(f"W_{role[0]}")
        learned = ", ".join([*map(" = ".join, named.values()), "W_o"])
        expected[mode] = "nothing" if mode == "raw" else f"``{learned}``"
    assert rows == list(expected.items())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("mode", "d_v", "rows"),
    [
        ("shared", 4, 3 * 4),
        ("tied_qk", 5, 3 * (4 + 5)),
        ("tied_kv", 4, 3 * (4 + 4)),
        ("separate", 5, 3 * (4 + 4 + 5)),
    ],
)
def test_the_state_of_a_layer_has_the_names_and_shapes_that_saved_ones_have(mode, d_v, rows, bias):
    layer = SelfAttention(10, projections=mode, num_heads=3, d_k=4, d_v=d_v, bias=bias)
    expected = {"in_proj.weight": (rows, 10), "out_proj.weight": (10, 3 * d_v)}
    if bias:
        expected |= {"in_proj.bias": (rows,), "out_proj.bias": (10,)}
    assert {name: tuple(x.shape) for name, x in layer.state_dict().items()} == expected


@pytest.mark.parametrize("mode", LEARNED)
def test_a_seed_fixes_the_initial_matrices_which_are_drawn_one_by_one(mode):
    d_v = 5 if PARTITION_OF[mode].endswith("|v") else 4
    sizes = [d_v if group == "v" else 4 for group in PARTITION_OF[mode].split("|")]
    torch.manual_seed(0)
    layer = SelfAttention(10, projections=mode, num_heads=3, d_k=4, d_v=d_v)
    torch.manual_seed(0)
    nn.Linear(10, 3 * sum(sizes), bias=False), nn.Linear(3 * d_v, 10, bias=False)  # torch's draws
    drawn = [nn.init.xavier_uniform_(torch.empty(3 * size, 10)) for size in sizes]
    assert torch.equal(layer.in_proj.weight, torch.cat(drawn))
    assert torch.equal(layer.out_proj.weight, nn.init.xavier_uniform_(torch.empty(10, 3 * d_v)))


def test_the_raw_mode_with_one_head_attends_with_the_features_themselves():
    x = normal(0, 2, 7, 12)
    layer = SelfAttention(12, projections="raw").double()
    close(layer(x), attend(x, x, x))
    assert not list(layer.parameters())
    assert not layer.state_dict()


@pytest.mark.parametrize("mode", SYMMETRIC)
@given(seed=seeds)
def test_one_matrix_for_query_and_key_makes_scores_symmetric_and_positive_semi_definite(mode, seed):
    layer, x = self_attention(mode), normal(seed, 7, 12)
    query = x @ layer.W_q.mT  # [h, T, d_k]
    key = x @ layer.W_k.mT
    scores = query @ key.mT
    close(scores, scores.mT)
    assert torch.linalg.eigvalsh(scores).min() > -1e-10 * scores.abs().max()
    weights = layer(x, return_weights=True)[1]
    own = weights.diagonal(dim1=-2, dim2=-1)
    tolerance = 1 + 1e-9
    assert (weights * weights.mT <= tolerance * own.unsqueeze(-1) * own.unsqueeze(-2)).all()


@pytest.mark.parametrize("mode", ["tied_kv", "separate"])
def test_separate_queries_and_keys_are_not_bound_by_that(mode):
    layer, x = self_attention(mode), normal(0, 7, 12)
    weights = layer(x, return_weights=True)[1]
    own = weights.diagonal(dim1=-2, dim2=-1)
    assert (weights * weights.mT > 1.01 * own.unsqueeze(-1) * own.unsqueeze(-2)).any()


@pytest.mark.parametrize("mode", MODES)
@given(seed=seeds)
def test_without_positions_attention_does_not_know_the_order(mode, seed):
    layer, x = self_attention(mode), normal(seed, 2, 7, 12)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    close(layer(x[:, order]), layer(x)[:, order])


@pytest.mark.parametrize("mode", MODES)
def test_a_causal_mask_hides_the_future(mode):
    layer, x = self_attention(mode), normal(0, 2, 7, 12)
    causal = torch.ones(7, 7, dtype=torch.bool).tril()
    changed = x.clone()
    changed[:, 4:] += 1
    close(layer(changed, mask=causal)[:, :4], layer(x, mask=causal)[:, :4])
    assert not torch.allclose(layer(changed, mask=causal)[:, 4:], layer(x, mask=causal)[:, 4:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", [False, True])
def test_mask_diagonal_forbids_the_self_match_and_nothing_else(mode, masked):
    layer, x = self_attention(mode, mask_diagonal=True), normal(0, 2, 7, 12)
    mask = random_mask(1, 7, 7) if masked else torch.ones(7, 7, dtype=torch.bool)
    plain = self_attention(mode)
    expected = plain(x, mask=mask & ~torch.eye(7, dtype=torch.bool), return_weights=True)
    actual = layer(x, mask=mask, return_weights=True)
    close(actual[0], expected[0])
    close(actual[1], expected[1])
    assert (actual[1].diagonal(dim1=-2, dim2=-1) == 0).all()


def test_a_single_token_with_a_masked_diagonal_gets_zero_weight_not_nan():
    output, weights = SelfAttention(4, mask_diagonal=True)(
        torch.randn(1, 1, 4), return_weights=True
    )
    assert (weights == 0).all()
    assert (output == 0).all()


def test_a_mask_with_one_dimension_more_than_x_is_one_mask_for_each_head():
    layer, x = self_attention("separate"), normal(0, 2, 7, 12)
    mask = random_mask(1, 2, 3, 7, 7)
    weights = layer(x, mask=mask, return_weights=True)[1]
    assert (weights[~mask] == 0).all()
    one = random_mask(1, 2, 7, 7)
    close(layer(x, mask=one), layer(x, mask=one[:, None].expand(2, 3, 7, 7)))


@pytest.mark.parametrize("mode", LEARNED)
def test_gradients_reach_every_parameter_and_are_right(mode):
    layer, x = self_attention(mode), normal(0, 3, 12).requires_grad_()
    names, parameters = zip(*layer.named_parameters(), strict=True)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()

    def output(x, *values):
        return torch.func.functional_call(
            layer, dict(zip(names, values, strict=True)), (x,), {"mask": mask}
        )

    torch.autograd.gradcheck(output, (x, *parameters), fast_mode=True)


@pytest.mark.parametrize("mode", LEARNED)
def test_the_matrices_are_views_that_training_sees(mode):
    layer, x = self_attention(mode), normal(0, 5, 12)
    for name in ("W_q", "W_k", "W_v", "W_o"):
        before = layer(x)
        with torch.no_grad():
            getattr(layer, name).mul_(1.5)
        assert not torch.allclose(layer(x), before), name


@given(
    st.booleans(),
    st.booleans(),
    dtypes,
    st.sampled_from([1, 2, 3]),
    st.sampled_from([(2, 7), (5, 4)]),
    seeds,
)
def test_from_torch_gives_the_outputs_and_weights_of_the_original(
    bias, batch_first, dtype, num_heads, sizes, seed
):
    B, T = sizes
    torch.manual_seed(seed)
    original = nn.MultiheadAttention(12, num_heads, bias=bias, batch_first=batch_first, dtype=dtype)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    layer, x = SelfAttention.from_torch(original), normal(seed, B, T, 12, dtype=dtype)
    mask = random_mask(seed, T, T) | torch.eye(
        T, dtype=torch.bool
    )  # torch gives NaN for an empty row
    given_x = x if batch_first else x.transpose(0, 1)
    for ours in (None, mask):
        theirs = None if ours is None else ~ours
        expected, expected_weights = original(
            given_x, given_x, given_x, attn_mask=theirs, average_attn_weights=False
        )
        output, weights = layer(x, mask=ours, return_weights=True)
        close(output, expected if batch_first else expected.transpose(0, 1), dtype)
        close(weights, expected_weights, dtype)
        close(layer(x, mask=ours), output, dtype)


def test_from_torch_copies_so_that_training_one_leaves_the_other_alone():
    original = nn.MultiheadAttention(12, 3)
    layer = SelfAttention.from_torch(original)
    with torch.no_grad():
        layer.W_q.zero_()
    assert original.in_proj_weight.abs().min() > 0


class LowRankUpdate(nn.Module):
    """A linear layer whose weight rests, and a trained product beside it, as LoRA puts there."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, 2, bias=False, dtype=base.weight.dtype)
        self.up = nn.Linear(2, base.out_features, bias=False, dtype=base.weight.dtype)

    weight = property(lambda self: self.base.weight)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def replaced(layer, name, by):
    setattr(layer, name, by)
    return layer


PROJECTIONS = {
    SelfAttention: ["in_proj", "out_proj"],
    CrossAttention: ["query_proj", "context_proj", "out_proj"],
}
REPLACEABLE = [(kind, name) for kind, names in PROJECTIONS.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), REPLACEABLE)
def test_what_is_put_in_the_place_of_a_projection_is_what_computes(kind, name):
    make = partial(self_attention, "separate") if kind is SelfAttention else cross_attention
    x, context = normal(0, 2, 5, 12), normal(1, 2, 7, 10)
    arguments = (x,) if kind is SelfAttention else (x, context)
    low_rank = LowRankUpdate(getattr(make(), name))
    output = replaced(make(), name, low_rank)(*arguments)
    output.square().sum().backward()
    assert low_rank.up.weight.grad.abs().sum() > 0
    merged = make()
    with torch.no_grad():
        getattr(merged, name).weight.add_(low_rank.up.weight @ low_rank.down.weight)
    close(output, merged(*arguments))
    for matrices in ("W_q", "W_k", "W_v", "W_o"):  # of the weight that rests
        close(getattr(replaced(make(), name, low_rank), matrices), getattr(make(), matrices))
    in_turn = replaced(make(), name, nn.Sequential(low_rank, nn.Identity()))
    close(in_turn(*arguments), output)
    close(in_turn(*arguments, return_weights=True)[0], output)


def test_an_output_projection_put_into_the_raw_mode_is_the_one_that_is_shown():
    layer = replaced(SelfAttention(6, projections="raw", num_heads=2), "out_proj", nn.Linear(6, 5))
    assert layer(torch.randn(3, 6)).shape == (3, 5)
    assert torch.equal(layer.W_o.transpose(0, 1).flatten(1), layer.out_proj.weight)


def test_state_survives_saving_and_loading():
    layer, x = self_attention("tied_kv"), normal(0, 5, 12)
    other = SelfAttention(12, projections="tied_kv", num_heads=3, bias=True).double()
    other.load_state_dict(layer.state_dict())
    close(other(x), layer(x))


# ---------------------------------------------------------------- CrossAttention


def cross_attention(**settings):
    torch.manual_seed(0)
    return CrossAttention(12, 10, num_heads=3, d_k=5, d_v=4, **settings).double()


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_is_the_sum_of_its_heads_matrices(leading, masked):
    layer, x, context = cross_attention(), normal(0, *leading, 6, 12), normal(1, *leading, 9, 10)
    mask = random_mask(2, 6, 9) if masked else None
    expected = torch.zeros_like(x)
    for W_q, W_k, W_v, W_o in zip(layer.W_q, layer.W_k, layer.W_v, layer.W_o, strict=True):
        expected += attend(x @ W_q.mT, context @ W_k.mT, context @ W_v.mT, mask=mask) @ W_o.mT
    output, weights = layer(x, context, mask=mask, return_weights=True)
    close(output, expected)
    close(layer(x, context, mask=mask), expected)
    assert weights.shape == (*leading, 3, 6, 9)


def test_cross_attention_equals_torch_with_other_key_and_value_features():
    torch.manual_seed(0)
    original = nn.MultiheadAttention(12, 3, kdim=10, vdim=10, batch_first=True, dtype=torch.float64)
    layer = CrossAttention(12, 10, num_heads=3, bias=True).double()
    with torch.no_grad():
        original.in_proj_bias.normal_()
        original.out_proj.bias.normal_()
        layer.query_proj.weight.copy_(original.q_proj_weight)
        layer.context_proj.weight.copy_(torch.cat([original.k_proj_weight, original.v_proj_weight]))
        layer.query_proj.bias.copy_(original.in_proj_bias[:12])
        layer.context_proj.bias.copy_(original.in_proj_bias[12:])
        layer.out_proj.load_state_dict(original.out_proj.state_dict())
    x, context, mask = normal(0, 2, 5, 12), normal(1, 2, 7, 10), random_mask(2, 5, 7)
    mask[:, 0] = True
    expected = original(x, context, context, attn_mask=~mask, need_weights=False)[0]
    close(layer(x, context, mask=mask), expected)


def test_order_of_the_context_does_not_matter():
    layer, x, context = cross_attention(), normal(0, 6, 12), normal(1, 9, 10)
    close(layer(x, context.flip(0)), layer(x, context))


# ---------------------------------------------------------------- unusual, but right


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(0, 7, 12), (2, 0, 12)], ids=["no batch", "no tokens"])
def test_a_layer_takes_an_empty_batch_and_an_empty_sequence(mode, shape):
    output, weights = self_attention(mode)(torch.zeros(shape).double(), return_weights=True)
    assert output.shape == shape
    assert weights.shape == (shape[0], 3, shape[1], shape[1])


def test_an_empty_context_gives_every_query_zeros():
    layer = cross_attention()
    output = layer(normal(0, 2, 6, 12), torch.zeros(2, 0, 10).double())
    close(output, torch.zeros(2, 6, 12).double())


def test_half_precision_gives_the_same_with_and_without_weights_where_its_scores_would_overflow():
    query = torch.full(
        (1, 3, 64), 100.0, dtype=torch.float16
    )  # scores of 80,000; the most is 65,504
    value = torch.arange(6, dtype=torch.float16).reshape(1, 3, 2)
    output, weights = attend(query, query, value, return_weights=True)
    assert output.dtype == weights.dtype == torch.float16
    torch.testing.assert_close(output, attend(query, query, value))
    torch.testing.assert_close(output, value.mean(1, keepdim=True).expand(1, 3, 2))


def test_layers_follow_one_another_under_autocast():
    layers = nn.Sequential(SelfAttention(8, num_heads=2), SelfAttention(8, num_heads=2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers(torch.zeros(2, 5, 8)).dtype == torch.bfloat16


# ---------------------------------------------------------------- bad input


def numbers(*shape):
    return torch.zeros(*shape)


NAN = torch.tensor([[0.0, torch.nan, 0.0, 0.0]])
INF = torch.tensor([[0.0, torch.inf, 0.0, 0.0]])
LAYER = SelfAttention(4, num_heads=2)
CROSS = CrossAttention(4, 6)


def mha(*, bias, out_bias):
    layer = nn.MultiheadAttention(4, 2, bias=bias)
    return replaced(layer, "out_proj", nn.Linear(4, 4, bias=out_bias))


BAD_INPUT = {
    # each message names the argument, what it got and what it wants
    "list": (TypeError, lambda: cosine_affinity([[1.0]]), ["x", "list", "torch.Tensor"]),
    "integers": (TypeError, lambda: dot_affinity(numbers(2, 3).long()), ["x", "int64", "floating"]),
    "one dimension": (ValueError, lambda: cosine_affinity(numbers(3)), ["x", "[3]", "[..., T, D]"]),
    "features": (ValueError, lambda: cosine_affinity(numbers(2, 3), numbers(2, 4)), ["[2, 3]", "[2, 4]"]),
    "NaN": (ValueError, lambda: cosine_affinity(numbers(2, 4), NAN), ["y", "NaN", "[0, 1]"]),
    "dtypes": (TypeError, lambda: dot_affinity(numbers(2, 3), numbers(2, 3).double()), ["float32", "float64"]),
    "leading": (ValueError, lambda: dot_affinity(numbers(2, 5, 3), numbers(3, 5, 3)), ["[2, 5, 3]", "[3, 5, 3]"]),
    "NaN scores": (ValueError, lambda: attention_weights(NAN), ["scores", "NaN", "[0, 1]"]),
    "inf scores": (ValueError, lambda: attention_weights(INF), ["scores", "+inf", "[0, 1]"]),
    "float mask": (TypeError, lambda: attention_weights(numbers(2, 3), numbers(2, 3)), ["mask", "bool", "float32"]),
    "mask shape": (
        ValueError,
        lambda: attention_weights(numbers(2, 3), numbers(3, 2).bool()),
        ["mask", "[3, 2]", "[2, 3]"],
    ),
    "mask larger than the scores": (
        ValueError,
        lambda: attention_weights(numbers(2, 3), numbers(4, 2, 3).bool()),
        ["mask", "[4, 2, 3]", "[2, 3]"],
    ),
    "mask no tensor": (TypeError, lambda: attention_weights(numbers(1, 1), [[True]]), ["mask", "list"]),
    "d_k": (ValueError, lambda: attend(numbers(2, 3), numbers(5, 4), numbers(5, 3)), ["query", "key", "[2, 3]", "[5, 4]"]),
    "no features": (ValueError, lambda: attend(numbers(2, 0), numbers(5, 0), numbers(5, 3)), ["query", "[2, 0]"]),
    "T_k": (ValueError, lambda: attend(numbers(2, 3), numbers(5, 3), numbers(6, 3)), ["key", "value", "T_k", "[5, 3]", "[6, 3]"]),
    "NaN query": (ValueError, lambda: attend(NAN, numbers(2, 4), numbers(2, 3)), ["query", "NaN", "[0, 1]"]),
    "NaN key": (ValueError, lambda: attend(numbers(2, 4), NAN, numbers(1, 3)), ["key", "NaN", "[0, 1]"]),
    "inf value": (ValueError, lambda: attend(numbers(2, 3), numbers(1, 3), INF), ["value", "infinite", "[0, 1]"]),
    "attend dtypes": (TypeError, lambda: attend(numbers(2, 3), numbers(2, 3), numbers(2, 3).double()), ["query", "value", "float64"]),
    "attend mask": (
        ValueError,
        lambda: attend(numbers(2, 3), numbers(5, 3), numbers(5, 3), mask=numbers(5, 2).bool()),
        ["mask", "[5, 2]", "[2, 5]"],
    ),
    "scale": (ValueError, lambda: attend(numbers(2, 3), numbers(2, 3), numbers(2, 3), scale=math.nan), ["scale", "nan"]),
    "mode": (ValueError, lambda: SelfAttention(4, projections="untied"), ["projections", "'untied'", "'separate'"]),
    "mode not a name": (ValueError, lambda: SelfAttention(4, projections=["raw"]), ["projections", "['raw']", "'separate'"]),
    "heads": (ValueError, lambda: SelfAttention(10, num_heads=3), ["d_model", "num_heads", "10", "3", "d_k"]),
    "size type": (TypeError, lambda: SelfAttention(4.0), ["d_model", "4.0"]),
    "size": (ValueError, lambda: SelfAttention(4, num_heads=0), ["num_heads", "0"]),
    "tied d_v": (ValueError, lambda: SelfAttention(4, projections="tied_kv", d_k=2, d_v=3), ["d_v", "d_k=2", "d_v=3"]),
    "raw sizes": (ValueError, lambda: SelfAttention(4, projections="raw", d_k=3), ["raw", "d_model=4", "3"]),
    "raw bias": (ValueError, lambda: SelfAttention(4, projections="raw", bias=True), ["raw", "bias=True"]),
    "tokens": (ValueError, lambda: LAYER(numbers(2, 5)), ["x", "d_model = 4", "[2, 5]"]),
    "token dtype": (TypeError, lambda: LAYER(numbers(2, 4).double()), ["x", "float64", "float32"]),
    "token NaN": (ValueError, lambda: LAYER(NAN), ["x", "NaN", "[0, 1]"]),
    "layer mask": (ValueError, lambda: LAYER(numbers(3, 5, 4), mask=numbers(4, 5).bool()), ["mask", "[4, 5]", "[3, 5, 5]"]),
    "head mask": (
        ValueError,
        lambda: LAYER(numbers(3, 5, 4), mask=numbers(3, 4, 5, 5).bool()),
        ["mask", "num_heads", "[3, 4, 5, 5]", "[3, 2, 5, 5]"],
    ),
    "context": (ValueError, lambda: CROSS(numbers(2, 4), numbers(3, 4)), ["context", "d_context = 6", "[3, 4]"]),
    "context batch": (
        ValueError,
        lambda: CROSS(numbers(2, 5, 4), numbers(3, 5, 6)),
        ["x", "context", "[2, 5, 4]", "[3, 5, 6]"],
    ),
    "d_context": (ValueError, lambda: CrossAttention(4, 0), ["d_context", "0"]),
    "not torch's": (TypeError, lambda: SelfAttention.from_torch(nn.Linear(2, 2)), ["multihead_attention", "Linear"]),
    "dropout": (ValueError, lambda: SelfAttention.from_torch(nn.MultiheadAttention(4, 2, dropout=0.1)), ["dropout=0.1"]),
    "bias in alone": (ValueError, lambda: SelfAttention.from_torch(mha(bias=True, out_bias=False)), ["a bias in in_proj alone", "both"]),
    "bias out alone": (ValueError, lambda: SelfAttention.from_torch(mha(bias=False, out_bias=True)), ["a bias in out_proj alone", "both"]),
    "a forward of its own": (TypeError, lambda: SelfAttention.from_torch(torch.ao.nn.quantizable.MultiheadAttention(4, 2)), ["quantizable", "plain"]),
    "no weight": (TypeError, lambda: replaced(SelfAttention(4), "out_proj", nn.Sequential()).W_o, ["out_proj", "Sequential"]),
    "kdim": (ValueError, lambda: SelfAttention.from_torch(nn.MultiheadAttention(4, 2, kdim=3)), ["kdim=3"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_told_what_was_given_and_what_is_wanted(name):
    assert_refused(*BAD_INPUT[name])


def test_values_that_overflow_on_the_way_are_not_blamed_on_the_arguments():
    value = torch.full((2, 1, 2), 3e38)
    output = attend(torch.zeros(2, 1, 2), torch.zeros(2, 1, 2), value)
    torch.testing.assert_close(output, value)


def test_every_pair_of_modes_differs_somewhere():
    x = normal(0, 5, 12)
    outputs = {mode: self_attention(mode)(x) for mode in MODES}
    for a, b in itertools.combinations(MODES, 2):
        assert not torch.allclose(outputs[a], outputs[b]), (a, b)
