#!/usr/bin/env bash
# torch 2.13.0: nn.TransformerEncoder answers otherwise under no_grad
#
# One would expect: in eval mode, torch.no_grad() does not change a result.
# What happens: with src_key_padding_mask, the encoder under no_grad takes a path
#   through nested tensors that writes zeros at the padded positions; with
#   gradients on, the same positions hold ordinary numbers. One layer on its own
#   does not do this, and gives NaN for a sequence that is padding throughout,
#   where the encoder gives zeros.
# Seen: equal at the real tokens; at the padding, zeros against numbers up to about 2.
# Why it matters: a mean over positions, which is how sentence vectors are made,
#   differs between a validation step with no_grad and the same step without.
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
from torch import nn

warnings.simplefilter("ignore")  # nested tensors announce that they are a prototype
torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
encoder = nn.TransformerEncoder(layer, 1).eval()
x = torch.randn(2, 5, 8)
padding = torch.tensor([[False] * 3 + [True] * 2, [False] * 5])
with_grad = encoder(x, src_key_padding_mask=padding).detach()
with torch.no_grad():
    without = encoder(x, src_key_padding_mask=padding)
print("first feature, gradients on:", with_grad[0, :, 0])
print("first feature, no_grad:     ", without[0, :, 0])
print("mean over positions differs by", (with_grad.mean(1) - without.mean(1)).abs().max().item())
torch.testing.assert_close(with_grad[~padding], without[~padding])
if (without[padding] != 0).any() or (with_grad[padding] == 0).any():
    raise SystemExit("changed: padded positions are no longer zero under no_grad only")

whole = torch.tensor([[False] * 5, [True] * 5])
with torch.no_grad():
    one = layer.eval()(x, src_key_padding_mask=whole)[1]
    all_ = encoder(x, src_key_padding_mask=whole)[1]
print("a sequence of padding only: layer", one[0, :2], "encoder", all_[0, :2])
if not one.isnan().all() or (all_ != 0).any():
    raise SystemExit("changed: layer and encoder now agree on a sequence of padding only")
PY
