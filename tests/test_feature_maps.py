"""Pixels as tokens, and each block of the vision papers against a loop over its pixels."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused
from strategies import distinct_sizes, normal, random_mask, seeds
from torch import nn
from torch.nn import functional as F

from attncourse.attention import Projections, cosine_affinity
from attncourse.feature_maps import (
    ChannelAttention,
    FeatureMapAttention,
    NonLocalAffinity,
    NonLocalBlock,
    PositionAttention,
    SAGANAttention,
    pixel_affinity,
    pixels_as_tokens,
    tokens_as_pixels,
)

MODES = get_args(Projections)
B, C, H, W = 2, 6, 3, 5
N = H * W

# ---------------------------------------------------------------- pixels and tokens


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


# ---------------------------------------------------------------- attention in five modes


def shaken(layer):
    """The layer in float64, no parameter zero: a γ or a bias that stays 0 hides what it scales."""
    torch.manual_seed(0)
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return layer


def feature_map(seed=1):
    return normal(seed, B, C, H, W)


def feature_map_attention(mode, **settings):
    return shaken(
        FeatureMapAttention(C, projections=mode, num_heads=3, bias=mode != "raw", **settings)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_on_a_feature_map_is_attention_between_its_pixels(mode, masked):
    layer, x = feature_map_attention(mode), feature_map()
    mask = random_mask(2, B, N, N) if masked else None
    output, weights = layer(x, mask=mask, return_weights=True)
    tokens = torch.stack([x[:, :, i // W, i % W] for i in range(N)], dim=1)  # [B, N, C]
    expected, expected_weights = layer.attention(tokens, mask=mask, return_weights=True)
    assert weights.shape == (B, 3, N, N)
    torch.testing.assert_close(weights, expected_weights)
    for i in range(N):
        torch.testing.assert_close(output[:, :, i // W, i % W], expected[:, i])
    torch.testing.assert_close(layer(x, mask=mask), output)


@pytest.mark.parametrize("mode", MODES)
def test_its_projections_are_one_by_one_convolutions(mode):
    """The same output from ``conv2d`` and softmax alone, no linear layer anywhere."""
    layer, x = feature_map_attention(mode), feature_map()
    attention = layer.attention
    biases = {role: torch.zeros(3, 2).double() for role in "qkv"}
    output_bias = torch.zeros(C).double()
    if mode != "raw":
        blocks = attention.in_proj.bias.split(6)  # 3 heads of d_k = d_v = 2
        roles = {"shared": ["qkv"], "tied_qk": ["qk", "v"], "tied_kv": ["q", "kv"]}
        for names, block in zip(roles.get(mode, "qkv"), blocks, strict=True):
            biases |= dict.fromkeys(names, block.view(3, 2))
        output_bias = attention.out_proj.bias
    output = output_bias[:, None, None].expand_as(x)
    for h in range(3):
        query, key, value = (
            F.conv2d(x, weight[h][:, :, None, None], biases[role][h])
            for role, weight in zip(
                "qkv", (attention.W_q, attention.W_k, attention.W_v), strict=True
            )
        )
        scores = torch.einsum("bchw,bcyx->bhwyx", query, key) / math.sqrt(2)
        weights = scores.flatten(3).softmax(-1).view_as(scores)
        attended = torch.einsum("bhwyx,bcyx->bchw", weights, value)
        output = output + F.conv2d(attended, attention.W_o[h][:, :, None, None])
    torch.testing.assert_close(layer(x), output)


def test_its_settings_reach_the_attention():
    layer = FeatureMapAttention(C, num_heads=2, d_k=4, d_v=7, bias=True, mask_diagonal=True)
    attention = layer.attention
    assert (attention.d_k, attention.d_v, attention.num_heads) == (4, 7, 2)
    assert attention.in_proj.bias is not None
    weights = layer(feature_map().float(), return_weights=True)[1]
    assert (weights.diagonal(dim1=-2, dim2=-1) == 0).all()
    assert FeatureMapAttention(C).attention.projections == "separate"


@pytest.mark.parametrize("mode", MODES)
def test_on_a_map_of_one_pixel_the_weight_is_one_in_every_mode(mode):
    weights = feature_map_attention(mode)(normal(0, B, C, 1, 1), return_weights=True)[1]
    assert torch.equal(weights, torch.ones(B, 3, 1, 1).double())


# ---------------------------------------------------------------- the blocks of the papers


def pixel(x, i):
    """``[B, C, H, W]`` -> ``[B, C]``: pixel i, counted row by row."""
    return x[:, :, i // x.shape[3], i % x.shape[3]]


def projected(convolution, x):
    """One pixel after a 1×1 convolution: ``[B, C_in]`` -> ``[B, C_out]``."""
    y = x @ convolution.weight[:, :, 0, 0].T
    return y if convolution.bias is None else y + convolution.bias


def softmax_average(scores, values):
    """``Σ_j e^{s_j} v_j / Σ_j e^{s_j}``, and the weights, for lists of numbers per image."""
    exponentials = [s.exp() for s in scores]
    weights = [e / sum(exponentials) for e in exponentials]
    return sum(w[:, None] * v for w, v in zip(weights, values, strict=True)), weights


def dot(a, b):
    return (a * b).sum(-1)


def non_local_by_loops(block, x, i):
    """Wang et al. 2018, equations 1 to 6, for pixel i."""
    pixels = [pixel(x, j) for j in range(N)]
    values = [projected(block.g, p) for p in pixels]
    if block.affinity == "gaussian":
        scores = [dot(pixels[i], p) for p in pixels]
    else:
        scores = [dot(projected(block.theta, pixels[i]), projected(block.phi, p)) for p in pixels]
    if block.affinity == "dot_product":
        weights = [s / N for s in scores]
        y = sum(w[:, None] * v for w, v in zip(weights, values, strict=True))
    else:
        y, weights = softmax_average(scores, values)
    return projected(block.W_z, y) + pixels[i], weights


def sagan_by_loops(block, x, j):
    """Zhang et al. 2019, section 3, for pixel j: s_ij = f(x_i)·g(x_j), softmax over i."""
    pixels = [pixel(x, i) for i in range(N)]
    scores = [dot(projected(block.f, p), projected(block.g, pixels[j])) for p in pixels]
    o, weights = softmax_average(scores, [projected(block.h, p) for p in pixels])
    return block.gamma * projected(block.v, o) + pixels[j], weights


def position_by_loops(block, x, j):
    """Fu et al. 2019, equations 1 and 2, for pixel j."""
    pixels = [pixel(x, i) for i in range(N)]
    scores = [dot(projected(block.key, p), projected(block.query, pixels[j])) for p in pixels]
    e, weights = softmax_average(scores, [projected(block.value, p) for p in pixels])
    return block.alpha * e + pixels[j], weights


BLOCKS = {
    **{
        affinity: (lambda a=affinity: NonLocalBlock(C, inner_channels=4, affinity=a, bias=True), non_local_by_loops)
        for affinity in get_args(NonLocalAffinity)
    },
    "sagan": (lambda: SAGANAttention(C, reduction=3, bias=True), sagan_by_loops),
    "position": (lambda: PositionAttention(C, reduction=3, bias=True), position_by_loops),
}  # fmt: skip
ALL_BLOCKS = {name: make for name, (make, _) in BLOCKS.items()} | {"channel": ChannelAttention}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_its_papers_formula_pixel_by_pixel(name):
    make, by_loops = BLOCKS[name]
    block, x = shaken(make()), feature_map()
    output, weights = block(x, return_weights=True)
    assert output.shape == x.shape
    assert weights.shape == (B, N, N)
    for i in range(N):
        expected, expected_weights = by_loops(block, x, i)
        torch.testing.assert_close(pixel(output, i), expected)
        torch.testing.assert_close(weights[:, i], torch.stack(expected_weights, dim=-1))
    torch.testing.assert_close(block(x), output)


def test_channel_attention_is_its_papers_formula_channel_by_channel():
    """Fu et al. 2019, equations 3 and 4: the softmax of the likeness, not of its opposite."""
    block, x = shaken(ChannelAttention()), 0.3 * feature_map()
    output, weights = block(x, return_weights=True)
    assert weights.shape == (B, C, C)
    for j in range(C):
        scores = [(x[:, i] * x[:, j]).sum((1, 2)) for i in range(C)]
        e, expected_weights = softmax_average(scores, [x[:, i].flatten(1) for i in range(C)])
        torch.testing.assert_close(weights[:, j], torch.stack(expected_weights, dim=-1))
        torch.testing.assert_close(output[:, j], block.beta * e.view(B, H, W) + x[:, j])
    torch.testing.assert_close(block(x), output)


# What the published code computes, written from its description: reductions and pooling included.

ROWS, COLUMNS = 5, 7  # odd: the last row and column are in no 2×2 pixels


def largest_of_four(x):
    """``[B, C, H, W]`` -> ``[B, C, ⌊H/2⌋, ⌊W/2⌋]``"""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    blocks = x[:, :, : 2 * height, : 2 * width].unflatten(3, (width, 2)).unflatten(2, (height, 2))
    return blocks.amax((3, 5))


def non_local_code(block, x):
    """Its θ reads all pixels, φ and g the largest of four; d^-½ before a softmax, else 1/N."""
    B, _, H, W = x.shape
    source = largest_of_four(x)
    queries, keys, values = (
        F.conv2d(each, layer.weight, layer.bias).flatten(2)
        for layer, each in ((block.theta, x), (block.phi, source), (block.g, source))
    )
    scores = torch.einsum("bdi,bdj->bij", queries, keys)
    if block.affinity == "dot_product":
        weights = scores / keys.shape[2]
    else:
        weights = (scores / math.sqrt(keys.shape[1])).softmax(2)
    y = torch.einsum("bij,bdj->bdi", weights, values).view(B, -1, H, W)
    return F.conv2d(y, block.W_z.weight, block.W_z.bias) + x, weights


def sagan_code(block, x):
    """Keys (f) and values (h) are pooled after their convolutions; nothing is scaled."""
    B, _, H, W = x.shape
    queries = F.conv2d(x, block.g.weight, block.g.bias).flatten(2)
    keys, values = (
        largest_of_four(F.conv2d(x, layer.weight, layer.bias)).flatten(2)
        for layer in (block.f, block.h)
    )
    weights = torch.einsum("bdi,bdj->bij", queries, keys).softmax(2)
    y = torch.einsum("bij,bdj->bdi", weights, values).view(B, -1, H, W)
    return block.gamma * F.conv2d(y, block.v.weight, block.v.bias) + x, weights


def channel_code(block, x):
    """The softmax of how much less than the most alike each channel is."""
    features = x.flatten(2)
    scores = features @ features.mT
    weights = (scores.amax(2, keepdim=True) - scores).softmax(2)
    return block.beta * (weights @ features).view_as(x) + x, weights


CODE = {
    **{
        affinity: (lambda a=affinity: NonLocalBlock(C, inner_channels=4, affinity=a, bias=True, form="code"), non_local_code)
        for affinity in ("embedded_gaussian", "dot_product")
    },
    "sagan": (lambda: SAGANAttention(C, reduction=3, bias=True, form="code"), sagan_code),
    "channel": (lambda: ChannelAttention(form="code"), channel_code),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_in_the_form_of_the_code_a_block_is_what_the_published_code_computes(name):
    make, by_code = CODE[name]
    block, x = shaken(make()), 0.5 * normal(3, B, C, ROWS, COLUMNS)
    output, weights = block(x, return_weights=True)
    expected, expected_weights = by_code(block, x)
    torch.testing.assert_close(weights, expected_weights)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(block(x), output)


@pytest.mark.parametrize("name", CODE)
def test_in_the_form_of_the_code_too_a_block_changes_nothing_at_first(name):
    block, x = CODE[name][0]().double(), normal(3, B, C, ROWS, COLUMNS)
    assert torch.equal(block(x), x)


def test_the_code_of_sagan_hands_over_half_of_the_channels():
    block = SAGANAttention(16, form="code")
    shapes = {name: tuple(layer.weight.shape[:2]) for name, layer in block.named_children()}
    assert shapes == {"f": (2, 16), "g": (2, 16), "h": (8, 16), "v": (16, 8)}


def test_in_the_code_of_danet_a_channel_attends_to_itself_least():
    """Its likeness to itself is the greatest where all channels are equally long."""
    x = F.normalize(normal(0, B, C, H, W).flatten(2), dim=2).view(B, C, H, W)
    weights = {
        form: ChannelAttention(form=form).double()(x, return_weights=True)[1]
        for form in ("paper", "code")
    }
    itself = torch.arange(C).expand(B, C)
    assert torch.equal(weights["paper"].argmax(2), itself)
    assert torch.equal(weights["code"].argmin(2), itself)


@pytest.mark.parametrize("name", ALL_BLOCKS)
def test_before_it_has_learned_anything_a_block_changes_nothing(name):
    block, x = ALL_BLOCKS[name]().double(), feature_map()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("name", "first"),
    [("sagan", ["gamma"]), ("position", ["alpha"]), ("channel", ["beta"]), ("gaussian", ["W_z"])],
)
def test_at_first_only_the_gate_learns(name, first):
    block = ALL_BLOCKS[name]().double()
    (block(feature_map()) * feature_map(2)).sum().backward()
    learns = {
        p.split(".")[0] for p, value in block.named_parameters() if value.grad.abs().max() > 0
    }
    assert learns == set(first)


@pytest.mark.parametrize("name", ALL_BLOCKS)
def test_gradients_of_a_block_reach_every_parameter_and_are_right(name):
    block, x = shaken(ALL_BLOCKS[name]()), 0.5 * normal(0, 1, C, 2, 3)
    names, parameters = zip(*block.named_parameters(), strict=True)

    def output(x, *values):
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x,))

    torch.autograd.gradcheck(output, (x.requires_grad_(), *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ALL_BLOCKS)
@given(sizes=distinct_sizes(3, largest=6), seed=seeds)
def test_reordering_the_pixels_reorders_the_output_and_nothing_else(name, sizes, seed):
    images, height, width = sizes
    block, x = shaken(ALL_BLOCKS[name]()), normal(seed, images, C, height, width)
    order = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed))
    expected = block(x).flatten(2)[..., order]
    actual = block(x.flatten(2)[..., order].view_as(x)).flatten(2)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_the_sizes_inside_are_those_of_the_papers():
    def sizes(block):
        return {
            name: tuple(layer.weight.shape[:2])
            for name, layer in block.named_modules()
            if isinstance(layer, nn.Conv2d)
        }

    assert sizes(NonLocalBlock(16)) == {
        "theta": (8, 16),
        "phi": (8, 16),
        "g": (8, 16),
        "W_z": (16, 8),
    }
    assert sizes(NonLocalBlock(16, affinity="gaussian")) == {"g": (8, 16), "W_z": (16, 8)}
    assert sizes(SAGANAttention(16)) == {"f": (2, 16), "g": (2, 16), "h": (2, 16), "v": (16, 2)}
    assert sizes(PositionAttention(16)) == {"query": (2, 16), "key": (2, 16), "value": (16, 16)}
    assert [p.numel() for p in ChannelAttention().parameters()] == [1]


def test_channel_attention_takes_any_number_of_channels():
    block = ChannelAttention()
    for channels in (1, 3, 7):
        x = torch.randn(2, channels, 4, 5)
        assert block(x).shape == x.shape


@pytest.mark.parametrize("name", ["embedded_gaussian", "gaussian", "sagan", "position", "channel"])
def test_without_weights_the_fused_kernel_is_used(name):
    block = ALL_BLOCKS[name]()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        block(torch.randn(B, C, H, W))
    assert any("flash_attention" in event.key for event in profile.key_averages())


@pytest.mark.parametrize("mode", MODES)
def test_on_feature_maps_too_the_fused_kernel_is_used(mode):
    layer = FeatureMapAttention(C, projections=mode)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(torch.randn(B, C, H, W))
    assert any("flash_attention" in event.key for event in profile.key_averages())


@pytest.mark.parametrize("name", ALL_BLOCKS)
def test_scores_too_large_for_an_exponential_do_no_harm(name):
    x = 30 * torch.randn(B, C, H, W)
    assert shaken(ALL_BLOCKS[name]()).float()(x).isfinite().all()


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: FeatureMapAttention(10, num_heads=3), ["10", "3", "num_heads"]),
        (TypeError, lambda: FeatureMapAttention(4.0), ["channels", "4.0"]),
        (ValueError, lambda: FeatureMapAttention(4, projections="untied"), ["'untied'", "'separate'"]),
        (ValueError, lambda: FeatureMapAttention(4)(torch.zeros(2, 3, 4)), ["x", "[B, C, H, W]", "[2, 3, 4]"]),
        (ValueError, lambda: FeatureMapAttention(4)(torch.zeros(2, 3, 4, 4)), ["C = 4", "[2, 3, 4, 4]"]),
        (TypeError, lambda: FeatureMapAttention(4)(torch.zeros(2, 4, 3, 5).double()), ["x", "float64", "float32"]),
        (TypeError, lambda: NonLocalBlock(4)(torch.zeros(2, 4, 3, 5).long()), ["x", "int64", "floating"]),
        (TypeError, lambda: NonLocalBlock(4)([[1]]), ["x", "list", "[B, C, H, W]"]),
        (ValueError, lambda: NonLocalBlock(4)(torch.full((1, 4, 2, 3), torch.nan)), ["x", "NaN", "[0, 0, 0, 0]"]),
        (ValueError, lambda: NonLocalBlock(4)(torch.zeros(1, 4, 0, 3)), ["x", "one pixel", "[1, 4, 0, 3]"]),
        (ValueError, lambda: ChannelAttention()(torch.zeros(1, 4, 3, 0)), ["x", "one pixel", "[1, 4, 3, 0]"]),
        (ValueError, lambda: NonLocalBlock(5), ["channels", "divisible by 2", "5", "inner_channels"]),
        (ValueError, lambda: NonLocalBlock(4, affinity="concat"), ["affinity", "'concat'", "'dot_product'"]),
        (ValueError, lambda: NonLocalBlock(4, form="caffe"), ["form", "'paper'", "'code'", "'caffe'"]),
        (ValueError, lambda: NonLocalBlock(4, affinity="gaussian", form="code"), ["'gaussian'", "form='paper'"]),
        (ValueError, lambda: NonLocalBlock(4, form="code")(torch.zeros(1, 4, 1, 6)), ["x", "two rows", "[1, 4, 1, 6]"]),
        (ValueError, lambda: SAGANAttention(8, form="code")(torch.zeros(1, 8, 3, 1)), ["x", "two columns", "[1, 1, 3, 1]"]),
        (ValueError, lambda: SAGANAttention(9, reduction=3, form="code"), ["channels", "divisible by 2", "9"]),
        (ValueError, lambda: ChannelAttention(form=None), ["form", "None"]),
        (ValueError, lambda: NonLocalBlock(4, inner_channels=0), ["inner_channels", "0"]),
        (ValueError, lambda: SAGANAttention(12), ["channels", "divisible by 8", "12", "reduction"]),
        (ValueError, lambda: SAGANAttention(8, reduction=0), ["reduction", "0"]),
        (ValueError, lambda: SAGANAttention(8)(torch.zeros(2, 4, 3, 5)), ["C = 8", "[2, 4, 3, 5]"]),
        (TypeError, lambda: PositionAttention(8, reduction=2.0), ["reduction", "2.0"]),
        (ValueError, lambda: PositionAttention(4), ["divisible by 8", "4"]),
        (ValueError, lambda: ChannelAttention()(torch.zeros(2, 3, 4)), ["x", "[2, 3, 4]"]),
        (TypeError, lambda: ChannelAttention()(None), ["x", "NoneType"]),
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
    assert_refused(error, call, words)
