#!/usr/bin/env bash
# keras 3.15.1, jax 0.10.2, flax 0.12.8: how many queries, keys and values
#
# One would expect: the documentation names two lengths, one of the queries and one
#   that keys and values share, and a call with fewer values than keys raises.
# What happens: every call raises. Keras and jax.nn name two lengths; the call of
#   Flax's MultiHeadAttention writes [batch_sizes..., length, features] three times,
#   as though queries had to be as many as keys. They need not: it runs with 2 and 5.
#   A causal mask for 2 queries and 5 keys begins in the upper left corner, so that
#   the first query sees one key and not four.
# Seen: 2 queries, 5 keys, 5 values run in all five; 5 keys with 4 values raise in
#   all five. Weights of the first query under the causal mask: 1, 0, 0, 0, 0.
# Why it matters: in self-attention one word for three lengths is harmless. Who takes
#   it for the rule believes that cross-attention needs T_k = T_q.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 \
    flax==0.12.8 numpy==2.4.6
cd "$tmp"
export JAX_PLATFORMS=cpu KERAS_BACKEND=jax KERAS_HOME="$tmp/keras"
python3 - <<'PY'
import flax.linen
import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import nnx

rng = np.random.default_rng(0)
FEATURES = 8


def tokens(length):
    """[B, T, D]"""
    return jnp.asarray(rng.standard_normal((1, length, FEATURES)), jnp.float32)


def heads(x):
    """[B, T, h, d_head]"""
    return x.reshape(1, -1, 2, 4)


nnx_layer = nnx.MultiHeadAttention(2, FEATURES, decode=False, rngs=nnx.Rngs(0))
linen_layer = flax.linen.MultiHeadDotProductAttention(2)
parameters = linen_layer.init(jax.random.key(0), tokens(2), tokens(5), tokens(5))

CALLS = {  # each takes query, key and value in this order
    "keras.layers.Attention": lambda q, k, v: keras.layers.Attention()([q, v, k]),
    "keras.layers.MultiHeadAttention": lambda q, k, v: keras.layers.MultiHeadAttention(2, 4)(
        q, v, k),
    "jax.nn.dot_product_attention": lambda q, k, v: jax.nn.dot_product_attention(
        heads(q), heads(k), heads(v)),
    "flax.nnx.MultiHeadAttention": nnx_layer,
    "flax.linen.MultiHeadDotProductAttention": lambda q, k, v: linen_layer.apply(
        parameters, q, k, v),
}
for name, attend in CALLS.items():
    attended = attend(tokens(2), tokens(5), tokens(5))
    if attended.shape[1] != 2:
        raise SystemExit(f"changed: {name} gives {attended.shape} for 2 queries")
    print(f"{name}: 2 queries, 5 keys, 5 values -> {attended.shape}")
    try:
        attend(tokens(2), tokens(5), tokens(4))
    except (TypeError, ValueError, AssertionError) as error:
        print(f"    5 keys, 4 values: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
    else:
        raise SystemExit(f"changed: {name} takes fewer values than keys")

lookups = {
    "jax.nn": jax.nn.dot_product_attention(
        heads(tokens(2)), heads(tokens(5)), jnp.eye(5)[None, :, None, :4].repeat(2, 2),
        is_causal=True)[0, :, 0],
    "keras": keras.layers.MultiHeadAttention(2, 4)(
        tokens(2), tokens(5), use_causal_mask=True, return_attention_scores=True)[1][0, 0],
}
for name, weights in lookups.items():
    print(f"{name}, causal, 2 queries and 5 keys:", np.asarray(weights).round(2).tolist())
    if not np.allclose(weights[0], np.eye(5)[0, : weights.shape[1]], atol=1e-6):
        raise SystemExit(f"changed: the causal mask of {name} no longer begins in the upper left")


def documented(function, *wanted):
    text = " ".join((function.__doc__ or "").split())
    for words, count in wanted:
        found = text.count(words)
        print(f"{function.__qualname__}: {words!r} {found} times")
        if found != count:
            raise SystemExit(f"changed: the documentation of {function.__qualname__}")


documented(keras.layers.Attention, ("(batch_size, Tq, dim)", 4), ("(batch_size, Tv, dim)", 4))
documented(nnx.MultiHeadAttention.__call__, ("[batch_sizes..., length, features]", 4))
PY
