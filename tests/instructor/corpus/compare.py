"""Grade the corpus with stock nbgrader and with the referee, side by side in one table.

    PYTHONPATH=tests .venv/bin/python -m instructor.corpus.compare [--jobs N] [--out F.csv] [NAME …]

Stock nbgrader runs the students' code unprotected, so here each of its runs is put into a sandbox
of its own, with limits: with the course, its gradebook and all submissions in it, as they would
lie on an instructor's machine, and with nothing else of this machine that could be written to.
Some 10 seconds for each entry, on a machine that has nothing else to do: what takes a stock run too
long there is told as its own fault. Names, or parts of them, choose entries; of the others the
table keeps what it has.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import nbformat
from instructor.corpus import ENTRIES, KINDS
from instructor.corpus.base import POINTS, Entry, ordinary
from instructor.corpus.refereed import refereed
from instructor.corpus.shown import acting, active_files
from tqdm import tqdm

import attncourse
from attncourse.instructor.referee import sandbox
from attncourse.instructor.referee.workers import Nursery

COURSE = Path("/tmp/course")  # where a stock run finds it
TEMPLATES = f"{sys.prefix}/share/jupyter/nbconvert"  # of pages; the sandbox does not show them
SECONDS = 60  # that a stock run has, all in all
_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "corpus"
c.Execute.timeout = 10
c.ClearSolutions.enforce_metadata = False
"""


def main(arguments: list[str]) -> None:
    """Print the table, a row as soon as it is known, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="stock runs at a time")
    parser.add_argument("--out", type=Path, metavar="F.csv", help="where the table is kept")
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of an entry's name")
    options = parser.parse_args(arguments)
    chosen = [e for e in ENTRIES if any(n in e.name for n in options.names or [""])]
    rows = []
    with tempfile.TemporaryDirectory() as scratch, Nursery() as nursery:
        folder = Path(scratch)
        template = _course(folder / "template")
        with ThreadPoolExecutor(options.jobs) as pool:
            stock = pool.map(lambda entry: _stock(entry, template), chosen)
            for entry, seen in tqdm(zip(chosen, stock, strict=True), total=len(chosen)):
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    entry.hand_in(Path(place) / "ps1", COURSE)
                    scores, _ = refereed(Path(place) / "ps1", nursery)
                row = as_row(entry) | seen | {"referee": shown(scores)}
                tqdm.write("; ".join(f"{k}: {v}" for k, v in row.items() if v), file=sys.stdout)
                rows.append(row)
    if options.out:
        _keep(rows, options.out)


def _keep(rows: list[dict[str, str]], table: Path) -> None:
    """Put the rows into the table, in the order of the corpus."""
    known = {row["submission"]: row for row in [*_kept(table), *rows]}
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known[entry.name] for entry in ENTRIES if entry.name in known)


def _kept(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


COLUMNS = ("kind", "submission", "tries", "deserves", "stock", "remarks", "referee")


def as_row(entry: Entry) -> dict[str, str]:
    """What is known of an entry before it is graded."""
    [kind] = [name for name, entries in KINDS.items() if entry in entries]
    said = (kind, entry.name, entry.tries, shown(entry.deserves))
    return dict(zip(COLUMNS, said, strict=False))


def shown(scores: Mapping[str, float | None]) -> str:
    """The points of all items, in the order of the problem set; empty where there are none."""
    if any(scores.get(name) is None for name in POINTS):
        return ""
    return " + ".join(f"{scores[name]:g}" for name in POINTS)


def _course(root: Path) -> Path:
    """A course in which the ordinary submission of somebody else has been graded."""
    (root / "source/ps1").mkdir(parents=True)
    nbformat.write(ordinary(), root / "source/ps1/similarity.ipynb")
    (root / "nbgrader_config.py").write_text(_CONFIG)
    (root / "secret").write_text("DECOY_SECRET")
    (root / "port").write_text("9")
    ENTRIES[0].hand_in(root / "submitted/other/ps1", COURSE)
    for command in (["generate_assignment", "ps1"], ["autograde", "ps1", "--student=other"]):
        said = _nbgrader(root, command)
        if said.returncode:
            raise RuntimeError(f"nbgrader {command[0]} failed: {said.stderr[-2000:]}")
    # The names under which the thefts look for them.
    shutil.copytree(root / "source", root / "solutions")
    shutil.copytree(root / "submitted/other/ps1", root / "exchange/c/inbound/other+ps1")
    return root


def _nbgrader(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777)
    limits = ["--as=4294967296", "--nproc=150", "--fsize=268435456", "--cpu=100", "--core=0"]
    program = ["prlimit", *limits, "--", sys.executable, "-m", "nbgrader", *command]
    if os.geteuid() == 0:
        user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        program = ["setpriv", *user, *program]
    sandboxed = sandbox.command(program)
    items = str(Path(attncourse.__file__).parent / "problem_sets")
    at = sandboxed.index("--chdir")
    # Stock needs the items in the kernel and the templates of pages, and has the course at hand.
    sandboxed[at : at + 2] = [
        *("--ro-bind", items, items),
        *("--perms", "0755", "--dir", "/tmp/jupyter", "--setenv", "JUPYTER_PATH", "/tmp/jupyter"),
        *("--ro-bind", TEMPLATES, "/tmp/jupyter/nbconvert"),
        *("--bind", str(root), str(COURSE), "--setenv", "ATTNCOURSE_DECOY", "DECOY_SECRET"),
        *("--chdir", str(COURSE)),
    ]
    # In a file: what a hostile notebook has printed may be large.
    with tempfile.TemporaryFile("w+") as said:
        try:
            code = subprocess.run(
                sandboxed, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=SECONDS
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
        said.seek(max(0, said.seek(0, os.SEEK_END) - 20_000))
        return subprocess.CompletedProcess(command, code, "", said.read())


def _stock(entry: Entry, template: Path) -> dict[str, str]:
    """What stock nbgrader makes of it, in a copy of the course: `stock` and `remarks`."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "course"
        shutil.copytree(template, root)
        entry.hand_in(root / "submitted/student/ps1", COURSE)
        before = _others(root)
        code = _nbgrader(root, ["autograde", "ps1", "--student=student"]).returncode
        remarks = list(_remarks(root, before, code))
        try:
            scores = _scores(root, "student")
        except sqlite3.Error:
            scores, remarks = {}, ["gradebook destroyed"]
        if entry.is_looked_at and shown(scores):
            remarks += _looked_at(root)
        return {"stock": shown(scores), "remarks": ", ".join(remarks)}


