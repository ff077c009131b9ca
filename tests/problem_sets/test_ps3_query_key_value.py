"""Problem set 3 grades what the course teaches: its modes, its circle, its idea of a right head."""

import pytest
import torch
from problem_sets import answers

from attncourse.attention import SelfAttention
from attncourse.checking.calling import InProcess
from attncourse.checking.engine import check_caller
from attncourse.checking.random_inputs import Draw
from attncourse.circuits import symmetry
from attncourse.grading import check, items

TRAIN = items()["ps3.train_cycle"]


def language(seed):
    """Tokens and targets that a student's function is given, and what is kept from it."""
    [case] = TRAIN.cases(Draw(TRAIN.id, seed))
    return case.args, case.withheld


@pytest.mark.parametrize("projections", ["raw", "shared", "tied_qk", "tied_kv", "separate"])
def test_a_mode_is_what_the_course_calls_by_that_name(projections):
    torch.manual_seed(0)
    x, weights = torch.randn(2, 5, 7), {r: (torch.randn(3, 7), torch.randn(3)) for r in "qkv"}
    d_k = None if projections == "raw" else 3
    layer = SelfAttention(7, projections=projections, d_k=d_k, bias=d_k is not None)
    if projections != "raw":
        own = {"shared": "q", "tied_qk": "qv", "tied_kv": "qk", "separate": "qkv"}[projections]
        with torch.no_grad():
            layer.in_proj.weight.copy_(torch.cat([weights[role][0] for role in own]))
            layer.in_proj.bias.copy_(torch.cat([weights[role][1] for role in own]))
            layer.out_proj.weight.copy_(torch.eye(7, 3))  # shows the head's three features first
    graded = items()["ps3.self_attention"].reference
    given = [part for role in "qkv" for part in weights[role]]
    output = graded(x, projections, *given)
    assert torch.allclose(output, layer(x)[..., : output.shape[-1]], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_token_seeks_another_one_s_payload_and_is_never_sought_by_it(seed):
    _, fresh = language(seed)
    itself = torch.arange(3).expand_as(fresh.sought)
    assert fresh.targets.equal(fresh.payloads.gather(1, fresh.sought))
    assert (fresh.sought != itself).all()
    assert (fresh.sought.gather(1, fresh.sought) != itself).all()


@pytest.mark.parametrize("seed", range(10))
def test_a_plain_loop_learns_any_language(seed):
    plain_loop = answers.RIGHT[TRAIN.id][0]
    assert check(TRAIN.id, plain_loop, seed=seed).passed


def test_weights_that_were_learned_in_one_language_earn_nothing_in_another():
    known, _ = language(0)
    weights = TRAIN.reference(*known)
    assert check(TRAIN.id, lambda tokens, targets: weights, seed=0).passed
    assert check(TRAIN.id, lambda tokens, targets: weights, seed=1).fraction == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_head_with_symmetric_scores_earns_little_and_is_told_why(seed):
    [shared] = [m for m in TRAIN.misconceptions if m.name == "one matrix for query and key"]
    known, _ = language(seed)
    W_q, W_k, _ = shared.programs[0](*known)
    assert symmetry(W_q, W_k) == pytest.approx(1)
    program = InProcess(shared.programs[0], may_use_course=True)
    verdict = check_caller(TRAIN, program, seed=seed)
    assert 0 < verdict.fraction < 0.5
    assert "two wishes at most" in verdict.hint


def test_a_right_head_that_spoilt_its_input_is_told_that_and_nothing_else():
    def answer(tokens, targets):
        weights = answers.RIGHT[TRAIN.id][0](tokens, targets)
        tokens.mul_(2)
        return weights

    verdict = check(TRAIN.id, answer)
    assert 0 < verdict.fraction < 1
    assert verdict.misconception is None
    assert "has changed afterwards" in verdict.hint


@pytest.mark.parametrize("rows", [0, 1, 2_000_000])
def test_weights_that_do_not_fit_are_told_so_and_not_multiplied_out(rows):
    verdict = check(TRAIN.id, lambda tokens, targets: (torch.ones(1, 24).expand(rows, 24),) * 3)
    assert verdict.score == 0
    assert verdict.misconception is None
    assert "three matrices that fit one another" in verdict.hint


def test_arrays_are_not_taken_for_layers():
    arrays = tuple(torch.ones(rows, 24).numpy() for rows in (8, 8, 10))
    verdict = check(TRAIN.id, lambda tokens, targets: arrays)
    assert verdict.misconception is None
    assert "numpy.ndarray" in verdict.hint
