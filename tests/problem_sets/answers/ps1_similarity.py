"""Answers to the items of problem set 1: right ones in many styles, and nameless wrong ones."""

import math

import einops
import numpy as np
import torch
import torch.nn.functional as F
from torch import einsum

# ------------------------------------------------------------- ps1.cosine_affinity


def cosine_matmul(x, y=None):
    y = x if y is None else y
    x = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    y = y / y.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return x @ y.mT


def cosine_einsum_of_dots_over_lengths(x, y=None):
    if y is None:
        y = x
    dots = einsum("...id,...jd->...ij", x, y)
    lengths = einsum("...id,...id->...i", x, x).sqrt(), einsum("...jd,...jd->...j", y, y).sqrt()
    product = lengths[0].unsqueeze(-1) * lengths[1].unsqueeze(-2)
    return torch.where(product > 0, dots / product.clamp_min(1e-30), 0)


def cosine_ready_made(x, y=None):
    y = x if y is None else y
    return F.cosine_similarity(x.unsqueeze(-2), y.unsqueeze(-3), dim=-1)


def cosine_normalize_and_bmm(x, y=None):
    y = x if y is None else y
    *leading, T_q, D = x.shape
    a = F.normalize(x, dim=-1).reshape(-1, T_q, D)
    b = F.normalize(y, dim=-1).reshape(-1, y.shape[-2], D)
    return torch.bmm(a, b.transpose(1, 2)).reshape(*leading, T_q, -1)


def cosine_loops(x, y=None):
    y = x if y is None else y
    flat_x, flat_y = x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:])
    rows = []
    for a, b in zip(flat_x, flat_y, strict=True):
        for i in range(a.shape[0]):
            for j in range(b.shape[0]):
                product = a[i].norm() * b[j].norm()
                rows.append(a[i] @ b[j] / product if product > 0 else product)
    return torch.stack(rows).reshape(*x.shape[:-1], y.shape[-2])


def cosine_in_float64(x, y=None):
    a = x.double()
    b = a if y is None else y.double()
    a = F.normalize(a, dim=-1)
    b = F.normalize(b, dim=-1)
    return torch.matmul(a, b.transpose(-1, -2)).to(x.dtype)


def cosine_einops(x, y=None):
    y = x if y is None else y
    a, b = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    return einops.einsum(a, b, "... q d, ... k d -> ... q k")


# ------------------------------------------------------------ ps1.pixels_as_tokens


def tokens_flatten(x):
    return x.flatten(2).transpose(1, 2)


def tokens_permute(x):
    B, C, H, W = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, H * W, C)


def tokens_einops(x):
    return einops.rearrange(x, "b c h w -> b (h w) c")


def tokens_loops(x):
    B, _, H, W = x.shape
    return torch.stack(
        [torch.stack([x[b, :, h, w] for h in range(H) for w in range(W)]) for b in range(B)]
    )


def tokens_unfold(x):
    return F.unfold(x, kernel_size=1).mT


def tokens_contiguous_view(x):
    B, C = x.shape[:2]
    return x.contiguous().view(B, C, -1).swapaxes(-1, -2).contiguous()


# -------------------------------------------------------------- ps1.pixel_affinity


def pixels_normalize_channels(x):
    u = F.normalize(x, dim=1).flatten(2)
    return u.transpose(1, 2) @ u


def pixels_einsum(x):
    u = x / x.square().sum(1, keepdim=True).clamp_min(1e-24).sqrt()
    affinity = einsum("bchw,bcij->bhwij", u, u)
    B, _, H, W = x.shape
    return affinity.reshape(B, H * W, H * W)


def pixels_ready_made(x):
    tokens = x.flatten(2).mT
    return F.cosine_similarity(tokens[:, :, None], tokens[:, None], dim=-1)


def pixels_einops(x):
    u = F.normalize(einops.rearrange(x, "b c h w -> b (h w) c"), dim=-1)
    return einops.einsum(u, u, "b i c, b j c -> b i j")


def pixels_image_by_image(x):
    found = []
    for image in x:
        columns = image.reshape(image.shape[0], -1)
        lengths = columns.norm(dim=0)
        product = torch.outer(lengths, lengths)
        found.append((columns.T @ columns) / product.masked_fill(product == 0, 1))
    return torch.stack(found)


