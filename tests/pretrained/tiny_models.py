"""Models of a few hundred weights, made by transformers: every size differs, no bias is zero."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import NamedTuple

import torch
import transformers
from transformers import PreTrainedModel

B, T, T_TARGET, VOCABULARY = 2, 7, 5, 19
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
    "pad_token_id": 0,
}
EVEN = LLAMA | {"head_dim": 4}  # for families in which h · d_k must be d_model
FALCON = {name: size for name, size in LLAMA.items() if name != "head_dim"}
EXPERTS = {"intermediate_size": 16, "num_local_experts": 2, "num_experts_per_tok": 1}
WINDOW = {"sliding_window": 3}
VIT = IMAGE | {"hidden_size": 18, "num_attention_heads": 3, "num_hidden_layers": 4}
GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 20,
    "n_head": 5,
    "n_layer": 3,
    "n_positions": 11,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS_OF_8 = TEXT | {"hidden_size": 40, "num_attention_heads": 5, "num_hidden_layers": 2}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 8.0,
    "original_max_position_embeddings": 32,
}
# An encoder and a decoder with different heads and layers.
BART = {
    "vocab_size": VOCABULARY,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 10,
    "decoder_ffn_dim": 10,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
# h · d_kv = 18 is not d_model; few buckets, so that distances share them.
T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 24,
    "d_kv": 6,
    "num_heads": 3,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "d_ff": 10,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
    "decoder_start_token_id": 0,
}
SOUND = {
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 10,
    "conv_dim": (8, 8),
    "conv_stride": (4, 4),
    "conv_kernel": (4, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embedding_groups": 2,
    "num_conv_pos_embeddings": 4,
    "vocab_size": VOCABULARY,
}


class Site(NamedTuple):
    """Where layers of one kind sit in a model; {} stands for the number of the layer."""

    attention: str  # the module that gets the input of the attention
    output: str  # the module that returns the output of the attention
    kind: str = "encoder"
    modality: str = "text"
    maps: str = "attentions"  # where the model's result has the maps


class Tiny(NamedTuple):
    """How to make a model, and where its attention sits."""

    model: str
    config: str
    sizes: dict[str, object]
    sites: tuple[Site, ...]
    spread: float = 0.6  # of the weights: enough for maps that are far from uniform


def _model(
    name: str, head: str, sizes: dict[str, object], *sites: Site, spread: float = 0.6
) -> Tiny:
    return Tiny(name + head, name + "Config", sizes, sites, spread)


_BERT = Site("encoder.layer.{}.attention.self", "encoder.layer.{}.attention.output.dense")
_BERT_CROSS = (
    _BERT._replace(kind="decoder"),
    Site(
        "encoder.layer.{}.crossattention.self",
        "encoder.layer.{}.crossattention.output.dense",
        "cross",
        maps="cross_attentions",
    ),
)
_GPT2 = Site("h.{}.attn", "h.{}.attn.c_proj", "decoder")
_GPT2_CROSS = Site(
    "h.{}.crossattention", "h.{}.crossattention.c_proj", "cross", maps="cross_attentions"
)
_H = Site("h.{}.attn", "h.{}.attn.out_proj", "decoder")
_BLOOM = Site("h.{}.self_attention", "h.{}.self_attention.dense", "decoder")
_LLAMA = Site("layers.{}.self_attn", "layers.{}.self_attn.o_proj", "decoder")
_PHI = Site("layers.{}.self_attn", "layers.{}.self_attn.dense", "decoder")
_VIT = Site("layers.{}.attention", "layers.{}.attention.o_proj", modality="vision")
_BART = (
    Site(
        "encoder.layers.{}.self_attn",
        "encoder.layers.{}.self_attn.out_proj",
        maps="encoder_attentions",
    ),
    Site(
        "decoder.layers.{}.self_attn",
        "decoder.layers.{}.self_attn.out_proj",
        "decoder",
        maps="decoder_attentions",
    ),
    Site(
        "decoder.layers.{}.encoder_attn",
        "decoder.layers.{}.encoder_attn.out_proj",
        "cross",
        maps="cross_attentions",
    ),
)
_WHISPER = (_BART[0]._replace(modality="audio"), *_BART[1:])
_T5 = tuple(
    Site(
        f"{stack}.block.{{}}.layer.{place}.{name}",
        f"{stack}.block.{{}}.layer.{place}.{name}.o",
        kind,
        maps=f"{maps}_attentions",
    )
    for stack, place, name, kind, maps in [
        ("encoder", 0, "SelfAttention", "encoder", "encoder"),
        ("decoder", 0, "SelfAttention", "decoder", "decoder"),
        ("decoder", 1, "EncDecAttention", "cross", "cross"),
    ]
)
_CLIP = Site("encoder.layers.{}.self_attn", "encoder.layers.{}.self_attn.out_proj")
_SOUND = Site(
    "encoder.layers.{}.attention", "encoder.layers.{}.attention.out_proj", modality="audio"
)


def _towers(text: str) -> tuple[Site, Site]:
    return tuple(
        _CLIP._replace(
            attention=f"{tower}_model.{_CLIP.attention}",
            output=f"{tower}_model.{_CLIP.output}",
            kind=kind,
            modality=tower,
            maps=f"{tower}_model_output.attentions",
        )
        for tower, kind in (("text", text), ("vision", "encoder"))
    )


def _of(
    names: str, head: str, sizes: dict[str, object], *sites: Site, spread: float = 0.6
) -> dict[str, Tiny]:
    """One of each of several families whose models differ in name alone."""
    return {
        name.lower(): _model(name, head, sizes, *sites, spread=spread) for name in names.split()
    }


TINY = {
    # ------------------------------------------------------------ encoders
    "bert": _model("Bert", "ForMaskedLM", BERT, _BERT),
    "roberta": _model("Roberta", "ForMaskedLM", BERT | {"pad_token_id": 0}, _BERT),
    "bert as a decoder": _model(
        "Bert", "LMHeadModel", BERT | {"is_decoder": True}, _BERT._replace(kind="decoder")
    ),
    "bert with cross-attention": _model(
        "Bert", "Model", BERT | {"is_decoder": True, "add_cross_attention": True}, *_BERT_CROSS
    ),
    **_of(
        "XLMRoberta Camembert Electra Ernie MegatronBert Data2VecText RobertaPreLayerNorm",
        "Model",
        BERT | {"pad_token_id": 0, "embedding_size": 24},
        _BERT,
    ),
    "rembert": _model("RemBert", "Model", BERT, _BERT),
    "distilbert": _model(
        "DistilBert",
        "ForMaskedLM",
        {"vocab_size": VOCABULARY, "dim": 24, "hidden_dim": 10, "n_heads": 3, "n_layers": 2},
        Site("transformer.layer.{}.attention", "transformer.layer.{}.attention.out_lin"),
    ),
    # Layers 0 and 1 share one set of weights, 2 and 3 another.
    "albert": _model(
        "Albert",
        "Model",
        BERT | {"embedding_size": 11, "num_hidden_layers": 4, "num_hidden_groups": 2},
        Site(
            "encoder.albert_layer_groups.{}.albert_layers.0.attention",
            "encoder.albert_layer_groups.{}.albert_layers.0.attention.dense",
        ),
    ),
    "mpnet": _model(
        "MPNet",
        "Model",
        BERT | {"relative_attention_num_buckets": 32},
        Site("encoder.layer.{}.attention.attn", "encoder.layer.{}.attention.attn.o"),
    ),
    "deberta": _model(
        "Deberta",
        "Model",
        BERT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        _BERT,
    ),
    "deberta with few distances": _model(
        "Deberta",
        "Model",
        BERT | {"relative_attention": True, "max_relative_positions": 3, "pos_att_type": "c2p|p2c"},
        _BERT,
    ),
    "deberta without positions": _model("Deberta", "Model", BERT, _BERT),
    "deberta-v2": _model(
        "DebertaV2",
        "Model",
        BERT
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "position_buckets": 4,
            "max_position_embeddings": 9,
            "norm_rel_ebd": "layer_norm",
        },
        _BERT,
    ),
    "deberta-v2 where content looks for distances": _model(
        "DebertaV2",
        "Model",
        BERT | {"relative_attention": True, "pos_att_type": ["c2p"], "max_relative_positions": 5},
        _BERT,
    ),
    "modernbert": _model(
        "ModernBert",
        "Model",
        BERT | {"pad_token_id": 0, "local_attention": 4, "num_hidden_layers": 4},
        Site("layers.{}.attn", "layers.{}.attn.Wo"),
    ),
    "esm": _model(
        "Esm",
        "Model",
        BERT | {"pad_token_id": 0, "mask_token_id": 3, "position_embedding_type": "rotary"},
        _BERT,
    ),
    "esm with absolute positions": _model(
        "Esm",
        "Model",
        BERT | {"pad_token_id": 0, "mask_token_id": 3, "position_embedding_type": "absolute"},
        _BERT,
    ),
    "roformer": _model("RoFormer", "Model", BERT, _BERT),
    # ------------------------------------------------------------ decoders
    "gpt2": _model("GPT2", "LMHeadModel", GPT2, _GPT2),
    "gpt2 with scores divided by the layer": _model(
        "GPT2", "LMHeadModel", GPT2 | {"scale_attn_by_inverse_layer_idx": True}, _GPT2
    ),
    "gpt2 without a scale": _model(
        "GPT2", "LMHeadModel", GPT2 | {"scale_attn_weights": False}, _GPT2
    ),
    "gpt2 with cross-attention": _model(
        "GPT2", "Model", GPT2 | {"add_cross_attention": True}, _GPT2, _GPT2_CROSS
    ),
    "gpt_bigcode": _model("GPTBigCode", "Model", GPT2, _GPT2),
    "gpt_bigcode with a key for each head": _model(
        "GPTBigCode", "Model", GPT2 | {"multi_query": False}, _GPT2
    ),
    "gpt_neo": _model(
        "GPTNeo",
        "Model",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 20,
            "num_heads": 5,
            "num_layers": 3,
            "attention_types": [[["global", "local"], 1], [["local"], 1]],
            "window_size": 3,
            "max_position_embeddings": 11,
        },
        Site("h.{}.attn.attention", "h.{}.attn.attention.out_proj", "decoder"),
    ),
    "gptj": _model("GPTJ", "Model", GPT2 | {"n_embd": 40, "rotary_dim": 4}, _H),
    "gpt_neox": _model(
        "GPTNeoX",
        "Model",
        HEADS_OF_8 | {"rotary_pct": 0.5},
        Site("layers.{}.attention", "layers.{}.attention.dense", "decoder"),
    ),
    "bloom": _model("Bloom", "Model", GPT2 | {"hidden_size": 24, "n_head": 6}, _BLOOM),
    "falcon with groups": _model(
        "Falcon",
        "Model",
        FALCON | {"num_kv_heads": 2, "new_decoder_architecture": True, "bias": True},
        _BLOOM,
    ),
    "falcon with one key head": _model("Falcon", "Model", FALCON | {"multi_query": True}, _BLOOM),
    "falcon with a key for each head": _model(
        "Falcon", "Model", FALCON | {"multi_query": False}, _BLOOM
    ),
    "mpt": _model(
        "Mpt",
        "Model",
        {"vocab_size": VOCABULARY, "d_model": 24, "n_layers": 2, "n_heads": 6, "max_seq_len": 11},
        Site("blocks.{}.attn", "blocks.{}.attn.out_proj", "decoder"),
    ),
    "opt": _model(
        "OPT",
        "Model",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "ffn_dim": 10,
            "word_embed_proj_dim": 24,
            "max_position_embeddings": 11,
            "pad_token_id": 0,
        },
        _BART[1]._replace(maps="attentions"),
    ),
    "biogpt": _model(
        "BioGpt", "Model", BERT, _LLAMA._replace(output="layers.{}.self_attn.out_proj")
    ),
    "llama": _model("Llama", "ForCausalLM", LLAMA, _LLAMA),
    "llama with biases": _model("Llama", "ForCausalLM", LLAMA | {"attention_bias": True}, _LLAMA),
    "llama with stretched positions": _model(
        "Llama", "ForCausalLM", LLAMA | {"rope_parameters": LLAMA3_ROPE}, _LLAMA
    ),
    "llama with positions closer together": _model(
        "Llama",
        "Model",
        LLAMA | {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}},
        _LLAMA,
    ),
    "llama with positions by yarn": _model(
        "Llama", "Model", LLAMA | {"head_dim": 10, "rope_parameters": YARN}, _LLAMA
    ),
    "qwen3 with positions by yarn": _model(
        "Qwen3",
        "Model",
        LLAMA
        | {
            "head_dim": 10,
            "rope_parameters": YARN
            | {"mscale": 2.0, "mscale_all_dim": 0.5, "beta_fast": 4, "truncate": False},
        },
        _LLAMA,
    ),
    "llama that sees both sides": _model(
        "Llama", "Model", LLAMA | {"is_causal": False}, _LLAMA._replace(kind="encoder")
    ),
    "mistral": _model("Mistral", "ForCausalLM", LLAMA, _LLAMA),
    "mistral with a sliding window": _model("Mistral", "ForCausalLM", LLAMA | WINDOW, _LLAMA),
    "mistral that sees both sides of a window": _model(
        "Mistral",
        "Model",
        LLAMA | WINDOW | {"is_causal": False},
        _LLAMA._replace(kind="encoder"),
    ),
    "mixtral": _model("Mixtral", "Model", LLAMA | WINDOW | EXPERTS, _LLAMA),
    "qwen2": _model("Qwen2", "ForCausalLM", LLAMA | {"head_dim": 4}, _LLAMA),
    "qwen2 with a sliding window from layer 1 on": _model(
        "Qwen2",
        "ForCausalLM",
        EVEN | WINDOW | {"use_sliding_window": True, "max_window_layers": 1},
        _LLAMA,
    ),
    "qwen3": _model(
        "Qwen3",
        "Model",
        LLAMA | WINDOW | {"use_sliding_window": True, "max_window_layers": 2},
        _LLAMA,
    ),
    "qwen3_moe": _model(
        "Qwen3Moe",
        "Model",
        LLAMA
        | WINDOW
        | {
            "use_sliding_window": True,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "moe_intermediate_size": 16,
        },
        _LLAMA,
    ),
    "qwen3_moe without a window": _model(
        "Qwen3Moe",
        "Model",
        LLAMA | WINDOW | {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16},
        _LLAMA,
    ),
    "gemma": _model("Gemma", "Model", LLAMA, _LLAMA),
    "gemma2": _model(
        "Gemma2",
        "Model",
        LLAMA | WINDOW | {"query_pre_attn_scalar": 17, "attn_logit_softcapping": 1.5},
        _LLAMA,
    ),
    "gemma3_text": _model(
        "Gemma3Text",
        "Model",
        LLAMA
        | WINDOW
        | {
            "query_pre_attn_scalar": 17,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        _LLAMA,
    ),
    "gemma4_text": _model(
        "Gemma4Text",
        "Model",
        LLAMA
        | WINDOW
        | {
            "attention_k_eq_v": True,
            "global_head_dim": 8,
            "num_global_key_value_heads": 3,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 5,
        },
        _LLAMA,
    ),
    "olmo": _model("Olmo", "Model", LLAMA, _LLAMA),
    "olmo2": _model("Olmo2", "Model", LLAMA, _LLAMA),
    "olmo3": _model("Olmo3", "Model", LLAMA | WINDOW | {"num_hidden_layers": 4}, _LLAMA),
    "cohere": _model("Cohere", "Model", LLAMA, _LLAMA),
    "cohere with norms": _model("Cohere", "Model", LLAMA | {"use_qk_norm": True}, _LLAMA),
    "cohere2": _model("Cohere2", "Model", LLAMA | WINDOW | {"num_hidden_layers": 4}, _LLAMA),
    "stablelm": _model(
        "StableLm",
        "Model",
        HEADS_OF_8 | {"num_key_value_heads": 5, "use_qkv_bias": True},
        _LLAMA,
    ),
    "stablelm with norms": _model(
        "StableLm",
        "Model",
        HEADS_OF_8
        | {
            "num_attention_heads": 10,
            "num_key_value_heads": 5,
            "qk_layernorm": True,
            "partial_rotary_factor": 0.5,
        },
        _LLAMA,
    ),
    "starcoder2": _model("Starcoder2", "Model", LLAMA | WINDOW, _LLAMA),
    "granite": _model("Granite", "Model", LLAMA | {"attention_multiplier": 0.3}, _LLAMA),
    "smollm3": _model("SmolLM3", "Model", LLAMA | {"num_hidden_layers": 4}, _LLAMA),
    "phi": _model("Phi", "Model", HEADS_OF_8 | {"num_key_value_heads": 5}, _PHI),
    "phi with norms": _model(
        "Phi", "Model", HEADS_OF_8 | {"num_key_value_heads": 1, "qk_layernorm": True}, _PHI
    ),
    "phi3": _model("Phi3", "Model", LLAMA | WINDOW, _LLAMA),
    "phi3 with half of the features turned": _model(
        "Phi3", "Model", LLAMA | {"head_dim": 4, "partial_rotary_factor": 0.5}, _LLAMA
    ),
    "nemotron": _model("Nemotron", "Model", LLAMA | {"head_dim": 8}, _LLAMA),
    "glm": _model("Glm", "Model", LLAMA | {"head_dim": 8}, _LLAMA),
    "glm4": _model("Glm4", "Model", LLAMA | {"head_dim": 8, "attention_bias": False}, _LLAMA),
    "persimmon": _model("Persimmon", "Model", HEADS_OF_8, _PHI),
    "gpt_oss": _model("GptOss", "Model", LLAMA | WINDOW | EXPERTS, _LLAMA),
    # ------------------------------------------------------------ encoders and decoders
    **_of(
        "Bart MBart Marian Pegasus Blenderbot BlenderbotSmall M2M100 PLBart", "Model", BART, *_BART
    ),
    "whisper": _model(
        "Whisper",
        "Model",
        BART | {"num_mel_bins": 4, "max_source_positions": 6},
        *_WHISPER,
    ),
    "t5": _model("T5", "Model", T5, *_T5),
    "t5 without a decoder": _model("T5", "EncoderModel", T5, _T5[0]._replace(maps="attentions")),
    "mt5": _model("MT5", "Model", T5, *_T5),
    "umt5": _model("UMT5", "Model", T5, *_T5),
    # ------------------------------------------------------------ pictures and sounds
    "vit": _model("ViT", "ForImageClassification", VIT, _VIT),
    "vit without biases": _model("ViT", "ForImageClassification", VIT | {"qkv_bias": False}, _VIT),
    "deit": _model("DeiT", "ForImageClassification", VIT, _VIT),
    "vit_msn": _model("ViTMSN", "Model", VIT, _VIT),
    **_of(
        "Dinov2 Dinov2WithRegisters",
        "Model",
        VIT,
        Site(
            "encoder.layer.{}.attention",
            "encoder.layer.{}.attention.o_proj",
            modality="vision",
        ),
        spread=0.8,
    ),
    "audio-spectrogram-transformer": _model(
        "AST",
        "Model",
        VIT | {"num_mel_bins": 8, "max_length": 12, "time_stride": 4, "frequency_stride": 4},
        _VIT._replace(modality="audio"),
    ),
    "clip": _model(
        "CLIP",
        "Model",
        {"text_config": BERT, "vision_config": VIT},
        *_towers("decoder"),
        spread=1.0,
    ),
    "clip's text tower": _model("CLIPText", "Model", BERT, _CLIP._replace(kind="decoder")),
    "clip's vision tower": _model(
        "CLIPVision", "Model", VIT, _CLIP._replace(modality="vision"), spread=1.0
    ),
    "siglip": _model(
        "Siglip",
        "Model",
        {"text_config": BERT | {"projection_size": 18}, "vision_config": VIT},
        *_towers("encoder"),
        spread=1.0,
    ),
    **_of("Wav2Vec2 Hubert Data2VecAudio", "Model", SOUND, _SOUND, spread=1.5),
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
            if parameter.requires_grad:  # the others are tables of sines
                parameter.normal_(0, tiny.spread, generator=generator)
    return model


class Call(NamedTuple):
    """What the attention of one layer got and gave."""

    site: Site
    x: torch.Tensor  # [B, T, d_model]
    context: torch.Tensor | None  # [B, T_k, d_model]
    maps: torch.Tensor  # [B, h, T, T_k]
    output: torch.Tensor  # [B, T, d_model]
    mask: torch.Tensor | None  # [B, 1, T_k]
    asks: torch.Tensor  # [B, T], whether the token that asks is no padding


def run(kind: str, model: PreTrainedModel) -> list[Call]:
    """One pass: every layer's call, with two tokens of padding where the model knows padding."""
    tiny = TINY[kind]
    inputs, mask = _inputs(tiny, model)
    kept = {site: ([], []) for site in tiny.sites}
    hooks = []
    for site, (got, given) in kept.items():
        hooks += [
            module.register_forward_pre_hook(_keep_input(got), with_kwargs=True)
            for module in _modules(model, site.attention)
        ]
        hooks += [
            module.register_forward_hook(_keep_output(given))
            for module in _modules(model, site.output)
        ]
    with torch.no_grad():
        result = model(**inputs, output_attentions=True)
    for hook in hooks:
        hook.remove()
    calls = []
    for site, (got, given) in kept.items():
        maps = operator.attrgetter(site.maps)(result)
        context = None
        if site.kind == "cross":
            context = inputs.get("encoder_hidden_states", result.get("encoder_last_hidden_state"))
        padded = mask if maps[0].shape[-1] == T and site.modality == "text" else None
        for x, made, output in zip(got, maps, given, strict=True):
            asks = torch.ones(x.shape[:2], dtype=torch.bool)
            if padded is not None and x.shape[1] == T:
                asks = padded[:, 0]
            calls.append(Call(site, x, context, made, output, padded, asks))
    return calls


