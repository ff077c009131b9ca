#!/usr/bin/env bash
# jax 0.10.2: a query that may see nothing sees everything
#
# One would expect: jax.nn.dot_product_attention gives zeros (as torch does) or NaN
#   (as the formula does) for a query whose mask is False throughout, and the same
#   for mask= and for bias=-inf, which are two ways of saying one thing.
# What happens: with mask= the row is the mean of all values, the masked ones and,
#   in a causal mask, the later ones included; gradients flow to them. With
#   bias=-inf it is NaN. key_value_seq_lengths=0 gives the mean as well.
# Seen: weight 1/4 on each of four values, masked or not.
# Why it matters: padded queries carry the future. A loss or a mean that takes them
#   in is not causal, and nothing shows it, since the numbers look ordinary.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$tmp"
export JAX_PLATFORMS=cpu
python3 - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
q, k, v = (jnp.asarray(rng.standard_normal((1, 4, 2, 8)), jnp.float32) for _ in range(3))
allowed = np.tril(np.ones((4, 4), bool))
allowed[1] = False  # query 1 is padding
mask = jnp.asarray(allowed)[None, None]


def attend(values, **options):
    return jax.nn.dot_product_attention(q, k, values, **options)[0, 1]


by_mask = attend(v, mask=mask)
by_bias = attend(v, bias=jnp.where(mask, 0.0, -jnp.inf))
by_length = attend(v, key_value_seq_lengths=jnp.array([0]))
share = jax.grad(lambda values: attend(values, mask=mask).sum())(v)[0, :, 0, 0]
print("mask=False:              ", by_mask[0, :3])
print("bias=-inf:               ", by_bias[0, :3])
print("key_value_seq_lengths=0: ", by_length[0, :3])
print("mean of all values:      ", v.mean(1)[0, 0, :3])
print("gradient to each value (query 1, causal and masked):", share)
if not np.allclose(by_mask, v.mean(1)[0], atol=1e-6) or not np.allclose(share, 0.25):
    raise SystemExit("changed: a masked query is no longer the mean of all values")
if not np.isnan(by_bias).all() or not np.allclose(by_length, by_mask, atol=1e-6):
    raise SystemExit("changed: mask=, bias= and key_value_seq_lengths= relate otherwise now")
PY
