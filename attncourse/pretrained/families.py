"""The families of models that are known: what each calls its tensors, and how it makes scores.

A family is one stack of layers or several: a decoder has one of its own and one that looks at the
encoder. Rules that one family alone has stand above its row. Where a family has a default that its
configuration need not name, the rule knows it.

To add a family: a row in ``FAMILIES`` below, and one in the table of the tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from attncourse.pretrained.checkpoint import Settings
from attncourse.pretrained.rules import (
    CLIPS,
    ONE_WAY,
    always,
    buckets,
    causal,
    decodes,
    flag,
    never,
    only_absolute,
    rope,
    rope_by_kind,
    rope_where,
    scale_by_number,
    slides,
    slides_but_each,
    slopes,
    unless,
    unscaled,
    window,
    window_but_each,
    window_where_asked,
)
from attncourse.pretrained.sources import CheckpointError
from attncourse.pretrained.stack import Place, QKNorm, Stack, Tensors
from attncourse.pretrained.terms import Disentangled, Relative, Slopes, layer_norm

# ---------------------------------------------------------------- encoders

_BERT = Stack(
    "encoder.layer.{}.attention.",
    "self.query",
    "self.key",
    "self.value",
    "output.dense",
    causal=decodes,
    refused=only_absolute,
)
_BERTS = (_BERT, _BERT.but(layer="encoder.layer.{}.crossattention.", cross=True))
_DISTILBERT = Stack("transformer.layer.{}.attention.", "q_lin", "k_lin", "v_lin", "out_lin")


def _albert_layer(settings: Settings, layer: int) -> str:
    """Layers of a group share their weights: most files have one group for all twelve."""
    groups = settings.number("num_hidden_groups", otherwise=1)
    group = int(layer / (settings.number("num_hidden_layers") / groups))
    return f"encoder.albert_layer_groups.{group}.albert_layers.0.attention."


_ALBERT = Stack(
    _albert_layer,
    "query",
    "key",
    "value",
    "dense",
    refused=unless("inner_group_num", 1, "goes through several layers in each group"),
)
_MPNET = Stack(
    "encoder.layer.{}.attention.attn.",
    "q",
    "k",
    "v",
    "o",
    relative=partial(buckets, "encoder.relative_attention_bias.weight", True, False),
)


def _asked(settings: Settings) -> list[str]:
    """DeBERTa's ``pos_att_type``, a list or, in older files, "c2p|p2c"."""
    kinds = settings.get("pos_att_type", [])
    return kinds.split("|") if isinstance(kinds, str) else list(kinds)


def _scale_deberta(place: Place) -> float:
    return 1 / math.sqrt(place.shape.d_k * (1 + len(_asked(place.settings))))


def _disentangled(version: int, place: Place, tensors: Tensors) -> Relative | None:
    settings, shape = place.settings, place.shape
    kinds = _asked(settings)
    if not (settings.get("relative_attention", False) and {"c2p", "p2c"} & set(kinds)):
        return None
    reach = settings.get("max_relative_positions", -1)
    if reach < 1:
        reach = settings.number("max_position_embeddings", otherwise=512)
    buckets = settings.get("position_buckets", -1) if version == 2 else -1
    span = buckets if buckets > 0 else reach
    table = tensors.of_model("encoder.rel_embeddings.weight", (2 * span, shape.d_model))
    if "layer_norm" in str(settings.get("norm_rel_ebd", "none")) and version == 2:
        weight, bias = (
            tensors.of_model(f"encoder.LayerNorm.{part}", (shape.d_model,))
            for part in ("weight", "bias")
        )
        table = layer_norm(table, weight, bias, float(settings.get("layer_norm_eps", 1e-7)))

    def projected(name: str, bias: bool) -> Tensor:
        rows = shape.heads * shape.d_k
        to = table @ tensors.of_layer(f"{name}.weight", (rows, shape.d_model)).to(table).mT
        if bias:
            to = to + tensors.of_layer(f"{name}.bias", (rows,)).to(table)
        return to.unflatten(-1, (shape.heads, shape.d_k)).transpose(0, 1)

    if version == 1:
        names = ("self.pos_proj", False), ("self.pos_q_proj", True)
    elif settings.get("share_att_key", False):
        names = ("self.key_proj", True), ("self.query_proj", True)
    else:
        names = ("self.pos_key_proj", True), ("self.pos_query_proj", True)
    keys = projected(*names[0]) if "c2p" in kinds else None
    queries = projected(*names[1]) if "p2c" in kinds else None
    return Disentangled(keys, queries, _scale_deberta(place), reach if buckets > 0 else None)


