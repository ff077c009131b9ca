"""Attention, from raw similarity to separate query, key and value projections.

Shapes, once for the whole file; ``...`` stands for any leading batch dimensions:

====================  ==========================================================
``x``                 ``[..., T, D]``: T tokens of D features
``query``             ``[..., T_q, d_k]``
``key``               ``[..., T_k, d_k]``
``value``             ``[..., T_k, d_v]``: one value per key
``scores, weights``   ``[..., T_q, T_k]``: row i belongs to query i
``mask``              boolean, broadcasts to ``[..., T_q, T_k]``; True = may attend
====================  ==========================================================

NaN and infinite values are refused on the CPU alone. To look at a number on a GPU is to wait for
all that was asked of it before, in every layer of a network; so there, and within ``torch.vmap``
and ``torch.compile``, they become what torch's own functions make of them.

Source of the formula: Vaswani et al. 2017, "Attention Is All You Need", section 3.2
(arXiv 1706.03762). Why the projections may or may not be tied: the book's part "The projections".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, overload

import torch
from torch import Tensor, nn

from attncourse.arguments import (
    autocasts,
    broadcast,
    check_features,
    check_finite,
    check_float_tensor,
    check_leading,
    check_like_weight,
    check_same_kind,
    check_size,
    count_bad,
    known_finite,
    own_weight,
    shape_of,
    type_name,
)
from attncourse.fused_kernel import fused_attention

# ---------------------------------------------------------------- similarity


def cosine_affinity(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Cosine of the angle between every row of ``x`` and every row of ``y``.

    Args:
        x: ``[..., T_q, D]``, floating point.
        y: ``[..., T_k, D]``; ``x`` itself when left out.

    Returns:
        ``[..., T_q, T_k]`` with values in [-1, 1], up to rounding. A zero vector has no
        direction: its cosine with anything is 0, never NaN, and so is its gradient.

    Raises:
        TypeError: an argument is not a floating-point tensor, or the two differ in dtype.
        ValueError: shapes do not fit, or there are NaN or infinite values.
    """
    y = _checked_pair(x, y)
    if y is x:
        direction = _directions(x)
        return direction @ direction.mT
    return _directions(x) @ _directions(y).mT


