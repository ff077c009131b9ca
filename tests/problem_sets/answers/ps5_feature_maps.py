"""Answers to the items of problem set 5: right ones in many styles, and nameless wrong ones."""

import math

import einops
import torch
import torch.nn.functional as F
from torch import einsum, nn

# ---------------------------------------------------- ps5.one_by_one_convolution


def one_by_one_conv2d(x, kernel, bias=None):
    return F.conv2d(x, kernel, bias)


def one_by_one_tokens(x, kernel, bias=None):
    tokens = x.flatten(2).transpose(1, 2)  # [B, H·W, C_in]
    out = F.linear(tokens, kernel[:, :, 0, 0], bias)
    return out.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])


def one_by_one_einsum(x, kernel, bias=None):
    out = einsum("oiyx,bihw->bohw", kernel, x)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def one_by_one_channels_last(x, kernel, bias=None):
    out = x.permute(0, 2, 3, 1) @ kernel.flatten(1).T
    if bias is not None:
        out = out + bias
    return out.permute(0, 3, 1, 2).contiguous()


def one_by_one_loops(x, kernel, bias=None):
    maps = []
    for o in range(kernel.shape[0]):
        total = sum(kernel[o, c, 0, 0] * x[:, c] for c in range(kernel.shape[1]))
        maps.append(total if bias is None else total + bias[o])
    return torch.stack(maps, dim=1)


def one_by_one_matrix_in_front(x, kernel, bias=None):
    out = (kernel.squeeze(-1).squeeze(-1) @ x.flatten(2)).unflatten(2, x.shape[2:])
    return out if bias is None else out + bias[:, None, None]


def one_by_one_einops_in_float64(x, kernel, bias=None):
    W = einops.rearrange(kernel.double(), "o i 1 1 -> o i")
    out = einops.einsum(x.double(), W, "b i h w, o i -> b o h w")
    if bias is not None:
        out = out + einops.rearrange(bias.double(), "o -> o 1 1")
    return out.to(x.dtype)


# ----------------------------------------------------------- ps5.heads_as_kernel


def kernel_flatten(W):
    return W.flatten(0, 1)[:, :, None, None]


def kernel_reshape(W):
    return W.reshape(-1, W.shape[-1], 1, 1)


def kernel_cat(W):
    return torch.cat(list(W), dim=0).unsqueeze(-1).unsqueeze(-1)


def kernel_einops(W):
    return einops.rearrange(W, "h d c -> (h d) c 1 1")


def kernel_row_by_row(W):
    h, d, C = W.shape
    rows = [W[i, j] for i in range(h) for j in range(d)]
    return torch.stack(rows).view(h * d, C, 1, 1)


def kernel_written(W):
    h, d, C = W.shape
    kernel = torch.zeros(h * d, C, 1, 1, dtype=W.dtype)
    for i in range(h):
        kernel[i * d : (i + 1) * d, :, 0, 0] = W[i]
    return kernel


# ------------------------------------------------------------ ps5.average_pixels


def average_tokens(x, weights):
    tokens = x.flatten(2).transpose(1, 2)  # [B, H·W, C]
    return (weights @ tokens).transpose(1, 2).reshape(x.shape)


def average_channels_in_front(x, weights):
    return (x.flatten(2) @ weights.mT).unflatten(-1, x.shape[-2:])


def average_einsum(x, weights):
    own = weights.reshape(len(x), *2 * x.shape[2:])  # [B, H, W, H, W]
    return einsum("bijyx,bcyx->bcij", own, x)


def average_einops(x, weights):
    tokens = einops.rearrange(x, "b c h w -> b (h w) c")
    averaged = torch.bmm(weights, tokens)
    return einops.rearrange(averaged, "b (h w) c -> b c h w", h=x.shape[2])


def average_pixel_by_pixel(x, weights):
    rows = []
    for h in range(x.shape[2]):
        row = []
        for w in range(x.shape[3]):
            own = weights[:, h * x.shape[3] + w].view(x.shape[0], 1, *x.shape[2:])
            row.append((own * x).sum((-1, -2)))
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)