_DEBERTA = Stack(
    "encoder.layer.{}.attention.",
    "self.in_proj",
    "self.in_proj",
    "self.in_proj",
    "output.dense",
    grouped_rows=always,
    biases=("self.q_bias", None, "self.v_bias"),
    scale=_scale_deberta,
    relative=partial(_disentangled, 1),
    unmapped=unless("talking_head", False, "mixes the heads' scores"),
)
_DEBERTA_2 = Stack(
    "encoder.layer.{}.attention.",
    "self.query_proj",
    "self.key_proj",
    "self.value_proj",
    "output.dense",
    scale=_scale_deberta,
    relative=partial(_disentangled, 2),
)


def _modernbert_slides(settings: Settings, layer: int) -> bool:
    every = settings.number("global_attn_every_n_layers", otherwise=3)
    return slides(settings, layer, lambda number: number % every != 0)


def _window_modernbert(settings: Settings, layer: int) -> int | None:
    """The configuration counts both sides together."""
    here = _modernbert_slides(settings, layer)
    return settings.number("local_attention", otherwise=128) // 2 if here else None


_MODERNBERT = Stack(
    "layers.{}.attn.",
    "Wqkv",
    "Wqkv",
    "Wqkv",
    "Wo",
    window=_window_modernbert,
    rotary=rope_by_kind(
        _modernbert_slides, ("global_rope_theta", 160_000.0), ("local_rope_theta", 10_000.0)
    ),
)


def _esm_turns(settings: Settings, layer: int = 0) -> bool:
    return bool(settings.get("position_embedding_type") == "rotary")


_ESM = _BERT.but(
    rotary=rope_where(_esm_turns, rope()),
    refused=lambda settings: None if _esm_turns(settings) else only_absolute(settings),
)
_ROFORMER = _BERT.but(
    rotary=lambda settings, layer: {"rope_theta": 10_000.0, "interleaved": True},
    refused=unless("rotary_value", False, "turns its values by their positions too"),
)

# ---------------------------------------------------------------- causal decoders


def _scale_gpt2(place: Place) -> float:
    settings = place.settings
    scale = 1 / math.sqrt(place.shape.d_k) if settings.get("scale_attn_weights", True) else 1.0
    by_layer = settings.get("scale_attn_by_inverse_layer_idx", False)
    return scale / (place.layer + 1) if by_layer else scale


_GPT2 = Stack(
    "h.{}.attn.",
    "c_attn",
    "c_attn",
    "c_attn",
    "c_proj",
    transposed=True,
    causal=causal,
    scale=_scale_gpt2,
)
_GPT2_CROSS = _GPT2.but(layer="h.{}.crossattention.", query="q_attn", cross=True)
_BIGCODE = _GPT2.but(
    transposed=False,
    grouped_rows=lambda settings: not settings.get("multi_query", True),
    key_heads=lambda settings, layer, heads: 1 if settings.get("multi_query", True) else heads,
    scale=lambda place: _scale_gpt2(place._replace(layer=0)),
)


def _window_gpt_neo(settings: Settings, layer: int) -> int | None:
    kinds = [
        kind
        for pattern, times in settings.get("attention_types", [[["global", "local"], 12]])
        for _ in range(times)
        for kind in pattern
    ]
    if layer >= len(kinds):
        raise CheckpointError(
            f"the config.json of {settings.name} must give attention_types for every layer, "
            f"it gives {settings.get('attention_types')}"
        )
    return settings.number("window_size", otherwise=256) if kinds[layer] == "local" else None