def _inputs(
    tiny: Tiny, model: PreTrainedModel
) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    """What the model takes, and which tokens of the text may be attended to."""
    generator = torch.Generator().manual_seed(5)
    modalities = {site.modality for site in tiny.sites}
    kinds = {site.kind for site in tiny.sites}
    inputs: dict[str, torch.Tensor] = {}
    attended = None
    if tiny.model.startswith("Whisper"):
        inputs["input_features"] = torch.randn(B, 4, 12, generator=generator)
    elif tiny.model.startswith("AST"):
        inputs["input_values"] = torch.randn(B, 12, 8, generator=generator)
    elif "audio" in modalities:
        inputs["input_values"] = torch.randn(B, 130, generator=generator)
    elif "text" in modalities:
        inputs["input_ids"] = torch.randint(3, VOCABULARY, (B, T), generator=generator)
        attended = torch.ones(B, T, dtype=torch.long)
        attended[1, -2:] = 0
        inputs["attention_mask"] = attended
    if "vision" in modalities:
        inputs["pixel_values"] = torch.randn(B, 1, 12, 12, generator=generator)
    if {"encoder", "cross"} <= kinds:
        target = torch.randint(3, VOCABULARY, (B, T_TARGET), generator=generator)
        inputs["decoder_input_ids"] = target
    elif "cross" in kinds:
        width = model.config.hidden_size
        inputs["encoder_hidden_states"] = torch.randn(B, 4, width, generator=generator)
    mask = None if attended is None else attended[:, None, :].bool()
    return inputs, mask


def _modules(model: PreTrainedModel, name: str) -> list[torch.nn.Module]:
    """The modules of this name in all layers; layers that share one have it once."""
    found = []
    for number in itertools.count():
        try:
            found.append(model.base_model.get_submodule(name.format(number)))
        except AttributeError:
            assert found, f"no {name}"
            return found


def _keep_input(inputs: list[torch.Tensor]) -> Callable[..., None]:
    def keep(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    return keep


def _keep_output(outputs: list[torch.Tensor]) -> Callable[..., None]:
    def keep(module: torch.nn.Module, args: tuple, output: torch.Tensor) -> None:
        outputs.append(output)

    return keep
