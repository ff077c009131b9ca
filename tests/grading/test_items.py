"""The items prove themselves: right answers pass, and every misconception is named as itself."""

import pytest
import torch
from grading import answers

from attncourse.grading import check, items
from attncourse.grading.checking import DTYPE_KEPT, INPUT_KEPT
from attncourse.grading.declaring import Draw

ITEMS = items()
WRONG = [
    pytest.param(item_id, misconception, program, id=f"{item_id}-{misconception.name}-{number}")
    for item_id, item in ITEMS.items()
    for misconception in item.misconceptions
    for number, program in enumerate(misconception.programs)
]
NAMELESS = [
    pytest.param(item_id, program, id=f"{item_id}-{name}")
    for item_id, programs in answers.WRONG.items()
    for name, program in programs.items()
]
RIGHT = [
    pytest.param(item_id, answer, id=f"{item_id}-{answer.__name__}")
    for item_id, styles in answers.RIGHT.items()
    for answer in styles
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


@pytest.mark.parametrize("seed", [0, 1, "another student"])
@pytest.mark.parametrize(("item_id", "program"), NAMELESS)
def test_a_mistake_that_is_none_of_the_misconceptions_gets_no_name(item_id, program, seed):
    verdict = check(item_id, program, seed=seed)
    assert not verdict.passed
    assert verdict.misconception is None, verdict
    assert verdict.hint.startswith("“")  # the case that failed, and how


@pytest.mark.parametrize("error", [RuntimeError, ValueError, NameError, TypeError])
@pytest.mark.parametrize("item_id", ITEMS)
def test_an_error_is_told_as_the_error_it_is(item_id, error):
    def broken(*args, **kwargs):
        raise error("boom")

    verdict = check(item_id, broken)
    assert verdict.score == 0
    assert verdict.misconception is None
    assert f"”: it stopped with {error.__name__}: boom, line" in verdict.hint


@pytest.mark.parametrize("item_id", ITEMS)
def test_an_answer_runs_on_one_thread_and_the_notebook_keeps_its_own(item_id):
    before = torch.get_num_threads()
    seen = set()

    def looks(*args, **kwargs):
        seen.add(torch.get_num_threads())
        torch.set_num_threads(3)

    torch.set_num_threads(2)
    try:
        check(item_id, looks)
        assert torch.get_num_threads() == 2
        check(item_id, answers.RIGHT[item_id][0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert 1 in seen
    assert 2 not in seen


@pytest.mark.parametrize("item_id", ITEMS)
def test_what_the_notebook_set_as_default_changes_no_verdict(item_id):
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        verdict = check(item_id, answers.RIGHT[item_id][0])
        assert torch.get_default_device().type == "meta"
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_device("cpu")
        torch.set_default_dtype(torch.float32)
    assert verdict.passed, verdict


def test_every_item_has_five_correct_styles():
    assert answers.RIGHT.keys() == ITEMS.keys()
    assert min(map(len, answers.RIGHT.values())) >= 5


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
    caught = {INPUT_KEPT, DTYPE_KEPT}
    for misconception in item.misconceptions:
        for program in misconception.programs:
            caught |= {c.name for c in check(item.id, program).cases if not c.passed}
    assert {c.name for c in check(item.id, answers.RIGHT[item.id][0]).cases} <= caught


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
    maps = {"ps2.violations", "ps2.stationary", "ps2.attends_to_itself"}  # [..., T, T] by nature
    without = {"ps1.max_cosine_weight", "ps2.cycle_bound", "ps3.train_cycle"}
    looked_at = set()
    for item in ITEMS.values():
        for case in item.cases(Draw(0)):
            if "a batch" in case.name:
                looked_at.add(item.id)
                sizes = case.args[0].shape[: -1 if item.id in maps else None]
                assert len(set(sizes)) == len(sizes), (item.id, case.name, sizes)
    assert ITEMS.keys() - looked_at == without & ITEMS.keys()
