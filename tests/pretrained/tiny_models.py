"""Models of a few hundred weights, made by transformers: every size differs, no bias is zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import transformers
from transformers import PreTrainedModel

B, T, VOCABULARY = 2, 7, 19
TEXT = {"vocab_size": VOCABULARY, "intermediate_size": 10, "bos_token_id": 1, "eos_token_id": 2}
IMAGE = {"intermediate_size": 10, "image_size": 12, "patch_size": 4, "num_channels": 1}
BERT = TEXT | {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2}
# h · d_k = 36 is not d_model = 24, and 6 query heads share 2 key heads.
LLAMA = TEXT | {
    "hidden_size": 24,
    "head_dim": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
}
VIT = IMAGE | {"hidden_size": 18, "num_attention_heads": 3, "num_hidden_layers": 4}
GPT2 = {"vocab_size": VOCABULARY, "n_embd": 20, "n_head": 5, "n_layer": 3, "n_positions": 11}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


class Tiny(NamedTuple):
    """How to make a model, and where its attention sits."""

    model: str
    config: str
    sizes: dict[str, object]
    attention: str  # the module that gets the input of the attention and returns its maps
    output: str  # the module that returns the output of the attention


def _model(name: str, head: str, sizes: dict[str, object], attention: str, output: str) -> Tiny:
    return Tiny(name + head, name + "Config", sizes, attention, output)


_BERT = ("encoder.layer.{}.attention.self", "encoder.layer.{}.attention.output.dense")
_GPT2 = ("h.{}.attn", "h.{}.attn.c_proj")
_LLAMA = ("layers.{}.self_attn", "layers.{}.self_attn.o_proj")
_VIT = ("layers.{}.attention", "layers.{}.attention.o_proj")

TINY = {
    "bert": _model("Bert", "ForMaskedLM", BERT, *_BERT),
    "roberta": _model("Roberta", "ForMaskedLM", BERT | {"pad_token_id": 0}, *_BERT),
    "distilbert": _model(
        "DistilBert",
        "ForMaskedLM",
        {"vocab_size": VOCABULARY, "dim": 24, "hidden_dim": 10, "n_heads": 3, "n_layers": 2},
        "transformer.layer.{}.attention",
        "transformer.layer.{}.attention.out_lin",
    ),
    "gpt2": _model("GPT2", "LMHeadModel", GPT2 | {"bos_token_id": 1, "eos_token_id": 2}, *_GPT2),
    "gpt2 with scores divided by the layer": _model(
        "GPT2",
        "LMHeadModel",
        GPT2 | {"bos_token_id": 1, "eos_token_id": 2, "scale_attn_by_inverse_layer_idx": True},
        *_GPT2,
    ),
    "gpt2 without a scale": _model(
        "GPT2",
        "LMHeadModel",
        GPT2 | {"bos_token_id": 1, "eos_token_id": 2, "scale_attn_weights": False},
        *_GPT2,
    ),
    "llama": _model("Llama", "ForCausalLM", LLAMA, *_LLAMA),
    "llama with biases": _model("Llama", "ForCausalLM", LLAMA | {"attention_bias": True}, *_LLAMA),
    "llama with stretched positions": _model(
        "Llama", "ForCausalLM", LLAMA | {"rope_parameters": LLAMA3_ROPE}, *_LLAMA
    ),
    "mistral": _model("Mistral", "ForCausalLM", LLAMA, *_LLAMA),
    "mistral with a sliding window": _model(
        "Mistral", "ForCausalLM", LLAMA | {"sliding_window": 3}, *_LLAMA
    ),
    "qwen2 with a sliding window from layer 1 on": _model(
        "Qwen2",
        "ForCausalLM",
        LLAMA
        | {"head_dim": 4, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
        *_LLAMA,
    ),
    "bert as a decoder": _model("Bert", "LMHeadModel", BERT | {"is_decoder": True}, *_BERT),
    "qwen2": _model("Qwen2", "ForCausalLM", LLAMA | {"head_dim": 4}, *_LLAMA),
    "vit": _model("ViT", "ForImageClassification", VIT, *_VIT),
    "vit without biases": _model("ViT", "ForImageClassification", VIT | {"qkv_bias": False}, *_VIT),
    "deit": _model("DeiT", "ForImageClassification", VIT, *_VIT),
}


def make(kind: str) -> PreTrainedModel:
    """The model, with weights that are large enough for maps that are far from uniform."""
    tiny = TINY[kind]
    config = getattr(transformers, tiny.config)(**tiny.sizes)
    config._attn_implementation = "eager"  # the other kernels return no maps
    model = getattr(transformers, tiny.model)(config).eval()
    generator = torch.Generator().manual_seed(len(kind))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.6, generator=generator)
    return model


class Run(NamedTuple):
    """What a model's attention got and gave, layer by layer."""

    inputs: list[torch.Tensor]  # [B, T, d_model]
    maps: list[torch.Tensor]  # [B, h, T, T]
    outputs: list[torch.Tensor]  # [B, T, d_model]
    mask: torch.Tensor | None  # [B, 1, T]


def run(kind: str, model: PreTrainedModel) -> Run:
    """One pass, with two tokens of padding where the model knows padding."""
    tiny, generator = TINY[kind], torch.Generator().manual_seed(5)
    inputs: list[torch.Tensor] = []
    outputs: list[torch.Tensor] = []
    hooks = []
    for layer in range(model.config.num_hidden_layers):
        attention = model.base_model.get_submodule(tiny.attention.format(layer))
        hooks.append(attention.register_forward_pre_hook(_keep_input(inputs), with_kwargs=True))
        output = model.base_model.get_submodule(tiny.output.format(layer))
        hooks.append(output.register_forward_hook(lambda *call: outputs.append(call[2])))
    mask = None
    with torch.no_grad():
        if "image_size" in tiny.sizes:
            pixels = torch.randn(B, 1, 12, 12, generator=generator)
            result = model(pixels, output_attentions=True)
        else:
            tokens = torch.randint(3, VOCABULARY, (B, T), generator=generator)
            attended = torch.ones(B, T, dtype=torch.long)
            attended[1, -2:] = 0
            result = model(tokens, attention_mask=attended, output_attentions=True)
            mask = attended[:, None, :].bool()
    for hook in hooks:
        hook.remove()
    return Run(inputs, list(result.attentions), outputs, mask)


def _keep_input(inputs: list[torch.Tensor]) -> Callable[..., None]:
    def keep(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    return keep