def dot_affinity(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Dot product of every row of ``x`` with every row of ``y``.

    Arguments, shapes and errors as in :func:`cosine_affinity`.
    """
    return x @ _checked_pair(x, y).mT


def _checked_pair(x: Tensor, y: Tensor | None) -> Tensor:
    """Check the two arguments of an affinity; return ``y``, or ``x`` in its place."""
    check_features("x", x)
    if y is None or y is x:
        return x
    check_features("y", y)
    check_same_kind("x", x, "y", y)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"x and y must have the same number of features: "
            f"x is {shape_of(x)}, y is {shape_of(y)}; "
            f"the last dimensions are {x.shape[-1]} and {y.shape[-1]}"
        )
    check_leading(x=x, y=y)
    return y


def _directions(x: Tensor) -> Tensor:
    """Rows of ``x`` scaled to length 1; zero rows stay zero."""
    # Dividing by the largest entry first keeps the squares in range: without it a row of
    # 1e-30s would count as zero, and one of 1e30s as infinite.
    largest = x.detach().abs().amax(-1, keepdim=True) if x.shape[-1] else x.new_zeros(())
    scaled = x / largest.masked_fill(largest == 0, torch.inf)  # 0 / inf: value 0, gradient 0
    squares = scaled.square().sum(-1, keepdim=True)
    # sqrt has an infinite slope at 0, which would turn a zero row's gradient into NaN.
    return scaled / squares.masked_fill(squares == 0, 1).sqrt()


# ---------------------------------------------------------------- scores to output


def attention_weights(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the keys (the last dimension), with some keys forbidden.

    Args:
        scores: ``[..., T_q, T_k]``, floating point; ``-inf`` forbids a key as a mask does.
        mask: boolean, broadcasts to ``scores``; True = may attend.

    Returns:
        ``[..., T_q, T_k]``: each row is non-negative and adds up to 1. A row that may attend
        to nothing is all zeros, never NaN.

    Raises:
        TypeError: ``scores`` is not a floating-point tensor, or ``mask`` is not boolean.
        ValueError: ``scores`` has NaN or ``+inf``, or ``mask`` does not broadcast to it.
    """
    check_float_tensor("scores", scores, "[..., T_k]", minimum_dimensions=1)
    finite = known_finite(scores)
    if finite is False and bool((scores.isnan() | scores.isposinf()).any()):
        bad = count_bad(scores.masked_fill(scores.isneginf(), 0))
        raise ValueError(f"scores must not contain NaN or +inf; {bad}")
    if mask is not None:
        _check_mask(mask, scores.shape, "the shape of scores", scores)
    return _weights(scores, mask, may_have_minus_inf=not finite)


def _weights(scores: Tensor, mask: Tensor | None, *, may_have_minus_inf: bool = False) -> Tensor:
    """:func:`attention_weights` without the checks."""
    if may_have_minus_inf:
        allowed = scores != -torch.inf
        mask = allowed if mask is None else mask & allowed
    if mask is None:
        return scores.softmax(-1)
    # softmax of a row of -inf is NaN, forwards and backwards: give such a row zeros for scores,
    # then wipe it, so that neither its weights nor its gradient exist.
    sees_nothing = ~mask.any(-1, keepdim=True)
    weights = scores.masked_fill(~mask, -torch.inf).masked_fill_(sees_nothing, 0).softmax(-1)
    return weights.masked_fill(sees_nothing, 0)


@overload
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    return_weights: Literal[False] = False,
) -> Tensor: ...
@overload
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    return_weights: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@overload
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    return_weights: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """``softmax(scale · query keyᵀ) value``: scaled dot-product attention.

    Args:
        query: ``[..., T_q, d_k]``, floating point.
        key: ``[..., T_k, d_k]``.
        value: ``[..., T_k, d_v]``; d_v may differ from d_k.
        mask: boolean, broadcasts to ``[..., T_q, T_k]``; True = may attend. Leading dimensions
            are aligned from the right, as everywhere in torch.
        scale: factor on the scores; 1/√d_k when left out.
        return_weights: also return the weights. They cost ``T_q × T_k`` numbers of memory;
            without them torch's fused kernel is used, which never stores them, but has no
            second derivative.

    Returns:
        The output ``[..., T_q, d_v]``, or ``(output, weights)`` with weights
        ``[..., T_q, T_k]``, whose leading dimensions are those of query and key. A query that
        may attend to nothing gets zeros, never NaN. Scores too large for their dtype give NaN.

    Raises:
        TypeError: an argument is not a floating-point tensor, dtypes differ, mask is not boolean.
        ValueError: shapes or devices do not fit, or there are NaN or infinite values.

    Source: Vaswani et al. 2017, section 3.2.1, equation 1.
    """
    query, key, value = _one_dtype(query, key, value)
    _check_attend(query, key, value, mask, scale)
    if scale is None:
        scale = _default_scale(query)
    if return_weights:
        return _attend_with_weights(query, key, value, mask, scale)
    return fused_attention(query, key, value, mask, scale)


def _one_dtype(*tensors: Tensor) -> Iterable[Tensor]:
    """Within autocast, which leaves some of them in float32, all in the dtype that it computes in.

    Elsewhere, and where there is nothing to do, as they are: what does not fit is refused later.
    """
    if not all(isinstance(x, Tensor) and x.is_floating_point() for x in tensors):
        return tensors
    device = tensors[0].device.type
    dtypes = {x.dtype for x in tensors}
    # Like autocast itself, which does not touch numbers of double precision.
    if len(dtypes) == 1 or torch.float64 in dtypes or not autocasts(tensors[0]):
        return tensors
    return (x.to(torch.get_autocast_dtype(device)) for x in tensors)


def _default_scale(query: Tensor) -> float:
    """1/√d_k: with it, scores of independent standard normal numbers have variance 1."""
    return 1 / math.sqrt(query.shape[-1])


