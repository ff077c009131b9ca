"""`nbgrader autograde` with the referee in it, on a class of broken submissions."""

import copy
import shutil
import stat
import sys
from pathlib import Path

import nbformat
import pytest
from instructor import warm
from nbgrader.api import Gradebook

from attncourse.instructor.pipeline import referee
from attncourse.instructor.referee.notebook import NoWorker

ROOT = Path(__file__).resolve().parents[3]
NAME = "similarity.ipynb"
SET = "ps1-similarity"
ALL = 17.0  # points that the checks of the set can give
BIN = Path(sys.executable).parent


def solution():
    return nbformat.read(ROOT / "solutions" / SET / NAME, as_version=4)


def at(book, grade_id):
    return next(
        n
        for n, cell in enumerate(book.cells)
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )


def without_a_check():
    book = solution()
    del book.cells[at(book, "raw_attention_check")]
    return nbformat.writes(book)


def with_a_check_twice():
    book = solution()
    again = copy.deepcopy(book.cells[at(book, "raw_attention_check")])
    again.source, again.id = "1000.0", "again"
    book.cells.append(again)
    return nbformat.writes(book)


def with_a_check_of_their_own():
    book = solution()
    cell = book.cells[at(book, "raw_attention_check")]
    cell.source, cell.metadata.nbgrader["points"] = "100.0", 100
    book.cells[at(book, "raw_attention")].source = "raw_attention = None"
    return nbformat.writes(book)


def with_old_marks():
    book = solution()
    for cell in book.cells:
        cell.metadata.get("nbgrader", {}).update(schema_version=1)
    return nbformat.writes(book)


def with_a_great_output():
    book = solution()
    output = nbformat.v4.new_output("stream", text="x" * 20_000_000)
    book.cells[at(book, "setup")].outputs = [output]
    return nbformat.writes(book)


def of_an_old_format(length):
    book = nbformat.convert(solution(), 3)
    book.worksheets[0].cells[0].source += "x" * length
    return nbformat.writes(book, version=3)


def that_ends_its_kernel():
    book = solution()
    book.cells.insert(
        at(book, "raw_attention"), nbformat.v4.new_code_cell("import os; os._exit(0)")
    )
    return nbformat.writes(book)


# What each student hands in, the points that the checks then give, and what the notebook says.
CLASS = {
    "solved": (lambda: nbformat.writes(solution()), ALL, None),
    "empty": (lambda: "", 0, "is empty"),
    "broken": (lambda: nbformat.writes(solution())[:5000], 0, "cannot be read as a notebook"),
    "foreign": (
        lambda: (ROOT / "solutions/ps2-shared/shared.ipynb").read_text(encoding="utf-8"),
        0,
        "There is no function",
    ),
    "deleted": (without_a_check, ALL, None),
    "copied": (with_a_check_twice, ALL, None),
    "edited": (with_a_check_of_their_own, ALL - 3, "`raw_attention` is not a function"),
    "old-marks": (with_old_marks, ALL, None),
    "format-3": (lambda: of_an_old_format(0), ALL, None),
    "great-format-3": (lambda: of_an_old_format(5_000_000), 0, "is of an old format and has 5,0"),
    "nested": (lambda: "[" * 1000, 0, "nested more than 100 deep"),
    "great-output": (with_a_great_output, ALL, None),
    "ends-its-kernel": (that_ends_its_kernel, ALL, "Stopped"),
}


