"""Answers to the items of problem set 3: right ones in many styles, and nameless wrong ones."""

import math

import einops
import torch
import torch.nn.functional as F
from torch import einsum, nn

# -------------------------------------------------------------------- ps3.attend


def attend_fused_kernel(query, key, value, mask=None):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attend_fill_then_wipe(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is None:
        return scores.softmax(-1) @ value
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
    return weights @ value


def attend_einsum(query, key, value, mask=None):
    scores = einsum("...qd,...kd->...qk", query, key) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, -1e30)
    weights = F.softmax(scores, dim=-1)
    if mask is not None:
        weights = torch.where(mask, weights, 0.0)
    return einsum("...qk,...kv->...qv", weights, value)


def attend_einops(query, key, value, mask=None):
    scores = einops.einsum(query, key, "... q d, ... k d -> ... q k") / query.size(-1) ** 0.5
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    blind = ~mask.any(-1, keepdim=True)
    weights = scores.masked_fill(~(mask | blind), -math.inf).softmax(-1) * ~blind
    return einops.einsum(weights, value, "... q k, ... k v -> ... q v")


def attend_query_by_query(query, key, value, mask=None):
    d_k = query.shape[-1]
    if mask is not None:
        mask = mask.expand(*query.shape[:-1], key.shape[-2])
    rows = []
    for i in range(query.shape[-2]):
        scores = (query[..., i, None, :] * key).sum(-1) / d_k**0.5  # [..., T_k]
        if mask is None:
            weights = scores.softmax(-1)
        else:
            weights = scores.masked_fill(~mask[..., i, :], -torch.inf).softmax(-1)
            weights = weights.masked_fill(~mask[..., i, :], 0)
        rows.append((weights.unsqueeze(-1) * value).sum(-2))
    return torch.stack(rows, dim=-2)


def attend_in_float64(query, key, value, mask=None):
    q, k, v = query.double(), key.double(), value.double()
    scores = torch.matmul(q, k.transpose(-2, -1)) / q.shape[-1] ** 0.5
    if mask is None:
        return (scores.softmax(-1) @ v).to(query.dtype)
    weights = scores.masked_fill(~mask, -1e300).softmax(-1) * mask
    return (weights @ v).to(query.dtype)


def attend_by_hand(query, key, value, mask=None):
    query = query / query.shape[-1] ** 0.5
    scores = query @ key.mT
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    e = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    return (e @ value) / e.sum(-1, keepdim=True).clamp_min(1e-30)


# ---------------------------------------------------------------- ps3.qk_circuit


def circuit_matmul(W_q, W_k):
    return W_q.mT @ W_k


def circuit_einsum(W_q, W_k):
    return einsum("...aq,...ak->...qk", W_q, W_k)


def circuit_einops(W_q, W_k):
    return einops.einsum(W_q, W_k, "... a q, ... a k -> ... q k")


def circuit_sum_of_outer_products(W_q, W_k):
    return sum(W_q[..., a, :, None] * W_k[..., a, None, :] for a in range(W_q.shape[-2]))


def circuit_entry_by_entry(W_q, W_k):
    rows = [
        torch.stack([(W_q[..., i] * W_k[..., j]).sum(-1) for j in range(W_k.shape[-1])], dim=-1)
        for i in range(W_q.shape[-1])
    ]
    return torch.stack(rows, dim=-2)


def circuit_of_unit_vectors(W_q, W_k):
    # M[i, j] is the score of unit vector i with unit vector j.
    queries = F.linear(torch.eye(W_q.shape[-1], dtype=W_q.dtype), W_q) if W_q.ndim == 2 else W_q.mT
    keys = W_k.swapaxes(-1, -2)
    return torch.matmul(queries, keys.transpose(-1, -2))


def circuit_in_float64(W_q, W_k):
    return torch.matmul(W_q.double().transpose(-2, -1), W_k.double()).to(W_q.dtype)


# -------------------------------------------------------------------- ps3.factor


def factor_balanced(M, d_k):
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    root = S[..., :d_k].sqrt().unsqueeze(-1)
    return root * U[..., :d_k].mT, root * Vh[..., :d_k, :]