def average_image_by_image(x, weights):
    B, C, H, W = x.shape
    maps = [w @ image.reshape(C, H * W).T for image, w in zip(x, weights, strict=True)]
    return torch.stack(maps).permute(0, 2, 1).contiguous().view(B, C, H, W)


# ----------------------------------------------------------- ps5.non_local_block


def tokens_of(x):
    return x.flatten(2).transpose(1, 2)


def non_local_usual(x, W_theta, W_phi, W_g, W_z):
    theta, phi, g = (tokens_of(F.conv2d(x, W)) for W in (W_theta, W_phi, W_g))
    y = (theta @ phi.mT).softmax(-1) @ g  # [B, H·W, d_v]
    return x + F.conv2d(y.mT.unflatten(-1, x.shape[2:]), W_z)


def non_local_fused_kernel(x, W_theta, W_phi, W_g, W_z):
    tokens = tokens_of(x)
    q, k, v = (F.linear(tokens, W.flatten(1)) for W in (W_theta, W_phi, W_g))
    y = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    z = F.linear(y, W_z.flatten(1))
    return x + z.transpose(1, 2).reshape(x.shape)


def non_local_as_published(x, W_theta, W_phi, W_g, W_z):
    """Channels in front, as the re-implementations have it, with `reshape` for `view`."""
    B, _, H, W = x.shape
    g = F.conv2d(x, W_g).reshape(B, W_g.shape[0], -1).permute(0, 2, 1)
    theta = F.conv2d(x, W_theta).reshape(B, W_theta.shape[0], -1).permute(0, 2, 1)
    phi = F.conv2d(x, W_phi).reshape(B, W_phi.shape[0], -1)
    f_div_C = torch.matmul(theta, phi).softmax(dim=-1)
    y = torch.matmul(f_div_C, g).permute(0, 2, 1).contiguous()
    return F.conv2d(y.view(B, W_g.shape[0], H, W), W_z) + x


def non_local_einsum(x, W_theta, W_phi, W_g, W_z):
    theta = einsum("dcij,bchw->bdhw", W_theta, x)
    phi = einsum("dcij,bchw->bdhw", W_phi, x)
    g = einsum("dcij,bchw->bdhw", W_g, x)
    scores = einsum("bdhw,bdyx->bhwyx", theta, phi)
    e = (scores - scores.amax((-1, -2), keepdim=True)).exp()
    weights = e / e.sum((-1, -2), keepdim=True)
    return x + einsum("cdij,bhwyx,bdyx->bchw", W_z, weights, g)


def non_local_by_columns(x, W_theta, W_phi, W_g, W_z):
    """Pixels in another order, there and back: nobody is worse off."""
    tokens = einops.rearrange(x, "b c h w -> b (w h) c")
    theta, phi, g = (tokens @ W[:, :, 0, 0].T for W in (W_theta, W_phi, W_g))
    z = torch.softmax(theta @ phi.mT, dim=-1) @ g @ W_z[:, :, 0, 0].T
    return x + einops.rearrange(z, "b (w h) c -> b c h w", h=x.shape[2])


def non_local_absorbed(x, W_theta, W_phi, W_g, W_z):
    """Two matrices: that of the scores, and that of what is moved; in float64."""
    M = (W_theta[..., 0, 0].T @ W_phi[..., 0, 0]).double()  # [C, C]
    moves = (W_z[..., 0, 0] @ W_g[..., 0, 0]).double()  # [C, C]
    tokens = tokens_of(x.double())
    weights = (tokens @ M @ tokens.mT).softmax(-1)
    moved = weights @ tokens @ moves.T
    return (moved.mT.reshape(x.shape) + x.double()).to(x.dtype)


def non_local_pixel_by_pixel(x, W_theta, W_phi, W_g, W_z):
    theta, phi, g = (F.conv2d(x, W).flatten(2) for W in (W_theta, W_phi, W_g))  # [B, d, H·W]
    y = [
        (g * (theta[:, :, [i]] * phi).sum(1, keepdim=True).softmax(-1)).sum(-1)
        for i in range(theta.shape[-1])
    ]
    return x + F.conv2d(torch.stack(y, -1).unflatten(-1, x.shape[2:]), W_z)