def _attend_with_weights(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """What :func:`attncourse.fused_kernel.fused_attention` computes, and the weights."""
    weights = _weights(_scores(query, key, scale), mask).to(value.dtype)
    return weights @ value, weights


def _scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """``scale · query keyᵀ``, in single precision at least.

    As in the fused kernel: scores of half precision overflow, or lose their differences.
    """
    if autocasts(query):
        with torch.autocast(query.device.type, enabled=False):
            return _scores(query, key, scale)
    if query.dtype in (torch.float16, torch.bfloat16):
        query, key = query.float(), key.float()
    # Scaling the query costs T_q × d_k products, scaling the scores T_q × T_k.
    return (query * scale) @ key.mT


# ---------------------------------------------------------------- modules


class _MultiHead(nn.Module):
    """Heads and their masks: what self- and cross-attention have in common."""

    def __init__(self, num_heads: int, d_k: int, d_v: int) -> None:
        super().__init__()
        self.num_heads, self.d_k, self.d_v = num_heads, d_k, d_v

    def _weight_per_head(self, weight: Tensor) -> Tensor:
        """``[h·d_head, d_in]`` seen as ``[h, d_head, d_in]``."""
        return weight.unflatten(0, (self.num_heads, -1))

    def _output_weight_per_head(self, weight: Tensor) -> Tensor:
        """``[d_out, h·d_v]`` seen as ``[h, d_out, d_v]``."""
        return weight.unflatten(1, (self.num_heads, -1)).transpose(0, 1)

    def _split_heads(self, x: Tensor) -> Tensor:
        """``[..., T, h·d_head]`` -> ``[..., h, T, d_head]``."""
        d_head = x.shape[-1] // self.num_heads  # said outright: -1 has no answer for an empty batch
        return x.view(*x.shape[:-1], self.num_heads, d_head).transpose(-2, -3)

    def _merge_heads(self, x: Tensor) -> Tensor:
        """``[..., h, T, d_v]`` -> ``[..., T, h·d_v]``."""
        return x.transpose(-2, -3).flatten(-2)

    def _mask_for_heads(self, mask: Tensor | None, x: Tensor, T_k: int) -> Tensor | None:
        """The mask, checked, with a place for the heads: fits ``[..., h, T_q, T_k]``."""
        if mask is None:
            return None
        *leading, T_q, _ = x.shape
        if isinstance(mask, Tensor) and mask.ndim == x.ndim + 1:
            _check_mask(mask, (*leading, self.num_heads, T_q, T_k), "[..., num_heads, T_q, T_k]", x)
            return mask
        _check_mask(mask, (*leading, T_q, T_k), "[..., T_q, T_k]", x)
        return mask if mask.ndim < 3 else mask.unsqueeze(-3)

    def _attend(
        self,
        heads: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
        return_weights: bool,
        out_proj: nn.Module,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Query, key and value of all heads -> the output of the layer, and its weights."""
        scale = _default_scale(heads[0])
        if return_weights:
            output, weights = _attend_with_weights(*heads, mask, scale)
            return out_proj(self._merge_heads(output)), weights
        return out_proj(self._merge_heads(fused_attention(*heads, mask, scale)))


Projections = Literal["raw", "shared", "tied_qk", "tied_kv", "separate"]


class _Shares(NamedTuple):
    """Which matrix makes query, key and value, by its number; the same number is the same matrix.

    The rows of matrix 0 come first in ``in_proj``, then those of 1, and so on.
    """

    query: int
    key: int
    value: int


# The one place that says what a mode ties; the layer and its checks follow from it.
_SHARES: dict[Projections, _Shares] = {
    "raw": _Shares(query=0, key=0, value=0),  # not learned: matrix 0 is the identity
    "shared": _Shares(query=0, key=0, value=0),
    "tied_qk": _Shares(query=0, key=0, value=1),
    "tied_kv": _Shares(query=0, key=1, value=1),
    "separate": _Shares(query=0, key=1, value=2),
}


class SelfAttention(_MultiHead):
    """Multi-head self-attention whose projections are shared as ``projections`` says.

    ============  ==========================  ==================================================
    projections   learned                     consequence for each head
    ============  ==========================  ==================================================
    ``raw``       nothing                     ``softmax(x xᵀ / √d_k) x`` on a slice of the features
    ``shared``    ``W_q = W_k = W_v, W_o``    scores symmetric and positive semi-definite (PSD)
    ``tied_qk``   ``W_q = W_k, W_v, W_o``     scores symmetric and PSD
    ``tied_kv``   ``W_q, W_k = W_v, W_o``     what is matched is what is moved
    ``separate``  ``W_q, W_k, W_v, W_o``      scores: any bilinear form of rank ≤ d_k
    ============  ==========================  ==================================================

    Args:
        d_model: number of features of a token.
        projections: one of the five names above.
        num_heads: number of heads h.
        d_k: features of a query and a key, per head; ``d_model / num_heads`` when left out.
        d_v: features of a value, per head; d_k when left out. Must equal d_k where the value
            shares its projection with query or key.
        bias: add a bias to each projection; tied projections share theirs too.
        mask_diagonal: forbid every token to attend to itself (Kitaev et al. 2020).

    Raises:
        TypeError: a size is not a whole number.
        ValueError: an unknown mode, or sizes that do not fit one another.

    Source: Vaswani et al. 2017, section 3.2.2; ``tied_qk``: Kitaev et al. 2020 (2001.04451), who
    also divide the keys by their lengths.
    """

    _identity: Tensor  # what stands in for the projections, in and out, in the mode "raw"

    def __init__(
        self,
        d_model: int,
        *,
        projections: Projections = "separate",
        num_heads: int = 1,
        d_k: int | None = None,
        d_v: int | None = None,
        bias: bool = False,
        mask_diagonal: bool = False,
    ) -> None:
        if projections not in tuple(_SHARES):  # a tuple: what cannot be hashed is unknown, too
            names = ", ".join(repr(name) for name in _SHARES)
            raise ValueError(f"projections must be one of {names}; got {projections!r}")
        d_k, d_v = _head_sizes("d_model", d_model, num_heads, d_k, d_v)
        if projections == "raw":
            _check_raw(d_model, num_heads, d_k, d_v, bias)
        shares = _SHARES[projections]
        with_value = [role for role, matrix in shares._asdict().items() if matrix == shares.value]
        if d_v != d_k and len(with_value) > 1:
            raise ValueError(
                f"projections={projections!r} uses one matrix for {' and '.join(with_value)}, "
                f"so d_v must equal d_k; got d_k={d_k}, d_v={d_v}"
            )
        super().__init__(num_heads, d_k, d_v)
        self.d_model = d_model
        self.projections: Projections = projections
        self.mask_diagonal = mask_diagonal
        size_of = dict(zip(shares, (d_k, d_k, d_v), strict=True))  # matrix -> rows per head
        self._rows = [num_heads * size_of[matrix] for matrix in sorted(size_of)]
        if projections == "raw":
            self.register_buffer("_identity", torch.eye(d_model), persistent=False)
            self.out_proj: nn.Linear | nn.Identity = nn.Identity()
        else:
            self.in_proj = nn.Linear(d_model, sum(self._rows), bias=bias)  # one product for all
            self.out_proj = nn.Linear(num_heads * d_v, d_model, bias=bias)
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw each matrix from Glorot's uniform distribution; biases start at zero."""
        if self.projections == "raw":
            return
        for rows in self._in_weight.split(self._rows):
            nn.init.xavier_uniform_(rows)  # each by its own size, not by that of the stack
        nn.init.xavier_uniform_(self._out_weight)
        for linear in (self.in_proj, self.out_proj):
            if isinstance(linear, nn.Linear) and linear.bias is not None:
                nn.init.zeros_(linear.bias)

    @classmethod
    def from_torch(cls, multihead_attention: nn.MultiheadAttention) -> SelfAttention:
        """The same layer as ``multihead_attention`` used on one sequence, weights copied.

        For every ``x`` of shape ``[T, d_model]`` or ``[B, T, d_model]``, and every mask that leaves
        each token something to attend to, the output equals ``multihead_attention(x, x, x)[0]``
        with ``batch_first=True``; without, torch takes and returns ``[T, B, d_model]``. To a token
        that has nothing left torch gives NaN weights, or none in some of its faster paths, and
        this class always gives none. Note that torch's boolean ``attn_mask`` means the opposite of
        ours, True = may *not* attend.

        Args:
            multihead_attention: its weights mean the same with ``batch_first`` and without.

        Raises:
            TypeError: not an ``nn.MultiheadAttention``, or a subclass that computes otherwise.
            ValueError: it has what this class has not: dropout, key or value features of
                another size, extra bias tokens, an extra zero token, a bias on one side alone.
        """
        mha = multihead_attention
        if not isinstance(mha, nn.MultiheadAttention):
            raise TypeError(
                f"multihead_attention must be a torch.nn.MultiheadAttention, got {type_name(mha)}"
            )
        if type(mha).forward is not nn.MultiheadAttention.forward:  # torch's quantisable one, say
            raise TypeError(
                f"multihead_attention is a {type_name(mha)}, a subclass of "
                f"torch.nn.MultiheadAttention with a forward of its own, whose weights may lie or "
                f"mean otherwise; convert it to a plain torch.nn.MultiheadAttention first"
            )
        biases = {"in_proj": mha.in_proj_bias, "out_proj": mha.out_proj.bias}
        with_bias = [name for name, bias in biases.items() if bias is not None]
        for unsupported, setting in (
            (len(with_bias) == 1, f"a bias in {' and '.join(with_bias)} alone"),
            (mha.dropout != 0, f"dropout={mha.dropout}"),
            (not mha._qkv_same_embed_dim, f"kdim={mha.kdim}, vdim={mha.vdim}"),
            (mha.bias_k is not None, "add_bias_kv=True"),
            (mha.add_zero_attn, "add_zero_attn=True"),
        ):
            if unsupported:
                raise ValueError(
                    f"multihead_attention has {setting}, which SelfAttention cannot reproduce; "
                    f"it takes dropout=0, kdim = vdim = embed_dim, no extra tokens, and a bias in "
                    f"both projections or in neither"
                )
        bias = bool(with_bias)
        layer = cls(mha.embed_dim, num_heads=mha.num_heads, bias=bias).to(mha.in_proj_weight)
        out_proj = layer.out_proj
        assert isinstance(out_proj, nn.Linear)
        copies = [
            (layer.in_proj.weight, mha.in_proj_weight),
            (out_proj.weight, mha.out_proj.weight),
        ]
        if bias:
            copies += [
                (layer.in_proj.bias, mha.in_proj_bias),
                (out_proj.bias, mha.out_proj.bias),
            ]
        with torch.no_grad():
            for ours, theirs in copies:
                ours.copy_(theirs)
        return layer.train(mha.training)

    def _query_key_value(self, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Deal what belongs to the matrices, one part each, out to the three roles."""
        query, key, value = _SHARES[self.projections]
        return parts[query], parts[key], parts[value]

    def _in_weights(self) -> tuple[Tensor, Tensor, Tensor]:
        blocks = self._in_weight.split(self._rows)
        return self._query_key_value([self._weight_per_head(block) for block in blocks])

    @property
    def _in_weight(self) -> Tensor:
        return self._identity if self.projections == "raw" else _weight_of("in_proj", self.in_proj)

    @property
    def _out_weight(self) -> Tensor:
        if isinstance(self.out_proj, nn.Identity):
            return self._identity
        return _weight_of("out_proj", self.out_proj)

    @property
    def W_q(self) -> Tensor:
        """Query projections ``[h, d_k, d_model]``, a view of the parameter."""
        return self._in_weights()[0]

    @property
    def W_k(self) -> Tensor:
        """Key projections ``[h, d_k, d_model]``, a view of the parameter."""
        return self._in_weights()[1]

    @property
    def W_v(self) -> Tensor:
        """Value projections ``[h, d_v, d_model]``, a view of the parameter."""
        return self._in_weights()[2]

    @property
    def W_o(self) -> Tensor:
        """Output projections ``[h, d_model, d_v]``, a view of the parameter."""
        return self._output_weight_per_head(self._out_weight)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from every token of ``x`` to every token of ``x``.

        Args:
            x: ``[..., T, d_model]``.
            mask: boolean, True = may attend. Broadcasts to ``[..., T, T]`` and holds for all
                heads; with one dimension more than ``x`` it is taken as ``[..., h, T, T]``.
            return_weights: also return the weights of each head.

        Returns:
            ``[..., T, d_model]``, or that and the weights ``[..., h, T, T]``. A token that may
            attend to nothing gets zero weights.

        Raises:
            TypeError, ValueError: as :func:`attend`; or ``x`` has not d_model features.
        """
        raw = self.projections == "raw"
        weight = self._identity if raw else own_weight(self.in_proj)
        _check_tokens("x", x, "d_model", self.d_model, weight)
        mask = self._mask_for_heads(mask, x, x.shape[-2])
        if self.mask_diagonal:
            others = ~torch.eye(x.shape[-2], dtype=torch.bool, device=x.device)
            mask = others if mask is None else mask & others
        parts = [x] if raw else self.in_proj(x).split(self._rows, dim=-1)
        heads = self._query_key_value([self._split_heads(part) for part in parts])
        return self._attend(heads, mask, return_weights, self.out_proj)

    def extra_repr(self) -> str:
        return (
            f"d_model={self.d_model}, projections={self.projections!r}, "
            f"num_heads={self.num_heads}, d_k={self.d_k}, d_v={self.d_v}, "
            f"mask_diagonal={self.mask_diagonal}"
        )


class CrossAttention(_MultiHead):
    """Multi-head attention from one sequence to another, with separate projections.

    Nothing but d_k ties the two sequences together: they may differ in length and in features.

    Args:
        d_query: features of a token of ``x``, which asks.
        d_context: features of a token of ``context``, which is asked.
        num_heads: number of heads h.
        d_k: features of a query and a key, per head; ``d_query / num_heads`` when left out.
        d_v: features of a value, per head; d_k when left out.
        bias: add a bias to each projection.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is not positive, or d_query is not divisible by the heads.

    Source: Vaswani et al. 2017, section 3.2.3 ("encoder-decoder attention").
    """

    def __init__(
        self,
        d_query: int,
        d_context: int,
        *,
        num_heads: int = 1,
        d_k: int | None = None,
        d_v: int | None = None,
        bias: bool = False,
    ) -> None:
        check_size("d_context", d_context)
        d_k, d_v = _head_sizes("d_query", d_query, num_heads, d_k, d_v)
        super().__init__(num_heads, d_k, d_v)
        self.d_query, self.d_context = d_query, d_context
        self._rows = [num_heads * d_k, num_heads * d_v]
        self.query_proj = nn.Linear(d_query, num_heads * d_k, bias=bias)
        self.context_proj = nn.Linear(d_context, sum(self._rows), bias=bias)
        self.out_proj = nn.Linear(num_heads * d_v, d_query, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw each matrix from Glorot's uniform distribution; biases start at zero."""
        for block in (
            self.query_proj.weight,
            *self.context_proj.weight.split(self._rows),
            self.out_proj.weight,
        ):
            nn.init.xavier_uniform_(block)
        for linear in (self.query_proj, self.context_proj, self.out_proj):
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    @property
    def W_q(self) -> Tensor:
        """Query projections ``[h, d_k, d_query]``, a view of the parameter."""
        return self._weight_per_head(_weight_of("query_proj", self.query_proj))

    @property
    def W_k(self) -> Tensor:
        """Key projections ``[h, d_k, d_context]``, a view of the parameter."""
        weight = _weight_of("context_proj", self.context_proj)
        return self._weight_per_head(weight.split(self._rows)[0])

    @property
    def W_v(self) -> Tensor:
        """Value projections ``[h, d_v, d_context]``, a view of the parameter."""
        weight = _weight_of("context_proj", self.context_proj)
        return self._weight_per_head(weight.split(self._rows)[1])

    @property
    def W_o(self) -> Tensor:
        """Output projections ``[h, d_query, d_v]``, a view of the parameter."""
        return self._output_weight_per_head(_weight_of("out_proj", self.out_proj))

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        *,
        mask: Tensor | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from every token of ``x`` to every token of ``context``.

        Args:
            x: ``[..., T_q, d_query]``.
            context: ``[..., T_k, d_context]``, the same leading dimensions.
            mask: boolean, True = may attend. Broadcasts to ``[..., T_q, T_k]`` and holds for
                all heads; with one dimension more than ``x`` it is ``[..., h, T_q, T_k]``.
            return_weights: also return the weights of each head.

        Returns:
            ``[..., T_q, d_query]``, or that and the weights ``[..., h, T_q, T_k]``.

        Raises:
            TypeError, ValueError: as :func:`attend`; or features or leading dimensions differ.
        """
        _check_tokens("x", x, "d_query", self.d_query, own_weight(self.query_proj))
        weight = own_weight(self.context_proj)
        _check_tokens("context", context, "d_context", self.d_context, weight)
        if x.shape[:-2] != context.shape[:-2]:
            raise ValueError(
                f"x and context must have the same leading dimensions; "
                f"x is {shape_of(x)}, context is {shape_of(context)}"
            )
        mask = self._mask_for_heads(mask, x, context.shape[-2])
        query = self.query_proj(x)
        key, value = self.context_proj(context).split(self._rows, dim=-1)
        heads = (self._split_heads(query), self._split_heads(key), self._split_heads(value))
        return self._attend(heads, mask, return_weights, self.out_proj)

    def extra_repr(self) -> str:
        return (
            f"d_query={self.d_query}, d_context={self.d_context}, "
            f"num_heads={self.num_heads}, d_k={self.d_k}, d_v={self.d_v}"
        )


def _weight_of(name: str, layer: nn.Module) -> Tensor:
    """The matrix of a projection, or that which stands in the layer put in its place."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise TypeError(
            f"{name} is now a {type_name(layer)}, which has no weight that could be shown as the "
            f"matrices of the heads"
        )
    return weight


# ---------------------------------------------------------------- checks of arguments


def _check_attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None
) -> None:
    arguments = (("query", query), ("key", key), ("value", value))
    for name, x in arguments:
        check_float_tensor(name, x, "[..., T, D]", minimum_dimensions=2)
    check_same_kind("query", query, "key", key)
    check_same_kind("query", query, "value", value)
    if query.shape[-1] != key.shape[-1] or query.shape[-1] == 0:
        raise ValueError(
            f"query and key must have the same number of features d_k, at least one; "
            f"query is {shape_of(query)}, key is {shape_of(key)}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"key and value must have the same length T_k, one value per key; "
            f"key is {shape_of(key)}, value is {shape_of(value)}"
        )
    leading = check_leading(query=query, key=key, value=value)
    # The fused kernel may answer NaN in a query with zeros, so the output would not tell.
    if known_finite(query, key, value) is False:
        for name, x in arguments:
            check_finite(name, x)
    if mask is not None:
        shape = (*leading, query.shape[-2], key.shape[-2])
        _check_mask(mask, shape, "[..., T_q, T_k]", query)
    if scale is not None and not (isinstance(scale, (int, float)) and math.isfinite(scale)):
        raise ValueError(f"scale must be a finite number or None, got {scale!r}")


def _check_mask(mask: object, shape: Sequence[int], meaning: str, like: Tensor) -> None:
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a boolean torch.Tensor, got {type_name(mask)}")
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask must be boolean, True = may attend; got {mask.dtype}. "
            f"Of an additive mask take mask == 0, of ones and zeros mask.bool()"
        )
    if mask.device != like.device:
        raise ValueError(f"mask must be on {like.device} like the rest, it is on {mask.device}")
    try:
        fits = broadcast(mask.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask must broadcast to {meaning} = {list(shape)}, got shape {shape_of(mask)}"
        )


def _check_tokens(name: str, x: Tensor, size_name: str, size: int, weight: Tensor | None) -> None:
    check_features(name, x)
    if x.shape[-1] != size:
        raise ValueError(
            f"{name} must have {size_name} = {size} features in its last dimension, "
            f"got {shape_of(x)}"
        )
    check_like_weight(name, x, weight)


def _check_raw(d_model: int, num_heads: int, d_k: int, d_v: int, bias: bool) -> None:
    if num_heads * d_k != d_model:
        raise ValueError(
            f"projections='raw' cuts the features themselves into heads, so num_heads × d_k "
            f"must equal d_model; got {num_heads} × {d_k} and d_model={d_model}"
        )
    if bias or d_v != d_k:
        raise ValueError(
            f"projections='raw' has no parameters and values as long as keys; "
            f"got bias={bias}, d_k={d_k}, d_v={d_v}"
        )


def _head_sizes(
    d_name: str, d: int, num_heads: int, d_k: int | None, d_v: int | None
) -> tuple[int, int]:
    """d_k and d_v per head, with their defaults filled in."""
    check_size(d_name, d)
    check_size("num_heads", num_heads)
    if d_k is None:
        if d % num_heads:
            raise ValueError(
                f"{d_name} must be divisible by num_heads, got {d_name}={d} and "
                f"num_heads={num_heads}; choose another number of heads or give d_k"
            )
        d_k = d // num_heads
    check_size("d_k", d_k)
    d_v = d_k if d_v is None else d_v
    check_size("d_v", d_v)
    return d_k, d_v
