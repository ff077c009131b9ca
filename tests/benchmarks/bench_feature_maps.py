"""The blocks on feature maps beside the plainest correct PyTorch of the same formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attncourse.feature_maps import (
    ChannelAttention,
    FeatureMapAttention,
    NonLocalBlock,
    PositionAttention,
    SAGANAttention,
)

SIZES = {"small: 4 × 64 × 16 × 12": (4, 64, 16, 12), "large: 2 × 128 × 48 × 40": (2, 128, 48, 40)}


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).mT  # [B, H·W, C]


def softmax_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = (tokens(query) @ key.flatten(2)).softmax(-1)  # [B, H·W, H·W]
    y = weights @ tokens(value)
    return y.mT.reshape(*value.shape)


def plain_projected(block, x):
    head = block.attention
    q, k, v, o = (getattr(head, name)[0] for name in ("W_q", "W_k", "W_v", "W_o"))
    t = tokens(x)
    weights = ((t @ q.mT) @ (t @ k.mT).mT / q.shape[0] ** 0.5).softmax(-1)
    return (weights @ (t @ v.mT) @ o.mT).mT.reshape(x.shape)


def plain_non_local(block, x):
    if block.affinity == "dot_product":
        query, key, value = tokens(block.theta(x)), block.phi(x).flatten(2), tokens(block.g(x))
        y = (query @ key / key.shape[-1]) @ value
        return block.W_z(y.mT.reshape(*block.g(x).shape)) + x
    query, key = (x, x) if block.affinity == "gaussian" else (block.theta(x), block.phi(x))
    return block.W_z(softmax_attention(query, key, block.g(x))) + x


def plain_sagan(block, x):
    return block.gamma * block.v(softmax_attention(block.g(x), block.f(x), block.h(x))) + x


def plain_position(block, x):
    attended = softmax_attention(block.query(x), block.key(x), block.value(x))
    return block.alpha * attended + x


def plain_channel(block, x):
    a = x.flatten(2)
    return block.beta * ((a @ a.mT).softmax(-1) @ a).reshape(x.shape) + x


BLOCKS = {
    "FeatureMapAttention": (FeatureMapAttention, plain_projected),
    "NonLocalBlock, embedded Gaussian": (NonLocalBlock, plain_non_local),
    "NonLocalBlock, Gaussian": (
        lambda channels: NonLocalBlock(channels, affinity="gaussian"),
        plain_non_local,
    ),
    "NonLocalBlock, dot product": (
        lambda channels: NonLocalBlock(channels, affinity="dot_product"),
        plain_non_local,
    ),
    "SAGANAttention": (SAGANAttention, plain_sagan),
    "PositionAttention": (PositionAttention, plain_position),
    "ChannelAttention": (lambda channels: ChannelAttention(), plain_channel),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BLOCKS)
def bench_a_block_against_plain_pytorch(against, device, name, size):
    make, plain = BLOCKS[name]
    B, C, H, W = SIZES[size]
    torch.manual_seed(0)
    block = make(C).to(device)
    with torch.no_grad():
        for parameter in block.parameters():  # what starts at zero would hide a difference
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = 0.3 * torch.randn(B, C, H, W, device=device)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain(block, x), rtol=1e-4, atol=1e-4)
        against(f"{name} / plain PyTorch, {size}", lambda: plain(block, x), lambda: block(x))
