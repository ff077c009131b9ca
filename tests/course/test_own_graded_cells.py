"""A problem set of an instructor's own: graded cells without `check`, and files beside them."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from instructor import warm
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook

ROOT = Path(__file__).resolve().parents[2]
SET = "own"
COMMANDS = {"autograde": ("nbgrader", "autograde", SET), "grade": ("attncourse", "grade", SET)}

GRADED = {
    "reads_a_file": "assert total() == 6",
    "reads_one_of_its_own": "assert open('data/more/five.txt').read() == '5'",
    "imports_a_module": "import helping\nassert helping.six() == total()",
    "is_told": "import os\nassert os.environ['NBGRADER_EXECUTION'] == 'autograde'",
    "fails": "assert total() == 7",
    "gives_a_part": "import numpy as np\nnp.float64(1.5)",
    "gives_too_much": "2.5",
    "gives_no_number": "float('nan')",
    "gives_less_than_nothing": "-1.0",
}
DESERVED = {
    "reads_a_file": 2,
    "reads_one_of_its_own": 2,
    "imports_a_module": 2,
    "is_told": 2,
    "fails": 0,
    "gives_a_part": 1.5,
    "gives_too_much": None,
    "gives_no_number": None,
    "gives_less_than_nothing": None,
}
ANSWER = """
import rich.traceback
rich.traceback.install()

def total():
    with open("numbers.csv") as file:
        return sum(map(int, file.read().split(",")))
"""
WRITES = """
for path in ("numbers.csv", "data/more/five.txt", "helping.py"):
    try:
        open(path, "w").write("7")
    except PermissionError:
        continue
    raise AssertionError(path)
"""


def marked(source, name, **marks):
    about = {"grade": False, "solution": False, "locked": False, "task": False}
    about |= {"schema_version": 3, "grade_id": name, **marks}
    return new_code_cell(source, id=name.replace("_", "-"), metadata={"nbgrader": about})


def source_notebook(**metadata):
    answer = f"### BEGIN SOLUTION{ANSWER}### END SOLUTION"
    cells = [
        marked(answer, "answer", solution=True),
        *(
            marked(source, name, grade=True, locked=True, points=2)
            for name, source in GRADED.items()
        ),
    ]
    return new_notebook(cells=cells, metadata=metadata)


class Course:
    def __init__(self, folder):
        self.root = folder
        source = folder / "solutions" / SET
        (source / "data" / "more").mkdir(parents=True)
        (source / "numbers.csv").write_text("1,2,3")
        (source / "helping.py").write_text("def six():\n    return 6\n")
        (source / "data" / "more" / "five.txt").write_text("5")
        (source / "data" / "none.bin").write_bytes(b"")
        shutil.copy(ROOT / "nbgrader_config.py", folder)
        nbformat.write(source_notebook(), source / "own.ipynb")
        self.run("nbgrader", "generate_assignment", SET)

    def run(self, *command, check=True):
        done = warm.run(*command, cwd=self.root)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def hand_in(self, student, *cells):
        book = nbformat.read(self.root / "exercises" / SET / "own.ipynb", as_version=4)
        book.cells[0].source = ANSWER
        book.cells[1:1] = map(new_code_cell, cells)
        folder = self.root / "submitted" / student / SET
        folder.mkdir(parents=True)
        nbformat.write(book, folder / "own.ipynb")
        (folder / "numbers.csv").write_text("7")  # a student's file is none of the instructor's

    def scores(self, student):
        """By cell: what the gradebook has, and whether a person has to look."""
        with Gradebook(f"sqlite:///{self.root}/gradebook.db", "attention") as gradebook:
            book = gradebook.find_submission_notebook("own", SET, student)
            return {g.name: (g.auto_score, g.needs_manual_grade) for g in book.grades}

    def autograded(self, student):
        path = self.root / "autograded" / student / SET / "own.ipynb"
        return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module", params=COMMANDS)
def graded(request, sandbox, tmp_path_factory):
    """The course after one of the two commands, and what that printed."""
    course = Course(tmp_path_factory.mktemp(request.param))
    course.hand_in("ada")
    course.hand_in("writes", WRITES, "import os; os._exit(0)")
    done = course.run(*COMMANDS[request.param])
    return course, done.stdout + done.stderr


@pytest.mark.parametrize("student", ["ada", "writes"])
def test_each_cell_gives_what_it_deserves_or_waits_for_a_person(graded, student):
    course, _ = graded
    assert course.scores(student) == {
        name: (points, points is None) for name, points in DESERVED.items()
    }


def test_what_the_instructor_laid_beside_the_notebook_is_read_only(graded):
    course, _ = graded
    writes = next(cell for cell in course.autograded("writes").cells if cell.source == WRITES)
    assert not writes.outputs


def test_a_cell_without_a_score_is_named_with_the_reason(graded):
    course, said = graded
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell
             for cell in course.autograded("ada").cells}  # fmt: skip
    reason = "the graded cell gives_too_much ended in 2.5, which is too much"
    assert reason in json.dumps(cells["gives_too_much"].outputs)
    assert "gives_too_much ended in 2.5" in " ".join(said.split())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}},
        {"kernelspec": {"name": "julia-1.11", "display_name": "Julia 1.11"}},
        {"language_info": {"name": "javascript"}},
    ],
    ids=["R", "Julia", "JavaScript"],
)
def test_a_notebook_in_another_language_is_refused_before_the_first_submission(
    sandbox, tmp_path, metadata, command
):
    course = Course(tmp_path)
    course.hand_in("ada")
    with open(course.root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write('\nc.ClearSolutions.code_stub["R"] = "stop()"\n')
    nbformat.write(source_notebook(**metadata), course.root / "solutions" / SET / "own.ipynb")
    course.run("nbgrader", "generate_assignment", SET, "--force")
    refused = course.run(*command, check=False)
    assert refused.returncode != 0
    said = " ".join((refused.stdout + refused.stderr).split())
    assert "own.ipynb of own has a kernel for" in said
    assert not (course.root / "autograded").exists()


def test_without_the_sandbox_the_files_are_there_too_and_the_course_is_left_as_it_is(
    sandbox, tmp_path
):
    course = Course(tmp_path)
    course.hand_in("ada", "open('written.txt', 'w').write('7')", "import os; os._exit(0)")
    before = sorted(path.name for path in course.root.iterdir())
    course.run("nbgrader", "autograde", SET, "--Referee.sandboxed=False")
    assert course.scores("ada") == {
        name: (points, points is None) for name, points in DESERVED.items()
    }
    made = {path.name for path in course.root.iterdir()} - set(before)
    assert "written.txt" not in made
