"""The heads of one layer, and what makes their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from attncourse.pretrained.stack import Modality
from attncourse.pretrained.terms import Norm, Relative

Kind = Literal["encoder", "decoder", "cross"]


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
        kind: ``"cross"`` if the keys are of another sequence, otherwise ``"decoder"`` if a token
            sees only itself and those before it, ``"encoder"`` if it sees both sides. CLIP's text
            tower is a decoder in this sense.
        modality: what a token that asks is a piece of: ``"text"``, ``"vision"``, ``"audio"``.
        number: of the layer among those of its kind and modality, from 0.
        num_key_value_heads: key and value heads; fewer than h in grouped-query attention.
        scale: what the scores are multiplied with; 1/√d_k in most models, 1 in T5.
        causal: a token attends to itself and to those before it.
        window: how many tokens back a causal token sees, itself among them; where it sees both
            sides, how far it sees to either. None sees all.
        rotary: the parameters of rotary positions, as the configuration gives them;
            ``interleaved`` beside them where neighbouring features are turned together, not those
            half a head apart. None without.
        norm_q, norm_k, norm_v: the norms that queries, keys and values pass; None without. The
            scores are then not ``xᵀ M y`` with any M: see ``beside``.
        relative: what the distance of two tokens adds to their score; None without.
        soft_cap: c, where scores become ``c · tanh(scores / c)``; None without.
        sink: ``[h]``, a score that takes attention from all keys; None without.
        value_is_key: the layer has no values of its own, and ``W_v`` is ``W_k``.
        unmapped: what the layer does that ``attention_maps`` does not know; None if nothing.
    """

    W_q: Tensor
    W_k: Tensor
    W_v: Tensor
    W_o: Tensor
    b_q: Tensor | None
    b_k: Tensor | None
    b_v: Tensor | None
    b_o: Tensor | None
    kind: Kind
    modality: Modality
    number: int
    num_key_value_heads: int
    scale: float
    causal: bool
    window: int | None
    rotary: Mapping[str, Any] | None
    norm_q: Norm | None
    norm_k: Norm | None
    norm_v: Norm | None
    relative: Relative | None
    soft_cap: float | None
    sink: Tensor | None
    value_is_key: bool
    unmapped: str | None

    @property
    def beside(self) -> tuple[str, ...]:
        """What makes this layer's scores beside ``M = W_qᵀ W_k``, in words; empty if nothing does.

        Biases, the causal mask and a window are not counted.
        """
        named = {
            "norms of query and key": self.norm_q,
            "rotary positions": self.rotary,
            "a term of the distance": self.relative,
            f"a cap at {self.soft_cap:g}" if self.soft_cap is not None else "": self.soft_cap,
            "a sink": self.sink,
        }
        return tuple(words for words, there in named.items() if there is not None)
