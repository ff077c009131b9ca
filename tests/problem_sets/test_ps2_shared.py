"""What the references of problem set 2 claim, by another way than their own."""

import itertools

import pytest
import torch
from problem_sets.answers.ps2_shared import bound_every_choice_of_wishes

from attncourse.grading import items

reference = {item_id.partition(".")[2]: item.reference for item_id, item in items().items()}


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_bound_on_wishes_is_what_trying_every_choice_of_wishes_finds(n):
    lists = list(itertools.product(*([j for j in range(n) if j != i] for i in range(n))))
    assert len(lists) == (n - 1) ** n
    for wants in lists:
        assert reference["cycle_bound"](wants) == bound_every_choice_of_wishes(wants), wants


@pytest.mark.parametrize("seed", range(5))
def test_no_random_table_of_symmetric_scores_grants_more_wishes_than_the_bound(seed):
    torch.manual_seed(seed)
    wants = [1, 2, 0, 4, 5, 3]
    scores = torch.randn(20_000, 6, 6)
    scores = (scores + scores.mT).masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    granted = (scores.argmax(-1) == torch.tensor(wants)).sum(-1)
    assert granted.max() == reference["cycle_bound"](wants) == 4


@pytest.mark.parametrize("seed", range(5))
def test_the_stationary_distribution_is_changed_by_no_step(seed):
    torch.manual_seed(seed)
    scores = torch.randn(3, 6, 6, dtype=torch.float64)
    scores = scores + scores.mT
    pi = reference["stationary"](scores).unsqueeze(-2)
    torch.testing.assert_close(pi @ scores.softmax(-1), pi)


@pytest.mark.parametrize("seed", range(5))
def test_the_squared_distance_is_what_the_task_says_of_the_scores(seed):
    torch.manual_seed(seed)
    x, W = torch.randn(2, 5, 7, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    scores = reference["shared_scores"](x, W) * 4**0.5
    own = scores.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(
        own.unsqueeze(-1) + own.unsqueeze(-2) - 2 * scores, reference["learned_distance"](x, W)
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_map_of_a_shared_projection_has_a_violation_and_most_others_have(seed):
    torch.manual_seed(seed)
    q, k = torch.randn(2, 50, 8, 3)
    assert not reference["violations"]((q @ q.mT).softmax(-1)).any()
    assert (reference["violations"]((q @ k.mT).softmax(-1)) > 0).all()


def test_by_equal_lengths_everybody_attends_to_itself_and_by_unequal_ones_not_everybody():
    torch.manual_seed(0)
    q = torch.nn.functional.normalize(torch.randn(50, 8, 3), dim=-1)
    assert (reference["attends_to_itself"]((q @ q.mT).softmax(-1)) == 1).all()
    longer = q * torch.linspace(0.2, 3, 8).unsqueeze(-1)
    assert (reference["attends_to_itself"]((longer @ longer.mT).softmax(-1)) < 1).any()