def factor_all_on_the_key(M, d_k):
    U, S, Vh = torch.linalg.svd(M)
    return U[..., :d_k].mT, S[..., :d_k, None] * Vh[..., :d_k, :]


def factor_all_on_the_query(M, d_k):
    U, S, V = torch.svd(M)
    return [(U * S.unsqueeze(-2))[..., :d_k].mT, V[..., :d_k].mT]


def factor_by_eigenvectors(M, d_k):
    # The largest eigenvectors of MᵀM span what the closest matrix keeps.
    _, vectors = torch.linalg.eigh(M.mT @ M)  # rising
    V = vectors[..., -d_k:]
    return (M @ V).mT, V.mT


def factor_by_projection(M, d_k):
    U = torch.linalg.svd(M.double()).U[..., :d_k]
    W_q = U.mT.to(M.dtype)
    return W_q, W_q @ M


def factor_in_a_gauge_of_its_own(M, d_k):
    U, S, Vh = torch.linalg.svd(M)
    mix = torch.linalg.matrix_exp(torch.randn(d_k, d_k, dtype=M.dtype) / 3)
    W_q = torch.diag_embed(S[..., :d_k].sqrt()) @ U[..., :d_k].mT
    W_k = torch.diag_embed(S[..., :d_k].sqrt()) @ Vh[..., :d_k, :]
    return mix @ W_q, torch.linalg.inv(mix).mT @ W_k


def factor_head_by_head(M, d_k):
    pairs = []
    for one in M.reshape(-1, *M.shape[-2:]):
        U, S, Vh = torch.linalg.svd(one)
        pairs.append((U[:, :d_k].T, torch.diag(S[:d_k]) @ Vh[:d_k]))
    queries, keys = (torch.stack(side) for side in zip(*pairs, strict=True))
    leading = M.shape[:-2]
    return queries.reshape(*leading, *queries.shape[1:]), keys.reshape(*leading, *keys.shape[1:])


# ------------------------------------------------------------------- ps3.regauge


def regauge_inverse(W_q, W_k, A):
    return A @ W_q, torch.linalg.inv(A).mT @ W_k


def regauge_solve(W_q, W_k, A):
    return torch.matmul(A, W_q), torch.linalg.solve(A.mT, W_k)


def regauge_einsum(W_q, W_k, A):
    B = torch.inverse(A)
    return einsum("...ab,...bd->...ad", A, W_q), einsum("...ba,...bd->...ad", B, W_k)


def regauge_einops(W_q, W_k, A):
    B = torch.linalg.pinv(A)
    return (
        einops.einsum(A, W_q, "... a b, ... b d -> ... a d"),
        einops.einsum(B, W_k, "... b a, ... b d -> ... a d"),
    )


def regauge_in_float64(W_q, W_k, A):
    a = A.double()
    new_q, new_k = a @ W_q.double(), torch.linalg.inv(a.transpose(-1, -2)) @ W_k.double()
    return [new_q.to(W_q.dtype), new_k.to(W_k.dtype)]


def regauge_from_the_right(W_q, W_k, A):
    # (A W)ᵀ = Wᵀ Aᵀ, and X A = Wᵀ for X = Wᵀ A⁻¹
    return (W_q.mT @ A.mT).mT, torch.linalg.solve(A, W_k.mT, left=False).mT


# ------------------------------------------------------------------ ps3.symmetry


def symmetry_by_definition(W_q, W_k):
    M = W_q.mT @ W_k
    return (M * M.mT).sum((-2, -1)) / M.square().sum((-2, -1))


def symmetry_of_small_products(W_q, W_k):
    # d_k × d_k matrices suffice: tr(M M) = tr((W_k W_qᵀ)²), ‖M‖² = tr(W_q W_qᵀ W_k W_kᵀ).
    cross = W_k @ W_q.mT
    energy = ((W_q @ W_q.mT) * (W_k @ W_k.mT)).sum((-2, -1))
    return (cross * cross.mT).sum((-2, -1)) / energy


