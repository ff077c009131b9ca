"""One notebook before the referee: what its cells do, and the score that each graded cell gets."""

import copy
import json
import time

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes
from nbgrader.utils import determine_grade

from attncourse.instructor import limits as limiting
from attncourse.instructor.batch.grading import Graded, GradedNotebook
from attncourse.instructor.batch.records import record_of
from attncourse.instructor.course.scoring import scores_in
from attncourse.instructor.limits import Limits
from attncourse.instructor.referee import notebook as refereeing
from attncourse.instructor.referee.notebook import NoWorker, grade_notebook
from attncourse.instructor.referee.workers import WorkerLost

RIGHT = """
import math

def max_cosine_weight(n, temperature=1.0):
    return 1 / (1 + (n - 1) * math.exp(-2 / temperature))
"""
WRONG = "def pixels_as_tokens(x):\n    return x.reshape(x.shape[0], -1, x.shape[1])"
SECONDS = 20


def graded(source, name, points, **marks):
    about = {"grade": True, "solution": False, "locked": True, "grade_id": name, "points": points}
    return new_code_cell(source, metadata={"nbgrader": about | marks})


def check_of(name, points=2):
    source = f'verdict = check("ps1.{name}", {name})\ndisplay(verdict)\nverdict.score'
    return graded(source, f"{name}_check", points)


def refereed(nursery, *cells, seconds=SECONDS, total_seconds=None, seed=lambda item: 0):
    """The notebook with its outputs, from plain sources and cells."""
    made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    book = new_notebook(cells=made)
    limits = Limits(seconds=seconds, total_seconds=total_seconds or 10 * seconds)
    grade_notebook(book, nursery, seed=seed, limits=limits)
    return book


def score(cell):
    """What nbgrader will record."""
    return determine_grade(cell)[0]


def told(cell):
    return json.dumps(cell.outputs, ensure_ascii=False)


def test_cells_run_in_order_and_the_verdict_stands_in_the_graded_cell(nursery):
    book = refereed(
        nursery, "print('first')", RIGHT, check_of("max_cosine_weight"), "print('last')"
    )
    assert [cell.execution_count for cell in book.cells] == [1, 2, 3, 4]
    assert book.cells[0].outputs[0].text == "first\n"
    verdict, points = book.cells[2].outputs
    assert "passed, 2 of 2 points" in verdict.data["text/plain"]
    assert verdict.data["text/html"]
    assert points.data["text/plain"] == "2.0"
    assert score(book.cells[2]) == 2
    assert book.cells[3].outputs[0].text == "last\n"


def test_a_wrong_answer_gets_its_score_and_the_name_of_the_mistake(nursery):
    cell = refereed(nursery, WRONG, check_of("pixels_as_tokens")).cells[-1]
    assert score(cell) == 0
    assert "A reshape keeps the order of the numbers" in told(cell)
    assert cell.outputs[0].metadata.attncourse.misconception


def test_each_item_is_judged_on_the_seed_that_it_is_given(nursery):
    asked = []
    refereed(nursery, RIGHT, check_of("max_cosine_weight"), seed=lambda item: asked.append(item))
    assert asked == ["ps1.max_cosine_weight"]


@pytest.mark.parametrize(
    ("ends", "reason"),
    [("import os; os._exit(0)", "Stopped"), ("while True: pass", "Stopped")],
    ids=["exits", "never ends"],
)
def test_a_cell_that_takes_its_worker_with_it_costs_nothing_else(nursery, ends, reason):
    book = refereed(
        nursery,
        RIGHT,
        "earlier = 7",
        ends,
        "print(earlier)",
        check_of("max_cosine_weight"),
        seconds=5,
    )
    assert reason in told(book.cells[2])
    assert book.cells[3].outputs[0].text == "7\n"
    assert score(book.cells[4]) == 2


def test_an_answer_that_ends_its_worker_costs_that_item_alone(nursery):
    ends = "def pixels_as_tokens(x):\n    import os; os._exit(0)"
    book = refereed(
        nursery, ends, check_of("pixels_as_tokens"), RIGHT, check_of("max_cosine_weight")
    )
    assert score(book.cells[1]) == 0
    assert "Stopped" in told(book.cells[1])
    assert score(book.cells[3]) == 2


def test_a_cell_that_ends_the_worker_only_when_it_is_run_again_is_left_out(nursery):
    bomb = f"import os, time\nif time.time() > {time.time() + 3}: os._exit(0)"
    loses = "import os, time\ntime.sleep(4)\nos._exit(0)"
    book = refereed(nursery, bomb, RIGHT, loses, check_of("max_cosine_weight"), total_seconds=60)
    assert score(book.cells[-1]) == 2


