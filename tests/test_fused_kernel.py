"""``fused_attention`` is its definition for every shape, and is fused for every shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOLERANCE, distinct_sizes, leading_dimensions, normal, random_mask, seeds

from attncourse.fused_kernel import fused_attention


def by_definition(query, key, value, mask, scale):
    scores = scale * query @ key.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0) @ value


def features_apart(x):
    """The same numbers, a token's features no longer side by side in memory."""
    return x.mT.contiguous().mT


@st.composite
def broadcasts_to(draw, shape):
    """A shape that broadcasts to ``shape``: some of it left out in front, ones elsewhere."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(draw(st.sampled_from([1, size])) for size in kept)


@given(
    leading_dimensions,
    distinct_sizes(4, largest=6),
    seeds,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.3, 1.0, -1.0]),
    st.data(),
)
def test_it_is_its_definition_for_any_shapes_that_broadcast(
    leading, sizes, seed, masked, strided, scale, data
):
    T_q, T_k, d_k, d_v = sizes
    query, key, value = (
        normal(seed + i, *data.draw(broadcasts_to(leading)), *last)
        for i, last in enumerate([(T_q, d_k), (T_k, d_k), (T_k, d_v)])
    )
    if strided:
        query, key, value = map(features_apart, (query, key, value))
    mask = None
    if masked:
        shared = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        mask = random_mask(seed, *data.draw(broadcasts_to((*shared, T_q, T_k))))
    expected = by_definition(query, key, value, mask, scale)
    actual = fused_attention(query, key, value, mask, scale)
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE[torch.float64])


SHAPES = [
    [(5, 8), (7, 8), (7, 8)],
    [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 6)],
    [(2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 8)],
    [(2, 2, 3, 5, 8), (2, 2, 3, 7, 8), (2, 2, 3, 7, 8)],
    [(2, 1, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8)],
    [(2, 3, 5, 8), (1, 1, 7, 8), (7, 8)],
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("mask_shape", [None, (), (1, 7), (5, 7), "all", "all but one"], ids=str)
def test_without_weights_the_fused_kernel_is_used_whatever_the_shape(shapes, strided, mask_shape):
    query, key, value = (normal(i, *shape) for i, shape in enumerate(shapes))
    if strided:
        query, key, value = map(features_apart, (query, key, value))
    if mask_shape in ("all", "all but one"):  # dimensions of the scores
        leading = torch.broadcast_shapes(*(shape[:-2] for shape in shapes))
        mask_shape = (*leading, 5, 7)[mask_shape == "all but one" :]
    mask = None if mask_shape is None else torch.ones(mask_shape, dtype=torch.bool)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        fused_attention(query, key, value, mask, 0.3)
    names = {event.name for event in profile.events()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in names
    assert "aten::_scaled_dot_product_attention_math" not in names
