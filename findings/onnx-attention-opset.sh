#!/usr/bin/env bash
# onnx 1.21.0, 1.22.0, 1.23.2: one model file, one opset version, three answers
#
# One would expect: a model that declares opset 23 means the same for good; a change
#   of an operator gets a new opset version. That is what the number is for.
# What happens: the reference evaluator's Attention of opset 23 changed in place.
#   Up to 1.21.0 softcap comes after the mask, so that tanh brings the masked keys
#   back; from 1.22.0 it comes before. A query that may see nothing gives the mean
#   of the values, then NaN, then zeros. qk_matmul_output_mode 1 and 2 changed places,
#   and mode 0, "the output of qk matmul", now has the softcap in it.
# Seen: weight on a key masked with -inf: 0.31, 0, 0. Row that may see nothing:
#   finite, NaN, 0.
# Why it matters: attention scores exported with one release cannot be compared with
#   those of another by opset version; the version of the package has to be noted.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
cd "$tmp"
cat > run.py <<'PY'
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)
inputs = {name: rng.standard_normal((1, 1, 3, 4)).astype(np.float32) for name in "qkv"}
inf = np.inf
inputs["mask"] = np.array([[0, 0, -inf], [0, 0, 0], [-inf, -inf, -inf]], dtype=np.float32)
got = {}
for mode in range(4):
    file = pathlib.Path(f"mode{mode}.onnx")
    if not file.exists():
        node = helper.make_node("Attention", list(inputs), ["y", "", "", "w"], softcap=0.1,
                                qk_matmul_output_mode=mode)
        ins = [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in inputs.items()]
        outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * 4) for n in "yw"]
        graph = helper.make_graph([node], "attention", ins, outs)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)]), file)
    model = onnx.load(file)
    onnx.checker.check_model(model)
    y, got[mode] = ReferenceEvaluator(model).run(None, inputs)
print(onnx.__version__, "opset", model.opset_import[0].version)
print("  weights of query 0, whose third key is masked:", got[3][0, 0, 0])
print("  output of query 2, which may see nothing:     ", y[0, 0, 2])
for mode in range(3):
    print(f"  qk_matmul_output_mode {mode}, query 0:", got[mode][0, 0, 0])
raw = inputs["q"][0, 0, 0] @ inputs["k"][0, 0].T / 2
empty = y[0, 0, 2]
facts = ["leaks" if got[3][0, 0, 0, 2] > 0.1 else "holds",
         "NaN" if np.isnan(empty).all() else "zeros" if not empty.any() else "finite",
         "raw" if np.allclose(got[0][0, 0, 0], raw, atol=1e-5) else "capped"]
if facts != sys.argv[1:]:
    raise SystemExit(f"changed: {onnx.__version__} gives {facts}, not {sys.argv[1:]}")
PY
python3 -m pip install --quiet --no-compile onnx==1.21.0 numpy==2.4.6
python3 -W ignore run.py leaks finite raw
python3 -m pip install --quiet --no-compile onnx==1.22.0
python3 -W ignore run.py holds NaN capped
python3 -m pip install --quiet --no-compile onnx==1.23.2
python3 -W ignore run.py holds zeros capped
