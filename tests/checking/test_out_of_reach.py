"""While an answer is checked, everything that the course could answer with is out of reach."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest
import torch

import attncourse
from attncourse.checking.item import Item
from attncourse.checking.out_of_reach import (
    _TOOLS,
    CourseFunctionCalled,
    course_out_of_reach,
    is_out_of_reach,
)
from attncourse.experiments.tasks import fetch_bound
from attncourse.grading import check
from attncourse.problem_sets import ITEMS

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(attncourse.__path__, "attncourse.")
    if module.name != "attncourse.site.extension"
)
REACHABLE = {
    "attncourse.arguments",
    "attncourse.device",
    "attncourse.palette",
    "attncourse.visuals.figures",
    "attncourse.visuals.notebook_colours",
    "attncourse.visuals.photographs",
    "attncourse.visuals.repeated",
    "attncourse.visuals.tables",
}


def functions_of(name):
    """Every function and method that a module defines, by what it is called."""
    module = importlib.import_module(name)
    for called, thing in vars(module).items():
        members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
        for member, value in members:
            for each in (value.fget, value.fset) if isinstance(value, property) else (value,):
                function = (
                    inspect.unwrap(each) if callable(each) else getattr(each, "__func__", each)
                )
                if inspect.isfunction(function) and function.__module__ == name:
                    yield f"{called}.{member}", function


def test_what_is_within_reach_is_the_machinery_and_a_few_tools_that_answer_nothing():
    within = {name for name in MODULES if not is_out_of_reach(name)}
    machinery = {
        name for name in within if name.split(".")[1] in ("checking", "grading", "instructor")
    }
    assert within - machinery == REACHABLE


@pytest.mark.parametrize("name", [name for name in MODULES if is_out_of_reach(name)])
def test_no_function_of_a_room_answers_while_a_students_does(name):
    functions = list(functions_of(name))
    kept = [function.__code__ for _, function in functions]
    with course_out_of_reach() as uses:
        for called, function in functions:
            with pytest.raises(CourseFunctionCalled):
                function()
            assert uses, called
    assert [function.__code__ for _, function in functions] == kept


@pytest.mark.parametrize("item_id", ITEMS)
def test_no_part_of_an_item_answers_either(item_id):
    item = ITEMS[item_id]
    assert isinstance(item, Item)
    with course_out_of_reach():
        for part in (item.reference, item.cases, item.invariant, item.examine):
            if part is not None:
                with pytest.raises(CourseFunctionCalled):
                    part()


def test_a_function_with_free_variables_is_blocked_and_given_back():
    from attncourse.attention import SelfAttention

    assert SelfAttention.__init__.__code__.co_freevars  # it calls super()
    with course_out_of_reach(), pytest.raises(CourseFunctionCalled):
        SelfAttention(4)
    assert SelfAttention(4)(torch.ones(2, 4)).shape == (2, 4)


def through_experiments(wants):
    bound = fetch_bound(wants, 10**9, mask_diagonal=True)
    return len(wants) if bound is None else round(bound * len(wants))


def test_an_answer_that_goes_through_another_room_is_told_so():
    verdict = check("ps2.cycle_bound", through_experiments)
    assert verdict.score == 0
    assert "That is the answer, not an answer" in verdict.hint


def test_a_room_that_nobody_has_imported_cannot_be_imported_in_the_meantime():
    program = """
import sys
from attncourse.grading import check
assert "attncourse.experiments.tasks" not in sys.modules

def answer(wants):
    from attncourse.experiments.tasks import fetch_bound
    bound = fetch_bound(wants, 10**9, mask_diagonal=True)
    return len(wants) if bound is None else round(bound * len(wants))

print(check("ps2.cycle_bound", answer).hint)
import attncourse.experiments.tasks
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "That is the answer, not an answer" in done.stdout


@pytest.mark.parametrize("tool", _TOOLS)
def test_a_tool_that_nobody_has_imported_can_be_imported_in_the_meantime(tool):
    program = f"""
import sys
import torch
from attncourse.grading import check
for name in [name for name in sys.modules if name.startswith("attncourse.{tool.partition(".")[0]}")]:
    del sys.modules[name]

def answer(x, y=None):
    import attncourse.{tool}
    y = x if y is None else y
    unit = torch.nn.functional.normalize
    return unit(x, dim=-1) @ unit(y, dim=-1).mT

print(check("ps1.cosine_affinity", answer).score)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "3.0\n", done.stdout + done.stderr


def test_tools_that_answer_nothing_may_be_used():
    def answer(x, y=None):
        from attncourse.device import pick_device

        y = x if y is None else y
        unit = torch.nn.functional.normalize
        assert pick_device().type
        return unit(x, dim=-1) @ unit(y, dim=-1).mT

    assert check("ps1.cosine_affinity", answer).passed
