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
from instructor.corpus import ENTRIES, pages
from instructor.corpus.base import POINTS, Entry, ordinary
from instructor.corpus.compare import as_row
from instructor.corpus.refereed import refereed
from instructor.corpus.shown import acting, active_files, page_of
from instructor.corpus.stops import COSINE
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from attncourse.instructor import limits
from attncourse.instructor.course.files_beside import Copying, copy_files
from attncourse.instructor.course.scoring import scores_in
from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Nursery

ROOT = Path(__file__).resolve().parents[3]
HARMLESS = {"text/plain", "text/latex", "image/png", "image/jpeg"}
STEP = int(os.environ.get("ATTNCOURSE_CORPUS_STEP", "1"))
"""1 for every entry, 10 for every tenth."""
MOST = limits.MAX_NOTEBOOK_OUTPUT + (1 << 20)  # characters of all outputs of a graded notebook
MOST_TEXT = limits.MAX_NOTEBOOK_TEXT + 100_000  # of them in no picture, and with the verdicts
NEXT_ONE = next(entry for entry in ENTRIES if entry.name == "ordinary")


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
    for folder in ("solutions/ps1", "submitted/other/ps1", "exchange/c/inbound/other+ps1"):
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
    submitted = tmp_path / "submitted"
    entry.hand_in(submitted, course)

    scores, notebook = refereed(submitted, nursery)
    assert scores == entry.deserves
    # It is never the judge that has failed, or the machine.
    assert not [name for name, each in scores_in(notebook).items() if each.needs_a_person]
    assert_harmless(notebook)
    assert (contents(course), processes()) == before
    assert_seen_and_no_more(entry, notebook, submitted, tmp_path / "autograded")

    NEXT_ONE.hand_in(tmp_path / "next", course)
    assert refereed(tmp_path / "next", nursery)[0] == POINTS, "the next one lost points"


def assert_harmless(notebook: NotebookNode) -> None:
    """Whatever the instructor opens holds no markup of the student's, and is not too large."""
    assert sum(len(str(cell.get("outputs", ""))) for cell in notebook.cells) < MOST
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len(outputs) < limits.MAX_NOTEBOOK_OUTPUTS + 100
    assert sum(map(_text_in, outputs)) < MOST_TEXT
    for cell in notebook.cells:
        checked = cell.metadata.get("nbgrader", {}).get("grade", False)
        for output in cell.get("outputs", []):
            if not checked:
                assert output.output_type != "execute_result"
                assert set(output.get("data", {})) <= HARMLESS
            assert "<script" not in output.get("data", {}).get("text/html", "")


def _text_in(output: NotebookNode) -> int:
    data = output.get("data", {})
    pictures = sum(len(str(content)) for kind, content in data.items() if "image/" in kind)
    return len(str(output)) - pictures


def assert_seen_and_no_more(
    entry: Entry, notebook: NotebookNode, submitted: Path, autograded: Path
) -> None:
    """The page that shows the notebook is made and does nothing; what lies beside it neither."""
    autograded.mkdir()
    copy_files(submitted / "nothing", submitted, autograded, Copying())
    kept = {path.read_bytes() for path in autograded.rglob("*") if path.is_file()}
    assert kept == {content for content in entry.beside.values() if isinstance(content, bytes)}
    assert not active_files(autograded)
    nbformat.write(notebook, autograded / "similarity.ipynb")
    page = page_of(autograded / "similarity.ipynb")
    assert acting(page, autograded) == []
    assert len(page) < limits.MAX_PAGE_CHARACTERS


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
    entry.hand_in(tmp_path / "submitted", course)
    for _ in range(2):
        assert refereed(tmp_path / "submitted", nursery)[0] == entry.deserves


def test_pictures_of_an_honest_student_are_seen(
    nursery: Nursery, course: Path, tmp_path: Path
) -> None:
    for name, seen in {
        "a drawing beside the notebook": 1,
        "photographs in a written answer": 3,
    }.items():
        entry = next(e for e in ENTRIES if e.name == name)
        submitted = tmp_path / name
        entry.hand_in(submitted, course)
        nbformat.write(refereed(submitted, nursery)[1], submitted / "similarity.ipynb")
        assert page_of(submitted / "similarity.ipynb").count("<img") == seen


def test_the_pages_would_act_for_whoever_makes_them_as_nbconvert_does(
    course: Path, tmp_path: Path
) -> None:
    """These are no blanks either."""
    for entry in pages.ENTRIES:
        submitted = tmp_path / entry.name
        entry.hand_in(submitted, course)
        page, _ = HTMLExporter(template_name="classic").from_filename(
            str(submitted / "similarity.ipynb")
        )
        assert acting(page, submitted) or active_files(submitted), entry.name


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
    "reads the exchange",
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