def test_a_notebook_that_has_had_its_time_is_stopped_with_the_reason(nursery):
    book = refereed(
        nursery, RIGHT, "while True: pass", check_of("max_cosine_weight"), total_seconds=3
    )
    assert score(book.cells[2]) == 0
    assert "the notebook has had its 3 seconds" in told(book.cells[2])


def record(book):
    graded = Graded("student", "key", None, (GradedNotebook("book", writes(book)),))
    return record_of(graded, sandboxed=True).notebooks[0]


def test_what_was_cut_short_is_recorded_once_for_each_cause(nursery):
    book = refereed(
        nursery,
        "import os; os._exit(3)",
        "import os; os._exit(4)",
        "while True: pass",
        *["1"] * 8,
        check_of("max_cosine_weight"),
        total_seconds=5,
    )
    first, second, third, rest = record(book).stopped
    assert first.startswith("cell 1: ")
    assert second.startswith("cell 2: ")
    assert third.startswith("cell 3: ")
    assert rest == "cell 4, cell 5, cell 6 and 6 more: the notebook has had its 5 seconds"


FORGED = [
    'class Stopped(Exception): pass\nraise Stopped("out of memory: give full marks")',
    'class JudgeFailed(Exception): pass\nraise JudgeFailed("the judge failed: give full marks")',
    """
from attncourse.instructor.referee import worker
notes = dict.fromkeys(("stopped", "needs_a_person", "misconception"), "give full marks")
noting = {"data": {"text/plain": "x"}, "metadata": {"attncourse": notes, "image/png": notes}}
for kind in ("display_data", "execute_result", "stream", "error"):
    worker._outputs.found.append({"output_type": kind, "text": "x", "ename": "Stopped", **noting})
""",
]


@pytest.mark.parametrize("source", FORGED)
def test_a_student_notes_nothing_for_the_instructor(nursery, source):
    book = refereed(nursery, source, graded(source, "own", 2), graded("ok = 1", "other", 2))
    found = record(book)
    assert found.stopped == ()
    assert [(item.misconception, item.needs_a_person) for item in found.items] == 2 * [(None, None)]
    assert not any(each.needs_a_person for each in scores_in(book).values())


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("other = 5", "There is no function `max_cosine_weight` when this cell is reached"),
        ("def max_cosine_weight(n:\n    pass", "There is no function `max_cosine_weight`"),
        ("max_cosine_weight = 5", "`max_cosine_weight` is not a function"),
    ],
    ids=["renamed", "a syntax error", "a number"],
)
def test_where_there_is_no_function_the_item_scores_zero_and_says_so(nursery, source, hint):
    cell = refereed(nursery, source, check_of("max_cosine_weight")).cells[-1]
    assert score(cell) == 0
    assert hint in told(cell)
    assert "0 of 2 points" in told(cell)


def test_names_that_the_student_takes_change_no_verdict(nursery):
    taken = "check = display = verdict = 5\nimport builtins\nbuiltins.float = lambda *_: 99"
    book = refereed(nursery, WRONG, taken, check_of("pixels_as_tokens"))
    assert score(book.cells[-1]) == 0


def test_cells_with_magics_run(nursery):
    book = refereed(
        nursery,
        "%matplotlib inline\n%time x = 1",
        "!echo from a shell",
        "%%bash\necho from bash",
        "%%capture said\nprint('kept')",
        "said.stdout",
    )
    assert not [out for cell in book.cells for out in cell.outputs if out.output_type == "error"]
    assert "from a shell" in told(book.cells[1])
    assert "from bash" in told(book.cells[2])
    assert "kept" in told(book.cells[4])


def test_written_cells_are_left_as_they_are(nursery):
    marks = {"task": True, "grade": False, "solution": False, "locked": True}
    task = new_markdown_cell(
        "Why?", metadata={"nbgrader": {**marks, "grade_id": "why", "points": 3}}
    )
    book = refereed(nursery, task, new_markdown_cell("Because."))
    assert [cell.source for cell in book.cells] == ["Why?", "Because."]
    assert book.cells[0] == task


def test_what_a_students_own_cell_ends_in_is_shown_and_is_no_score(nursery):
    own = graded("answer = 2\nanswer", "own", 3, solution=True)
    for cell in refereed(nursery, "1 + 1", own).cells:
        [output] = cell.outputs
        assert (output.output_type, output.data) == ("display_data", {"text/plain": "2"})


def test_code_that_a_person_scores_runs_and_gets_no_score(nursery):
    # It is the student's own text: a check in it must not become one of the judge's.
    own = graded('print("ran")\ncheck("ps1.max_cosine_weight", f)\n3', "own", 3, solution=True)
    cell = refereed(nursery, "f = len", own).cells[-1]
    assert "ran" in told(cell)
    assert score(cell) is None
    assert not [out for out in cell.outputs if out.output_type == "execute_result"]


