"""Wrong answers that resemble a misconception in some small case, and are none of them."""

import torch
import torch.nn.functional as F


def dots(x):
    return x @ x.mT


def cosines(x):
    tokens = F.normalize(x.flatten(2).mT, dim=-1)
    return dots(tokens)


def zeros_for(x, y=None):
    return torch.zeros(*x.shape[:-1], (x if y is None else y).shape[-2])


def forbid(scores, mask):
    return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


NOT_A_MISCONCEPTION = {
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
