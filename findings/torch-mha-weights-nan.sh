#!/usr/bin/env bash
# torch 2.13.0: asking nn.MultiheadAttention for its weights changes its output
#
# One would expect: need_weights only adds a second return value, and
#   torch.no_grad() only drops the gradient.
# What happens: for a query that may attend to nothing, the output is NaN with
#   need_weights=True; a finite number (the output bias) with need_weights=False;
#   and NaN again with need_weights=False in eval mode under no_grad, where another
#   implementation takes over.
# Seen: need_weights=True NaN; False finite; False, eval, no_grad NaN. All other
#   rows agree in all three.
# Why it matters: one padded query is enough for this. A plot of the weights then
#   belongs to a computation other than the one that is trained, and a model that
#   trains well gives NaN once it is evaluated.
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
mha = nn.MultiheadAttention(8, 2, batch_first=True).eval()
x = torch.randn(1, 5, 8)
mask = torch.zeros(5, 5, dtype=torch.bool)
mask[2] = True  # here True means: may not attend
results = {}
for weights, grad in ((True, True), (False, True), (False, False)):
    with torch.set_grad_enabled(grad):
        results[weights, grad] = mha(x, x, x, attn_mask=mask, need_weights=weights)[0].detach()
for (weights, grad), out in results.items():
    print(f"need_weights={weights!s:5} gradients={grad!s:5} row that may see nothing:", out[0, 2, :3])
if not results[True, True][0, 2].isnan().all():
    raise SystemExit("changed: need_weights=True no longer gives NaN")
if not torch.equal(results[False, True][0, 2], mha.out_proj.bias.detach()):
    raise SystemExit("changed: need_weights=False no longer gives the output bias")
if not results[False, False][0, 2].isnan().all():
    raise SystemExit("changed: need_weights=False under no_grad no longer gives NaN")
for out in results.values():
    torch.testing.assert_close(out[0, [0, 1, 3, 4]], results[True, True][0, [0, 1, 3, 4]])
PY
