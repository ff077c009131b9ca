#!/usr/bin/env bash
# transformers 5.23.0, bertviz 1.4.1: the attentions that were asked for are there,
# and there are none
#
# One would expect: output_attentions=True returns one tensor a layer, or None, or
#   an error when the implementation in use cannot do it.
# What happens: with the default implementation (sdpa) the result is an empty
#   tuple. "attentions is not None" holds, loops over layers run zero times, and
#   only a line in the log says so. bertviz, whose whole input this is, stops in
#   torch.stack with a message that does not name the cause.
# Seen: (); bertviz: "stack expects a non-empty TensorList". With eager: 2 layers.
# Why it matters: a tutorial's cell for "plot all layers" draws nothing.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 transformers==5.23.0 bertviz==1.4.1
cd "$tmp"
export HF_HUB_OFFLINE=1
python3 - <<'PY'
import torch
from bertviz import head_view
from transformers import BertConfig, BertModel

config = BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=32, vocab_size=50)
ids = torch.tensor([[3, 4, 5]])
default = BertModel(config).eval()(ids, output_attentions=True).attentions
eager = BertModel._from_config(config, attn_implementation="eager").eval()
eager = eager(ids, output_attentions=True).attentions
print("default:", default, "- eager:", len(eager), "layers")
if default != () or len(eager) != 2:
    raise SystemExit("changed: the default implementation no longer returns an empty tuple")
head_view(eager, ["a", "b", "c"], html_action="return")
try:
    head_view(default, ["a", "b", "c"], html_action="return")
except RuntimeError as error:
    print("bertviz:", error)
else:
    raise SystemExit("changed: bertviz now accepts an empty tuple")
PY
