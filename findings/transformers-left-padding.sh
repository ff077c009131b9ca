#!/usr/bin/env bash
# transformers 5.23.0: a causal model's attention map looks into the future where
# the input is padded on the left
#
# One would expect: no weight of a causal model ever lies above the diagonal, and
#   the eager and the sdpa implementation compute the same.
# What happens: in GPT-2 with attn_implementation="eager" (the one that returns
#   weights), a padded query attends to every position alike, the later ones
#   included. The hidden states at those positions differ from those of "sdpa".
# Seen: with two pads before three tokens, the first two rows are 0.2 throughout.
# Why it matters: generation in batches pads on the left. A mean over rows, an
#   entropy or a check "is it causal?" takes these rows in unless told not to.
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
from transformers import GPT2Config, GPT2Model

config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, n_positions=16,
                    bos_token_id=0, eos_token_id=0)
ids = torch.tensor([[0, 0, 5, 6, 7]])
real = torch.tensor([[0, 0, 1, 1, 1]])
out = {}
for kernel in ("eager", "sdpa"):
    torch.manual_seed(0)
    model = GPT2Model._from_config(config, attn_implementation=kernel).eval()
    with torch.no_grad():
        out[kernel] = model(ids, attention_mask=real, output_attentions=kernel == "eager")
weights = out["eager"].attentions[0][0, 0]
print(weights)
apart = (out["eager"].last_hidden_state - out["sdpa"].last_hidden_state).abs().amax(-1)[0]
print("eager and sdpa differ, by position:", apart)
if not torch.allclose(weights[:2], torch.full((2, 5), 0.2)):
    raise SystemExit("changed: padded queries no longer attend to every position alike")
if weights[2:].triu(3).any() or apart[2:].max() > 1e-4:
    raise SystemExit("changed: the rows of real tokens are not causal, or differ")
if apart[:2].min() < 1e-3:
    raise SystemExit("changed: eager and sdpa agree at the padded positions")
PY
