#!/usr/bin/env bash
# torch 2.13.0: harmless differences of shape turn the fused attention off
#
# One would expect: F.scaled_dot_product_attention runs the fused CPU kernel for
#   ordinary float32 inputs, or says why it does not.
# What happens: it runs the unfused path (scores of size L x S in memory, two
#   matrix products) without a word when the inputs are 3-D (batch, L, d), when
#   the values are wider than the keys, when one key head is left to broadcast
#   instead of being expanded, when a mask is 3-D, or when an additive mask (a
#   learned position bias) wants a gradient. The same call with a 4-D view of the
#   same numbers is fused.
# Seen: see the table this prints; no warning is raised in any of the cases.
# Why it matters: a measurement of "PyTorch's attention" on (batch, L, d) tensors
#   measures the unfused path; its memory grows with L * S.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cd "$tmp"
python3 - <<'PY'
import warnings

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode


class Names(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def path(q, k, v, **options):
    with Names() as names:
        F.scaled_dot_product_attention(q, k, v, **options)
    return "fused" if any("flash_attention_for_cpu" in n for n in names.seen) else "unfused"


def r(*shape):
    return torch.randn(shape)


full = (2, 4, 16, 8)
q, k, v = r(*full), r(*full), r(*full)
bias = torch.zeros(16, 16)
one = r(2, 1, 16, 8)
cases = {
    "4-D": ("fused", (q, k, v), {}),
    "3-D, the same numbers": ("unfused", tuple(t.flatten(0, 1) for t in (q, k, v)), {}),
    "values wider than keys": ("unfused", (q, k, r(2, 4, 16, 12)), {}),
    "one key head, expanded": ("fused", (q, one.expand(full), one.expand(full)), {}),
    "one key head, broadcast": ("unfused", (q, one, one), {}),
    "additive mask, 2-D": ("fused", (q, k, v), {"attn_mask": bias}),
    "additive mask, 3-D": ("unfused", (q, k, v), {"attn_mask": bias[None]}),
    "additive mask, 4-D": ("fused", (q, k, v), {"attn_mask": bias[None, None]}),
    "additive mask that wants a gradient": (
        "unfused", (q, k, v), {"attn_mask": bias.clone().requires_grad_()}),
}
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for name, (expected, inputs, options) in cases.items():
        got = path(*inputs, **options)
        print(f"{name:38} {got}")
        if got != expected:
            raise SystemExit(f"changed: {name!r} used to be {expected}")
PY
