#!/usr/bin/env bash
# transformers 5.23.0: Falcon with ALiBi adds its slopes twice in eager attention
#
# One would expect: "eager" and "sdpa" compute the same, and the attention map that
#   output_attentions=True returns is the one that made the output.
# What happens: the slopes are put into the mask for the fused kernel, and eager
#   attention adds the mask and then the slopes again: each head loses interest
#   with the distance twice as fast. output_attentions=True takes the eager path
#   whatever the implementation, so every map that one can look at is such a one.
# Seen: with queries of zero the logarithm of the weights rises by 2 times the slope
#   over sqrt(d_k) from key to key, and the outputs of eager and sdpa differ.
# Why it matters: falcon-rw-1b and -7b have ALiBi. A study of their maps looks at
#   heads that are nearer-sighted than the model is.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 transformers==5.23.0
cd "$tmp"
export HF_HUB_OFFLINE=1
python3 - <<'PY'
import torch
from transformers import FalconConfig, FalconModel

d_k, h = 4, 4
config = FalconConfig(hidden_size=d_k * h, num_hidden_layers=1, num_attention_heads=h,
                      vocab_size=50, multi_query=False, alibi=True)
ids = torch.tensor([[5, 6, 7, 8, 9]])
out = {}
for kernel in ("eager", "sdpa"):
    torch.manual_seed(0)
    model = FalconModel._from_config(config, attn_implementation=kernel).eval()
    with torch.no_grad():
        rows = model.h[0].self_attention.query_key_value.weight.view(h, 3, d_k, d_k * h)
        rows.normal_()
        rows[:, 0] = 0  # queries of zero: the slopes alone make the scores
        out[kernel] = model(ids).last_hidden_state
        maps = model(ids, output_attentions=True).attentions[0][0]
slopes = 2.0 ** (-8 / h * torch.arange(1, h + 1))
steps = maps[:, -1].log().diff()
times = (steps / (slopes[:, None] / d_k**0.5)).mean(1)
print("slopes in the returned map, as multiples of those that are meant:", times)
apart = (out["eager"] - out["sdpa"]).abs().max().item()
print("outputs of eager and sdpa differ by", apart)
if not torch.allclose(times, torch.full((h,), 2.0), atol=1e-3):
    raise SystemExit("changed: the slopes no longer count twice")
if apart < 1e-3:
    raise SystemExit("changed: eager and sdpa agree")
PY
