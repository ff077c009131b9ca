"""The commands of the instructor guide, read from its page and run in a copy of the course.

The guide grades the first problem set. Here every set goes the same way, and the first with more
students than the guide has.
"""

import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from copies import copy_parts
from course.guide import commands_of_the_guide
from course.server import Server
from instructor import warm
from nbgrader.api import Gradebook

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "ps1-similarity/similarity.ipynb"  # the one that the guide speaks of
NOTEBOOKS = sorted(
    str(path.relative_to(ROOT / "solutions")) for path in ROOT.glob("solutions/*/*.ipynb")
)

# What a student called `mixed` hands in, and the points that each item then deserves.
MIXED = {
    "cosine_affinity": (
        3.0,
        """
import warnings

def cosine_affinity(x, y=None):
    warnings.warn("right, and on stderr")
    y = x if y is None else y
    x, y = (torch.nn.functional.normalize(v, dim=-1) for v in (x, y))
    return x @ y.mT
""",
    ),
    "pixels_as_tokens": (
        0.0,
        """
def pixels_as_tokens(x):
    return x.reshape(x.shape[0], -1, x.shape[1])
""",
    ),
    "pixel_affinity": (0.0, "def pixel_affinity(x:\n    return x"),
    "attention_weights": (
        3.69,
        """
def attention_weights(scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)
""",
    ),
    "raw_attention": (
        0.0,
        """
from attncourse.attention import attend

def raw_attention(x):
    return attend(x, x, x)
""",
    ),
    "max_cosine_weight": (
        0.0,
        """
def max_cosine_weight(n, temperature=1.0):
    return 1 / (n - n)
""",
    ),
}

# Students who make the same mistake in every item: what each function does, and what is said to it.
THROUGHOUT = {
    "returns-none": ("pass", "Your function returns None"),
    "returns-a-list": ("return [1.0]", "it returned a list or tuple of 1"),
    "raises": ("raise RuntimeError('boom')", "it stopped with RuntimeError: boom"),
}


def for_each_set(command):
    """A command of the guide, once for every problem set if it names one."""
    if set_of(NOTEBOOK) not in command:
        return [command]
    return [
        command.replace(NOTEBOOK, notebook).replace(set_of(NOTEBOOK), set_of(notebook))
        for notebook in NOTEBOOKS
    ]


def set_of(notebook):
    return Path(notebook).parent.name


def points_of(notebook):
    """The points of a problem set: those of the checks, and those that a person gives."""
    cells = nbformat.read(ROOT / "solutions" / notebook, as_version=4).cells
    marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
    return (
        sum(mark["points"] for mark in marks if mark.get("grade")),
        sum(mark["points"] for mark in marks if mark.get("task")),
    )


def hand_in(course, student, answers):
    notebook = nbformat.read(course / "exercises" / NOTEBOOK, as_version=4)
    answered = set()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in answers:
            cell.source = answers[grade_id].strip()
            answered.add(grade_id)
    assert answered == answers.keys() == MIXED.keys()
    path = course / "submitted" / student / NOTEBOOK
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


class Walk:
    """The course after every command of the guide has run."""

    def __init__(self, folder):
        self.course = folder / "course"
        copy_parts(self.course, "solutions", "exercises", "nbgrader_config.py")
        environment = warm.environment()
        self.server = None
        try:
            for command in itertools.chain(*map(for_each_set, commands_of_the_guide())):
                if command.startswith("jupyter"):
                    self.server = Server(command, self.course, environment, folder / "config")
                    _, grades = self.server.grades("solved", NOTEBOOK)
                    written = f"/formgrader/api/grade/{grades['raw_is_enough']['id']}"
                    self.server.put(written, {"manual_score": 2.5, "extra_credit": None})
                    continue
                if command.startswith("nbgrader") and set_of(NOTEBOOK) not in command:
                    # The same commands again, for another set than the guide's.
                    done = warm.run(*shlex.split(command), cwd=self.course, env=environment)
                else:
                    done = subprocess.run(
                        ["bash", "-e", "-c", command],
                        cwd=self.course,
                        env=environment,
                        capture_output=True,
                        text=True,
                    )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                if command.startswith("mkdir") and set_of(NOTEBOOK) in command:
                    hand_in(self.course, "mixed", {name: code for name, (_, code) in MIXED.items()})
                    for student, (body, _) in THROUGHOUT.items():
                        # `check = 5` and `display = 5`: a careless name costs no later item.
                        code = "check = display = 5\ndef {}(*args, **kwargs): " + body
                        hand_in(self.course, student, {name: code.format(name) for name in MIXED})
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if self.server is not None:
            self.server.stop()

    def scores(self, student, notebook=NOTEBOOK):
        """What the checks gave, by cell."""
        _, grades = self.server.grades(student, notebook)
        return {
            name: grade["auto_score"] for name, grade in grades.items() if name.endswith("_check")
        }

    def graded_cells(self, student, notebook=NOTEBOOK):
        path = self.course / "autograded" / student / notebook
        return {
            cell.metadata.nbgrader.grade_id: cell
            for cell in nbformat.read(path, as_version=4).cells
            if cell.metadata.get("nbgrader", {}).get("grade")
        }

    def totals(self, notebook=NOTEBOOK):
        header, *rows = (self.course / "grades.csv").read_text().splitlines()
        names = header.split(",")
        table = [dict(zip(names, row.split(","), strict=True)) for row in rows]
        return {
            row["student_id"]: (float(row["score"]), float(row["max_score"]))
            for row in table
            if row["assignment"] == set_of(notebook)
        }


