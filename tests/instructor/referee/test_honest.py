"""Honest work gets the same verdict from the referee as in the student's own kernel."""

import importlib
import inspect
import re

import pytest
from problem_sets import answers

from attncourse import cycles
from attncourse.checking.engine import check_caller, check_function
from attncourse.checking.item import Item
from attncourse.grading import check, items
from attncourse.instructor.referee.remote_caller import RemoteCaller
from attncourse.problem_sets import steps

SECONDS = 60


def verdict(found):
    return found.fraction, found.misconception, found.hint, found.cases


def sent(worker, source):
    """Functions defined in the worker, as a notebook's cell would define them."""
    outputs = worker.run(source, SECONDS)
    assert not [each for each in outputs if each["output_type"] == "error"], outputs


def module_of(function):
    return inspect.getmodule(inspect.unwrap(function))


@pytest.mark.parametrize("item_id", items())
def test_a_right_answer_has_the_same_verdict_in_the_worker(item_id, nursery):
    for answer in answers.RIGHT[item_id]:
        with nursery.start() as worker:
            sent(worker, inspect.getsource(module_of(answer)))
            caller = RemoteCaller(worker, answer.__name__, SECONDS)
            remote = check_caller(items()[item_id], caller, seed=0)
        here = check(item_id, answer)
        assert verdict(remote) == verdict(here), answer.__name__
        assert here.passed


def as_a_students_own(item):
    """An item's file, with what it uses of the course's own, which a student may not, written in."""
    module = inspect.getmodule(item.cases)
    common = importlib.import_module(module.__name__.rpartition(".")[0] + ".common")
    parts = [inspect.getsource(each) for each in (cycles, steps, common, module)]
    lines = "".join(parts).replace("from __future__ import annotations\n", "")
    own = r"from attncourse\.(problem_sets\S*|cycles) import (\([^)]*\)|.*)\n"
    return "from __future__ import annotations\n" + re.sub(own, "", lines)


@pytest.mark.parametrize("item_id", items())
def test_a_misconception_has_the_same_verdict_in_the_worker(item_id, nursery, tmp_path):
    source = as_a_students_own(items()[item_id])
    # From a file outside the package: a verdict then quotes lines of the wrong programs, as it does
    # with a student's.
    path = tmp_path / "answer.py"
    path.write_text(source, encoding="utf-8")
    names = {"__name__": "students_own"}
    exec(compile(path.read_bytes(), str(path), "exec"), names)
    [item] = [thing for thing in names.values() if isinstance(thing, Item)]
    with nursery.start() as worker:
        # The sandbox hides the items: what is sent declares one, and is then forgotten again.
        sent(worker, source)
        worker.run(
            "from attncourse.checking.item import Item\n"
            "[found] = [each for each in list(globals().values()) if isinstance(each, Item)]\n"
            "wrong = [each.programs[0] for each in found.misconceptions]",
            SECONDS,
        )
        for n, misconception in enumerate(item.misconceptions):
            worker.run(f"wrong_program = wrong[{n}]", SECONDS)
            caller = RemoteCaller(worker, "wrong_program", SECONDS)
            remote = check_caller(items()[item_id], caller, seed=0)
            here = check_function(items()[item_id], misconception.programs[0], seed=0)
            assert verdict(remote) == verdict(here), misconception.name
            assert here.misconception == misconception.name
