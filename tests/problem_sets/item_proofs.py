"""The items of a problem set prove themselves: right answers pass, misconceptions are named.

A file for each set takes these tests over, so that a set is one worker's and not all of them are.
"""

from __future__ import annotations

import functools

import pytest
import torch
from problem_sets import answers

from attncourse.checking.calling import InProcess
from attncourse.checking.engine import check_caller
from attncourse.checking.random_inputs import Draw
from attncourse.checking.scoring import DTYPE_KEPT, INPUT_KEPT
from attncourse.grading import check, items

ITEMS = items()


def parameters(problem_set, names):
    """What a test with arguments of these names is run with, for the items of a set."""
    chosen = {id: item for id, item in ITEMS.items() if id.startswith(f"{problem_set}.")}
    if "misconception" in names:
        return ("item_id", "misconception", "program"), [
            pytest.param(id, misconception, program, id=f"{id}-{misconception.name}-{number}")
            for id, item in chosen.items()
            for misconception in item.misconceptions
            for number, program in enumerate(misconception.programs)
        ]
    if "mistake" in names:
        return ("item_id", "mistake"), [
            pytest.param(id, program, id=f"{id}-{name}")
            for id in chosen
            for name, program in answers.WRONG.get(id, {}).items()
        ]
    if "answer" in names:
        return ("item_id", "answer"), [
            pytest.param(id, answer, id=f"{id}-{answer.__name__}")
            for id in chosen
            for answer in answers.RIGHT[id]
        ]
    return ("item_id",), [(id,) for id in chosen]


@functools.cache
def check_program(item_id, program, *, seed=0):
    """The verdict on a misconception's program, which may call the course, as a student's may not.

    Kept: what a program gives does not change.
    """
    return check_caller(ITEMS[item_id], InProcess(program, may_use_course=True), seed=seed)


@pytest.mark.parametrize("seed", [0, 1, "another student"])
def test_a_correct_answer_in_any_style_earns_everything(item_id, answer, seed):
    verdict = check(item_id, answer, seed=seed)
    assert verdict.passed, verdict
    assert verdict.score == ITEMS[item_id].points
    assert verdict.hint == ""


@pytest.mark.parametrize("seed", [0, 1, "another student"])
def test_a_misconception_fails_and_is_named_as_itself(item_id, misconception, program, seed):
    verdict = check_program(item_id, program, seed=seed)
    assert not verdict.passed
    assert verdict.score < ITEMS[item_id].points
    assert verdict.misconception == misconception.name, verdict
    assert verdict.hint == misconception.sentence


@pytest.mark.parametrize("seed", [0, 1, "another student"])
def test_a_mistake_that_is_none_of_the_misconceptions_gets_no_name(item_id, mistake, seed):
    verdict = check(item_id, mistake, seed=seed)
    assert not verdict.passed
    assert verdict.misconception is None, verdict
    assert verdict.hint.startswith("“")  # the case that failed, and how


@pytest.mark.parametrize("error", [RuntimeError, ValueError, NameError, TypeError])
def test_an_error_is_told_as_the_error_it_is(item_id, error):
    def broken(*args, **kwargs):
        raise error("boom")

    verdict = check(item_id, broken)
    assert verdict.score == 0
    assert verdict.misconception is None
    assert f"”: it stopped with {error.__name__}: boom, line" in verdict.hint


def test_an_answer_runs_on_one_thread_and_the_notebook_keeps_its_own(item_id):
    before = torch.get_num_threads()
    seen = set()

    def counts_threads(*args, **kwargs):
        seen.add(torch.get_num_threads())
        torch.set_num_threads(3)

    torch.set_num_threads(2)
    try:
        check(item_id, counts_threads)
        assert torch.get_num_threads() == 2
        check(item_id, answers.RIGHT[item_id][0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert 1 in seen
    assert 2 not in seen


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


def test_an_item_is_complete(item_id):
    item = ITEMS[item_id]
    names = [case.name for case in item.cases(Draw(0))]
    sentences = [misconception.sentence for misconception in item.misconceptions]
    assert len(item.misconceptions) >= 4
    assert len(set(names)) == len(names)
    assert len(set(sentences)) == len(sentences)
    assert any(case.basic for case in item.cases(Draw(0)))
    assert item.points > 0
    assert item.minutes > 0


def test_each_case_fails_some_misconception(item_id):
    """A case that no wrong program fails would not be worth its points."""
    item = ITEMS[item_id]
    caught = {INPUT_KEPT, DTYPE_KEPT}
    for misconception in item.misconceptions:
        for program in misconception.programs:
            caught |= {c.name for c in check_program(item.id, program).cases if not c.passed}
    assert {c.name for c in check(item.id, answers.RIGHT[item.id][0]).cases} <= caught
