#!/usr/bin/env bash
# safetensors 0.8.0 with numpy 2.4.6: a transposed array is saved as another matrix
#
# One would expect: save_file then load_file gives the array back, or save_file
#   refuses an array that is not contiguous, as safetensors.torch does.
# What happens: safetensors.numpy writes the memory as it lies and the shape as it is
#   seen. A transposed array comes back with the right shape and the wrong numbers.
# Seen: [[0, 3], [1, 4], [2, 5]] is saved and [[0, 1], [2, 3], [4, 5]] is read.
#   safetensors.torch raises ValueError for the same matrix.
# Why it matters: GPT-2's projections are stored as (in, out) and everybody else's as
#   (out, in), so weights get a ".T" between two formats. The shapes then fit, the
#   model loads, and the attention is noise.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile safetensors==0.8.0 numpy==2.4.6 torch==2.13.0
cd "$tmp"
python3 - <<'PY'
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

saved = np.arange(6.0).reshape(2, 3).T
safetensors.numpy.save_file({"w": saved}, "w.safetensors")
read = safetensors.numpy.load_file("w.safetensors")["w"]
print("saved:", saved.tolist())
print("read: ", read.tolist())
safetensors.numpy.save_file({"w": np.ascontiguousarray(saved)}, "c.safetensors")
copied = safetensors.numpy.load_file("c.safetensors")["w"]
print("read, after np.ascontiguousarray:", copied.tolist())
try:
    safetensors.torch.save_file({"w": torch.from_numpy(saved)}, "t.safetensors")
    refused = False
except ValueError as error:
    refused = True
    print("safetensors.torch:", str(error).split(".")[0])
if read.tolist() != [[0, 1], [2, 3], [4, 5]] or copied.tolist() != saved.tolist():
    raise SystemExit("changed: a transposed numpy array no longer comes back as another matrix")
if not refused:
    raise SystemExit("changed: safetensors.torch no longer refuses a transposed tensor")
PY