_GPT_NEO = Stack(
    "h.{}.attn.attention.",
    "q_proj",
    "k_proj",
    "v_proj",
    "out_proj",
    causal=always,
    scale=unscaled,
    window=_window_gpt_neo,
)


def _rope_gptj(settings: Settings, layer: int) -> Mapping[str, Any]:
    turned = settings.number("rotary_dim", otherwise=64)
    return {"rope_theta": 10_000.0, "rotary_dim": turned, "interleaved": True}


_GPTJ = Stack(
    "h.{}.attn.", "q_proj", "k_proj", "v_proj", "out_proj", causal=causal, rotary=_rope_gptj
)
_NEOX = Stack(
    "layers.{}.attention.",
    "query_key_value",
    "query_key_value",
    "query_key_value",
    "dense",
    grouped_rows=always,
    causal=causal,
    rotary=rope(share=0.25, names=("rotary_emb_base", "rotary_pct")),
)
_BLOOM = Stack(
    "h.{}.self_attention.",
    "query_key_value",
    "query_key_value",
    "query_key_value",
    "dense",
    grouped_rows=always,
    causal=causal,
    relative=slopes,
)


def _slopes_falcon(place: Place, tensors: Tensors) -> Relative | None:
    """Falcon adds them before the scores are scaled."""
    if not place.settings.get("alibi", False):
        return None
    return Slopes.of(place.shape.heads, bfloat16=True, scale=1 / math.sqrt(place.shape.d_k))


def _falcon_key_heads(settings: Settings, layer: int, heads: int) -> int:
    if settings.get("new_decoder_architecture", False):
        return settings.number("num_kv_heads", "n_head_kv", otherwise=heads)
    return 1 if settings.get("multi_query", True) else heads


_FALCON = _BLOOM.but(
    key_heads=_falcon_key_heads,
    rotary=rope_where(lambda settings, layer: not settings.get("alibi"), rope()),
    relative=_slopes_falcon,
)


def _slopes_mpt(place: Place, tensors: Tensors) -> Relative | None:
    attention = place.settings.of_part("attn_config")
    return Slopes.of(place.shape.heads) if attention.get("alibi", True) else None


_MPT = Stack(
    "blocks.{}.attn.",
    "Wqkv",
    "Wqkv",
    "Wqkv",
    "out_proj",
    causal=causal,
    scale=lambda place: float(
        place.settings.of_part("attn_config").get("softmax_scale", place.shape.d_k**-0.5)
    ),
    relative=_slopes_mpt,
    refused=lambda settings: unless(
        "alibi_bias_max", 8, "has slopes of another length than the paper's"
    )(settings.of_part("attn_config")),
    unmapped=lambda settings: CLIPS(settings.of_part("attn_config")),
)
_OPT = Stack(
    "decoder.layers.{}.self_attn.", "q_proj", "k_proj", "v_proj", "out_proj", causal=causal
)
_BIOGPT = _OPT.but(layer="layers.{}.self_attn.")
_LLAMA = Stack(
    "layers.{}.self_attn.",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    causal=causal,
    biased=flag("attention_bias", False),
    rotary=rope(),
)
_MISTRAL = _LLAMA.but(biased=never, window=window(4096))
_QWEN2 = _LLAMA.but(biased=always, window=window_where_asked)
_PER_HEAD = QKNorm("q_norm", "k_norm")
_QWEN3 = _LLAMA.but(norm=_PER_HEAD, window=window_where_asked)


def _window_qwen3_moe(settings: Settings, layer: int) -> int | None:
    """In every layer or in none."""
    return window(4096)(settings, layer) if settings.get("use_sliding_window", False) else None


_GEMMA = _LLAMA.but(refused=ONE_WAY)
_GEMMA_2 = _GEMMA.but(
    scale=scale_by_number("query_pre_attn_scalar", 256),
    window=window_but_each(2, 4096),
    soft_cap=lambda settings: settings.values.get("attn_logit_softcapping", 50.0),
)
_GEMMA_3 = _GEMMA.but(
    scale=scale_by_number("query_pre_attn_scalar", 256),
    window=window_but_each(6, 4096),
    norm=dataclasses.replace(_PER_HEAD, plus_one=True),
    rotary=rope_by_kind(
        slides_but_each(6), ("rope_theta", 1_000_000.0), ("rope_local_base_freq", 10_000.0)
    ),
)


