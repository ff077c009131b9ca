"""What the course says of the experiments and a few seconds can show."""

from __future__ import annotations

import math

import pytest

from attncourse.experiments.tasks import QUICK
from attncourse.experiments.training import train


def accuracy(name, mode, mask_diagonal, seed=0):
    return train(QUICK[name], mode, mask_diagonal=mask_diagonal, seed=seed, device="cpu")[
        1
    ].accuracy


def lucky(name, bound):
    """Four standard errors of the share that is only guessed, on the test samples of the task."""
    task = QUICK[name]
    asked = task.settings.test_size * sum(t >= 0 for t in task.target)
    guessed = (1 - bound) / (1 - task.chance)
    return 4 * math.sqrt(guessed * task.chance * (1 - task.chance) / asked)


@pytest.mark.parametrize("mask_diagonal", [False, True])
def test_one_head_with_separate_query_and_key_walks_round_the_circle(mask_diagonal):
    assert accuracy("relation/cycle", "separate", mask_diagonal) > 0.99
    tied = accuracy("relation/cycle", "tied_qk", mask_diagonal)
    bound = QUICK["relation/cycle"].bound(mask_diagonal=mask_diagonal)
    assert 0.3 < tied <= bound + lucky("relation/cycle", bound)


def test_two_tied_heads_with_an_mlp_walk_round_it_too():
    assert accuracy("rescue/two-heads", "tied_qk", True) > 0.99


def test_couples_are_no_problem_for_tied_scores_once_nobody_may_see_itself():
    bound = QUICK["relation/mutual"].bound(mask_diagonal=False)
    visible = accuracy("relation/mutual", "tied_qk", False)
    assert visible <= bound + lucky("relation/mutual", bound)
    assert accuracy("relation/mutual", "tied_qk", True) > 0.99


@pytest.mark.parametrize("mode", ["shared", "tied_qk"])
@pytest.mark.parametrize("mask_diagonal", [False, True])
def test_a_subject_need_not_look_at_its_verb_and_tied_scores_still_serve(mode, mask_diagonal):
    assert accuracy("agreement", mode, mask_diagonal) > 0.99


def test_key_and_value_in_one_matrix_need_more_room_for_the_same():
    assert accuracy("match/4", "separate", True) > 0.99
    assert accuracy("match/4", "tied_kv", True) < 0.8
    assert accuracy("match/16", "tied_kv", True) > 0.99
