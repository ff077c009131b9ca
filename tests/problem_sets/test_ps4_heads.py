"""Problem set 4 grades what torch, `transformers` and the course mean by the same words."""

import pytest
import torch
from torch import nn
from torch.nn.attention.bias import causal_lower_right
from transformers import LlamaConfig, StaticCache
from transformers.models.llama.modeling_llama import LlamaAttention

from attncourse import attention
from attncourse.grading import items

ITEMS = items()


def reference(name):
    return ITEMS[f"ps4.{name}"].reference


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_is_torchs_own_layer(masked):
    theirs = nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
    x = torch.randn(2, 5, 12)
    mask = torch.rand(2, 5, 5) < 0.6
    mask[:, :, 1] = True  # torch's layer gives NaN where a token may attend to nothing
    expected, _ = theirs(
        *(x, x, x),
        attn_mask=~mask.repeat_interleave(3, 0) if masked else None,  # True: may not
        need_weights=False,
    )
    W_q, W_k, W_v = theirs.in_proj_weight.chunk(3)
    output = reference("multi_head_attention")(
        *(x, 3, W_q, W_k, W_v, theirs.out_proj.weight), mask=mask if masked else None
    )
    assert torch.allclose(output, expected, atol=1e-6)


def test_multi_head_attention_is_the_courses_own_layer_with_heads_of_any_size():
    layer = attention.SelfAttention(6, num_heads=3, d_k=4, d_v=7)
    x, mask = torch.randn(2, 5, 6), torch.rand(2, 5, 5) < 0.5
    W_q, W_k, W_v = (W.flatten(0, 1) for W in (layer.W_q, layer.W_k, layer.W_v))
    output = reference("multi_head_attention")(
        *(x, 3, W_q, W_k, W_v, layer.out_proj.weight), mask=mask
    )
    assert torch.allclose(output, layer(x, mask=mask), atol=1e-6)


@pytest.mark.parametrize(("T_q", "T_k"), [(5, 5), (3, 7), (1, 6)])
def test_the_causal_mask_is_what_torch_calls_lower_right(T_q, T_k):
    assert reference("causal_mask")(T_q, T_k).equal(causal_lower_right(T_q, T_k)._materialize())


def test_the_causal_mask_is_what_generation_with_a_cache_needs():
    """The last tokens get what they get when all are read at once."""
    q, k, v = torch.randn(3, 2, 7, 4).unbind()
    mask = reference("causal_mask")
    at_once = attention.attend(q, k, v, mask=mask(7, 7))
    continued = attention.attend(q[:, 4:], k, v, mask=mask(3, 7))
    assert torch.allclose(continued, at_once[:, 4:], atol=1e-6)


def test_cross_attention_is_the_courses_own_layer_with_one_head():
    layer = attention.CrossAttention(6, 7, d_k=4, d_v=5)
    x, context = torch.randn(2, 3, 6), torch.randn(2, 8, 7)
    is_token = torch.arange(8) < torch.tensor([[5], [7]])
    heads = reference("cross_attention")(
        *(x, context, layer.W_q[0], layer.W_k[0], layer.W_v[0]), is_token=is_token
    )
    expected = layer(x, context, mask=is_token.unsqueeze(-2))
    assert torch.allclose(layer.out_proj(heads), expected, atol=1e-6)


def llama_layer(**changes):
    """Grouped queries, 6 heads in 3 groups, of a size that is not d_model / h."""
    sizes = {"hidden_size": 18, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4}
    config = LlamaConfig(**sizes | changes, attn_implementation="eager")
    return LlamaAttention(config, layer_idx=0)


def test_grouped_query_attention_is_a_layer_of_transformers():
    layer = llama_layer()
    x = torch.randn(2, 5, 18)
    mask = reference("causal_mask")(5, 5)
    nowhere = torch.ones(2, 5, 4), torch.zeros(2, 5, 4)  # cosine, sine: rotated by 0
    expected, _ = layer(x, nowhere, torch.zeros(5, 5).masked_fill(~mask, -torch.inf))
    split, merge = reference("split_heads"), reference("merge_heads")
    q, k, v = split(layer.q_proj(x), 6), split(layer.k_proj(x), 3), split(layer.v_proj(x), 3)
    heads = reference("grouped_query_attention")(q, k, v, mask=mask)
    assert torch.allclose(layer.o_proj(merge(heads)), expected, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_parameters_are_counted_as_torch_and_transformers_have_them(bias):
    count = reference("parameter_count")
    theirs = nn.MultiheadAttention(12, 3, bias=bias)
    assert count(12, 3, 4, 4, 3, bias) == sum(p.numel() for p in theirs.parameters())
    theirs = llama_layer(attention_bias=bias)
    assert count(18, 6, 4, 4, 3, bias) == sum(p.numel() for p in theirs.parameters())
    ours = attention.SelfAttention(6, num_heads=3, d_k=4, d_v=7, bias=bias)
    assert count(6, 3, 4, 7, 3, bias) == sum(p.numel() for p in ours.parameters())


def test_a_cache_takes_the_bytes_that_the_one_of_transformers_takes():
    config = llama_layer(num_hidden_layers=5).config
    cache = StaticCache(config, max_cache_len=11)
    cache.early_initialization(2, 3, 4, torch.bfloat16, "cpu")
    taken = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert reference("cache_bytes")(5, 18, 6, 3, 4, 11, sequences=2, bits=16) == taken
