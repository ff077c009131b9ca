"""The networks that are compared differ in how query, key and value are tied, and in no more."""

from __future__ import annotations

import math

import pytest
import torch

from attncourse.attention import SelfAttention
from attncourse.experiments.models import (
    MODES,
    CosineAttention,
    Reader,
    count_parameters,
    head_sizes,
    make_attention,
)
from attncourse.experiments.tasks import FULL, QUICK, Settings

PROJECTED = [mode for mode in MODES if mode not in ("cosine", "raw")]
BLOCKS = [task for task in (*QUICK.values(), *FULL.values()) if task.settings.mlp_width]


def projection_parameters(mode, settings):
    return count_parameters(make_attention(mode, settings, mask_diagonal=False))


@pytest.mark.parametrize("mode", PROJECTED)
def test_quick_models_have_exactly_as_many_projection_parameters_as_separate(mode):
    for task in QUICK.values():
        if task.settings.match_parameters:
            assert projection_parameters(mode, task.settings) == projection_parameters(
                "separate", task.settings
            )


@pytest.mark.parametrize("mode", PROJECTED)
@pytest.mark.parametrize("d_k", range(1, 14))
def test_where_the_sizes_do_not_divide_no_other_size_comes_nearer(mode, d_k):
    settings = Settings(steps=1, d_model=30, d_k=d_k, num_heads=2)
    wanted = projection_parameters("separate", settings)
    chosen_k, chosen_v = head_sizes(mode, settings)
    off = abs(projection_parameters(mode, settings) - wanted)
    for d in range(1, 40):
        d_v = chosen_v if mode in ("tied_qk", "separate") else d
        other = SelfAttention(30, projections=mode, num_heads=2, d_k=d, d_v=d_v)
        assert off <= abs(count_parameters(other) - wanted), (chosen_k, d)


def test_tied_query_and_key_keep_the_values_of_separate():
    settings = Settings(steps=1, d_k=7)
    assert head_sizes("tied_qk", settings)[1] == head_sizes("separate", settings)[1] == 7


@pytest.mark.parametrize("mode", PROJECTED)
def test_unmatched_modes_all_have_the_d_k_that_the_sweep_names(mode):
    for d_k in (4, 8, 16):
        assert head_sizes(mode, QUICK[f"match/{d_k}"].settings) == (d_k, d_k)


@pytest.mark.parametrize("task", BLOCKS, ids=lambda task: f"{task.name}-{task.settings.d_model}")
def test_blocks_of_all_modes_are_equally_large_up_to_one_hidden_unit(task):
    hidden_unit = 2 * task.settings.d_model + 1
    separate, *others = (
        count_parameters(Reader(task, mode, mask_diagonal=False))
        for mode in ("separate", *(m for m in MODES if m != "separate"))
    )
    for other in others:
        assert abs(other - separate) <= hidden_unit * task.settings.num_layers


@pytest.mark.parametrize("mask_diagonal", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_obeys_the_mask_of_the_diagonal(mode, mask_diagonal):
    torch.manual_seed(0)
    layer = make_attention(mode, Settings(steps=1, d_model=6, d_k=3), mask_diagonal=mask_diagonal)
    alone = torch.randn(2, 1, 6)
    # A single token that may not see itself sees nothing, and gets zeros.
    assert bool((layer(alone) == 0).all()) == mask_diagonal


@pytest.mark.parametrize("mask_diagonal", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_cosine_attention_equals_a_loop_over_heads_and_tokens(causal, mask_diagonal):
    torch.manual_seed(0)
    B, T, D, h = 2, 5, 6, 3
    x = torch.randn(B, T, D)
    layer = CosineAttention(num_heads=h, mask_diagonal=mask_diagonal)
    with torch.no_grad():
        layer.log_factor.copy_(torch.randn(h, 1, 1))
    mask = torch.ones(T, T, dtype=torch.bool).tril() if causal else None
    output, shown = layer(x, mask=mask, return_weights=True)
    assert torch.equal(output, layer(x, mask=mask))
    for b in range(B):
        for head in range(h):
            part = x[b, :, 2 * head : 2 * head + 2]
            factor = math.exp(layer.log_factor[head].item())
            for i in range(T):
                visible = [
                    j for j in range(T) if not (causal and j > i) and not (mask_diagonal and j == i)
                ]
                weights = [
                    math.exp(factor * torch.cosine_similarity(part[i], part[j], dim=0).item())
                    for j in visible
                ]
                wanted = sum(
                    (w / sum(weights) * part[j] for w, j in zip(weights, visible, strict=True)),
                    torch.zeros(2),
                )
                torch.testing.assert_close(output[b, i, 2 * head : 2 * head + 2], wanted)
                row = torch.zeros(T)
                row[visible] = torch.tensor(weights) / sum(weights)
                torch.testing.assert_close(shown[b, head, i], row)


def test_the_factor_of_cosine_attention_is_learned():
    layer = CosineAttention(num_heads=2)
    layer(
        torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0))
    ).square().sum().backward()
    assert (layer.log_factor.grad != 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "causal"),
    [("previous/causal", True), ("previous/bidirectional", False), ("language", True)],
)
def test_a_causal_reader_sees_nothing_behind_a_token(name, causal, mode):
    torch.manual_seed(0)
    task = QUICK[name]
    model = Reader(task, mode, mask_diagonal=False)
    tokens, _ = task.sample(1, torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 9] = (changed[0, 9] + 1) % task.num_answers
    moved = (model(tokens) - model(changed)).abs().amax(-1)[0] > 1e-6
    assert moved[9:].any()
    assert bool(moved[:9].any()) == (not causal)


def test_tokens_of_a_set_have_no_positions():
    torch.manual_seed(0)
    task = QUICK["relation/cycle"]
    model = Reader(task, "separate", mask_diagonal=False)
    tokens, _ = task.sample(2, torch.Generator().manual_seed(0))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(tokens)[:, order], model(tokens[:, order]))


def test_models_of_one_seed_start_with_the_same_encoder():
    task = QUICK["agreement"]
    encoders = []
    for mode in MODES:
        torch.manual_seed(3)
        encoders.append(Reader(task, mode, mask_diagonal=False).encoder.features[0].weight)
    assert all(torch.equal(encoders[0], other) for other in encoders)