def _gemma4_slides(settings: Settings, layer: int) -> bool:
    last = layer + 1 == settings.number("num_hidden_layers")
    return not last and slides_but_each(6)(settings, layer)


def _rope_gemma4(settings: Settings, layer: int) -> Mapping[str, Any]:
    given = settings.section("rope_parameters") or {
        "sliding_attention": {"rope_theta": 10_000.0},
        "full_attention": {
            "rope_type": "proportional",
            "partial_rotary_factor": 0.25,
            "rope_theta": 1_000_000.0,
        },
    }
    kind = "sliding_attention" if _gemma4_slides(settings, layer) else "full_attention"
    return dict(given.get(kind, {}))


def _gemma4_own(settings: Settings, layer: int) -> Settings:
    """What a layer has for itself: newer files say so, in older ones all global layers have."""
    if settings.values.get("per_layer_config") is not None:
        return settings.of_part("per_layer_config").of_part(str(layer))
    return Settings(
        settings.name,
        {}
        if _gemma4_slides(settings, layer)
        else {
            "head_dim": settings.number("global_head_dim", otherwise=512),
            "num_key_value_heads": settings.get("num_global_key_value_heads")
            if settings.get("attention_k_eq_v", False)
            else None,
        },
    )


def _gemma4_key_heads(settings: Settings, layer: int, heads: int) -> int:
    own = settings.number("num_key_value_heads", otherwise=4)
    return _gemma4_own(settings, layer).number("num_key_value_heads", otherwise=own)


def _gemma4_d_k(settings: Settings, layer: int, otherwise: int) -> int:
    own = settings.number("head_dim", otherwise=256)
    return _gemma4_own(settings, layer).number("head_dim", otherwise=own)


_GEMMA_4 = _GEMMA.but(
    scale=unscaled,
    window=lambda settings, layer: (
        settings.number("sliding_window", otherwise=512)
        if _gemma4_slides(settings, layer)
        else None
    ),
    norm=dataclasses.replace(_PER_HEAD, value=True),
    d_k=_gemma4_d_k,
    rotary=_rope_gemma4,
    key_heads=_gemma4_key_heads,
    value_is_key=lambda settings, layer: (
        bool(settings.get("attention_k_eq_v", False)) and not _gemma4_slides(settings, layer)
    ),
    refused=lambda settings: (
        ONE_WAY(settings)
        or unless(
            "num_kv_shared_layers", 0, "takes keys and values of late layers from earlier ones"
        )(settings)
    ),
)
_OLMO_2 = _LLAMA.but(norm=dataclasses.replace(_PER_HEAD, together=True))
_OLMO_3 = _OLMO_2.but(window=window_but_each(4, 4096), rotary=rope(theta=500_000.0))
_COHERE = _LLAMA.but(
    rotary=rope(theta=500_000.0, interleaved=True),
    norm=QKNorm("q_norm", "k_norm", centred=True, each_head=True, when=flag("use_qk_norm", False)),
)


_COHERE_2 = _LLAMA.but(
    window=window_but_each(4, 4096),
    rotary=rope_where(slides_but_each(4), rope(interleaved=True)),
)


def _smollm3_turns(settings: Settings, layer: int) -> bool:
    """Each fourth layer knows no positions; the configuration lists those that do as 1."""
    listed = settings.get("no_rope_layers")
    every = settings.number("no_rope_layer_interval", otherwise=4)
    return bool(listed[layer]) if listed else (layer + 1) % every != 0


