#!/usr/bin/env bash
# nbgrader 0.9.6 with numpy 2.4.6: a test cell that ends in a bad result gets full
# points
#
# One would expect: a graded cell whose last line is a value gets that many points, as
#   the manual says; anything that is not a number between 0 and the maximum is an
#   error or is left for a person to mark.
# What happens: whatever float() cannot read, and whatever is not at least 0, counts as
#   full points: False, NaN, -1, a fraction, and every numpy scalar, whose repr in
#   numpy 2 is "np.float64(0.0)". Only a line in the log tells.
# Seen: 0 gives 0 of 3; np.float64(0.0), False, NaN and -1 give 3 of 3.
# Why it matters: partial credit is nearly always computed, "np.mean(close) * 3" say.
#   With numpy 1 that graded; with numpy 2 everybody passes.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
. "$tmp/venv/bin/activate"
python3 -m pip install --quiet --no-compile nbgrader==0.9.6 nbclient==0.11.0 nbformat==5.11.1 \
    nbconvert==7.17.2 ipykernel==7.4.0 numpy==2.4.6
cd "$tmp"
export JUPYTER_CONFIG_DIR="$tmp/config" JUPYTER_DATA_DIR="$tmp/data" IPYTHONDIR="$tmp/ipython"
python3 - <<'PY'
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.utils import determine_grade

expected = {
    "0": 0, "1.5": 1.5, "np.float64(0.0)": 3, "np.mean([False, False])": 3, "float(np.float64(0.0))": 0,
    "False": 3, "float('nan')": 3, "-1": 3, "Fraction(1, 2)": 3,
}
cells = [new_code_cell("import numpy as np\nfrom fractions import Fraction")]
for number, line in enumerate(expected):
    cells.append(new_code_cell(line, metadata={"nbgrader": {
        "grade": True, "solution": False, "locked": True, "points": 3, "cell_type": "code",
        "grade_id": f"test{number}", "schema_version": 3, "task": False}}))
notebook = new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
got = {cell.source: determine_grade(cell)[0] for cell in notebook.cells[1:]}
for line, points in got.items():
    print(f"{line:24} {points} of 3")
for line, points in expected.items():
    if got[line] != points:
        raise SystemExit(f"changed: {line} used to give {points} of 3")
PY
