#!/usr/bin/env bash
# torch 2.13.0: PyTorch's own FLOP counter sees no attention on the CPU
#
# One would expect: torch.utils.flop_counter.FlopCounterMode, which counts matrix
#   products, counts the two of scaled dot-product attention: 4 * B * H * L * S * d.
# What happens: on the CPU the fused kernel counts as 0, forward and backward. The
#   math path counts in full. So nn.MultiheadAttention "costs" twice as much when
#   it is asked for its weights, here where L is twice the width.
# Seen: fused 0, math 65536; nn.MultiheadAttention 1048576 without the weights,
#   2097152 with them.
# Why it matters: a lesson on the quadratic cost of attention that counts FLOPs
#   with this tool on a laptop draws a straight line.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cd "$tmp"
python3 - <<'PY'
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


B, H, L, d = 2, 4, 16, 8
q, k, v = (torch.randn(B, H, L, d, requires_grad=True) for _ in range(3))
true = 4 * B * H * L * L * d


def attend(backend):
    with sdpa_kernel(backend):
        F.scaled_dot_product_attention(q, k, v).sum().backward()


fused, math = count(lambda: attend(SDPBackend.FLASH_ATTENTION)), count(lambda: attend(SDPBackend.MATH))
print(f"forward and backward: fused {fused}, math {math}, by hand {3 * true}")
with torch.no_grad():
    fused = count(lambda: F.scaled_dot_product_attention(q, k, v))
    with sdpa_kernel(SDPBackend.MATH):
        math = count(lambda: F.scaled_dot_product_attention(q, k, v))
print(f"forward: fused {fused}, math {math}, by hand {true}")

mha = nn.MultiheadAttention(32, 4, bias=False, batch_first=True)
x = torch.randn(2, 64, 32)
without = count(lambda: mha(x, x, x, need_weights=False))
with_weights = count(lambda: mha(x, x, x, need_weights=True))
print(f"nn.MultiheadAttention: {without} without the weights, {with_weights} with them")
if fused != 0 or math != true:
    raise SystemExit("changed: FlopCounterMode no longer counts the fused CPU kernel as nothing")
if with_weights != 2 * without:
    raise SystemExit("changed: asking for the weights no longer doubles the count")
PY
