#!/usr/bin/env bash
# torch 2.13.0: the fused CPU attention can be differentiated once, backwards only
#
# One would expect: softmax(q k^T) v is smooth, and PyTorch differentiates it as
#   often and in whichever mode one likes, as it does for the formula by hand.
# What happens: F.scaled_dot_product_attention raises in torch.func.jvp and in
#   jacfwd (NotImplementedError) and in a second derivative (RuntimeError). With
#   3-D inputs, or under sdpa_kernel(SDPBackend.MATH), the same call works.
# Seen: 4-D raises in all three; 3-D and the math path pass all three.
# Why it matters: a Hessian, a gradient penalty or a Jacobian of attention works in
#   the lesson's 3-D example and stops when a head axis is added.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cd "$tmp"
python3 - <<'PY'
import contextlib

import torch
import torch.nn.functional as F
from torch.func import jacfwd, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel


def second(q, k, v):
    q = q.clone().requires_grad_()
    (first,) = torch.autograd.grad(
        F.scaled_dot_product_attention(q, k, v).square().sum(), q, create_graph=True)
    first.sum().backward()


def forward_mode(q, k, v):
    jvp(lambda t: F.scaled_dot_product_attention(t, k, v), (q,), (torch.ones_like(q),))


def jacobian(q, k, v):
    jacfwd(lambda t: F.scaled_dot_product_attention(t, k, v))(q)


def outcome(task, inputs, context):
    try:
        with context:
            task(*inputs)
    except (NotImplementedError, RuntimeError) as error:
        return type(error).__name__
    return "works"


four = [torch.randn(1, 2, 16, 4) for _ in range(3)]
three = [t[0] for t in four]
for task in (second, forward_mode, jacobian):
    got = [outcome(task, four, contextlib.nullcontext()),
           outcome(task, three, contextlib.nullcontext()),
           outcome(task, four, sdpa_kernel(SDPBackend.MATH))]
    print(f"{task.__name__:12} 4-D: {got[0]:20} 3-D: {got[1]:7} 4-D, math path: {got[2]}")
    if got[0] == "works" or got[1:] != ["works", "works"]:
        raise SystemExit(f"changed: {task.__name__} no longer depends on the path taken")
PY
