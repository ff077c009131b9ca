#!/usr/bin/env bash
# torch 2.13.0: a NaN in a query comes out as zeros or as NaN, by the number of keys
#
# One would expect: a query that holds NaN gives a row of NaN, as the softmax of
#   NaN does, whatever the sequence length and whichever kernel runs.
# What happens: on the CPU, F.scaled_dot_product_attention with 4-D inputs and no
#   mask answers with plain zeros while there are fewer keys than one vector
#   register holds, and with NaN from there on. The unfused (math) path says NaN
#   throughout. So does the fused path as soon as a mask is given. No warning.
# Seen: zeros for 1 to 15 keys where the kernels use AVX-512, for 1 to 7 where
#   they use AVX2; NaN for all longer ones (float32).
# Why it matters: a toy example of three or four tokens, which is what a lesson
#   and a unit test use, hides a NaN that the same code shows at real length.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cd "$tmp"
python3 - <<'PY'
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

torch.manual_seed(0)


def kind(row):
    return "NaN" if row.isnan().all() else "zeros" if (row == 0).all() else "other"


def run(n_keys, math=False, masked=False):
    q = torch.randn(1, 1, 4, 8)
    q[..., 1, :] = float("nan")
    k, v = torch.randn(2, 1, 1, n_keys, 8)
    mask = torch.ones(4, n_keys, dtype=torch.bool) if masked else None
    backends = [SDPBackend.MATH] if math else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with torch.no_grad(), sdpa_kernel(backends):
        return kind(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[0, 0, 1])


print("kernels:", torch.backends.cpu.get_cpu_capability())
zeros = [n for n in range(1, 65) if run(n) == "zeros"]
print("numbers of keys that give zeros:", zeros)
for n in (3, 64):
    print(f"{n} keys: fused {run(n)}, math {run(n, math=True)}, "
          f"fused with a mask that hides nothing {run(n, masked=True)}")
if (run(3), run(64)) != ("zeros", "NaN"):
    raise SystemExit("changed: the fused kernel no longer hides a NaN query at short length only")
if {run(n, math=True) for n in (3, 64)} | {run(n, masked=True) for n in (3, 64)} != {"NaN"}:
    raise SystemExit("changed: the math path or the masked path no longer gives NaN")
PY