# --------------------------------------------------------- ps5.sagan_attention


def sagan_usual(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    f, g, h = (F.conv2d(x, W) for W in (W_f, W_g, W_h))
    if pool:
        f, h = F.max_pool2d(f, 2), F.max_pool2d(h, 2)
    weights = (tokens_of(g) @ f.flatten(2)).softmax(-1)  # [B, H·W, pixels that are asked]
    o = (weights @ tokens_of(h)).transpose(1, 2).unflatten(2, x.shape[2:])
    return gamma * F.conv2d(o, W_v) + x


def sagan_channels_in_front(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    """β[i, j] as in the paper: how much pixel j takes from pixel i, with a softmax over i."""
    s, h = F.conv2d(x, W_f), F.conv2d(x, W_h)
    if pool:
        pooling = nn.MaxPool2d(kernel_size=2)
        s, h = pooling(s), pooling(h)
    s = torch.bmm(s.flatten(2).transpose(1, 2), F.conv2d(x, W_g).flatten(2))
    o = torch.bmm(h.flatten(2), s.softmax(dim=1))
    return x + gamma * F.conv2d(o.view(len(x), -1, *x.shape[2:]), W_v)


def sagan_fused_kernel(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    key, query, value = (F.conv2d(x, W) for W in (W_f, W_g, W_h))
    if pool:
        key, value = F.max_pool2d(torch.cat([key, value], 1), 2).split([len(W_f), len(W_h)], 1)
    o = F.scaled_dot_product_attention(
        *(part.flatten(2).mT for part in (query, key, value)), scale=1.0
    )
    return torch.addcmul(x, gamma, F.conv2d(o.mT.unflatten(-1, x.shape[2:]), W_v))


def sagan_einops(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    def project(W):
        return einops.einsum(x, W, "b c h w, d c i j -> b d h w")

    f, g, h = project(W_f), project(W_g), project(W_h)
    if pool:
        f, h = (
            einops.reduce(part, "b d (h i) (w j) -> b d h w", "max", i=2, j=2) for part in (f, h)
        )
    g = einops.rearrange(g, "b d h w -> b (h w) d")
    f, h = (einops.rearrange(part, "b d h w -> b (h w) d") for part in (f, h))
    weights = einops.einsum(g, f, "b j d, b i d -> b j i").softmax(-1)
    o = einops.rearrange(weights @ h, "b (h w) d -> b d h w", h=x.shape[2])
    return x + gamma * einops.einsum(o, W_v, "b d h w, c d i j -> b c h w")


def sagan_largest_of_four(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    f, g, h = (einsum("dc,bchw->bdhw", W.flatten(1), x) for W in (W_f, W_g, W_h))
    if pool:
        f, h = (
            torch.stack([part[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)
            for part in (f, h)
        )
    scores = einsum("bdhw,bdn->bhwn", g, f.flatten(2))
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    o = einsum("bhwn,bdn->bdhw", e / e.sum(-1, keepdim=True), h.flatten(2))
    return gamma * einsum("cd,bdhw->bchw", W_v.flatten(1), o) + x


def sagan_image_by_image(x, W_f, W_g, W_h, W_v, gamma, pool=False):
    out = []
    for image in x.double().split(1):
        f, g, h = (F.conv2d(image, W.double()) for W in (W_f, W_g, W_h))
        f, h = (F.max_pool2d(part, 2) if pool else part for part in (f, h))
        o = (h[0].flatten(1) @ (f[0].flatten(1).T @ g[0].flatten(1)).softmax(0))[None]
        out.append(gamma * F.conv2d(o.unflatten(-1, x.shape[2:]), W_v.double()) + image)
    return torch.cat(out).to(x.dtype)


# ------------------------------------------------------ ps5.position_attention


def position_usual(x, W_b, W_c, W_d, alpha):
    B, C, H, W = x.shape
    key, query, value = (tokens_of(F.conv2d(x, kernel)) for kernel in (W_b, W_c, W_d))
    weights = (query @ key.mT).softmax(-1)  # [B, H·W, H·W]
    found = (weights @ value).mT.reshape(B, C, H, W)
    return alpha * found + x, weights.view(B, H, W, H, W)


def position_as_published(x, W_b, W_c, W_d, alpha):
    B, C, H, W = x.size()
    proj_query = F.conv2d(x, W_c).reshape(B, -1, W * H).permute(0, 2, 1)
    proj_key = F.conv2d(x, W_b).reshape(B, -1, W * H)
    attention = torch.softmax(torch.bmm(proj_query, proj_key), dim=-1)
    proj_value = F.conv2d(x, W_d).reshape(B, -1, W * H)
    out = torch.bmm(proj_value, attention.permute(0, 2, 1)).view(B, C, H, W)
    return alpha * out + x, attention.reshape(B, H, W, H, W)


def position_einsum(x, W_b, W_c, W_d, alpha):
    key, query, value = (einsum("dc,bchw->bdhw", W[..., 0, 0], x) for W in (W_b, W_c, W_d))
    scores = einsum("bdhw,bdyx->bhwyx", query, key)
    maps = scores.flatten(3).softmax(-1).view_as(scores)
    return x + alpha * einsum("bhwyx,bcyx->bchw", maps, value), maps


def position_einops_and_a_list(x, W_b, W_c, W_d, alpha):
    h, w = x.shape[2:]
    flat = "b d h w -> b (h w) d"
    B, C, D = (einops.rearrange(F.conv2d(x, W), flat) for W in (W_b, W_c, W_d))
    S = torch.softmax(einops.einsum(C, B, "b j d, b i d -> b j i"), dim=2)
    E = einops.rearrange(S @ D, "b (h w) d -> b d h w", h=h, w=w)
    return [alpha * E + x, einops.rearrange(S, "b (h w) (y x) -> b h w y x", h=h, y=h)]


def position_pixel_by_pixel(x, W_b, W_c, W_d, alpha):
    key, query, value = (F.conv2d(x, W) for W in (W_b, W_c, W_d))
    output = x.clone()
    maps = torch.empty(len(x), *x.shape[2:], *x.shape[2:], dtype=x.dtype)
    for h in range(x.shape[2]):
        for w in range(x.shape[3]):
            scores = (query[:, :, h, w, None, None] * key).sum(1)  # [B, H, W]
            own = scores.flatten(1).softmax(-1).view_as(scores)
            maps[:, h, w] = own
            output[:, :, h, w] += alpha * (own[:, None] * value).sum((-1, -2))
    return output, maps


def position_keys_first(x, W_b, W_c, W_d, alpha):
    """s_ji as the paper prints it, and each pixel's distribution in a column."""
    key, query, value = (F.conv2d(x.double(), W.double()).flatten(2) for W in (W_b, W_c, W_d))
    columns = (key.mT @ query).softmax(-2)  # [B, i, j]
    output = alpha * (value @ columns).unflatten(-1, x.shape[2:]) + x
    maps = columns.mT.unflatten(2, x.shape[2:]).unflatten(1, x.shape[2:])
    return output.to(x.dtype), maps.to(x.dtype)


# ------------------------------------------------------- ps5.channel_attention


def channel_usual(x, beta, form="paper"):
    channels = x.flatten(2)  # [B, C, H·W]
    scores = channels @ channels.mT  # [B, C, C]
    if form == "code":
        scores = scores.amax(-1, keepdim=True) - scores
    return beta * (scores.softmax(-1) @ channels).view_as(x) + x


def channel_as_published(x, beta, form="paper"):
    B, C, H, W = x.size()
    proj_query = x.reshape(B, C, -1)
    proj_key = x.reshape(B, C, -1).permute(0, 2, 1)
    energy = torch.bmm(proj_query, proj_key)
    if form == "code":
        energy = torch.max(energy, -1, keepdim=True)[0].expand_as(energy) - energy
    out = torch.bmm(torch.softmax(energy, dim=-1), proj_query)
    return beta * out.view(B, C, H, W) + x


def channel_minus_the_scores(x, beta, form="paper"):
    sign = {"paper": 1, "code": -1}[form]
    scores = sign * einsum("bchw,bdhw->bcd", x, x)
    return x + beta * einsum("bcd,bdhw->bchw", scores.softmax(2), x)


def channel_fused_kernel(x, beta, form="paper"):
    channels = x.flatten(2)
    query = channels if form == "paper" else -channels
    found = F.scaled_dot_product_attention(query, channels, channels, scale=1.0)
    return torch.addcmul(x, beta, found.reshape(x.shape))


def channel_by_channel(x, beta, form="paper"):
    found = []
    for j in range(x.shape[1]):
        scores = (x * x[:, j : j + 1]).sum((-1, -2))  # [B, C]
        weights = (scores if form == "paper" else -scores).softmax(-1)
        found.append((weights[..., None, None] * x).sum(1))
    return x + beta * torch.stack(found, 1)


def channel_einops_in_float64(x, beta, form="paper"):
    A = einops.rearrange(x.double(), "b c h w -> b c (h w)")
    e = A @ A.mT
    e = (e - e.amax(-1, keepdim=True) if form == "paper" else e.amin(-1, keepdim=True) - e).exp()
    E = beta * (e / e.sum(-1, keepdim=True)) @ A + A
    return einops.rearrange(E, "b c (h w) -> b c h w", h=x.shape[2]).to(x.dtype)


# --------------------------------------------------------- ps5.multiplications


def multiplications_formula(height, width, channels, d, pool=False):
    pixels = height * width
    keys = (height // 2) * (width // 2) if pool else pixels
    return 4 * pixels * channels * d + 2 * pixels * keys * d


def multiplications_factored(height, width, channels, d, pool=False):
    n = height * width
    m = int(height / 2) * int(width / 2) if pool else n
    return 2 * n * d * (2 * channels + m)


def multiplications_step_by_step(height, width, channels, d, pool=False):
    n = height * width
    total = 0
    for _convolution in ("query", "key", "value", "output"):
        total += n * channels * d
    side = 2 if pool else 1
    asked = math.floor(height / side) * math.floor(width / side)
    for _product in ("scores", "average"):
        total += n * asked * d
    return float(total)


def multiplications_of_shapes(height, width, channels, d, pool=False):
    x = torch.empty(channels, height, width, device="meta")
    key = torch.empty(d, height, width, device="meta")
    if pool:
        key = key[:, : height // 2, : width // 2]
    convolutions = 4 * x[0].numel() * channels * d
    return convolutions + 2 * x[0].numel() * key.numel()


def multiplications_of_products(height, width, channels, d, pool=False):
    """Every product [rows, inner] @ [inner, columns] costs rows · inner · columns."""
    n = height * width
    asked = len(range(1, height, 2)) * len(range(1, width, 2)) if pool else n
    products = 3 * [(n, channels, d)] + [(n, d, asked), (n, asked, d), (n, d, channels)]
    return sum(math.prod(product) for product in products)


def multiplications_in_a_tensor(height, width, channels, d, pool=False):
    n = torch.tensor(height * width)
    asked = torch.tensor((height // 2) * (width // 2)) if pool else n
    return n * d * (4 * channels + 2 * asked)


RIGHT = {
    "ps5.one_by_one_convolution": [
        one_by_one_conv2d,
        one_by_one_tokens,
        one_by_one_einsum,
        one_by_one_channels_last,
        one_by_one_loops,
        one_by_one_matrix_in_front,
        one_by_one_einops_in_float64,
    ],
    "ps5.heads_as_kernel": [
        kernel_flatten,
        kernel_reshape,
        kernel_cat,
        kernel_einops,
        kernel_row_by_row,
        kernel_written,
    ],
    "ps5.average_pixels": [
        average_tokens,
        average_channels_in_front,
        average_einsum,
        average_einops,
        average_pixel_by_pixel,
        average_image_by_image,
    ],
    "ps5.non_local_block": [
        non_local_usual,
        non_local_fused_kernel,
        non_local_as_published,
        non_local_einsum,
        non_local_by_columns,
        non_local_absorbed,
        non_local_pixel_by_pixel,
    ],
    "ps5.sagan_attention": [
        sagan_usual,
        sagan_channels_in_front,
        sagan_fused_kernel,
        sagan_einops,
        sagan_largest_of_four,
        sagan_image_by_image,
    ],
    "ps5.position_attention": [
        position_usual,
        position_as_published,
        position_einsum,
        position_einops_and_a_list,
        position_pixel_by_pixel,
        position_keys_first,
    ],
    "ps5.channel_attention": [
        channel_usual,
        channel_as_published,
        channel_minus_the_scores,
        channel_fused_kernel,
        channel_by_channel,
        channel_einops_in_float64,
    ],
    "ps5.multiplications": [
        multiplications_formula,
        multiplications_factored,
        multiplications_step_by_step,
        multiplications_of_shapes,
        multiplications_of_products,
        multiplications_in_a_tensor,
    ],
}


# ------------------------------------------------------------ wrong, and nameless

# They resemble a misconception in some small case, and are none of them.
WRONG = {
    "ps5.one_by_one_convolution": {
        "zeros": lambda x, kernel, bias=None: 0 * one_by_one_conv2d(x, kernel, bias),
        "a constant": lambda x, kernel, bias=None: 0 * one_by_one_conv2d(x, kernel, bias) + 0.123,
        "the channels backwards": lambda x, kernel, bias=None: one_by_one_conv2d(
            x.flip(1), kernel, bias
        ),
    },
    "ps5.heads_as_kernel": {
        "zeros": lambda W: 0 * kernel_flatten(W),
        "a constant": lambda W: 0 * kernel_flatten(W) + 0.123,
        "backwards": lambda W: kernel_flatten(W.flip(0)),
    },
    "ps5.average_pixels": {
        "zeros": lambda x, weights: torch.zeros_like(x),
        "the mean of all pixels": lambda x, weights: x.mean((-1, -2), keepdim=True).expand_as(x),
        "backwards": lambda x, weights: average_tokens(x, weights.flip(-1)),
    },
    "ps5.non_local_block": {
        "zeros": lambda x, *kernels: torch.zeros_like(x),
        "the map": lambda x, *kernels: x.clone(),
        "the mean of the values": lambda x, W_theta, W_phi, W_g, W_z: (
            x + F.conv2d(F.conv2d(x.mean((-1, -2), keepdim=True), W_g), W_z)
        ),
    },
    "ps5.sagan_attention": {
        "zeros": lambda x, *learned, pool=False: torch.zeros_like(x),
        "the map twice": lambda x, *learned, pool=False: 2 * x,
        "γ squared": lambda *given, pool=False: sagan_usual(*given[:-1], given[-1] ** 2, pool=pool),
    },
    "ps5.position_attention": {
        "the map, and even maps": lambda x, *learned: (
            x.clone(),
            torch.full((len(x), *2 * x.shape[2:]), 1 / x[0, 0].numel(), dtype=x.dtype),
        ),
        "α squared": lambda *given: position_usual(*given[:-1], given[-1] ** 2),
    },
    "ps5.channel_attention": {
        "zeros": lambda x, beta, form="paper": torch.zeros_like(x),
        "the map twice": lambda x, beta, form="paper": 2 * x,
        "the mean of the channels": lambda x, beta, form="paper": (
            x + beta * x.mean(1, keepdim=True)
        ),
    },
    "ps5.multiplications": {
        "zero": lambda *sizes, pool=False: 0,
        "half as many again": lambda *sizes, pool=False: (
            1.5 * multiplications_formula(*sizes, pool)
        ),
        "one too many": lambda *sizes, pool=False: 1 + multiplications_formula(*sizes, pool),
        "a word": lambda *sizes, pool=False: "many",
    },
}
