#!/usr/bin/env bash
# transformers 5.23.0: head_mask and pruned_heads are accepted and do nothing
#
# One would expect: head_mask=0 switches an attention head off, as it did for years
#   and as many published ablations do it; a configuration with pruned_heads builds
#   a model without those heads. If not, an error.
# What happens: BertModel and GPT2Model take head_mask as one of any further
#   keywords, and give the same output to the last bit with every head "off".
#   BertConfig keeps pruned_heads, and the model is built with all heads.
# Seen: difference 0.0 for both models with a mask of zeros; no warning. A query
#   matrix of 16 x 16 where half of the heads were pruned. prune_heads is gone.
# Why it matters: the experiment "which heads can be left out?" now answers "all of
#   them", for any model.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 transformers==5.23.0
cd "$tmp"
export HF_HUB_OFFLINE=1
python3 - <<'PY'
import warnings

import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

warnings.simplefilter("error")
torch.manual_seed(0)
bert = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": 50}
gpt2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 16,
        "bos_token_id": 0, "eos_token_id": 0}
ids = torch.tensor([[3, 4, 5, 6]])
for build, config in ((BertModel, BertConfig(**bert)), (GPT2Model, GPT2Config(**gpt2))):
    for kernel in ("eager", "sdpa"):
        model = build._from_config(config, attn_implementation=kernel).eval()
        with torch.no_grad():
            plain = model(ids).last_hidden_state
            off = model(ids, head_mask=torch.zeros(2, 2)).last_hidden_state
        print(f"{build.__name__} ({kernel}): every head off changes the output by",
              (plain - off).abs().max().item())
        if not torch.equal(plain, off):
            raise SystemExit("changed: head_mask has an effect again")
    print(f"{build.__name__} has prune_heads:", hasattr(model, "prune_heads"))

config = BertConfig(**bert, pruned_heads={0: [0]})
weight = BertModel(config).encoder.layer[0].attention.self.query.weight
print("configured pruned_heads:", config.pruned_heads, "- query matrix:", tuple(weight.shape))
if weight.shape != (16, 16):
    raise SystemExit("changed: pruned_heads in the configuration has an effect again")
PY
