"""Distances of real lengths fall into the buckets that the models were trained with."""

from __future__ import annotations

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
from transformers.models.falcon.modeling_falcon import build_alibi_tensor
from transformers.models.t5.modeling_t5 import T5Attention

from attncourse.pretrained.terms import Buckets, Disentangled, Slopes

T = 700


# A logarithm in another precision, or a floor in another place, flips a bucket here and there.
@pytest.mark.parametrize("both_ways", [True, False])
def test_far_tokens_share_the_buckets_of_t5(both_ways):
    numbered = Buckets(torch.arange(32.0)[None], both_ways, 128)
    query, key = torch.zeros(1, T, 3), torch.zeros(1, T - 1, 3)
    ahead = torch.arange(T - 1)[None, :] - torch.arange(T)[:, None]
    wanted = T5Attention._relative_position_bucket(ahead, both_ways, 32, 128)
    assert wanted.unique().numel() > 20
    assert torch.equal(numbered(query, key)[0].long(), wanted)


@pytest.mark.parametrize(("span", "longest"), [(256, 512), (32, 300)])
def test_far_tokens_share_the_distances_of_deberta(span, longest):
    distances = torch.arange(2.0 * span)[None, :, None]  # each is its own number
    term = Disentangled(distances, None, 1.0, longest)
    query, key = torch.ones(1, T, 1), torch.ones(1, T, 1)
    behind = torch.arange(T)[:, None] - torch.arange(T)[None, :]
    wanted = make_log_bucket_position(behind, span, longest).long() + span
    assert torch.equal(term(query, key)[0].long(), wanted.clamp(0, 2 * span - 1))


@pytest.mark.parametrize("h", [4, 12, 71])
def test_falcons_slopes_are_rounded_as_it_rounds_them(h):
    mask = torch.ones(1, T, dtype=torch.long)
    wanted = build_alibi_tensor(mask, h, torch.float32)
    term = Slopes.of(h, bfloat16=True)(torch.zeros(h, 2, 3), torch.zeros(h, T, 3))
    assert torch.equal(term, wanted)
