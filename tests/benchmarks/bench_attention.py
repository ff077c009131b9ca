"""How fast our attention is beside torch's, as ratios within one run: ``make benchmark``.

Not part of the tests: a time is a fact about a machine, not about the code. To reach on a quiet
one: ``attend`` at most 1.05 × the fused kernel, ``SelfAttention`` at most 1.0 ×
``nn.MultiheadAttention``.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncourse.attention import SelfAttention, attend

SIZES = {  # B, T, d_model, num_heads
    "small: 4 × 128 tokens, d=256, 4 heads": (4, 128, 256, 4),
    "medium: 2 × 512 tokens, d=512, 8 heads": (2, 512, 512, 8),
    "large: 1 × 2048 tokens, d=768, 12 heads": (1, 2048, 768, 12),
}


def naive(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1) @ value


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("function", [attend, naive])
def bench_attend_and_naive_against_the_fused_kernel(against, device, size, function):
    B, T, d_model, h = SIZES[size]
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(B, h, T, d_model // h, generator=generator).to(device) for _ in range(3)
    )
    against(
        f"{function.__name__} / fused kernel, {size}",
        lambda: F.scaled_dot_product_attention(query, key, value),
        lambda: function(query, key, value),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", ["inference", "training forward", "forward and backward"])
def bench_self_attention_against_multihead_attention(against, device, size, what):
    B, T, d_model, h = SIZES[size]
    torch.manual_seed(0)
    torchs = nn.MultiheadAttention(d_model, h, batch_first=True).to(device)
    ours = SelfAttention.from_torch(torchs)
    x = torch.randn(B, T, d_model, device=device)
    for layer in (torchs, ours):
        layer.train(what != "inference")

    def theirs() -> Tensor:
        return torchs(x, x, x, need_weights=False)[0]  # its fastest way

    def complete(forward):
        if what == "forward and backward":
            return lambda: forward().sum().backward()
        return torch.no_grad()(forward) if what == "inference" else forward

    against(
        f"SelfAttention / nn.MultiheadAttention, {what}, {size}",
        complete(theirs),
        complete(lambda: ours(x)),
    )
