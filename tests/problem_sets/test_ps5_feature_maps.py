"""Problem set 5 grades what torch and the course's own blocks on feature maps compute."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from attncourse import feature_maps
from attncourse.grading import items

ITEMS = items()


def reference(name):
    return ITEMS[f"ps5.{name}"].reference


def shaken(block):
    """No parameter zero: a γ that stays 0 hides what it scales."""
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return block


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_the_kernel_of_all_heads_does_what_the_courses_layer_does():
    layer = feature_maps.FeatureMapAttention(6, num_heads=3, d_k=4, d_v=7).attention
    x = torch.randn(2, 6, 3, 5)
    kernel = reference("heads_as_kernel")(layer.W_q)
    query = reference("one_by_one_convolution")(x, kernel)  # [B, h·d_k, H, W]
    tokens = feature_maps.pixels_as_tokens(x)
    expected = layer.in_proj(tokens)[..., :12]  # the queries, all heads side by side
    assert torch.allclose(feature_maps.pixels_as_tokens(query), expected, atol=1e-6)


def test_a_one_by_one_convolution_is_torchs_own_layer():
    layer, x = nn.Conv2d(3, 7, 1), torch.randn(2, 3, 4, 5)
    graded = reference("one_by_one_convolution")(x, layer.weight, layer.bias)
    assert torch.allclose(graded, layer(x), atol=1e-6)


def test_the_non_local_block_is_the_courses_own():
    block = shaken(feature_maps.NonLocalBlock(6, inner_channels=4))
    x = torch.randn(2, 6, 3, 5)
    kernels = (block.theta.weight, block.phi.weight, block.g.weight, block.W_z.weight)
    assert torch.allclose(reference("non_local_block")(x, *kernels), block(x), atol=1e-6)


def test_sagan_is_the_courses_own_block_where_nothing_is_pooled():
    block = shaken(feature_maps.SAGANAttention(6, reduction=3))
    x = torch.randn(2, 6, 3, 5)
    kernels = (each.weight for each in (block.f, block.g, block.h, block.v))
    graded = reference("sagan_attention")(x, *kernels, block.gamma)
    assert torch.allclose(graded, block(x), atol=1e-6)


def test_pooled_sagan_asks_a_quarter_of_the_pixels():
    """Against a loop over squares of four pixels."""
    x = torch.randn(2, 5, 4, 6)
    W_f, W_g, W_h, W_v = (torch.randn(*rows, 1, 1) for rows in ((3, 5), (3, 5), (7, 5), (5, 7)))
    key, query, value = (F.conv2d(x, W) for W in (W_f, W_g, W_h))
    keys, values = (
        torch.stack(
            [part[..., i : i + 2, j : j + 2].amax((-1, -2)) for i in (0, 2) for j in (0, 2, 4)], 1
        )
        for part in (key, value)
    )  # [B, 6, d]
    o = torch.zeros(2, 7, 4, 6)
    for h in range(4):
        for w in range(6):
            weights = (keys @ query[:, :, h, w, None]).softmax(1)  # [B, 6, 1]
            o[:, :, h, w] = (weights * values).sum(1)
    expected = 1.5 * F.conv2d(o, W_v) + x
    graded = reference("sagan_attention")(x, W_f, W_g, W_h, W_v, torch.tensor(1.5), pool=True)
    assert torch.allclose(graded, expected, atol=1e-5)


def test_position_attention_is_the_courses_own_block_with_its_maps():
    block = shaken(feature_maps.PositionAttention(6, reduction=2))
    x = torch.randn(2, 6, 3, 5)
    kernels = (block.key.weight, block.query.weight, block.value.weight)
    output, maps = reference("position_attention")(x, *kernels, block.alpha)
    expected, weights = block(x, return_weights=True)
    assert torch.allclose(output, expected, atol=1e-6)
    assert torch.allclose(maps[:, 2, 4], weights[:, 2 * 5 + 4].view(2, 3, 5), atol=1e-6)
    assert torch.allclose(maps.sum((-1, -2)), torch.ones(2, 3, 5))


def test_channel_attention_in_the_papers_form_is_the_courses_own_block():
    block, x = shaken(feature_maps.ChannelAttention()), torch.randn(2, 4, 3, 5) / 2
    graded = reference("channel_attention")(x, block.beta)
    assert torch.allclose(graded, block(x), atol=1e-6)


def test_in_the_codes_form_a_channel_attends_least_to_itself_where_norms_are_equal():
    x = F.normalize(torch.randn(1, 5, 12), dim=-1)
    output = reference("channel_attention")(x.view(1, 5, 3, 4), torch.tensor(1.0), form="code")
    found = output.flatten(2) - x  # Σ_i w_ji x_i
    weights = torch.linalg.lstsq(x[0].mT, found[0].mT).solution.mT  # [j, i]
    assert weights.argmin(-1).tolist() == list(range(5))
    energy = x @ x.mT
    published = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
    assert torch.allclose(weights, published[0], atol=1e-4)


@pytest.mark.parametrize("pool", [False, True])
def test_multiplications_are_those_that_torch_counts(pool):
    H, W, C, d = 5, 6, 7, 3
    W_f, W_g, W_h, W_v = (torch.randn(*rows, 1, 1) for rows in (3 * [(d, C)] + [(C, d)]))
    with FlopCounterMode(display=False) as counter:
        key, query, value = (
            F.conv2d(torch.randn(1, C, H, W), kernel) for kernel in (W_f, W_g, W_h)
        )
        if pool:
            key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
        weights = (query.flatten(2).mT @ key.flatten(2)).softmax(-1)
        F.conv2d((weights @ value.flatten(2).mT).mT.unflatten(-1, (H, W)), W_v)
    assert reference("multiplications")(H, W, C, d, pool) == counter.get_total_flops() / 2
