"""Pixels as tokens: the reshapes that people get wrong, and the affinity on top of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import distinct_sizes, normal, seeds
from torch import nn

from attncourse.attention import cosine_affinity
from attncourse.feature_maps import pixel_affinity, pixels_as_tokens, tokens_as_pixels


@given(distinct_sizes(4, largest=6), seeds)
def test_pixel_h_w_is_token_h_times_width_plus_w(sizes, seed):
    B, C, H, W = sizes
    x = normal(seed, B, C, H, W)
    tokens = pixels_as_tokens(x)
    assert tokens.shape == (B, H * W, C)
    for h in range(H):
        for w in range(W):
            assert torch.equal(tokens[:, h * W + w], x[:, :, h, w])


@given(distinct_sizes(4, largest=6), seeds)
def test_tokens_as_pixels_undoes_pixels_as_tokens(sizes, seed):
    x = normal(seed, *sizes)
    assert torch.equal(tokens_as_pixels(pixels_as_tokens(x), *sizes[2:]), x)


@given(distinct_sizes(4, largest=6), seeds)
def test_a_one_by_one_convolution_is_one_linear_map_for_every_pixel(sizes, seed):
    B, C, H, W = sizes
    torch.manual_seed(seed)
    convolution = nn.Conv2d(C, 7, kernel_size=1).double()
    linear = nn.Linear(C, 7).double()
    with torch.no_grad():
        linear.weight.copy_(convolution.weight[:, :, 0, 0])
        linear.bias.copy_(convolution.bias)
    x = normal(seed, B, C, H, W)
    by_tokens = tokens_as_pixels(linear(pixels_as_tokens(x)), H, W)
    torch.testing.assert_close(by_tokens, convolution(x))


@given(distinct_sizes(4, largest=6), seeds, st.sampled_from(["cosine", "dot"]))
def test_pixel_affinity_compares_every_pixel_with_every_pixel(sizes, seed, affinity):
    B, C, H, W = sizes
    x = normal(seed, B, C, H, W)
    actual = pixel_affinity(x, affinity=affinity)
    assert actual.shape == (B, H * W, H * W)
    for i in range(H * W):
        a = x[:, :, i // W, i % W]  # [B, C]
        for j in range(H * W):
            b = x[:, :, j // W, j % W]
            expected = (a * b).sum(-1)
            if affinity == "cosine":
                expected = expected / (a.norm(dim=-1) * b.norm(dim=-1))
            torch.testing.assert_close(actual[:, i, j], expected)


def test_cosine_is_what_pixel_affinity_uses_unless_told():
    x = normal(0, 2, 3, 4, 5)
    assert torch.equal(pixel_affinity(x), cosine_affinity(pixels_as_tokens(x)))


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: pixels_as_tokens(torch.zeros(2, 3, 4)), ["x", "[B, C, H, W]", "[2, 3, 4]"]),
        (TypeError, lambda: pixels_as_tokens([[1]]), ["x", "list"]),
        (ValueError, lambda: tokens_as_pixels(torch.zeros(2, 12), 3, 4), ["tokens", "[2, 12]"]),
        (ValueError, lambda: tokens_as_pixels(torch.zeros(2, 11, 5), 3, 4), ["3 × 4 = 12", "[2, 11, 5]"]),
        (ValueError, lambda: tokens_as_pixels(torch.zeros(2, 0, 5), 0, 4), ["height", "0"]),
        (TypeError, lambda: tokens_as_pixels(torch.zeros(2, 12, 5), 3, 4.0), ["width", "4.0"]),
        (ValueError, lambda: pixel_affinity(torch.zeros(1, 3, 2, 4), affinity="cos"), ["'cosine'", "'cos'"]),
        (ValueError, lambda: pixel_affinity(torch.full((1, 3, 2, 4), torch.nan)), ["NaN", "[0, 0, 0]"]),
    ],
)  # fmt: skip
def test_bad_input_is_told_what_was_given_and_what_is_wanted(error, call, words):
    with pytest.raises(error) as raised:
        call()
    missing = [word for word in words if word not in str(raised.value)]
    assert not missing, f"{raised.value} does not say {missing}"