def symmetry_traces(W_q, W_k):
    M = torch.matmul(W_q.transpose(-2, -1), W_k)
    trace = torch.vmap(torch.trace) if M.ndim == 3 else None
    if trace is None:
        diagonal = lambda X: X.diagonal(dim1=-2, dim2=-1).sum(-1)  # noqa: E731
        return diagonal(M @ M) / diagonal(M.mT @ M)
    return trace(M @ M) / trace(M.mT @ M)


def symmetry_of_the_two_parts(W_q, W_k):
    M = W_q.mT @ W_k
    symmetric, antisymmetric = (M + M.mT) / 2, (M - M.mT) / 2
    energy = lambda X: torch.linalg.matrix_norm(X) ** 2  # noqa: E731
    return (energy(symmetric) - energy(antisymmetric)) / energy(M)


def symmetry_cosine_of_flat_matrices(W_q, W_k):
    M = einsum("...ai,...aj->...ij", W_q, W_k)
    return F.cosine_similarity(M.flatten(-2), M.mT.flatten(-2), dim=-1)


def symmetry_einsum(W_q, W_k):
    M = einops.einsum(W_q, W_k, "... a i, ... a j -> ... i j")
    return einsum("...ij,...ji->...", M, M) / einsum("...ij,...ij->...", M, M)


def symmetry_head_by_head(W_q, W_k):
    found = []
    for a, b in zip(
        W_q.reshape(-1, *W_q.shape[-2:]), W_k.reshape(-1, *W_k.shape[-2:]), strict=True
    ):
        M = (a.T @ b).double()
        found.append((M * M.T).sum() / (M * M).sum())
    return torch.stack(found).reshape(W_q.shape[:-2]).to(W_q.dtype)


# ------------------------------------------------------------ ps3.self_attention


