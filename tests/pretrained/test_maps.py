"""Maps and outputs computed from our heads are the ones that transformers itself computes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pretrained import tiny_models

from attncourse.pretrained import attention_maps, load_heads


@pytest.fixture(scope="module", params=tiny_models.TINY)
def loaded(request, tmp_path_factory):
    model = tiny_models.make(request.param)
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    return load_heads(folder), tiny_models.run(request.param, model)


# A tiled key head, an untransposed Conv1D, swapped q, k, v, a missing scale or bias, a wrong cut
# into heads, rotary positions left out or in the layout of neighbouring pairs: each fails here.
def test_maps_equal_those_of_transformers(loaded):
    heads, calls = loaded
    assert len(heads) == len(calls) > 1
    for layer, call in zip(heads, calls, strict=True):
        maps = attention_maps(layer, call.x, context=call.context, mask=call.mask)
        assert call.maps.std() > 0.05  # uniform maps would be equal whatever the weights are
        # What padding attends to means nothing, and DeBERTa does it in a way of its own.
        asks = call.asks[:, None, :, None]
        torch.testing.assert_close(maps * asks, call.maps * asks, atol=3e-5, rtol=0)


# W_v, W_o and their biases play no part in the maps: this is what catches a wrong one.
def test_outputs_equal_those_of_transformers(loaded):
    for layer, call in zip(*loaded, strict=True):
        source = call.x if call.context is None else call.context
        value = torch.einsum("btd,hvd->bhtv", source, layer.W_v)
        if layer.b_v is not None:
            value = value + layer.b_v[:, None, :]
        if layer.norm_v is not None:
            value = layer.norm_v(value)
        output = torch.einsum("bhts,bhsv,hdv->btd", call.maps, value, layer.W_o)
        if layer.b_o is not None:
            output = output + layer.b_o
        torch.testing.assert_close(output, call.output, atol=1e-4, rtol=1e-5)


def test_sizes_and_kinds_are_those_of_the_model(loaded):
    heads, calls = loaded
    for layer, call in zip(heads, calls, strict=True):
        assert (layer.kind, layer.modality) == (call.site.kind, call.site.modality)
        h, d_k, d = layer.W_q.shape
        assert call.maps.shape[1] == h
        assert call.x.shape[-1] == d
        assert layer.W_k.shape == layer.W_v.shape == (h, d_k, d)
        assert layer.W_o.shape == (h, d, d_k)
        kind = heads.only(layer.kind, modality=layer.modality)
        assert (kind.num_heads, kind.d_model) == (h, d)
        assert torch.equal(kind[layer.number].W_q, layer.W_q)


@pytest.fixture(scope="module")
def llama_layer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    tiny_models.make("llama").save_pretrained(folder)
    return load_heads(folder)[0]


def test_shifting_all_tokens_leaves_rotary_maps_alone(llama_layer):
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([False, False, True, True, True])
    shifted = attention_maps(llama_layer, x, mask=real)[:, 2:, 2:]
    torch.testing.assert_close(shifted, attention_maps(llama_layer, x[2:]))


def test_an_unknown_kind_of_rotary_positions_is_named(llama_layer):
    layer = dataclasses.replace(llama_layer, rotary={"rope_type": "longrope", "rope_theta": 1e4})
    with pytest.raises(ValueError, match=r"the kind 'longrope' are not known here"):
        attention_maps(layer, torch.randn(5, 24))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.randn(5, 19), ValueError, r"x must have d_model = 24 .* got \[5, 19\]"),
        (torch.randn(5, 24).double(), TypeError, "x and the layer's weight .* same dtype"),
        (torch.full((5, 24), torch.nan), ValueError, "x must not contain NaN"),
    ],
)
def test_a_wrong_input_is_named(llama_layer, x, error, message):
    with pytest.raises(error, match=message):
        attention_maps(llama_layer, x)
