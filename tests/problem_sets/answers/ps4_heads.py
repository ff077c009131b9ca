"""Answers to the items of problem set 4: right ones in many styles, and nameless wrong ones."""

import math

import einops
import torch
import torch.nn.functional as F
from torch import einsum, nn

# --------------------------------------------------------------- ps4.split_heads


def split_unflatten(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def split_reshape(x, num_heads):
    *leading, T, D = x.shape
    return x.reshape(*leading, T, num_heads, D // num_heads).movedim(-2, -3)


def split_chunks(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=-3)


def split_einops(x, num_heads):
    return einops.rearrange(x, "... t (h d) -> ... h t d", h=num_heads)


def split_slices(x, num_heads):
    d = x.size(-1) // num_heads
    return torch.stack([x[..., i * d : (i + 1) * d] for i in range(num_heads)], dim=-3)


def split_view_permute(x, num_heads):
    heads = x.contiguous().view(*x.shape[:-1], num_heads, x.shape[-1] // num_heads)
    leading = list(range(x.ndim - 2))
    return heads.permute(*leading, x.ndim - 1, x.ndim - 2, x.ndim).contiguous()


# --------------------------------------------------------------- ps4.merge_heads


def merge_flatten(heads):
    return heads.transpose(-3, -2).flatten(-2)


def merge_reshape(heads):
    *leading, h, T, d = heads.shape
    return heads.swapaxes(-3, -2).reshape(*leading, T, h * d)


def merge_cat(heads):
    return torch.cat(heads.unbind(dim=-3), dim=-1)


def merge_einops(heads):
    return einops.rearrange(heads, "... h t d -> ... t (h d)")


def merge_view(heads):
    heads = heads.movedim(-3, -2).contiguous()
    return heads.view(*heads.shape[:-2], -1)


def merge_token_by_token(heads):
    tokens = [heads[..., t, :].flatten(-2) for t in range(heads.shape[-2])]
    return torch.stack(tokens, dim=-2)


# ------------------------------------------------------ ps4.multi_head_attention


def multi_head_usual(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    q, k, v = (split_unflatten(F.linear(x, W), num_heads) for W in (W_q, W_k, W_v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        weights = scores.softmax(-1)
    else:
        mask = mask.unsqueeze(-3)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
    return F.linear(merge_flatten(weights @ v), W_o)


def multi_head_fused_kernel(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    q, k, v = (split_reshape(x @ W.mT, num_heads) for W in (W_q, W_k, W_v))
    mask = mask if mask is None else mask[..., None, :, :]
    return merge_reshape(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)) @ W_o.mT


def multi_head_head_by_head(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    d_k, d_v = len(W_q) // num_heads, len(W_v) // num_heads
    outputs = []
    for i in range(num_heads):
        q = x @ W_q[i * d_k : (i + 1) * d_k].mT
        k = x @ W_k[i * d_k : (i + 1) * d_k].mT
        v = x @ W_v[i * d_v : (i + 1) * d_v].mT
        scores = q @ k.mT / d_k**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1)
        outputs.append((weights if mask is None else weights.masked_fill(~mask, 0)) @ v)
    return torch.cat(outputs, -1) @ W_o.mT


def multi_head_sum_over_heads(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    """Every head has columns of W_o of its own, and adds its part to the output."""
    total = 0
    chunks = [W.chunk(num_heads) for W in (W_q, W_k, W_v)]
    for Q, K, V, out in zip(*chunks, W_o.chunk(num_heads, dim=1), strict=True):
        head = F.scaled_dot_product_attention(x @ Q.mT, x @ K.mT, x @ V.mT, attn_mask=mask)
        total = total + head @ out.mT
    return total


def multi_head_einsum(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    Q, K, V = (W.view(num_heads, -1, W.shape[-1]) for W in (W_q, W_k, W_v))  # [h, d, D]
    q = einsum("...td,hkd->...htk", x, Q)
    k = einsum("...td,hkd->...htk", x, K)
    v = einsum("...td,hkd->...htk", x, V)
    scores = einsum("...hqd,...hkd->...hqk", q, k) * Q.shape[1] ** -0.5
    if mask is not None:
        mask = mask.unsqueeze(-3)
        scores = torch.where(mask, scores, -1e30)
    weights = F.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights * mask
    heads = einsum("...hqk,...hkv->...hqv", weights, v)
    return einsum("...htv,ohv->...to", heads, W_o.view(len(W_o), num_heads, -1))


def multi_head_einops_in_float64(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    q, k, v = (
        einops.rearrange(x.double() @ W.double().T, "... t (h d) -> ... h t d", h=num_heads)
        for W in (W_q, W_k, W_v)
    )
    scores = einops.einsum(q, k, "... q d, ... k d -> ... q k") / q.shape[-1] ** 0.5
    if mask is None:
        mask = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool)
    mask = mask.unsqueeze(-3)
    weights = scores.masked_fill(~mask, -1e300).softmax(-1) * mask
    joined = einops.rearrange(weights @ v, "... h t d -> ... t (h d)")
    return (joined @ W_o.double().T).to(x.dtype)


def multi_head_absorbed(x, num_heads, W_q, W_k, W_v, W_o, mask=None):
    """Two matrices a head: that of its scores, and that of what it moves."""
    Q, K, V = (W.unflatten(0, (num_heads, -1)) for W in (W_q, W_k, W_v))
    M = Q.mT @ K / Q.shape[1] ** 0.5  # [h, D, D]
    moves = W_o.unflatten(1, (num_heads, -1)).movedim(1, 0) @ V  # [h, D, D]
    x = x.unsqueeze(-3)
    scores = x @ M @ x.mT
    if mask is None:
        weights = scores.softmax(-1)
    else:
        mask = mask.unsqueeze(-3)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
    return (weights @ x @ moves.mT).sum(-3)


# --------------------------------------------------------------- ps4.causal_mask


def causal_tril(T_q, T_k):
    return torch.ones(T_q, T_k, dtype=torch.bool).tril(diagonal=T_k - T_q)


def causal_positions(T_q, T_k):
    i = torch.arange(T_q)[:, None] + T_k - T_q
    return torch.arange(T_k) <= i


def causal_not_later(T_q, T_k):
    return ~torch.triu(torch.ones(T_q, T_k), T_k - T_q + 1).bool()


def causal_of_torch(T_q, T_k):
    return torch.tril(torch.full((T_q, T_k), True), T_k - T_q)


def causal_loops(T_q, T_k):
    rows = [[j - (T_k - 1) <= i - (T_q - 1) for j in range(T_k)] for i in range(T_q)]
    return torch.tensor(rows)


def causal_row_by_row(T_q, T_k):
    mask = torch.zeros(T_q, T_k, dtype=torch.bool)
    for i in range(T_q):
        mask[i, : max(0, T_k - T_q + i + 1)] = True
    return mask


def causal_corner_of_a_large_square(T_q, T_k):
    n = max(T_q, T_k)
    square = torch.ones(n, n, dtype=torch.bool).tril()
    return square[n - T_q :, n - T_k :]


# ----------------------------------------------------------- ps4.cross_attention


def cross_usual(x, context, W_q, W_k, W_v, is_token=None):
    query, key, value = x @ W_q.mT, context @ W_k.mT, context @ W_v.mT
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if is_token is None:
        return scores.softmax(-1) @ value
    mask = is_token.unsqueeze(-2)
    return scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0) @ value


def cross_fused_kernel(x, context, W_q, W_k, W_v, is_token=None):
    mask = None if is_token is None else is_token[..., None, :]
    q, k, v = F.linear(x, W_q), F.linear(context, W_k), F.linear(context, W_v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def cross_stacked_projection(x, context, W_q, W_k, W_v, is_token=None):
    key, value = (context @ torch.cat([W_k, W_v]).T).split([len(W_k), len(W_v)], dim=-1)
    scores = torch.matmul(x @ W_q.T, key.transpose(-2, -1)) * len(W_q) ** -0.5
    if is_token is not None:
        scores = scores + torch.where(is_token, 0.0, -1e30).to(x.dtype).unsqueeze(-2)
    weights = scores.softmax(-1)
    return (weights if is_token is None else weights * is_token.unsqueeze(-2)) @ value


def cross_einsum(x, context, W_q, W_k, W_v, is_token=None):
    q = einsum("...td,kd->...tk", x, W_q) / math.sqrt(W_q.shape[0])
    k = einsum("...td,kd->...tk", context, W_k)
    v = einsum("...td,vd->...tv", context, W_v)
    e = einsum("...qd,...kd->...qk", q, k)
    e = (e - e.amax(-1, keepdim=True)).exp()
    if is_token is not None:
        e = e * is_token.unsqueeze(-2)
    return einsum("...qk,...kv->...qv", e, v) / e.sum(-1, keepdim=True).clamp_min(1e-30)


def cross_einops(x, context, W_q, W_k, W_v, is_token=None):
    q = einops.einsum(x, W_q, "... t d, k d -> ... t k")
    k = einops.einsum(context, W_k, "... t d, k d -> ... t k")
    v = einops.einsum(context, W_v, "... t d, k d -> ... t k")
    scores = einops.einsum(q, k, "... i d, ... j d -> ... i j") / q.shape[-1] ** 0.5
    if is_token is None:
        return scores.softmax(-1) @ v
    mask = einops.repeat(is_token, "... j -> ... i j", i=x.shape[-2])
    weights = torch.where(mask, scores, torch.finfo(x.dtype).min).softmax(-1)
    return torch.where(mask, weights, 0.0) @ v


def cross_query_by_query(x, context, W_q, W_k, W_v, is_token=None):
    key, value = context @ W_k.mT, context @ W_v.mT
    rows = []
    for token in x.unbind(-2):
        scores = (key @ (W_q @ token[..., None])).squeeze(-1) / len(W_q) ** 0.5  # [..., T_k]
        if is_token is not None:
            scores = scores.masked_fill(~is_token, -torch.inf)
        weights = scores.softmax(-1)
        if is_token is not None:
            weights = weights.masked_fill(~is_token, 0)
        rows.append((weights[..., None] * value).sum(-2))
    return torch.stack(rows, -2)


# --------------------------------------------------- ps4.grouped_query_attention


def grouped_repeat_interleave(query, key, value, mask=None):
    group = query.shape[-3] // key.shape[-3]
    key, value = (part.repeat_interleave(group, dim=-3) for part in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def grouped_enable_gqa(query, key, value, mask=None):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)


def grouped_indexed(query, key, value, mask=None):
    h, h_kv = query.size(-3), key.size(-3)
    own = torch.arange(h) // (h // h_kv)
    scores = query @ key[..., own, :, :].mT / query.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return weights @ value[..., own, :, :]


def grouped_with_an_axis(query, key, value, mask=None):
    h, h_kv = query.shape[-3], key.shape[-3]
    query = query.unflatten(-3, (h_kv, h // h_kv))  # [..., h_kv, group, T_q, d_k]
    scores = query @ key.unsqueeze(-3).mT / query.shape[-1] ** 0.5
    if mask is None:
        weights = scores.softmax(-1)
    else:
        mask = mask.expand(*scores.shape[:-4], h, *scores.shape[-2:])
        mask = mask.unflatten(-3, (h_kv, h // h_kv))
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
    return (weights @ value.unsqueeze(-3)).flatten(-4, -3)


def grouped_head_by_head(query, key, value, mask=None):
    h, h_kv = query.shape[-3], key.shape[-3]
    if mask is not None:
        mask = mask.expand(*query.shape[:-1], key.shape[-2])
    heads = []
    for i in range(h):
        k, v = key[..., i * h_kv // h, :, :], value[..., i * h_kv // h, :, :]
        own = None if mask is None else mask[..., i, :, :]
        heads.append(F.scaled_dot_product_attention(query[..., i, :, :], k, v, attn_mask=own))
    return torch.stack(heads, dim=-3)


def grouped_einops(query, key, value, mask=None):
    group = query.shape[-3] // key.shape[-3]
    key = einops.repeat(key, "... h t d -> ... (h g) t d", g=group)
    value = einops.repeat(value, "... h t d -> ... (h g) t d", g=group)
    scores = einops.einsum(query, key, "... q d, ... k d -> ... q k") / query.shape[-1] ** 0.5
    if mask is None:
        return scores.softmax(-1) @ value
    return torch.where(mask, scores, -1e30).softmax(-1).masked_fill(~mask, 0) @ value


def grouped_as_in_transformers(query, key, value, mask=None):
    group = query.shape[-3] // key.shape[-3]

    def repeat_kv(part):
        *leading, h_kv, T, d = part.shape
        part = part.unsqueeze(-3).expand(*leading, h_kv, group, T, d)
        return part.reshape(*leading, h_kv * group, T, d)

    scores = torch.matmul(query, repeat_kv(key).mT) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -1e30)
    weights = nn.functional.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights * mask
    return torch.matmul(weights, repeat_kv(value))


# ----------------------------------------------------------- ps4.parameter_count


def count_formula(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    rows = num_heads * d_k + num_kv_heads * d_k + num_kv_heads * d_v
    total = rows * d_model + d_model * num_heads * d_v
    return total + rows + d_model if bias else total


def count_layers(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    layer = nn.ModuleList(
        [
            nn.Linear(d_model, num_heads * d_k, bias=bias),
            nn.Linear(d_model, num_kv_heads * d_k, bias=bias),
            nn.Linear(d_model, num_kv_heads * d_v, bias=bias),
            nn.Linear(num_heads * d_v, d_model, bias=bias),
        ]
    )
    return sum(parameter.numel() for parameter in layer.parameters())


def count_shapes(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    shapes = [
        (num_heads * d_k, d_model),
        (num_kv_heads * d_k, d_model),
        (num_kv_heads * d_v, d_model),
        (d_model, num_heads * d_v),
    ]
    return sum(rows * columns + (rows if bias else 0) for rows, columns in shapes)


def count_per_head(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    of_a_query_head = d_k * d_model + d_model * d_v + (d_k if bias else 0)
    of_a_key_head = (d_k + d_v) * (d_model + bool(bias))
    return num_heads * of_a_query_head + num_kv_heads * of_a_key_head + d_model * bool(bias)


def count_wider_input(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    """A bias is a column more."""
    b = int(bias)
    into = (num_heads * d_k + num_kv_heads * (d_k + d_v)) * (d_model + b)
    return into + d_model * (num_heads * d_v + b)


def count_meta(d_model, num_heads, d_k, d_v, num_kv_heads, bias):
    sizes = [(num_heads, d_k), (num_kv_heads, d_k), (num_kv_heads, d_v)]
    layers = [nn.Linear(d_model, h * d, bias=bias, device="meta") for h, d in sizes]
    layers += [nn.Linear(num_heads * d_v, d_model, bias=bias, device="meta")]
    return torch.tensor(sum(p.numel() for layer in layers for p in layer.parameters()))


# --------------------------------------------------------------- ps4.cache_bytes


def cache_formula(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    return 2 * num_layers * num_kv_heads * d_head * tokens * sequences * bits // 8


def cache_division(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    per_token = 2 * num_kv_heads * d_head * (bits / 8)
    return num_layers * sequences * tokens * per_token


def cache_counted_on_meta(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    shape = (num_layers, sequences, num_kv_heads, tokens, d_head)
    key, value = (torch.empty(shape, device="meta") for _ in range(2))
    return (key.numel() + value.numel()) * bits / 8


def cache_product(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    return math.prod([num_layers, num_kv_heads, d_head, tokens, sequences, bits]) // 4


def cache_from_the_group(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    group = num_heads // num_kv_heads
    all_heads = 2 * num_layers * num_heads * d_head * tokens * sequences * bits
    return all_heads // group // 8


def cache_layer_by_layer(
    num_layers, d_model, num_heads, num_kv_heads, d_head, tokens, sequences=1, bits=16
):
    total = 0
    for _layer in range(num_layers):
        for _role in ("key", "value"):
            total += sequences * num_kv_heads * tokens * d_head
    return total * bits / 8


RIGHT = {
    "ps4.split_heads": [
        split_unflatten,
        split_reshape,
        split_chunks,
        split_einops,
        split_slices,
        split_view_permute,
    ],
    "ps4.merge_heads": [
        merge_flatten,
        merge_reshape,
        merge_cat,
        merge_einops,
        merge_view,
        merge_token_by_token,
    ],
    "ps4.multi_head_attention": [
        multi_head_usual,
        multi_head_fused_kernel,
        multi_head_head_by_head,
        multi_head_sum_over_heads,
        multi_head_einsum,
        multi_head_einops_in_float64,
        multi_head_absorbed,
    ],
    "ps4.causal_mask": [
        causal_tril,
        causal_positions,
        causal_not_later,
        causal_of_torch,
        causal_loops,
        causal_row_by_row,
        causal_corner_of_a_large_square,
    ],
    "ps4.cross_attention": [
        cross_usual,
        cross_fused_kernel,
        cross_stacked_projection,
        cross_einsum,
        cross_einops,
        cross_query_by_query,
    ],
    "ps4.grouped_query_attention": [
        grouped_repeat_interleave,
        grouped_enable_gqa,
        grouped_indexed,
        grouped_with_an_axis,
        grouped_head_by_head,
        grouped_einops,
        grouped_as_in_transformers,
    ],
    "ps4.parameter_count": [
        count_formula,
        count_layers,
        count_shapes,
        count_per_head,
        count_wider_input,
        count_meta,
    ],
    "ps4.cache_bytes": [
        cache_formula,
        cache_division,
        cache_counted_on_meta,
        cache_product,
        cache_from_the_group,
        cache_layer_by_layer,
    ],
}


# ------------------------------------------------------------ wrong, and nameless

# They resemble a misconception in some small case, and are none of them.
WRONG = {
    "ps4.split_heads": {
        "zeros": lambda x, num_heads: 0 * split_unflatten(x, num_heads),
        "a constant": lambda x, num_heads: 0 * split_unflatten(x, num_heads) + 0.123,
        "backwards": lambda x, num_heads: split_unflatten(x, num_heads).flip(-3),
    },
    "ps4.merge_heads": {
        "zeros": lambda heads: 0 * merge_flatten(heads),
        "a constant": lambda heads: 0 * merge_flatten(heads) + 0.123,
        "backwards": lambda heads: merge_flatten(heads.flip(-3)),
    },
    "ps4.multi_head_attention": {
        "zeros": lambda x, *weights, mask=None: torch.zeros_like(x),
        "a constant": lambda x, *weights, mask=None: torch.full_like(x, 0.123),
        "the tokens": lambda x, *weights, mask=None: x.clone(),
    },
    "ps4.causal_mask": {
        "a band of three": lambda T_q, T_k: causal_tril(T_q, T_k).triu(T_k - T_q - 2),
        "a chessboard": lambda T_q, T_k: (torch.arange(T_q)[:, None] + torch.arange(T_k)) % 2 == 0,
        "a word": lambda T_q, T_k: "causal",
    },
    "ps4.cross_attention": {
        "zeros": lambda x, context, W_q, W_k, W_v, is_token=None: 0 * x @ W_q.mT @ W_k @ W_v.mT,
        "the mean of the values": lambda x, context, W_q, W_k, W_v, is_token=None: (
            (context @ W_v.mT).mean(-2, keepdim=True).expand(*x.shape[:-1], len(W_v)).clone()
        ),
    },
    "ps4.grouped_query_attention": {
        "zeros": lambda query, key, value, mask=None: 0 * grouped_enable_gqa(query, key, value),
        "backwards": lambda query, key, value, mask=None: grouped_enable_gqa(
            query, key.flip(-3), value.flip(-3), mask
        ),
    },
    "ps4.parameter_count": {
        "zero": lambda *sizes: 0,
        "twice": lambda *sizes: 2 * count_formula(*sizes),
        "a word": lambda *sizes: "many",
    },
    "ps4.cache_bytes": {
        "zero": lambda *sizes, **more: 0,
        "one too many": lambda *sizes, **more: 3 * cache_formula(*sizes, **more) + 1,
    },
}
