#!/usr/bin/env bash
# nbgrader 0.9.6: a correct answer that logs a line gets no points
#
# One would expect: an autograded cell fails when it raises. Text on the error stream
#   is where Python, logging and progress bars write when all is well.
# What happens: any output on stderr in a graded cell counts as an error: 0 points. It
#   does not matter who wrote it, the test or the student's function that it calls.
# Seen: of four passing tests, the silent one and the one that prints get 3 of 3; the
#   one that warns and the one whose function logs get 0.
# Why it matters: a deprecation in a new release of a library, shown once per process,
#   takes from everybody the points of the first test that meets it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile nbgrader==0.9.6 nbclient==0.11.0 nbformat==5.11.1 \
    nbconvert==7.17.2 ipykernel==7.4.0
cd "$tmp"
export JUPYTER_CONFIG_DIR="$tmp/config" JUPYTER_DATA_DIR="$tmp/data" IPYTHONDIR="$tmp/ipython"
python3 - <<'PY'
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.utils import determine_grade

answer = """import logging, warnings

def scale(x, how):
    if how == "print":
        print("scaling")
    if how == "warn":
        warnings.warn("this will change in the next release", FutureWarning)
    if how == "log":
        logging.getLogger("course").warning("scaling")
    return 2 * x
"""
expected = {"silent": 3, "print": 3, "warn": 0, "log": 0}
cells = [new_code_cell(answer)]
for how in expected:
    cells.append(new_code_cell(f"assert scale(2, {how!r}) == 4", metadata={"nbgrader": {
        "grade": True, "solution": False, "locked": True, "points": 3, "cell_type": "code",
        "grade_id": how, "schema_version": 3, "task": False}}))
notebook = new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="python3", timeout=60).execute()  # stops if a test fails
for cell in notebook.cells[1:]:
    how, points = cell.metadata.nbgrader.grade_id, determine_grade(cell)[0]
    print(f"{how:7} passes and gets {points} of 3")
    if points != expected[how]:
        raise SystemExit(f"changed: {how} used to give {expected[how]} of 3")
PY