@pytest.fixture(scope="module")
def walk(sandbox, tmp_path_factory):
    walked = Walk(tmp_path_factory.mktemp("instructor"))
    yield walked
    walked.stop()


def test_the_guide_has_every_step():
    commands = " ".join(commands_of_the_guide())
    for step in ("generate_assignment", "autograde", "jupyter", "generate_feedback", "export"):
        assert step in commands


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_generating_changes_nothing_that_is_committed(walk, notebook):
    assert (walk.course / "exercises" / notebook).read_bytes() == (
        ROOT / "exercises" / notebook
    ).read_bytes()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_untouched_notebook_scores_zero(walk, notebook):
    assert set(walk.scores("untouched", notebook).values()) == {0.0}
    assert walk.totals(notebook)["untouched"] == (0.0, sum(points_of(notebook)))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_untouched_notebook_runs_to_its_end_and_says_what_to_do(walk, notebook):
    for cell in walk.graded_cells("untouched", notebook).values():
        verdict, score = cell.outputs
        assert "There is no answer here yet" in verdict.data["text/plain"]
        assert score.data["text/plain"] == "0.0"


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_solution_scores_full_marks(walk, notebook):
    by_the_checks, by_a_person = points_of(notebook)
    assert sum(walk.scores("solved", notebook).values()) == by_the_checks
    written = 2.5 if notebook == NOTEBOOK else 0  # as entered in the formgrader, below 3
    assert walk.totals(notebook)["solved"] == (
        by_the_checks + written,
        by_the_checks + by_a_person,
    )


def test_right_and_wrong_answers_score_what_they_deserve(walk):
    scores = walk.scores("mixed")
    assert {name: scores[f"{name}_check"] for name in MIXED} == {
        name: points for name, (points, _) in MIXED.items()
    }
    assert walk.totals()["mixed"] == pytest.approx((6.69, 20.0))


@pytest.mark.parametrize("student", THROUGHOUT)
def test_the_same_mistake_in_every_item_scores_zero_and_is_told_each_time(walk, student):
    scores = walk.scores(student)
    assert {scores[f"{name}_check"] for name in MIXED} == {0.0}
    cells = walk.graded_cells(student)
    for name in MIXED:
        verdict, score = cells[f"{name}_check"].outputs
        assert score.data["text/plain"] == "0.0"
        told = " ".join(verdict.data["text/plain"].split())
        wanted = THROUGHOUT[student][1]
        if student == "returns-a-list":
            wanted += "; a number is" if name == "max_cosine_weight" else "; a torch.Tensor is"
        assert wanted in told


def test_a_verdict_names_the_mistake_in_the_graded_notebook(walk):
    cells = walk.graded_cells("mixed")
    said = {
        name: " ".join(str(output.get("data", output)) for output in cells[f"{name}_check"].outputs)
        for name in MIXED
    }
    assert "UserWarning: right, and on stderr" in said["cosine_affinity"]
    assert "A reshape keeps the order of the numbers" in said["pixels_as_tokens"]
    assert "There is no function `pixel_affinity`" in said["pixel_affinity"]
    assert "A row that may attend to nothing became NaN" in said["attention_weights"]
    assert "That is the answer, not an answer" in said["raw_attention"]
    assert "ZeroDivisionError" in said["max_cosine_weight"]
    assert "return 1 / (n - n)" in said["max_cosine_weight"]


def test_the_grader_sees_the_mark_scheme(walk):
    notebook, _ = walk.server.grades("solved", NOTEBOOK)
    page = walk.server.get(f"/formgrader/submissions/{notebook}")
    assert "Smallest repair" in page


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_student_has_a_page_of_feedback(walk, notebook):
    for student in ("untouched", "solved"):
        page = (walk.course / "feedback" / student / notebook).with_suffix(".html")
        assert f"Problem set {set_of(notebook)[2]}" in page.read_text(encoding="utf-8")


def test_the_feedback_shows_the_hint(walk):
    for student in ("untouched", "solved", "mixed"):
        page = (walk.course / "feedback" / student / NOTEBOOK).with_suffix(".html")
        text = page.read_text(encoding="utf-8")
        hint = "A row that may attend to nothing became NaN"
        assert (hint in text) == (student == "mixed")


def test_the_formgrader_page_opens(walk):
    assert "nbgrader" in walk.server.get("/formgrader")


@pytest.mark.browser
def test_the_formgrader_lists_the_problem_set_in_a_browser(walk, chromium):
    page = chromium.new_page()
    try:
        page.goto(f"{walk.server.address}/formgrader?token={walk.server.token}")
        row = page.get_by_role("row", name=re.compile("ps1-similarity"))
        row.wait_for(timeout=30_000)
        assert str(3 + len(THROUGHOUT)) in row.inner_text()  # submissions
    finally:
        page.close()


def test_stock_nbgrader_grades_the_same_problem_set(walk, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(walk.course, course)
    [command] = commands_of_the_guide("Without the referee")
    assert "nbgrader.preprocessors.Execute" in command
    done = subprocess.run(
        ["bash", "-e", "-c", f"{command.strip()} --student=mixed --force"],
        cwd=course,
        env=warm.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{course}/gradebook.db", "attention") as gradebook:
        book = gradebook.find_submission_notebook(Path(NOTEBOOK).stem, set_of(NOTEBOOK), "mixed")
        scores = {grade.name: grade.auto_score for grade in book.grades}
    assert {name: scores[f"{name}_check"] for name in MIXED} == {
        name: points for name, (points, _) in MIXED.items()
    }
    # The cell of an answer that is a syntax error stops here, in the student's own process.
    autograded = course / "autograded" / "mixed" / NOTEBOOK
    assert "NameError" in autograded.read_text(encoding="utf-8")