def pixels_in_float64(x):
    u = F.normalize(x.double().flatten(2), dim=1)
    return torch.bmm(u.mT, u).to(x.dtype)


# ---------------------------------------------------------- ps1.attention_weights


def weights_fill_then_wipe(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)


def weights_by_hand(scores, mask=None):
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    floor = torch.finfo(scores.dtype).min
    largest = scores.masked_fill(~mask, floor).amax(-1, keepdim=True)
    e = torch.exp((scores - largest).clamp_max(0)) * mask
    total = e.sum(-1, keepdim=True)
    return e / torch.where(total == 0, 1, total)


def weights_logsumexp(scores, mask=None):
    if mask is not None:
        scores = torch.where(mask, scores, -1e30)
    weights = torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
    return weights if mask is None else torch.where(mask, weights, 0.0).to(scores.dtype)


def weights_nan_to_num(scores, mask=None):
    if mask is not None:
        scores = scores + torch.zeros_like(scores).masked_fill(mask.logical_not(), float("-inf"))
    return torch.nan_to_num(F.softmax(scores, dim=-1), nan=0.0)


def weights_row_by_row(scores, mask=None):
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    mask = mask.expand(scores.shape)
    rows = []
    for s, m in zip(
        scores.reshape(-1, scores.shape[-1]), mask.reshape(-1, scores.shape[-1]), strict=True
    ):
        row = torch.zeros_like(s)
        if m.any():
            row = row.masked_scatter(m, s[m].softmax(0))
        rows.append(row)
    return torch.stack(rows).view(scores.shape)


def weights_in_float64(scores, mask=None):
    s = scores.double()
    if mask is None:
        return torch.softmax(s, -1).to(scores.dtype)
    s = s.masked_fill(~mask, -1e300)
    return (torch.softmax(s, -1) * mask).to(scores.dtype)


def weights_fused_kernel(scores, mask=None):
    # The identity as value makes the fused kernel give back its weights.
    T_k = scores.shape[-1]
    values = torch.eye(T_k, dtype=scores.dtype).expand(*scores.shape[:-2], T_k, T_k)
    query, key = scores, values
    attended = F.scaled_dot_product_attention(query, key, values, attn_mask=mask, scale=1.0)
    return attended if mask is None else attended.masked_fill(~mask, 0)


# --------------------------------------------------------------- ps1.raw_attention


def raw_matmul(x):
    return (x @ x.mT / math.sqrt(x.shape[-1])).softmax(-1) @ x


def raw_fused_kernel(x):
    return F.scaled_dot_product_attention(x, x, x)


def raw_einsum(x):
    scores = einsum("...id,...jd->...ij", x, x) * x.shape[-1] ** -0.5
    return einsum("...ij,...jd->...id", F.softmax(scores, dim=-1), x)


def raw_token_by_token(x):
    root = x.shape[-1] ** 0.5
    averages = []
    for t in range(x.shape[-2]):
        scores = (x * x[..., t : t + 1, :]).sum(-1) / root
        averages.append((scores.softmax(-1).unsqueeze(-1) * x).sum(-2))
    return torch.stack(averages, dim=-2)


def raw_scaled_before(x):
    # Both sides divided by the fourth root: nothing ever grows beyond what it must.
    y = x / x.shape[-1] ** 0.25
    scores = y @ y.transpose(-2, -1)
    e = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    return (e @ x) / e.sum(-1, keepdim=True)


def raw_einops(x):
    scores = einops.einsum(x, x, "... i d, ... j d -> ... i j") / np.sqrt(x.shape[-1])
    return einops.einsum(scores.softmax(-1), x, "... i j, ... j d -> ... i d")


def raw_torch_sqrt(x):
    return torch.softmax(x @ x.mT / torch.sqrt(torch.tensor(x.shape[-1])), dim=-1) @ x


# ----------------------------------------------------------- ps1.max_cosine_weight


def bound_formula(n, temperature=1.0):
    return 1 / (1 + (n - 1) * math.exp(-2 / temperature))


def bound_numpy(n, temperature=1.0):
    return 1.0 / (1.0 + (n - 1) * np.exp(-2.0 / temperature))


def bound_softmax_of_extreme_scores(n, temperature=1.0):
    scores = torch.full((n,), -1.0, dtype=torch.float64)
    scores[0] = 1.0
    return (scores / temperature).softmax(0)[0]