def _remarks(root: Path, before: dict[str, object], code: int) -> Iterator[str]:
    if code == 124:
        yield f"not done after {SECONDS} s"
    try:
        changed = _others(root) != before
    except (OSError, sqlite3.Error):
        changed = True
    if changed:
        yield "others' work changed"
    graded = root / "autograded/student/ps1/similarity.ipynb"
    if graded.is_file() and graded.stat().st_size > 5_000_000:
        yield f"a notebook of {graded.stat().st_size / 1e6:.0f} MB"


def _looked_at(root: Path) -> Iterator[str]:
    """What comes of it when somebody looks at it, in stock nbgrader's feedback."""
    _nbgrader(root, ["generate_feedback", "ps1", "--student=student"])
    page = root / "feedback/student/ps1/similarity.html"
    if not page.is_file():
        yield "no feedback"
    elif acting(page.read_text(encoding="utf-8"), page.parent) or active_files(
        root / "autograded/student/ps1"
    ):
        yield "acts in the browser"
    if any(
        path.is_file() and not path.is_symlink() and b"DECOY_SECRET" in path.read_bytes()
        for path in (root / "feedback/student").rglob("*")
    ):
        yield "the secret handed out"


def _others(root: Path) -> dict[str, object]:
    """All that belongs to others."""
    files = [
        path
        for folder in ("source", "solutions", "submitted/other", "autograded/other")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    ]
    kept: dict[str, object] = {str(path): path.read_bytes() for path in [*files, root / "secret"]}
    return kept | {"scores": _scores(root, "other")}


def _scores(root: Path, student: str) -> dict[str, float | None]:
    query = """
        select base_cell.name, coalesce(grade.manual_score, grade.auto_score) from grade
        join base_cell on base_cell.id = grade.cell_id
        join submitted_notebook on submitted_notebook.id = grade.notebook_id
        join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
        where submitted_assignment.student_id = ?
    """
    with closing(sqlite3.connect(root / "gradebook.db")) as base:
        return {
            name.removesuffix("_check"): score for name, score in base.execute(query, [student])
        }


if __name__ == "__main__":
    main(sys.argv[1:])
