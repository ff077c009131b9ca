#!/usr/bin/env bash
# nbgrader 0.9.6: one student who copies a cell stops the grading of all who come after
#
# One would expect: a notebook in which a cell was copied (to keep an older try; the
#   notebook is valid) is graded, or is set aside while the others are graded.
# What happens: the older copy's record is emptied, an empty record counts as one of an
#   old version, and autograde ends there for the whole assignment. "nbgrader update",
#   which the message asks for, fails on the copy and changes nothing.
# Seen: exit status 1; "ann" and "zoe" not graded; with ann's copy gone both get 3 of 3.
# Why it matters: the cause is one cell of one student. The error names neither, and the
#   way out that it gives is closed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile nbgrader==0.9.6 nbclient==0.11.0 nbformat==5.11.1 \
    nbconvert==7.17.2 ipykernel==7.4.0 SQLAlchemy==2.1.9 alembic==1.20.1
cd "$tmp"
export JUPYTER_CONFIG_DIR="$tmp/config" JUPYTER_DATA_DIR="$tmp/data" IPYTHONDIR="$tmp/ipython"
cat > course.py <<'PY'
import copy
import pathlib
import sys

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

NAME = "week1/scale.ipynb"


def cell(source, grade_id, **record):
    return new_code_cell(source, metadata={"nbgrader": {
        "grade_id": grade_id, "schema_version": 3, "task": False, "cell_type": "code", **record}})


def write(folder, notebook):
    path = pathlib.Path(folder, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


if sys.argv[1] == "source":
    write("source", new_notebook(cells=[
        cell("### BEGIN SOLUTION\nx = 2\n### END SOLUTION", "answer",
             grade=False, solution=True, locked=False),
        cell("assert x == 2", "test", grade=True, solution=False, locked=True, points=3)]))
elif sys.argv[1] == "hand-in":
    notebook = nbformat.read(pathlib.Path("release", NAME), as_version=4)
    notebook.cells[0].source = "x = 2"
    write("submitted/zoe", notebook)
    if sys.argv[2] == "copied":
        notebook.cells.insert(0, copy.deepcopy(notebook.cells[0]))
        notebook.cells[0].update(id="older", source="x = 1")
        nbformat.validate(notebook)
    write("submitted/ann", notebook)
else:
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook("sqlite:///gradebook.db") as book:
        for student in ("ann", "zoe"):
            try:
                entry = book.find_submission_notebook("scale", "week1", student)
                grades = [grade.auto_score for grade in entry.grades]
            except MissingEntry:
                grades = "no entry"
            print(student, grades)
PY
python3 course.py source
nbgrader generate_assignment week1 >log 2>&1
python3 course.py hand-in copied
status=0
nbgrader autograde week1 >log 2>&1 || status=$?
echo "one cell copied: exit status $status"
grep 'ERROR.*old version' log || { echo "changed: the message is gone" >&2; exit 1; }
first=$(python3 course.py grades)
echo "$first"
if nbgrader update . >log 2>&1; then echo "changed: nbgrader update now works" >&2; exit 1; fi
grep -o 'Duplicate grade id: answer' log | head -n 1
python3 course.py hand-in plain
nbgrader autograde week1 --force >log 2>&1
second=$(python3 course.py grades)
printf 'no cell copied:\n%s\n' "$second"
if [ "$status" -ne 1 ] || [ "$first" != $'ann [None]\nzoe no entry' ]; then
    echo "changed: a copied cell no longer stops the others" >&2
    exit 1
fi
[ "$second" = $'ann [3.0]\nzoe [3.0]' ] || { echo "changed: plain submissions are not graded" >&2; exit 1; }
