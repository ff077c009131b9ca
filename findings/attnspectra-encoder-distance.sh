#!/usr/bin/env bash
# attnspectra 0.1.3: an encoder is measured as though it could not look ahead, and
# of a batch only the first sequence is
#
# One would expect: an adapter told architecture="encoder" measures the mean
#   distance of attention over the whole map, for every sequence given.
# What happens: capture_and_compute leaves out every weight above the diagonal
#   unless MetricConfig(causal=False) is passed; the adapter's architecture has no
#   say in it. The metrics have the shape (layers, heads): the second sequence of a
#   batch is computed and dropped.
# Seen: a head in which each of 8 tokens attends to the last one has distance 0
#   instead of 3.5; the other sequence of the batch has no effect.
# Why it matters: the number is plausible for a real encoder (about half of the
#   attention lies below the diagonal), so nobody doubts it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile attnspectra==0.1.3 torch==2.13.0 numpy==2.4.6 \
    matplotlib==3.11.2 ipython==9.18.1  # imports IPython, does not ask for it
cd "$tmp"
export MPLBACKEND=agg MPLCONFIGDIR="$tmp/mpl"
python3 - <<'PY'
from types import SimpleNamespace

import attnspectra
import torch
from torch import nn


class Encoder(nn.Module):
    """Looks like a Transformers encoder: one layer, one head, a map for each sequence."""

    def __init__(self, maps):
        super().__init__()
        self.maps = nn.Parameter(maps[:, None])
        self.config = SimpleNamespace(num_hidden_layers=1, num_attention_heads=1, hidden_size=4)

    def forward(self, input_ids, output_attentions):
        return SimpleNamespace(attentions=(self.maps,))


class Tokens:
    def convert_ids_to_tokens(self, ids):
        return [str(i) for i in ids]


def distance(maps, **options):
    adapter = attnspectra.HFTransformerAdapter(
        model=Encoder(maps), tokenizer=Tokens(), architecture="encoder")
    ids = torch.zeros(len(maps), maps.shape[-1], dtype=torch.long)
    return attnspectra.capture_and_compute(adapter, ids, **options)[1].A_attn_distance


ahead = torch.zeros(8, 8)
ahead[:, -1] = 1  # every token attends to the last one
itself = torch.eye(8)
default = distance(ahead[None])
asked = distance(ahead[None], metric_cfg=attnspectra.MetricConfig(causal=False))
batch = distance(torch.stack([itself, ahead]), metric_cfg=attnspectra.MetricConfig(causal=False))
print("default:", default, "- causal=False:", asked, "- true mean:", sum(range(8)) / 8)
print("batch of (each to itself, each to the last):", batch)
if default.item() != 0 or abs(asked.item() - 3.5) > 1e-6:
    raise SystemExit("changed: the adapter's architecture now decides, or the distance is another")
if batch.shape != (1, 1) or batch.item() != 0:
    raise SystemExit("changed: more than the first sequence is measured")
PY