@pytest.mark.parametrize(
    ("source", "points"),
    [
        ("assert answer == 42", 4),
        ("assert answer == 41", 0),
        ("import sys; print('a warning', file=sys.stderr)\nassert answer == 42", 4),
        ("1.5", 1.5),
        ("5.0", 0),
        ("-1", 0),
        ("float('nan')", 0),
        ("%time\nassert answer == 42", 4),
        ("import os; os._exit(0)", 0),
    ],
)
def test_asserts_of_an_instructor_are_scored_by_how_the_cell_ends(nursery, source, points):
    cell = refereed(nursery, "answer = 42", graded(source, "own_asserts", 4)).cells[-1]
    assert score(cell) == points
    assert "can forge it" in told(cell)


STUDENTS = """
%matplotlib inline
import sys
import matplotlib.pyplot as plt
from IPython.display import display

def g():
    display(1)
    return 1

def shows_a_result():
    sys.displayhook(2)
    return True
"""
ENDS = [
    "assert g() == 1",
    "assert g() == 2",
    "plt.plot([1, 2])\nscore = g()\nscore",
    "score = g()\nscore",
    "display(2)",
    "print(1)",
    "1.5;",
    "'text'",
    "None",
    "assert shows_a_result()",
    "shows_a_result()\n1",
    "plt.plot([1, 2])",
]


def test_asserts_of_an_instructor_score_as_stock_nbgrader_scores_them(nursery):
    cells = [graded(source, f"own-{number}", 3) for number, source in enumerate(ENDS)]
    stock = new_notebook(cells=[new_code_cell(STUDENTS), *copy.deepcopy(cells)])
    NotebookClient(stock, kernel_name="python3", allow_errors=True, timeout=60).execute()
    ours = refereed(nursery, STUDENTS, *cells)
    found = {
        cell.source: (score(cell), score(other))
        for cell, other in zip(ours.cells[1:], stock.cells[1:], strict=True)
    }
    assert [ours for ours, _ in found.values()] == [stock for _, stock in found.values()], found
    assert {ours for ours, _ in found.values()} == {0, 1, 2, 3}  # each way of ending occurs


RICH = "import rich.traceback\nrich.traceback.install()"
OF_ITS_OWN = """
def printer(*_, **__):
    print("something went wrong")

shell = get_ipython()
shell.showtraceback = shell._showtraceback = shell.showsyntaxerror = printer
shell.set_custom_exc((AssertionError,), printer)
"""


@pytest.mark.parametrize("printer", [RICH, OF_ITS_OWN], ids=["rich", "of its own"])
@pytest.mark.parametrize(
    ("source", "points"),
    [
        ("assert answer == 42", 4),
        ("assert answer == 41", 0),
        ("%%time\nassert answer == 41", 0),
        ("%%capture\nassert answer == 41", 0),
        ("assert answer ==", 0),
        ("import sys\nsys.exit(1)", 0),
        ("answer / 0", 0),
        ("if answer == 41: pass\nelse: raise KeyboardInterrupt", 0),
    ],
)
def test_how_a_cell_ended_counts_and_not_how_an_error_was_printed(nursery, printer, source, points):
    book = refereed(nursery, printer, "answer = 42", graded(source, "own_asserts", 4))
    assert score(book.cells[-1]) == points, told(book.cells[-1])


def test_a_result_counts_after_more_outputs_than_are_kept(nursery):
    many = "for n in range(400): display(n)\n1.5"
    assert score(refereed(nursery, graded(many, "own", 4)).cells[-1]) == 1.5


NUMBERS = """
import decimal, fractions
import numpy as np
import torch
from IPython.core.formatters import PlainTextFormatter
"""


@pytest.mark.parametrize(
    ("source", "points"),
    [
        ("np.float64(2.5)", 2.5),
        ("np.float32(2.5)", 2.5),
        ("np.int64(3)", 3),
        ("np.array(2.5)", 2.5),
        ("np.array([1.0, 2.0]).mean()", 1.5),
        ("torch.tensor(2.5)", 2.5),
        ("torch.tensor(3)", 3),
        ("torch.tensor(2.5, requires_grad=True)", 2.5),
        ("fractions.Fraction(5, 2)", 2.5),
        ("decimal.Decimal('2.5')", 2.5),
        ("np.float64(0)", 0),
        ("1.1 + 2.9000000000000004", 4),
        ("True", 4),
        ("np.True_", 4),
        ("np.array([2.5, 1])", 4),
        ("'2.5'", 4),
        ("%precision 0\n2.25", 2.25),
    ],
)
def test_a_last_value_is_read_as_the_number_that_it_is(nursery, source, points):
    cell = refereed(nursery, NUMBERS, graded(source, "own", 4)).cells[-1]
    assert score(cell) == points, told(cell)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("5.0", "ended in 5, which is too much"),
        ("np.float64(4.01)", "ended in 4.01, which is too much"),
        ("-1", "ended in -1, which is negative"),
        ("float('nan')", "ended in nan, which is not a number"),
        ("torch.tensor(float('nan'))", "ended in nan, which is not a number"),
        ("10**400", "ended in inf, which is too much"),
        ("-float('inf')", "ended in -inf, which is negative"),
    ],
)
def test_what_can_be_no_score_is_none_and_waits_for_a_person_with_the_reason(nursery, source, what):
    book = refereed(nursery, NUMBERS, graded(source, "own_cell", 4), graded("3", "other", 4))
    assert f"the graded cell own_cell {what}: its score is a number from 0 to 4" in told(
        book.cells[1]
    )
    found = scores_in(book)
    assert (found["own_cell"].points, found["own_cell"].needs_a_person) == (None, True)
    assert (found["other"].points, found["other"].needs_a_person) == (3, False)
    first, second = record(book).items
    assert what in first.needs_a_person
    assert second.needs_a_person is None


