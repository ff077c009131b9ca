"""torch's fused attention kernel, for arguments of any shape.

The kernel never stores the T_q × T_k weights, but it takes one form alone: ``[N, h, T, d]`` with
d_k = d_v, query, key and value with the same N and h, a token's features side by side in memory.
Of anything else torch computes all the weights, several times slower, without a word. So the
arguments are brought into that form here, and the output back from it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from attncourse.arguments import broadcast


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """``softmax(scale · query keyᵀ) value``, its weights never in memory.

    Nothing is checked here: :func:`attncourse.attention.attend` does that.

    Args:
        query: ``[..., T_q, d_k]``.
        key: ``[..., T_k, d_k]``.
        value: ``[..., T_k, d_v]``. Where the leading dimensions of the three differ, they
            broadcast.
        mask: boolean, broadcasts to ``[..., T_q, T_k]``; True = may attend.
        scale: factor on the scores.

    Returns:
        ``[..., T_q, d_v]``. A query that may attend to nothing gets zeros.
    """
    d_k, d_v = query.shape[-1], value.shape[-1]
    if d_v < d_k:  # zeros at the end of a value come out as zeros at the end of the output
        value = F.pad(value, (0, d_k - d_v))
    elif d_v > d_k:  # zeros at the end of query and key add nothing to a dot product
        query, key = F.pad(query, (0, d_v - d_k)), F.pad(key, (0, d_v - d_k))
    if not query.stride(-1) == key.stride(-1) == value.stride(-1) == 1:  # tokens from a feature map
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    fits = query.ndim == 4 and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    if fits and (mask is None or mask.ndim in (2, 4)):
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    else:
        leading = broadcast(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        if mask is not None and mask.ndim > 2:
            mask = _as_four_dimensional(mask, leading)
        elif mask is not None:
            mask = mask.expand(query.shape[-2], key.shape[-2])
        output = F.scaled_dot_product_attention(
            _as_four_dimensional(query, leading),
            _as_four_dimensional(key, leading),
            _as_four_dimensional(value, leading),
            attn_mask=mask,
            scale=scale,
        )
        output = output.reshape(*leading, *output.shape[-2:])
    return output[..., :d_v] if d_v < d_k else output


def _as_four_dimensional(x: Tensor, leading: tuple[int, ...]) -> Tensor:
    """``[..., T, d]`` -> ``[N, h, T, d]``, where h is the last leading dimension."""
    x = x.expand(*leading, *x.shape[-2:])
    return x.flatten(0, -4) if len(leading) > 2 else x[(None,) * (2 - len(leading))]
