#!/usr/bin/env bash
# torch 2.13.0: nn.MultiheadAttention never calls its own output projection
#
# One would expect: mha.out_proj is a Linear layer inside the module, so a forward
#   hook on it fires, and a layer put in its place is used.
# What happens: only its weight and bias are read. A hook on it never fires, and a
#   replacement that keeps .weight and .bias is accepted and has no effect. A
#   parametrization works, since it changes what .weight returns.
# Seen: 0 calls of the hook; a replacement that returns zeros changes nothing; a
#   parametrization that returns zeros does.
# Why it matters: hooks are how one records what a head adds, and swapping in a
#   layer is how low-rank adapters work. Both fail here without a message.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cd "$tmp"
python3 - <<'PY'
import torch
from torch import nn
from torch.nn.utils import parametrize

torch.manual_seed(0)
mha = nn.MultiheadAttention(8, 2, batch_first=True)
x = torch.randn(1, 5, 8)
calls = []
mha.out_proj.register_forward_hook(lambda *_: calls.append(1))
before = mha(x, x, x)[0]
print("output projection is a Linear layer:", isinstance(mha.out_proj, nn.Linear))
print("calls of its forward hook:", len(calls))


class Nothing(nn.Module):
    """Stands in for an adapter around the layer: keeps its parameters, returns zeros."""

    def __init__(self, inner):
        super().__init__()
        self.weight, self.bias = inner.weight, inner.bias

    def forward(self, x):
        return torch.zeros_like(x)


original, mha.out_proj = mha.out_proj, Nothing(mha.out_proj)
replaced = mha(x, x, x)[0]
print("a replacement that returns zeros changes the output:", not torch.equal(before, replaced))


class Zero(nn.Module):
    def forward(self, weight):
        return weight * 0


mha.out_proj = original
parametrize.register_parametrization(mha.out_proj, "weight", Zero())
parametrized = mha(x, x, x)[0]
print("a parametrization that returns zeros does:", not torch.equal(before, parametrized))
if calls or not torch.equal(before, replaced):
    raise SystemExit("changed: nn.MultiheadAttention now calls its output projection")
if torch.equal(before, parametrized):
    raise SystemExit("changed: a parametrization of the output projection has no effect any more")
PY
