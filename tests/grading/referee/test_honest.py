"""Whoever is honest gets the same verdict from the referee as in the student's own kernel."""

import inspect

import pytest
from grading import answers

from attncourse.grading import check, declaring, items
from attncourse.grading.checking import judged
from attncourse.grading.referee.judge import RemoteCaller

SECONDS = 60


def verdict(found):
    return found.fraction, found.misconception, found.hint, found.cases


def sent(worker, module):
    """The module's functions defined in the worker, as a notebook's cell would define them."""
    outputs = worker.run(inspect.getsource(module), SECONDS)
    assert not [each for each in outputs if each["output_type"] == "error"], outputs


def module_of(function):
    return inspect.getmodule(inspect.unwrap(function))


@pytest.mark.parametrize("item_id", items())
def test_a_right_answer_has_the_same_verdict_in_the_worker(item_id, nursery):
    for answer in answers.RIGHT[item_id]:
        with nursery.start() as worker:
            sent(worker, module_of(answer))
            remote = judged(item_id, RemoteCaller(worker, answer.__name__, SECONDS))
        here = check(item_id, answer)
        assert verdict(remote) == verdict(here), answer.__name__
        assert here.passed


def as_a_students_own(module, path, monkeypatch):
    """The items of a problem set, from a file outside the package: a verdict then quotes lines of
    the wrong programs, as it does with a student's."""
    path.write_text(inspect.getsource(module), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(declaring, "_items", {})
        exec(compile(path.read_bytes(), str(path), "exec"), {"__name__": "students_own"})
        return dict(declaring._items)


@pytest.mark.parametrize("item_id", items())
def test_a_misconception_has_the_same_verdict_in_the_worker(
    item_id, nursery, tmp_path, monkeypatch
):
    module = inspect.getmodule(items()[item_id].cases)
    item = as_a_students_own(module, tmp_path / "answer.py", monkeypatch)[item_id]
    with nursery.start() as worker:
        # The sandbox hides the items: what is sent declares them, and is then forgotten again.
        sent(worker, module)
        worker.run(
            "from attncourse.grading.declaring import _items\n"
            f"wrong = [each.programs[0] for each in _items[{item_id!r}].misconceptions]\n"
            "_items.clear()",
            SECONDS,
        )
        for n, misconception in enumerate(item.misconceptions):
            worker.run(f"wrong_program = wrong[{n}]", SECONDS)
            remote = judged(item_id, RemoteCaller(worker, "wrong_program", SECONDS))
            here = check(item_id, misconception.programs[0])
            assert verdict(remote) == verdict(here), misconception.name
            assert here.misconception == misconception.name
