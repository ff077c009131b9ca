#!/usr/bin/env bash
# torch 2.13.0: a gradient of something other than a scalar imports a computer
# algebra system
#
# One would expect: autograd of a scalar and of a vector use the same code;
#   torch.broadcast_shapes adds up a few integers.
# What happens: the first call of torch.autograd.grad with grad_outputs, of
#   tensor.backward(gradient), or of torch.broadcast_shapes imports sympy: some 400
#   modules more. torch itself, a scalar's backward(), broadcast_tensors and
#   attention do not.
# Seen: 0 sympy modules after a scalar's backward(), 419 after backward(gradient).
# Why it matters: the first vector-Jacobian product in a fresh process pays for the
#   import. A timing that has no warm-up of exactly this call measures it, and a
#   check that is run in a fresh process each time pays it each time.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 sympy==1.14.0
cd "$tmp"
modules() {
    python3 -c "import sys, torch
x = torch.ones(2, requires_grad=True)
$1
print(sum(name.split('.')[0] == 'sympy' for name in sys.modules))"
}
while IFS='|' read -r expected line; do
    count=$(modules "$line")
    echo "$count sympy modules after: $line"
    if { [ "$expected" = none ] && [ "$count" -ne 0 ]; } || { [ "$expected" = many ] && [ "$count" -lt 100 ]; }; then
        echo "changed: expected $expected" >&2
        exit 1
    fi
done <<'CASES'
none|(x * 2).sum().backward()
many|(x * 2).backward(torch.ones(2))
many|torch.autograd.grad(x * 2, x, grad_outputs=torch.ones(2))
none|torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))
many|torch.broadcast_shapes((2, 1), (3,))
none|torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 1, 2, 2)] * 3)
CASES
