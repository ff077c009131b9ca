"""A stack of attention layers that are alike: the names of its tensors, and its rules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from attncourse.pretrained.checkpoint import Settings
from attncourse.pretrained.terms import Relative

Modality = Literal["text", "vision", "audio"]


class Shape(NamedTuple):
    """The sizes of one layer's attention."""

    d_model: int
    d_k: int
    heads: int
    key_heads: int


class Tensors(Protocol):
    """Where a rule finds the tensors of its layer, and those of the whole model."""

    def of_layer(self, name: str, shape: tuple[int, ...]) -> Tensor: ...
    def of_model(self, name: str, shape: tuple[int, ...]) -> Tensor: ...


class Place(NamedTuple):
    """A layer that a rule is asked about."""

    settings: Settings
    layer: int
    shape: Shape


@dataclass(frozen=True)
class QKNorm:
    """Names of the norms of query and key, and how they norm; ``Norm`` says what the words mean."""

    query: str
    key: str
    centred: bool = False
    together: bool = False
    plus_one: bool = False  # the gain is stored as what is added to 1
    each_head: bool = False  # a gain for each head, [h, d_k]; with {} in the name one by one
    bias: bool = False
    eps: tuple[str, ...] = ("rms_norm_eps", "layer_norm_eps", "norm_eps")
    value: bool = False  # the value is normed as well, without a gain
    when: Callable[[Settings], bool] = lambda settings: True


@dataclass(frozen=True)
class Stack:
    """Layers that are alike: names of their tensors, and how they make scores.

    Attributes:
        layer: what stands before the names of layer {}; or a rule that says so.
        query, key, value, output: the linear maps. Where several have one name, their rows lie
            in one matrix: those of the queries, then of the keys, then of the values.
        grouped_rows: ... or group by group: some queries, their key, their value.
        transposed: they are stored as ``[in, out]``, a "Conv1D".
        biases: names of the biases of q, k and v where these are not ``name.bias``.
        biased: whether the model uses the biases that the file may hold.
        modality: what a token that asks is: a piece of text, of a picture, of a sound.
        section: of the configuration; empty for the whole.
        defaults: sizes that published configurations leave out.
        cross: the keys are of another sequence.
        causal: a token sees those before it alone.
        depth, heads, key_heads, width: where the configuration says how many.
        d_k: features of a query; a rule, since some do not divide ``width`` by ``heads``.
        scale, window, rotary, soft_cap, relative: as ``LayerHeads`` has them.
        norm: of queries and keys.
        sink: the name of a score, one for each head, that takes attention from all keys.
        value_is_key: the layer has no values of its own.
        refused: a reason why a checkpoint cannot be read, or None.
        unmapped: a reason why maps cannot be computed although the heads can be read, or None.
    """

    layer: str | Callable[[Settings, int], str]
    query: str
    key: str
    value: str
    output: str
    grouped_rows: Callable[[Settings], bool] = lambda settings: False
    transposed: bool = False
    biases: tuple[str | None, str | None, str | None] | None = None
    biased: Callable[[Settings], bool] = lambda settings: True
    modality: Modality = "text"
    section: str = ""
    defaults: Mapping[str, int] = field(default_factory=dict)
    cross: bool = False
    causal: Callable[[Settings], bool] = lambda settings: False
    depth: tuple[str, ...] = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    heads: tuple[str, ...] = ("num_attention_heads", "n_head", "n_heads", "num_heads")
    width: tuple[str, ...] = ("hidden_size", "n_embd", "n_embed", "dim", "d_model")
    key_heads: Callable[[Settings, int, int], int] = lambda settings, layer, heads: settings.number(
        "num_key_value_heads", otherwise=heads
    )
    d_k: Callable[[Settings, int, int], int] = lambda settings, layer, otherwise: settings.number(
        "head_dim", otherwise=otherwise
    )
    scale: Callable[[Place], float] = lambda place: 1 / math.sqrt(place.shape.d_k)
    window: Callable[[Settings, int], int | None] = lambda settings, layer: None
    rotary: Callable[[Settings, int], Mapping[str, Any] | None] = lambda settings, layer: None
    soft_cap: Callable[[Settings], float | None] = lambda settings: None
    relative: Callable[[Place, Tensors], Relative | None] = lambda place, tensors: None
    norm: QKNorm | None = None
    sink: str = ""
    value_is_key: Callable[[Settings, int], bool] = lambda settings, layer: False
    refused: Callable[[Settings], str | None] = lambda settings: None
    unmapped: Callable[[Settings], str | None] = lambda settings: None

    def but(self, **changes: Any) -> Stack:
        """The same with some rules changed."""
        return dataclasses.replace(self, **changes)