def bound_from_the_first_fraction(n, temperature=1.0):
    best, rest = math.exp(1 / temperature), (n - 1) * math.exp(-1 / temperature)
    return best / (best + rest)


def bound_tensor_float32(n, temperature=1.0):
    return 1 / (1 + (n - 1) * torch.exp(torch.tensor(-2 / temperature)))


def bound_sigmoid(n, temperature=1.0):
    return 1.0 if n == 1 else torch.tensor(2 / temperature - math.log(n - 1)).sigmoid().item()


RIGHT = {
    "ps1.cosine_affinity": [
        cosine_matmul,
        cosine_einsum_of_dots_over_lengths,
        cosine_ready_made,
        cosine_normalize_and_bmm,
        cosine_loops,
        cosine_in_float64,
        cosine_einops,
    ],
    "ps1.pixels_as_tokens": [
        tokens_flatten,
        tokens_permute,
        tokens_einops,
        tokens_loops,
        tokens_unfold,
        tokens_contiguous_view,
    ],
    "ps1.pixel_affinity": [
        pixels_normalize_channels,
        pixels_einsum,
        pixels_ready_made,
        pixels_einops,
        pixels_image_by_image,
        pixels_in_float64,
    ],
    "ps1.attention_weights": [
        weights_fill_then_wipe,
        weights_by_hand,
        weights_logsumexp,
        weights_nan_to_num,
        weights_row_by_row,
        weights_in_float64,
        weights_fused_kernel,
    ],
    "ps1.raw_attention": [
        raw_matmul,
        raw_fused_kernel,
        raw_einsum,
        raw_token_by_token,
        raw_scaled_before,
        raw_einops,
        raw_torch_sqrt,
    ],
    "ps1.max_cosine_weight": [
        bound_formula,
        bound_numpy,
        bound_softmax_of_extreme_scores,
        bound_from_the_first_fraction,
        bound_tensor_float32,
        bound_sigmoid,
    ],
}


# ------------------------------------------------------------ wrong, and nameless


def dots(x):
    return x @ x.mT


def cosines(x):
    tokens = F.normalize(x.flatten(2).mT, dim=-1)
    return dots(tokens)


def zeros_for(x, y=None):
    return torch.zeros(*x.shape[:-1], (x if y is None else y).shape[-2])


def forbid(scores, mask):
    return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


# They resemble a misconception in some small case, and are none of them.
WRONG = {
    "ps1.cosine_affinity": {
        "zeros": zeros_for,
        "divided by D": lambda x, y=None: x @ (x if y is None else y).mT / x.shape[-1],
        "a constant": lambda x, y=None: zeros_for(x, y) + 0.123,
    },
    "ps1.pixels_as_tokens": {
        "flattened from the channels on": lambda x: x.flatten(1),
        "width first": lambda x: x.permute(0, 3, 1, 2).flatten(1, 2),
        "a constant": lambda x: torch.full_like(x.flatten(2).mT, 0.123),
    },
    "ps1.pixel_affinity": {
        "mean over the batch": lambda x: cosines(x).mean(0),
        "the first image": lambda x: cosines(x)[0],
        "a constant": lambda x: torch.full_like(cosines(x), 0.123),
    },
    "ps1.attention_weights": {
        "sigmoid": lambda scores, mask=None: forbid(scores, mask).sigmoid(),
        "zeros": lambda scores, mask=None: torch.zeros_like(scores),
        "NaN": lambda scores, mask=None: torch.full_like(scores, torch.nan),
        "a constant": lambda scores, mask=None: torch.full_like(scores, 0.123),
    },
    "ps1.raw_attention": {
        "negative distance": lambda x: (-torch.cdist(x, x)).softmax(-1) @ x,
        "negative squared distance": lambda x: (
            (-torch.cdist(x, x).square() / x.shape[-1] ** 0.5).softmax(-1) @ x
        ),
        "divided by the root of the batch": lambda x: (dots(x) / x.shape[0] ** 0.5).softmax(-1) @ x,
        "a constant": lambda x: torch.full_like(x, 0.123),
    },
    "ps1.max_cosine_weight": {
        "n": lambda n, temperature=1.0: n,
        "a constant": lambda n, temperature=1.0: 0.123,
    },
}