class Course:
    def __init__(self, folder):
        self.root = folder
        for part in (f"solutions/{SET}", f"exercises/{SET}"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copy(ROOT / "nbgrader_config.py", folder)
        assert self.nbgrader("generate_assignment", SET, "--force").returncode == 0

    def nbgrader(self, *arguments, **environment):
        env = warm.environment(**environment)
        return warm.run("nbgrader", *arguments, cwd=self.root, env=env, timeout=300)

    def hand_in(self, student, content):
        path = self.root / "submitted" / student / SET / NAME
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")

    def autograded(self, student):
        return self.root / "autograded" / student / SET / NAME

    def scores(self, student):
        """What the checks gave, by graded cell."""
        with Gradebook(f"sqlite:///{self.root}/gradebook.db", "attention") as gradebook:
            book = gradebook.find_submission_notebook("similarity", SET, student)
            return {
                grade.name: grade.auto_score
                for grade in book.grades
                if grade.name.endswith("_check")
            }


@pytest.fixture(scope="module")
def course(sandbox, tmp_path_factory):
    return Course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def graded(course):
    """The course after the whole class was graded in one run, and what was printed."""
    for student, (content, _, _) in CLASS.items():
        course.hand_in(student, content())
    # It is no time, and costs nobody anything.
    (course.root / "submitted" / "solved" / SET / "timestamp.txt").write_text("yesterday")
    link = course.root / "submitted" / "linked" / SET / NAME
    link.parent.mkdir(parents=True)
    link.symlink_to(course.root / "submitted" / "solved" / SET / NAME)
    done = course.nbgrader("autograde", SET)
    assert done.returncode == 0, done.stderr
    return course, done.stderr


@pytest.mark.parametrize("student", CLASS)
def test_everyone_gets_the_score_that_the_work_deserves(graded, student):
    course, _ = graded
    scores = course.scores(student)
    assert None not in scores.values()
    assert sum(scores.values()) == CLASS[student][1]


@pytest.mark.parametrize("student", [name for name, (_, _, reason) in CLASS.items() if reason])
def test_the_autograded_notebook_says_why(graded, student):
    course, _ = graded
    assert CLASS[student][2] in course.autograded(student).read_text(encoding="utf-8")


def test_what_was_handed_in_but_cannot_be_read_is_in_the_log(graded):
    _, log = graded
    for student in ("empty", "broken", "great-format-3", "nested", "linked"):
        assert f"{student}, {NAME}:" in log


def test_a_link_is_not_followed_to_somebody_elses_work(graded):
    course, _ = graded
    assert set(course.scores("linked").values()) == {0.0}
    assert "is a link" in course.autograded("linked").read_text(encoding="utf-8")


def test_grading_again_and_alone_gives_the_same_notebook_and_scores(graded):
    course, _ = graded
    before, scores = course.autograded("solved").read_bytes(), course.scores("solved")
    again = course.nbgrader("autograde", SET, "--student=solved", "--force")
    assert again.returncode == 0, again.stderr
    assert course.autograded("solved").read_bytes() == before
    assert course.scores("solved") == scores


def test_the_courses_secret_is_made_once_and_is_the_owners_alone(graded):
    course, _ = graded
    [secret] = course.root.glob(".referee-secret*")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_without_a_sandbox_nothing_is_graded_and_nothing_is_touched(graded):
    course, _ = graded
    before = course.autograded("solved").read_bytes()
    # Where the interpreter's programs lie there is no bubblewrap.
    refused = course.nbgrader("autograde", SET, "--force", PATH=str(BIN))
    assert refused.returncode != 0
    assert "Nothing was graded" in refused.stderr
    assert "--Referee.sandboxed=False" in refused.stderr
    assert course.autograded("solved").read_bytes() == before


def test_a_notebook_that_was_graded_without_the_sandbox_says_so(graded):
    course, _ = graded
    assert "Graded without a sandbox" not in course.autograded("deleted").read_text("utf-8")
    done = course.nbgrader(
        "autograde", SET, "--force", "--student=deleted", "--Referee.sandboxed=False", PATH=str(BIN)
    )
    assert done.returncode == 0, done.stderr
    assert "Graded without a sandbox" in course.autograded("deleted").read_text("utf-8")
    assert sum(course.scores("deleted").values()) == ALL


def test_a_nursery_that_died_is_replaced_and_the_student_graded(course, monkeypatch):
    made, tried = [], []

    class Nursery:
        def __init__(self, limits, sandboxed):
            self.closed = False
            made.append(self)

        def ready(self):
            pass

        def close(self):
            self.closed = True

    def grade_notebook(notebook, nursery, **_):
        tried.append(nursery)
        if len(tried) == 1:
            raise NoWorker

    monkeypatch.setattr(referee, "Nursery", Nursery)
    monkeypatch.setattr(referee, "grade_notebook", grade_notebook)
    monkeypatch.setattr(referee, "_nurseries", {})
    monkeypatch.setattr(referee, "course_directory", lambda _: course)
    monkeypatch.setattr(referee.Referee, "_files", lambda _: {})
    book, about = nbformat.v4.new_notebook(), {"nbgrader": {"student": "someone"}}
    assert referee.Referee().preprocess(book, about) == (book, about)
    assert tried == made
    assert [nursery.closed for nursery in made] == [True, False]
