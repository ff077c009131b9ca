"""No item can be answered from a table: what was right in one draw of its cases is not in another.

Every item of the catalogue is tried, so one that is added is tried too.
"""

import statistics

import pytest
import torch

from attncourse.checking.calling import InProcess
from attncourse.checking.engine import check_caller
from attncourse.grading import items

ITEMS = items()
DRAWS = [("ada", "bob"), ("bob", "cem"), ("cem", "dee"), ("dee", "ada")]
TRAINS = {"ps3.train_cycle"}  # for seconds
CHANCE = 0.02  # of the points: by luck a few numbers are the same in two draws


class Table:
    """Answers as the reference gave them in one draw; nothing is computed."""

    def __init__(self, item, seed):
        self.calls = []

        def write_down(*args, **kwargs):
            answer = item.reference(*args, **kwargs)
            self.calls.append(((args, kwargs), answer))
            return answer

        verdict = check_caller(item, InProcess(write_down, may_use_course=True), seed=seed)
        assert verdict.passed, verdict

    def in_the_same_order(self):
        answers = [answer for _, answer in self.calls]
        return lambda *args, **kwargs: answers.pop(0)

    def by_what_is_given(self, mark):
        """The answer to a call that bears the same mark; where none does, the next in order."""
        known = {mark(given): answer for given, answer in reversed(self.calls)}
        in_order = self.in_the_same_order()

        def look_up(*args, **kwargs):
            next_one = in_order()
            return known.get(mark((args, kwargs)), next_one)

        return look_up


def rounded(given):
    """What is given, with numbers to one digit after the point."""
    if isinstance(given, torch.Tensor):
        return (tuple(given.shape), tuple((10 * given.detach()).round().flatten().tolist()))
    if isinstance(given, dict):
        return tuple(sorted((name, rounded(each)) for name, each in given.items()))
    if isinstance(given, (list, tuple)):
        return tuple(map(rounded, given))
    return round(given, 1) if isinstance(given, float) else given


def sizes(given):
    """The sizes of what is given."""
    if isinstance(given, torch.Tensor):
        return tuple(given.shape)
    if isinstance(given, dict):
        return tuple(sorted((name, sizes(each)) for name, each in given.items()))
    if isinstance(given, tuple):
        return tuple(map(sizes, given))
    return len(given) if isinstance(given, list) else given


LOOK_UPS = {
    "in the same order": Table.in_the_same_order,
    "by rounded inputs": lambda table: table.by_what_is_given(rounded),
    "by sizes": lambda table: table.by_what_is_given(sizes),
}


@pytest.mark.parametrize("item_id", ITEMS)
def test_a_table_of_the_answers_of_one_draw_earns_nothing_but_by_luck_in_another(item_id):
    item = ITEMS[item_id]
    earned = {name: [] for name in LOOK_UPS}
    for known, asked in DRAWS[: 1 if item_id in TRAINS else None]:
        table = Table(item, known)
        for name, look_up in LOOK_UPS.items():
            verdict = check_caller(item, InProcess(look_up(table)), seed=asked)
            earned[name].append(verdict.fraction)
    means = {name: statistics.mean(shares) for name, shares in earned.items()}
    assert max(means.values()) <= CHANCE, means


@pytest.mark.parametrize("item_id", ITEMS)
def test_such_a_table_is_right_in_the_draw_that_it_was_made_from(item_id):
    """Or the test above would show nothing."""
    if item_id in TRAINS:
        pytest.skip("one draw of it takes seconds, and is right by its own reference")
    item = ITEMS[item_id]
    table = Table(item, "ada")
    for name in ("in the same order", "by rounded inputs"):
        verdict = check_caller(item, InProcess(LOOK_UPS[name](table)), seed="ada")
        wrong = {case.name: case.problem for case in verdict.cases if not case.passed}
        assert all("gradient" in f"{case} {problem}" for case, problem in wrong.items()), wrong
