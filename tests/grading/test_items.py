"""The items prove themselves: right answers pass, and every misconception is named as itself."""

from itertools import pairwise

import pytest
from grading.correct_answers import ANSWERS

from attncourse.grading import check, items
from attncourse.grading.declaring import Draw

ITEMS = items()
WRONG = [
    pytest.param(item_id, misconception, program, id=f"{item_id}-{misconception.name}-{number}")
    for item_id, item in ITEMS.items()
    for misconception in item.misconceptions
    for number, program in enumerate(misconception.programs)
]
RIGHT = [
    pytest.param(item_id, answer, id=f"{item_id}-{answer.__name__}")
    for item_id, answers in ANSWERS.items()
    for answer in answers
]


@pytest.mark.parametrize("seed", [0, 1, "another student"])
@pytest.mark.parametrize(("item_id", "answer"), RIGHT)
def test_a_correct_answer_in_any_style_earns_everything(item_id, answer, seed):
    verdict = check(item_id, answer, seed=seed)
    assert verdict.passed, verdict
    assert verdict.score == ITEMS[item_id].points
    assert verdict.hint == ""


@pytest.mark.parametrize("seed", [0, 1, "another student"])
@pytest.mark.parametrize(("item_id", "misconception", "program"), WRONG)
def test_a_misconception_fails_and_is_named_as_itself(item_id, misconception, program, seed):
    verdict = check(item_id, program, seed=seed)
    assert not verdict.passed
    assert verdict.score < ITEMS[item_id].points
    assert verdict.misconception == misconception.name, verdict
    assert verdict.hint == misconception.sentence


def test_every_item_has_five_correct_styles():
    assert ANSWERS.keys() == ITEMS.keys()
    assert min(map(len, ANSWERS.values())) >= 5


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_an_item_is_complete(item):
    names = [case.name for case in item.cases(Draw(0))]
    sentences = [misconception.sentence for misconception in item.misconceptions]
    assert len(item.misconceptions) >= 4
    assert len(set(names)) == len(names)
    assert len(set(sentences)) == len(sentences)
    assert any(case.core for case in item.cases(Draw(0)))
    assert item.points > 0
    assert item.minutes > 0


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_each_case_fails_some_misconception(item):
    """A case that no wrong program fails would not be worth its points."""
    caught = set()
    for misconception in item.misconceptions:
        for program in misconception.programs:
            caught |= {c.name for c in check(item.id, program).cases if not c.passed}
    assert {case.name for case in item.cases(Draw(0))} <= caught


def test_cases_depend_on_the_seed_alone():
    item = ITEMS["ps1.cosine_affinity"]
    one, same, other = (
        [case.args[0] for case in item.cases(Draw("ps1", seed))] for seed in (1, 1, 2)
    )
    assert all(a.equal(b) for a, b in zip(one, same, strict=True))
    assert not one[1].equal(other[1])


def test_a_drawn_mask_allows_and_forbids_something_in_every_row():
    mask = Draw(5).mask(40, 3, 4)
    assert mask.any(-1).all()
    assert not mask.all(-1).any()


def test_sizes_of_a_batch_all_differ():
    """Two equal sizes would hide a swapped axis."""
    for item in ITEMS.values():
        for case in item.cases(Draw(0)):
            if case.name in ("a batch", "a batch of scores", "a batch against itself"):
                sizes = sorted(case.args[0].shape)
                assert all(a < b for a, b in pairwise(sizes)), (item.id, sizes)
