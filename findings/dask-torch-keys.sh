#!/usr/bin/env bash
# dask 2026.8.0 with torch 2.13.0: equal tensors are different arguments
#
# One would expect: dask's keys for pure functions depend on the values of the
#   arguments, so that the same call on equal data is computed once. For numpy
#   arrays it is so.
# What happens: the key of a torch tensor depends on where the tensor lies in memory.
#   Equal tensors get different keys, the key differs from process to process, and
#   the setting that should raise for such arguments does not.
# Seen: two equal numpy arrays: 1 call; two equal tensors: 2 calls.
# Why it matters: grading or measuring many models in parallel on the same inputs
#   computes everything anew, and results kept by key are never found again.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile dask==2026.8.0 torch==2.13.0 numpy==2.4.6
cd "$tmp"
cat > run.py <<'PY'
import dask
import numpy as np
import torch
from dask.base import tokenize

calls = []


def total(x):
    calls.append(1)
    return float(x.sum())


def count(a, b):
    calls.clear()
    pure = dask.delayed(total, pure=True)
    dask.compute(pure(a), pure(b), scheduler="sync")
    return len(calls)


arrays = np.arange(6.0), np.arange(6.0)
tensors = torch.arange(6.0), torch.arange(6.0)
print("calls for two equal numpy arrays:", count(*arrays))
print("calls for two equal tensors:     ", count(*tensors))
print("calls for one tensor, twice:     ", count(tensors[0], tensors[0]))
if count(*arrays) != 1 or count(*tensors) != 2 or count(tensors[0], tensors[0]) != 1:
    raise SystemExit("changed: equal tensors now share a key")
with dask.config.set({"tokenize.ensure-deterministic": True}):
    tokenize(tensors[0])  # raises TypeError for an argument without a lasting key
print("the setting ensure-deterministic lets the tensor pass")
with open("keys.txt", "a", encoding="ascii") as file:
    file.write(f"{tokenize(arrays[0])} {tokenize(tensors[0])}\n")
PY
for _ in 1 2 3; do python3 run.py >seen.txt; done
cat seen.txt
arrays=$(cut -d' ' -f1 keys.txt | sort -u | wc -l)
tensors=$(cut -d' ' -f2 keys.txt | sort -u | wc -l)
echo "keys in three processes: $arrays for the array, $tensors for the tensor"
if [ "$arrays" -ne 1 ] || [ "$tensors" -eq 1 ]; then
    echo "changed: the keys no longer last for arrays only" >&2
    exit 1
fi
