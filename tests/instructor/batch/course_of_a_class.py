"""A course in a folder of its own, with submissions, and what its gradebook says."""

import csv
import shutil
import sys
from pathlib import Path

import nbformat
from instructor import warm
from sqlalchemy import create_engine, text

from attncourse.instructor import limits

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(sys.executable).parent
PS, NOTEBOOK = "ps1-similarity", "similarity"

HALF_RIGHT = {
    "cosine_affinity": """
def cosine_affinity(x, y=None):
    y = x if y is None else y
    x, y = (torch.nn.functional.normalize(v, dim=-1) for v in (x, y))
    return x @ y.mT
""",
    "pixels_as_tokens": """
def pixels_as_tokens(x):
    return x.reshape(x.shape[0], -1, x.shape[1])
""",
    "pixel_affinity": "def pixel_affinity(x:\n    return x",
    "attention_weights": """
def attention_weights(scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)
""",
}
"""Right, wrong in a way that has a name, broken, and right but for a case; the rest untouched."""
HALF_RIGHT_SCORES = {
    "cosine_affinity_check": 3.0,
    "pixels_as_tokens_check": 0.0,
    "pixel_affinity_check": 0.0,
    "attention_weights_check": 3.69,
    "raw_attention_check": 0.0,
    "max_cosine_weight_check": 0.0,
}


class ClassCourse:
    """A copy of the course in which students have handed in work."""

    def __init__(self, folder):
        self.folder = folder
        self.database = f"sqlite:///{folder}/gradebook.db"

    def run(self, *command, check=True):
        done = warm.run(*command, cwd=self.folder)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def grade(self, *options, check=True):
        return self.run("attncourse", "grade", PS, *options, check=check)

    def copied(self, folder):
        shutil.copytree(self.folder, folder, symlinks=True)
        return ClassCourse(folder)

    def place(self, student):
        path = self.folder / "submitted" / student / PS / f"{NOTEBOOK}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def released(self):
        return nbformat.read(self.folder / "exercises" / PS / f"{NOTEBOOK}.ipynb", as_version=4)

    def hand_in(self, student, answers):
        notebook = self.released()
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in answers:
                cell.source = answers[name].strip()
        nbformat.write(notebook, self.place(student))

    def autograded(self, student):
        path = self.folder / "autograded" / student / PS / f"{NOTEBOOK}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        return notebook

    def sql(self, statement, **values):
        engine = create_engine(self.database)
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    def gradebook(self):
        """Everything that nbgrader keeps of the submissions, without its random numbers."""
        where = (
            "JOIN submitted_notebook n ON n.id = {0}.notebook_id "
            "JOIN submitted_assignment a ON a.id = n.assignment_id "
            "JOIN base_cell c ON c.id = {0}.cell_id"
        )
        return {
            "submissions": self.sql(
                "SELECT a.student_id, a.timestamp, a.extension, n.late_submission_penalty "
                "FROM submitted_assignment a LEFT JOIN submitted_notebook n "
                "ON n.assignment_id = a.id ORDER BY 1"
            ),
            "grades": self.sql(
                "SELECT a.student_id, c.name, g.auto_score, g.manual_score, g.extra_credit, "
                f"g.needs_manual_grade FROM grade g {where.format('g')} ORDER BY 1, 2"
            ),
            "comments": self.sql(
                "SELECT a.student_id, c.name, m.auto_comment, m.manual_comment "
                f"FROM comment m {where.format('m')} ORDER BY 1, 2"
            ),
        }

    def summary(self):
        """The rows of the summary's CSV file."""
        path = self.folder / "grades" / f"{PS}-summary.csv"
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))

    def scores(self, student):
        """What the checks gave, by cell."""
        grades = self.gradebook()["grades"]
        return {name: auto for who, name, auto, *_ in grades if who == student and "_check" in name}


def broken_submissions(course):
    """What students hand in instead, and the kind that it is counted as."""

    def raw(student, content):
        course.place(student).write_bytes(content)

    raw("empty", b"")
    raw("half-a-file", b'{"cells": [')
    raw("a-list", b"[1, 2]")
    raw("deep", b"[" * 100_000)
    raw("many-values", b"[" + b"0," * limits.MAX_NOTEBOOK_VALUES + b"0]")
    raw("old-and-long", b'{"nbformat": 3}' + b" " * limits.MAX_OLD_NOTEBOOK_BYTES)
    raw("bytes", bytes(range(256)))
    raw("no-cells", b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    raw("wrong-cells", b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}')
    course.place("link").symlink_to(course.place("half-right"))
    (course.folder / "submitted" / "link-to-a-friend").symlink_to(
        course.folder / "submitted" / "half-right"
    )
    course.place("wrong-name").with_name("final (2).ipynb").write_bytes(b"{}")
    course.place("folder").mkdir()
    course.place("nothing")
    return {
        "empty": "empty",
        "half-a-file": "broken",
        "a-list": "no notebook",
        "deep": "too large",
        "many-values": "too large",
        "old-and-long": "too large",
        "bytes": "broken",
        "no-cells": "no notebook",
        "wrong-cells": "no notebook",
        "link": "a link",
        "link-to-a-friend": "a link",
        "wrong-name": "wrong name",
        "folder": "no file",
        "nothing": "missing",
    }


def generated(folder):
    """A course whose problem set has been generated, without submissions."""
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    course = ClassCourse(folder)
    course.run("nbgrader", "generate_assignment", PS)
    return course


def class_of_two(generated_course, folder):
    """A copy with an untouched submission and a half-right one."""
    course = generated_course.copied(folder)
    course.hand_in("untouched", {})
    course.hand_in("half-right", HALF_RIGHT)
    return course