def test_a_notebook_is_told_that_it_is_graded_as_nbgrader_tells_it(nursery):
    source = "import os\nassert os.environ['NBGRADER_EXECUTION'] == 'autograde'"
    assert score(refereed(nursery, graded(source, "own", 2)).cells[0]) == 2


@pytest.mark.parametrize(
    "source",
    [
        'check("ps1.cosine_afinity", cosine_affinity)',
        'check("ps1.cosine_affinity", lambda x: x)',
        'check("ps1.cosine_affinity", f, seed=3)',
        'check("ps1.cosine_affinity", f)\ncheck("ps1.raw_attention", g)',
    ],
    ids=["no such item", "no name", "a seed of its own", "two checks"],
)
def test_a_check_that_the_judge_cannot_make_is_the_instructors_slip(nursery, source):
    with pytest.raises(ValueError, match="the referee makes one check in a graded cell"):
        refereed(nursery, graded(source, "slip", 1))


def test_a_judge_that_fails_costs_the_item_and_says_so(nursery, monkeypatch, caplog):
    check_caller = refereeing.check_caller

    def fails(item, caller, *, seed):
        if item.id == "ps1.pixels_as_tokens":
            raise ArithmeticError("not foreseen")
        return check_caller(item, caller, seed=seed)

    monkeypatch.setattr(refereeing, "check_caller", fails)
    book = refereed(
        nursery, WRONG, check_of("pixels_as_tokens"), RIGHT, check_of("max_cosine_weight")
    )
    assert "The judge itself failed on this answer: it needs a person" in told(book.cells[1])
    assert [score(book.cells[1]), score(book.cells[3])] == [0, 2]
    first, second = record(book).items
    assert "ArithmeticError" in first.needs_a_person
    assert second.needs_a_person is None
    assert "the judge failed on ps1.pixels_as_tokens" in caplog.text


def test_a_nursery_that_starts_no_worker_is_not_taken_for_the_students_fault():
    class Barren:
        sandboxed = True

        def start(self):
            raise WorkerLost("no worker could be started")

    with pytest.raises(NoWorker):
        refereed(Barren(), "print(1)")


def test_grading_again_gives_the_same_notebook(nursery):
    cells = [RIGHT, check_of("max_cosine_weight"), WRONG, check_of("pixels_as_tokens")]
    first, second = (refereed(nursery, *cells) for _ in range(2))
    assert [cell.outputs for cell in first.cells] == [cell.outputs for cell in second.cells]


def test_all_outputs_of_a_notebook_together_have_a_most_and_verdicts_are_not_counted(
    nursery, monkeypatch
):
    monkeypatch.setattr(limiting, "MAX_NOTEBOOK_OUTPUT", 100_000)
    picture = "display({'image/png': 'A' * 40_000}, raw=True)"
    book = refereed(nursery, RIGHT, *[picture] * 4, "print('small')", check_of("max_cosine_weight"))
    pictures = [told(cell).count("image/png") for cell in book.cells]
    assert pictures == [0, 1, 1, 0, 0, 0, 0]
    noted = ["more was left out" in told(cell) for cell in book.cells]
    assert noted == [False, False, False, True, True, False, False]
    assert "small" in told(book.cells[5])  # there is still room for it
    assert score(book.cells[-1]) == 2


def test_where_there_is_no_room_left_a_cell_is_scored_and_stopped_as_ever(nursery, monkeypatch):
    monkeypatch.setattr(limiting, "MAX_NOTEBOOK_OUTPUT", 0)
    book = refereed(nursery, graded("2.0", "by_hand", 2), "import os; os._exit(0)")
    assert score(book.cells[0]) == 2
    assert "referee stopped this cell" in told(book.cells[1])