def self_attention_dictionary(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    q, k, v = (F.linear(x, W, b) for W, b in ((W_q, b_q), (W_k, b_k), (W_v, b_v)))
    q, k, v = {
        "raw": (x, x, x),
        "shared": (q, q, q),
        "tied_qk": (q, q, v),
        "tied_kv": (q, k, k),
        "separate": (q, k, v),
    }[projections]
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def self_attention_if_by_if(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    if projections == "raw":
        query = key = value = x
    else:
        query = x @ W_q.mT + b_q
        key = x @ W_k.mT + b_k if projections in ("tied_kv", "separate") else query
        value = key if projections in ("shared", "tied_kv") else x @ W_v.mT + b_v
    return F.scaled_dot_product_attention(query, key, value)


def self_attention_replaces_weights(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    if projections == "raw":
        W_q = W_k = W_v = torch.eye(x.shape[-1], dtype=x.dtype)
        b_q = b_k = b_v = torch.zeros(x.shape[-1], dtype=x.dtype)
    if projections in ("shared", "tied_qk"):
        W_k, b_k = W_q, b_q
    if projections in ("shared", "tied_kv"):
        W_v, b_v = W_k, b_k
    query = einsum("...td,kd->...tk", x, W_q) + b_q
    key = einsum("...td,kd->...tk", x, W_k) + b_k
    value = einsum("...td,vd->...tv", x, W_v) + b_v
    weights = F.softmax(einsum("...id,...jd->...ij", query, key) / math.sqrt(len(b_q)), dim=-1)
    return einsum("...ij,...jd->...id", weights, value)


def self_attention_without_the_bias_of_the_keys(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    # It adds the same number to a whole row of scores, which no softmax notices.
    if projections == "raw":
        return F.scaled_dot_product_attention(x, x, x)
    q = F.linear(x, W_q, b_q)
    k = x @ (W_q if projections in ("shared", "tied_qk") else W_k).mT
    v = {
        "shared": lambda: q,
        "tied_kv": lambda: F.linear(x, W_k, b_k),
    }.get(projections, lambda: F.linear(x, W_v, b_v))()
    return (q @ k.mT / k.shape[-1] ** 0.5).softmax(-1) @ v


def self_attention_einops(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    def project(W, b):
        return einops.einsum(x, W, "... t d, k d -> ... t k") + b

    match projections:
        case "raw":
            q, k, v = x, x, x
        case "shared":
            q = k = v = project(W_q, b_q)
        case "tied_qk":
            q = k = project(W_q, b_q)
            v = project(W_v, b_v)
        case "tied_kv":
            q = project(W_q, b_q)
            k = v = project(W_k, b_k)
        case _:
            q, k, v = project(W_q, b_q), project(W_k, b_k), project(W_v, b_v)
    scores = einops.einsum(q, k, "... i d, ... j d -> ... i j") / q.shape[-1] ** 0.5
    return einops.einsum(scores.softmax(-1), v, "... i j, ... j d -> ... i d")


def self_attention_token_by_token(x, projections, W_q, b_q, W_k, b_k, W_v, b_v):
    weights = {"q": (W_q, b_q), "k": (W_k, b_k), "v": (W_v, b_v)}
    letters = {"shared": "qqq", "tied_qk": "qqv", "tied_kv": "qkk", "separate": "qkv"}
    if projections == "raw":
        parts = [x, x, x]
    else:
        parts = []
        for letter in letters[projections]:
            W, b = weights[letter]
            parts.append(torch.stack([(x * row).sum(-1) for row in W], dim=-1) + b)
    q, k, v = parts
    rows = []
    for t in range(x.shape[-2]):
        scores = (k @ q[..., t, :, None]).squeeze(-1) / q.shape[-1] ** 0.5
        rows.append((scores.softmax(-1)[..., None] * v).sum(-2))
    return torch.stack(rows, -2)


# --------------------------------------------------------------- ps3.train_cycle


def head(tokens, W_q, W_k, W_v):
    query, key, value = tokens @ W_q.T, tokens @ W_k.T, tokens @ W_v.T
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1) @ value


def train_adam_full_batch(tokens, targets):
    D, payloads = tokens.shape[-1], int(targets.max()) + 1
    weights = [nn.Parameter(torch.randn(rows, D) / D**0.5) for rows in (8, 8, payloads)]
    optimiser = torch.optim.Adam(weights, lr=0.01)
    for _ in range(300):
        loss = F.cross_entropy(head(tokens, *weights).flatten(0, 1), targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return tuple(weights)


def train_layers_in_minibatches(tokens, targets):
    D = tokens.shape[-1]
    query, key, value = nn.Linear(D, 6, bias=False), nn.Linear(D, 6, bias=False), nn.Linear(D, 10)
    nn.init.zeros_(value.bias).requires_grad_(False)
    parameters = [*query.parameters(), *key.parameters(), value.weight]
    optimiser = torch.optim.AdamW(parameters, lr=5e-3)
    data = torch.utils.data.TensorDataset(tokens, targets)
    for _ in range(15):
        for x, y in torch.utils.data.DataLoader(data, batch_size=32, shuffle=True):
            logits = F.scaled_dot_product_attention(query(x), key(x), value(x))
            loss = F.cross_entropy(logits.transpose(1, 2), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return query.weight, key.weight, value.weight


def train_sgd_with_momentum(tokens, targets):
    D = tokens.shape[-1]
    W_q, W_k, W_v = (0.1 * torch.randn(rows, D) for rows in (4, 4, 10))
    for W in (W_q, W_k, W_v):
        W.requires_grad_()
    optimiser = torch.optim.SGD([W_q, W_k, W_v], lr=0.1, momentum=0.9)
    for _ in range(400):
        logits = head(tokens, W_q, W_k, W_v)
        loss = -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return W_q.detach(), W_k.detach(), W_v.detach()


def train_lbfgs_in_float64(tokens, targets):
    x, D = tokens.double(), tokens.shape[-1]
    weights = [(0.2 * torch.randn(rows, D)).double().requires_grad_() for rows in (3, 3, 10)]
    optimiser = torch.optim.LBFGS(weights, max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        decay = 1e-4 * sum(W.square().sum() for W in weights)
        loss = F.cross_entropy(head(x, *weights).reshape(-1, 10), targets.reshape(-1)) + decay
        loss.backward()
        return loss

    optimiser.step(closure)
    return [W.detach().to(tokens.dtype) for W in weights]


class Head(nn.Module):
    def __init__(self, D, d_k, payloads):
        super().__init__()
        self.d_k = d_k
        self.qkv = nn.Linear(D, 2 * d_k + payloads, bias=False)

    def forward(self, x):
        sizes = [self.d_k, self.d_k, self.qkv.out_features - 2 * self.d_k]
        q, k, v = self.qkv(x).split(sizes, dim=-1)
        return torch.softmax(q @ k.mT * self.d_k**-0.5, dim=-1) @ v


def train_module_with_a_schedule(tokens, targets):
    model, steps = Head(tokens.shape[-1], 5, 10), 200
    optimiser = torch.optim.RMSprop(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        seen = torch.randint(len(tokens), (64,))
        loss = F.cross_entropy(model(tokens[seen]).permute(0, 2, 1), targets[seen])
        model.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.qkv.weight.split([5, 5, 10])


def train_by_hand_without_an_optimiser(tokens, targets):
    D = tokens.shape[-1]
    weights = [torch.nn.init.xavier_uniform_(torch.empty(rows, D)) for rows in (8, 8, 10)]
    one_hot = F.one_hot(targets, 10).float()
    for _ in range(300):
        for W in weights:
            W.requires_grad_()
        loss = -(one_hot * head(tokens, *weights).log_softmax(-1)).sum(-1).mean()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights = [W - 0.5 * g for W, g in zip(weights, gradients, strict=True)]
    return tuple(weights)


# -------------------------------------------------------------- ps3.cannot_carry


def lost_pinv(x, W):
    return x - x @ W.mT @ torch.linalg.pinv(W).mT


def lost_projector(x, W):
    kept = torch.linalg.pinv(W) @ W
    return x @ (torch.eye(W.shape[-1], dtype=W.dtype) - kept)


def lost_singular_vectors(x, W):
    _, S, Vh = torch.linalg.svd(W, full_matrices=False)
    rows = Vh[S / S.max() > 1e-5]
    return x - (x @ rows.mT) @ rows


def lost_einsum(x, W):
    seen = einsum("...d,kd->...k", x, W)
    return x - einsum("...k,dk->...d", seen, torch.linalg.pinv(W))


def lost_least_squares(x, W):
    if not x.requires_grad:
        # The shortest y with W y = W x is what the rows of W hold of x.
        flat = x.reshape(-1, x.shape[-1])
        held = torch.linalg.lstsq(W, W @ flat.mT, driver="gelsd").solution
        return x - held.mT.reshape(x.shape)
    return x - (torch.linalg.pinv(W) @ (W @ x.unsqueeze(-1))).squeeze(-1)


def lost_gram_schmidt(x, W):
    rows = []
    for row in W:
        rest = row
        for _ in range(2):  # the second round takes off what rounding left
            for unit in rows:
                rest = rest - (rest @ unit) * unit
        if rest.norm() > 1e-5 * row.norm():
            rows.append(rest / rest.norm())
    for unit in rows:
        x = x - (x @ unit).unsqueeze(-1) * unit
    return x


def lost_einops_in_float64(x, W):
    w = W.double()
    kept = einops.einsum(torch.linalg.pinv(w), w, "d k, k e -> d e")
    return (x.double() - einops.einsum(x.double(), kept, "... e, d e -> ... d")).to(x.dtype)


RIGHT = {
    "ps3.attend": [
        attend_fused_kernel,
        attend_fill_then_wipe,
        attend_einsum,
        attend_einops,
        attend_query_by_query,
        attend_in_float64,
        attend_by_hand,
    ],
    "ps3.qk_circuit": [
        circuit_matmul,
        circuit_einsum,
        circuit_einops,
        circuit_sum_of_outer_products,
        circuit_entry_by_entry,
        circuit_of_unit_vectors,
        circuit_in_float64,
    ],
    "ps3.factor": [
        factor_balanced,
        factor_all_on_the_key,
        factor_all_on_the_query,
        factor_by_eigenvectors,
        factor_by_projection,
        factor_in_a_gauge_of_its_own,
        factor_head_by_head,
    ],
    "ps3.regauge": [
        regauge_inverse,
        regauge_solve,
        regauge_einsum,
        regauge_einops,
        regauge_in_float64,
        regauge_from_the_right,
    ],
    "ps3.symmetry": [
        symmetry_by_definition,
        symmetry_of_small_products,
        symmetry_traces,
        symmetry_of_the_two_parts,
        symmetry_cosine_of_flat_matrices,
        symmetry_einsum,
        symmetry_head_by_head,
    ],
    "ps3.self_attention": [
        self_attention_dictionary,
        self_attention_if_by_if,
        self_attention_replaces_weights,
        self_attention_without_the_bias_of_the_keys,
        self_attention_einops,
        self_attention_token_by_token,
    ],
    "ps3.train_cycle": [
        train_adam_full_batch,
        train_layers_in_minibatches,
        train_sgd_with_momentum,
        train_lbfgs_in_float64,
        train_module_with_a_schedule,
        train_by_hand_without_an_optimiser,
    ],
    "ps3.cannot_carry": [
        lost_pinv,
        lost_projector,
        lost_singular_vectors,
        lost_einsum,
        lost_least_squares,
        lost_gram_schmidt,
        lost_einops_in_float64,
    ],
}


# ------------------------------------------------------------ wrong, and nameless


def zeros_like_output(query, key, value, mask=None):
    return torch.zeros(*query.shape[:-1], value.shape[-1], dtype=query.dtype)


# They resemble a misconception in some small case, and are none of them.
WRONG = {
    "ps3.attend": {
        "zeros": zeros_like_output,
        "a constant": lambda query, key, value, mask=None: (
            zeros_like_output(query, key, value) + 0.123
        ),
        "negative distance": lambda query, key, value, mask=None: (
            (-torch.cdist(query, key)).softmax(-1) @ value
        ),
    },
    "ps3.qk_circuit": {
        "a sum of outer sums": lambda W_q, W_k: (
            W_q.sum(-2)[..., :, None] + W_k.sum(-2)[..., None, :]
        ),
        "zeros": lambda W_q, W_k: 0 * (W_q.mT @ W_k),
        "a constant": lambda W_q, W_k: 0 * (W_q.mT @ W_k) + 0.123,
    },
    "ps3.factor": {
        "ones": lambda M, d_k: (
            torch.ones(*M.shape[:-2], d_k, M.shape[-2]),
            torch.ones(*M.shape[:-2], d_k, M.shape[-1]),
        ),
        "three matrices": lambda M, d_k: torch.linalg.svd(M, full_matrices=False),
    },
    "ps3.regauge": {
        "untouched": lambda W_q, W_k, A: (W_q, W_k),
        "zeros": lambda W_q, W_k, A: (0 * W_q, 0 * W_k),
        "a string": lambda W_q, W_k, A: "A W_q",
    },
    "ps3.symmetry": {
        "zeros": lambda W_q, W_k: torch.zeros(W_q.shape[:-2]),
        "a constant": lambda W_q, W_k: torch.full(W_q.shape[:-2], 0.123),
    },
    "ps3.self_attention": {
        "zeros": lambda x, mode, *weights: 0 * x,
        "the token itself": lambda x, mode, *weights: x,
        "a constant": lambda x, mode, W_q, b_q, W_k, b_k, W_v, b_v: (
            0 * F.linear(x, W_v, b_v) + 0.123
        ),
    },
    "ps3.train_cycle": {
        "two matrices": lambda tokens, targets: (torch.ones(8, 24), torch.ones(10, 24)),
        "the targets": lambda tokens, targets: targets,
        "a word": lambda tokens, targets: "trained",
    },
    "ps3.cannot_carry": {
        "zeros": lambda x, W: torch.zeros_like(x),
        "x": lambda x, W: x.clone(),
        "a constant": lambda x, W: torch.full_like(x, 0.123),
    },
}
