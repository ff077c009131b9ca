#!/usr/bin/env bash
# torch 2.13.0: the weights that nn.MultiheadAttention returns are no distribution
# while it trains
#
# One would expect: the returned attention weights are the softmax, so that every
#   row sums to one.
# What happens: in training mode with dropout they are what is left after dropout:
#   some are zero, the others are scaled up by 1 / (1 - p), and the rows sum to
#   anything. Averaging over heads (the default) hides the zeros but not the sums.
# Seen: with p=0.5 rows sum to anything between 0 and 2; single weights reach 2.
# Why it matters: entropy, "share of attention" and heat maps logged during
#   training are wrong, and differ from run to run on the same input.
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

torch.manual_seed(0)
mha = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
with torch.no_grad():
    mha.in_proj_weight.mul_(6)  # sharper weights, so that one of them dominates
x = torch.randn(4, 6, 8)
kept = mha.train()(x, x, x, average_attn_weights=False)[1].detach()
true = mha.eval()(x, x, x, average_attn_weights=False)[1].detach()
mean = mha.train()(x, x, x)[1].detach()
print("row sums, eval:           ", true.sum(-1)[0, 0])
print("row sums, train:          ", kept.sum(-1)[0, 0])
print("row sums, train, averaged:", mean.sum(-1)[0])
print("largest single weight, train:", kept.max())
ratio = kept / true
if not ((kept == 0) | (ratio - 2).abs().lt(1e-3)).all() or not (kept == 0).any():
    raise SystemExit("changed: the returned weights are no longer those after dropout")
if kept.max() <= 1 or (mean.sum(-1) - 1).abs().max() < 0.1:
    raise SystemExit("changed: the returned weights look like a distribution again")
if (true.sum(-1) - 1).abs().max() > 1e-5:
    raise SystemExit("changed: the weights in eval mode no longer sum to one")
PY
