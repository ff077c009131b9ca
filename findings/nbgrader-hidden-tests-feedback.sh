#!/usr/bin/env bash
# nbgrader 0.9.6: the feedback page prints the hidden tests
#
# One would expect: tests between BEGIN HIDDEN TESTS and END HIDDEN TESTS stay with the
#   teacher; the student's feedback says how many points they gave.
# What happens: grading puts them back into the notebook, and generate_feedback prints
#   that notebook. Each student gets the source of every hidden test, markers included.
# Seen: not in the released notebook; in the feedback page, passed or failed.
# Why it matters: hidden tests are hidden for one term. A course that uses an exercise
#   again, or lets students hand in twice, has to write its own feedback template.
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
import pathlib
import sys

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

NAME = "week1/scale.ipynb"
TEST = """assert scale(2) == 4
### BEGIN HIDDEN TESTS
assert scale(-17) == -34
### END HIDDEN TESTS"""


def cell(source, grade_id, **record):
    return new_code_cell(source, metadata={"nbgrader": {
        "grade_id": grade_id, "schema_version": 3, "task": False, "cell_type": "code", **record}})


def write(folder, notebook):
    path = pathlib.Path(folder, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


if sys.argv[1] == "source":
    answer = "### BEGIN SOLUTION\ndef scale(x): return 2 * x\n### END SOLUTION"
    write("source", new_notebook(cells=[
        cell(answer, "answer", grade=False, solution=True, locked=False),
        cell(TEST, "test", grade=True, solution=False, locked=True, points=3)]))
else:
    for student, body in (("ann", "2 * x"), ("zoe", "abs(2 * x)")):
        notebook = nbformat.read(pathlib.Path("release", NAME), as_version=4)
        notebook.cells[0].source = f"def scale(x): return {body}"
        write(f"submitted/{student}", notebook)
PY
python3 course.py source
nbgrader generate_assignment week1 >log 2>&1
python3 course.py hand-in
nbgrader autograde week1 >log 2>&1
nbgrader generate_feedback week1 >log 2>&1
changed=0
for file in release/week1/scale.ipynb feedback/{ann,zoe}/week1/scale.html; do
    markers=$(grep -c 'BEGIN HIDDEN TESTS' "$file" || true)
    number=$(grep -c '34' "$file" || true)
    echo "$file: lines with the marker $markers"
    case $file in
        release/*) [ "$markers" -eq 0 ] || changed=1 ;;
        *) { [ "$markers" -ge 1 ] && [ "$number" -ge 1 ]; } || changed=1 ;;
    esac
done
[ "$changed" -eq 0 ] || { echo "changed: hidden tests are shown elsewhere, or no longer" >&2; exit 1; }