_STABLELM = _LLAMA.but(
    biased=flag("use_qkv_bias", False),
    rotary=rope(share=0.25),
    norm=QKNorm(
        "q_layernorm.norms.{}",
        "k_layernorm.norms.{}",
        centred=True,
        each_head=True,
        when=flag("qk_layernorm", False),
    ),
)
_NORMED_LIKE_PHI = QKNorm(
    "q_layernorm", "k_layernorm", centred=True, bias=True, when=flag("qk_layernorm", False)
)
_PHI = _LLAMA.but(
    output="dense",
    biased=always,
    rotary=rope(share=0.5),
    norm=_NORMED_LIKE_PHI,
)
_PERSIMMON = _PHI.but(
    query="query_key_value",
    key="query_key_value",
    value="query_key_value",
    grouped_rows=always,
    norm=dataclasses.replace(_NORMED_LIKE_PHI, when=flag("qk_layernorm", True)),
)
_PHI_3 = _LLAMA.but(
    query="qkv_proj",
    key="qkv_proj",
    value="qkv_proj",
    biased=never,
    window=window(None),
)
_GLM = _LLAMA.but(biased=flag("attention_bias", True), rotary=rope(share=0.5, interleaved=True))
_GPT_OSS = _LLAMA.but(
    biased=flag("attention_bias", True),
    window=window_but_each(2, 128),
    rotary=rope(theta=150_000.0),
    sink="sinks",
)

# ---------------------------------------------------------------- encoders and decoders

_BART_ENCODER = Stack(
    "encoder.layers.{}.self_attn.",
    "q_proj",
    "k_proj",
    "v_proj",
    "out_proj",
    depth=("encoder_layers",),
    heads=("encoder_attention_heads",),
)
_BART_DECODER = _BART_ENCODER.but(
    layer="decoder.layers.{}.self_attn.",
    depth=("decoder_layers",),
    heads=("decoder_attention_heads",),
    causal=causal,
)
_BART = (
    _BART_ENCODER,
    _BART_DECODER,
    # Across, a token of the decoder sees all of the encoder's.
    _BART_DECODER.but(layer="decoder.layers.{}.encoder_attn.", cross=True, causal=never),
)
_WHISPER = (_BART[0].but(modality="audio"), *_BART[1:])


def _t5(of_layer: bool) -> tuple[Stack, Stack, Stack]:
    """T5 has one table of distances for all layers of a stack, UMT5 one in each."""

    def table(stack: str) -> str:
        name = "SelfAttention.relative_attention_bias.weight"
        return name if of_layer else f"{stack}.block.0.layer.0.{name}"

    encoder = Stack(
        "encoder.block.{}.layer.0.",
        "SelfAttention.q",
        "SelfAttention.k",
        "SelfAttention.v",
        "SelfAttention.o",
        depth=("num_layers",),
        heads=("num_heads",),
        d_k=lambda settings, layer, otherwise: settings.number("d_kv", otherwise=64),
        scale=unscaled,
        relative=partial(buckets, table("encoder"), True, of_layer),
    )
    decoder = encoder.but(
        layer="decoder.block.{}.layer.0.",
        depth=("num_decoder_layers", "num_layers"),
        causal=causal,
        relative=partial(buckets, table("decoder"), False, of_layer),
    )
    cross = Stack(
        "decoder.block.{}.layer.1.",
        "EncDecAttention.q",
        "EncDecAttention.k",
        "EncDecAttention.v",
        "EncDecAttention.o",
        cross=True,
        depth=decoder.depth,
        heads=encoder.heads,
        d_k=encoder.d_k,
        scale=encoder.scale,
    )
    return encoder, decoder, cross


# ---------------------------------------------------------------- pictures and sounds

