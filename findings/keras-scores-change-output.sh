#!/usr/bin/env bash
# keras 3.15.1 (on torch 2.13.0): asking for the scores changes the output
#
# One would expect: return_attention_scores=True of MultiHeadAttention adds a second
#   result and leaves the first as it is.
# What happens: for a query that may attend to nothing, the layer gives the mean of
#   all values without the scores, and zeros (the output bias) with them. Two
#   implementations are behind the flag.
# Seen: the rows that see something agree; the other one does not.
# Why it matters: a heat map of the scores shows a row of zeros for a query whose
#   output, in the model that runs without the scores, averages the whole sequence.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile keras==3.15.1 torch==2.13.0 numpy==2.4.6
cd "$tmp"
export KERAS_BACKEND=torch KERAS_HOME="$tmp/keras"
python3 - <<'PY'
import keras
import torch

keras.utils.set_random_seed(0)
layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
x = torch.randn(1, 5, 8)
mask = torch.ones(1, 5, 5, dtype=torch.bool)
mask[0, 2] = False
with torch.no_grad():
    plain = layer(x, x, attention_mask=mask)[0].cpu()
    asked, scores = layer(x, x, attention_mask=mask, return_attention_scores=True)
    everything = layer(x, x, attention_mask=torch.zeros_like(mask))[0].cpu()
asked = asked[0].cpu()
print("scores of the query that may see nothing:", scores[0, 0, 2])
print("its output, scores not asked for:", plain[2, :3])
print("its output, scores asked for:    ", asked[2, :3])
others = [0, 1, 3, 4]
if not torch.allclose(plain[others], asked[others], atol=1e-5):
    raise SystemExit("changed: the ordinary rows differ as well")
if not (asked[2] == 0).all() or not torch.allclose(plain[2], everything[2], atol=1e-5):
    raise SystemExit("changed: this row is no longer zeros with the scores, something else without")
if torch.allclose(plain[2], asked[2], atol=1e-3):
    raise SystemExit("changed: asking for the scores no longer changes the output")
PY
