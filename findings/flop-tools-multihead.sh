#!/usr/bin/env bash
# thop 0.1.1.post2209072238, torchinfo 1.8.0, fvcore 0.1.5.post20221221:
# three counters of operations, and none that counts nn.MultiheadAttention
#
# One would expect: the projections (4 * B * L * E * E multiply-adds) and the two
#   products of the attention itself (2 * B * L * L * E).
# What happens: thop says 0 multiply-adds and 0 parameters; torchinfo says 0
#   multiply-adds, with the right number of parameters; fvcore counts the
#   projections and leaves the attention out, so its number grows linearly in L.
# Seen: B=2, L=64, E=32: by hand 1048576; thop (0, 0), torchinfo 0, fvcore 524288.
# Why it matters: these tools fill the "MACs" column of many a table. A model of
#   nn.MultiheadAttention looks free in it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 torchinfo==1.8.0 \
    thop==0.1.1.post2209072238 fvcore==0.1.5.post20221221
cd "$tmp"
python3 - <<'PY'
import logging
import warnings

import thop
import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
B, L, E = 2, 64, 32


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(E, 4, bias=False, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def fvcore(length):
    count = FlopCountAnalysis(Layer().eval(), torch.randn(B, length, E))
    return count.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


x = torch.randn(B, L, E)
parameters = sum(p.numel() for p in Layer().parameters())
projections, products = 4 * B * L * E * E, 2 * B * L * L * E
print(f"by hand: {projections + products} multiply-adds, {parameters} parameters")
by_thop = thop.profile(Layer().eval(), inputs=(x,), verbose=False)
info = torchinfo.summary(Layer().eval(), input_data=x, verbose=0)
print("thop:", by_thop)
print("torchinfo:", info.total_mult_adds, "and", info.total_params, "parameters")
print("fvcore:", fvcore(L), "and at twice the length", fvcore(2 * L))
if by_thop != (0, 0):
    raise SystemExit("changed: thop now sees nn.MultiheadAttention")
if info.total_mult_adds != 0 or info.total_params != parameters:
    raise SystemExit("changed: torchinfo now counts nn.MultiheadAttention")
if (fvcore(L), fvcore(2 * L)) != (projections, 2 * projections):
    raise SystemExit("changed: fvcore now counts more than the projections")
PY