_VIT = Stack(
    "encoder.layer.{}.attention.",
    "attention.query",
    "attention.key",
    "attention.value",
    "output.dense",
    modality="vision",
)
_CLIP_TEXT = Stack(
    "encoder.layers.{}.self_attn.", "q_proj", "k_proj", "v_proj", "out_proj", causal=causal
)
_CLIP_VISION = _CLIP_TEXT.but(modality="vision", causal=never)
_OF_BASE = {"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 768}
_CLIP = (
    _CLIP_TEXT.but(
        layer="text_model.encoder.layers.{}.self_attn.",
        section="text_config",
        defaults=_OF_BASE | {"num_attention_heads": 8, "hidden_size": 512},
    ),
    _CLIP_VISION.but(
        layer="vision_model.encoder.layers.{}.self_attn.",
        section="vision_config",
        defaults=_OF_BASE,
    ),
)
_SIGLIP = (_CLIP[0].but(causal=never, defaults=_OF_BASE), _CLIP[1])
_WAV2VEC2 = Stack(
    "encoder.layers.{}.attention.", "q_proj", "k_proj", "v_proj", "out_proj", modality="audio"
)

# By the "model_type" of config.json.
FAMILIES: Mapping[str, Stack | tuple[Stack, ...]] = {
    "bert": _BERTS,
    "roberta": _BERTS,
    "xlm-roberta": _BERTS,
    "camembert": _BERTS,
    "electra": _BERTS,
    "ernie": _BERTS,
    "megatron-bert": _BERTS,
    "rembert": _BERTS,
    "data2vec-text": _BERTS,
    "roberta-prelayernorm": _BERTS,
    "distilbert": _DISTILBERT,
    "albert": _ALBERT,
    "mpnet": _MPNET,
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA_2,
    "modernbert": _MODERNBERT,
    "roformer": _ROFORMER,
    "esm": _ESM,
    "gpt2": (_GPT2, _GPT2_CROSS),
    "gpt_bigcode": _BIGCODE,
    "gpt_neo": _GPT_NEO,
    "gptj": _GPTJ,
    "gpt_neox": _NEOX,
    "bloom": _BLOOM,
    "falcon": _FALCON,
    "mpt": _MPT,
    "opt": _OPT,
    "biogpt": _BIOGPT,
    "llama": _LLAMA,
    "mistral": _MISTRAL,
    "mixtral": _MISTRAL.but(window=window(None), rotary=rope(theta=1_000_000.0)),
    "qwen2": _QWEN2,
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3.but(window=_window_qwen3_moe),
    "gemma": _GEMMA,
    "gemma2": _GEMMA_2,
    "gemma3_text": _GEMMA_3,
    "gemma4_text": _GEMMA_4,
    "olmo": _LLAMA.but(unmapped=CLIPS),
    "olmo2": _OLMO_2,
    "olmo3": _OLMO_3,
    "cohere": _COHERE,
    "cohere2": _COHERE_2,
    "stablelm": _STABLELM,
    "starcoder2": _LLAMA.but(biased=flag("use_bias", True), window=window(None)),
    "granite": _LLAMA.but(
        scale=lambda place: float(place.settings.get("attention_multiplier", 1.0))
    ),
    "smollm3": _LLAMA.but(
        rotary=rope_where(_smollm3_turns, rope(theta=2_000_000.0)), window=window_where_asked
    ),
    "phi": _PHI,
    "phi3": _PHI_3,
    "persimmon": _PERSIMMON,
    "nemotron": _LLAMA.but(rotary=rope(share=0.5)),
    "glm": _GLM,
    "glm4": _GLM,
    "gpt_oss": _GPT_OSS,
    "bart": _BART,
    "mbart": _BART,
    "marian": _BART,
    "pegasus": _BART,
    "blenderbot": _BART,
    "blenderbot-small": _BART,
    "m2m_100": _BART,
    "plbart": _BART,
    "whisper": _WHISPER,
    "t5": _t5(of_layer=False),
    "mt5": _t5(of_layer=False),
    "umt5": _t5(of_layer=True),
    "vit": _VIT,
    "deit": _VIT,
    "vit_msn": _VIT,
    "dinov2": _VIT,
    "dinov2_with_registers": _VIT,
    "audio-spectrogram-transformer": _VIT.but(modality="audio"),
    "clip": _CLIP,
    "clip_text_model": _CLIP_TEXT,
    "clip_vision_model": _CLIP_VISION,
    "siglip": _SIGLIP,
    "wav2vec2": _WAV2VEC2,
    "hubert": _WAV2VEC2,
    "data2vec-audio": _WAV2VEC2,
}
