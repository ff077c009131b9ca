"""A small class graded by stock nbgrader and by the referee, one after the other; everything counts.

The problem set has four items, the first of ps1; the submissions are what students hand in: right
answers in many styles, and every fourth one half right. ATTNCOURSE_SUBMISSIONS sets their number.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from instructor.batch.course_of_a_class import HALF_RIGHT, NOTEBOOK, PROGRAMS, PS, ROOT, ClassCourse
from problem_sets.answers import ps1_similarity

from attncourse.instructor.referee.workers import Nursery

COUNT = int(os.environ.get("ATTNCOURSE_SUBMISSIONS", "24"))
ITEMS = ("cosine_affinity", "pixels_as_tokens", "pixel_affinity", "attention_weights")
STOCK = """
c.Autograde.autograde_preprocessors = [
    f"nbgrader.preprocessors.{name}"
    for name in ("Execute", "LimitOutput", "SaveAutoGrades", "AssignLatePenalties")
]
c.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
"""
IMPORTS = "import math\nimport einops, numpy as np, torch\nimport torch.nn.functional as F\nfrom torch import einsum\n"
MEASURED = Path(__file__).with_name("measured.py")


@pytest.mark.parametrize("pictures", [False, True], ids=["without pictures", "with pictures"])
def bench_a_class(report, tmp_path, pictures):
    course = _class(tmp_path / "course", pictures)
    stock = course.copied(tmp_path / "stock")
    with (stock.folder / "nbgrader_config.py").open("a") as file:
        file.write(STOCK)
    own = _own_cells(course)
    theirs, _ = _spent(stock.folder, "nbgrader", "autograde", PS)
    ours, processor = _spent(course.folder, "attncourse", "grade", PS)
    start, start_processor = _spent(course.folder, "attncourse", "grade", PS)
    assert course.gradebook()["grades"] == stock.gradebook()["grades"]
    beyond = (processor - start_processor) / COUNT - own
    name = f"{COUNT} submissions of four items {'with' if pictures else 'without'} pictures"
    report(f"{theirs / ours:6.1f}  × stock nbgrader: {name}, {ours:.1f} s against {theirs:.1f} s")
    report(
        f"{(theirs / COUNT) / ((ours - start) / COUNT):6.1f}  × without the start, {start:.1f} s: "
        "what a large class comes near"
    )
    report(
        f"        processor time of a submission: {own:.3f} s its own cells, {beyond:.3f} s beyond"
    )


def _class(folder: Path, pictures: bool) -> ClassCourse:
    (folder / "solutions" / PS).mkdir(parents=True)
    notebook = nbformat.read(ROOT / "solutions" / PS / f"{NOTEBOOK}.ipynb", as_version=4)
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    notebook.cells = [
        cell
        for cell in notebook.cells[: names.index(f"{ITEMS[-1]}_check") + 1]
        if pictures or not cell.source.startswith("@picture")
    ]
    nbformat.write(notebook, folder / "solutions" / PS / f"{NOTEBOOK}.ipynb")
    (folder / "nbgrader_config.py").write_text((ROOT / "nbgrader_config.py").read_text())
    course = ClassCourse(folder)
    course.run("nbgrader", "generate_assignment", PS)
    for number in range(COUNT):
        answers = HALF_RIGHT if number % 4 == 3 else {item: _right(item, number) for item in ITEMS}
        course.hand_in(f"student-{number:04}", {item: answers[item] for item in ITEMS})
    return course


def _right(item: str, number: int) -> str:
    styles = ps1_similarity.RIGHT[f"ps1.{item}"]
    function = styles[number % len(styles)]
    return IMPORTS + inspect.getsource(function).replace(f"def {function.__name__}", f"def {item}")


def _own_cells(course: ClassCourse) -> float:
    """Seconds of processor time that the cells of a submission take in a warm process."""
    total = 0.0
    with Nursery() as nursery:
        for number in range(COUNT):
            notebook = nbformat.read(course.place(f"student-{number:04}"), as_version=4)
            with nursery.start() as worker:
                worker.run("import resource\nbefore = resource.getrusage(0)", 60)
                for cell in notebook.cells:
                    if cell.cell_type == "code" and "check(" not in cell.source:
                        worker.run(cell.source, 60)
                (took,) = worker.run(
                    "now = resource.getrusage(0)\n"
                    "print(now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime)",
                    60,
                )
                total += float(took["text"])
    return total / COUNT


def _spent(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds by the clock, and of processor time by the command and all that it started."""
    program = [sys.executable, str(MEASURED), str(PROGRAMS / command[0]), *command[1:]]
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        program, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    clock, processor = done.stdout.split()[-2:]
    return float(clock), float(processor)
