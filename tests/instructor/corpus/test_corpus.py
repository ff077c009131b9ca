"""Every hostile or broken submission gets what it deserves, and nobody else feels it."""

from __future__ import annotations

import csv
import hashlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from instructor.corpus import ENTRIES
from instructor.corpus.base import POINTS, Entry, as_saved, ordinary
from instructor.corpus.compare import as_row
from instructor.corpus.refereed import refereed
from instructor.corpus.stops import COSINE
from nbformat import NotebookNode

from attncourse.instructor.limits import MAX_NOTEBOOK_OUTPUT
from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Nursery

ROOT = Path(__file__).resolve().parents[3]
HARMLESS = {"text/plain", "text/latex", "image/png", "image/jpeg"}
STEP = int(os.environ.get("ATTNCOURSE_CORPUS_STEP", "1"))
"""1 for every entry, 10 for every tenth."""
MOST = MAX_NOTEBOOK_OUTPUT + (1 << 20)  # characters of all outputs of a graded notebook


@pytest.fixture(scope="session")
def secret_in_the_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNCOURSE_DECOY", "DECOY_SECRET")
        yield


@pytest.fixture(scope="session")
def nursery(secret_in_the_environment: None) -> Iterator[Nursery]:
    """One for all entries, so that what one leaves behind would meet those that follow."""
    try:
        sandboxing.check()
    except NoSandbox as reason:
        if os.environ.get("ATTNCOURSE_REQUIRE_SANDBOX") == "1":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    with Nursery() as started:
        started.ready()  # what it starts until then is no entry's doing
        yield started


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A course's folder with all that somebody could want to read or to change."""
    root = tmp_path_factory.mktemp("course")
    for folder in ("solutions/ps1", "submitted/other/ps1"):
        (root / folder).mkdir(parents=True)
        (root / folder / "similarity.ipynb").write_text(nbformat.writes(ordinary()))
    (root / "secret").write_text("DECOY_SECRET")
    base = sqlite3.connect(root / "gradebook.db")
    base.execute("create table grade (manual_score)")
    base.execute("create table source_cell (name, source)")
    base.execute("insert into source_cell values ('cosine_affinity', ?)", [COSINE])
    base.execute("insert into grade values (3)")
    base.commit()
    base.close()
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(f"\0{root}")
        local.listen()
        (root / "port").write_text(str(tcp.getsockname()[1]))
        # As open as files can be: only the sandbox stands between.
        for path in [root, *root.rglob("*")]:
            path.chmod(0o777)
        yield root


def contents(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def processes() -> set[int]:
    """The nursery, and every process that it has not got rid of."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("entry", ENTRIES[::STEP], ids=lambda entry: entry.name)
def test_it_gets_what_it_deserves_and_nobody_else_feels_it(
    entry: Entry, nursery: Nursery, course: Path, tmp_path: Path
) -> None:
    before = contents(course), processes()

    scores, notebook = refereed(entry.handed_in(course), nursery, tmp_path)
    assert scores == entry.deserves
    assert_harmless(notebook)

    assert (contents(course), processes()) == before
    assert refereed(as_saved(ordinary()), nursery, tmp_path)[0] == POINTS, (
        "the next one lost points"
    )


def assert_harmless(notebook: NotebookNode) -> None:
    """Whatever the instructor opens holds no markup of the student's, and is not too large."""
    assert sum(len(str(cell.get("outputs", ""))) for cell in notebook.cells) < MOST
    for cell in notebook.cells:
        checked = cell.metadata.get("nbgrader", {}).get("grade", False)
        for output in cell.get("outputs", []):
            if not checked:
                assert output.output_type != "execute_result"
                assert set(output.get("data", {})) <= HARMLESS
            assert "<script" not in output.get("data", {}).get("text/html", "")


def test_the_table_in_the_instructor_guide_is_of_this_corpus() -> None:
    with (ROOT / "book" / "results" / "corpus.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = [as_row(entry) for entry in ENTRIES]
    kept = [{column: row[column] for column in known[0]} for row in rows]
    assert kept == known, "`make corpus` writes it anew"
    assert [row["referee"] for row in rows] == [row["deserves"] for row in rows]


def test_a_second_grading_finds_nothing_that_the_first_left(
    nursery: Nursery, course: Path, tmp_path: Path
) -> None:
    entry = next(e for e in ENTRIES if e.name == "leaves the answer for itself")
    for _ in range(2):
        assert refereed(entry.handed_in(course), nursery, tmp_path)[0] == entry.deserves


def test_the_corpus_is_as_large_as_it_claims_and_has_no_two_of_a_name() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 60


def test_the_decoys_would_be_worth_full_marks_to_whoever_reaches_them(
    course: Path, secret_in_the_environment: None
) -> None:
    """The thefts are no blanks: outside of a sandbox each brings home a right answer."""
    assert {entry.name for entry in ENTRIES} >= WORTH_FULL_MARKS
    x = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    for entry in ENTRIES:
        if entry.name in WORTH_FULL_MARKS:
            source = entry.cells["cosine_affinity"].replace("COURSE_ROOT", str(course))
            space = {"torch": torch}
            exec(source, space)
            torch.testing.assert_close(
                space["cosine_affinity"](x), torch.tensor([[1.0, 0.8], [0.8, 1.0]])
            )


WORTH_FULL_MARKS = {
    "reads the solutions",
    "reads another submission",
    "reads the gradebook",
    "reads the secret",
    "reads the environment",
    "asks the network",
    "asks a server whose port it knows",
}


def test_an_ordinary_user_s_referee_does_the_same(
    tests_of_an_ordinary_user: Callable[..., str],
) -> None:
    # Every tenth: all of them take as long again as they took above.
    step = os.environ.get("ATTNCOURSE_CORPUS_STEP", "10")
    assert "1 skipped" in tests_of_an_ordinary_user(__file__, ATTNCOURSE_CORPUS_STEP=step)
