"""What was graded is written down by one, who loses nobody and stops for no single student."""

import fcntl
import sqlite3
from dataclasses import replace

import pytest
import sqlalchemy
from instructor.batch.course_of_a_class import NOTEBOOK, PS
from instructor.course.ordinary_user import open_folder, ordinary_user
from nbgrader import api

from attncourse.instructor.batch.grading import FAILED, GradedNotebook, not_graded
from attncourse.instructor.batch.running import grade_problem_set
from attncourse.instructor.batch.summary import Summary
from attncourse.instructor.batch.writer import Writer, _timestamp
from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.submissions import Problem, read

__all__ = ["open_folder"]


class Backend:
    """It runs nothing, and gives one student a notebook that no file can hold."""

    sandboxed = True

    def grade_all(self, waiting, settings):
        for submission in waiting:
            handed_in = read(submission, [NOTEBOOK])
            graded = not_graded(handed_in, settings, Problem("broken", "It is broken."))
            if submission.student == "evil":
                [book] = graded.notebooks
                text = book.text.replace("It is broken", "\ud800")
                graded = replace(graded, notebooks=(GradedNotebook(book.name, text),))
            yield submission, graded


def graded(course, name=PS):
    batch = grade_problem_set(Course(course.folder), name, Backend())
    return {record.student: record for record in batch.records}, batch


@pytest.fixture
def ada(generated_course, open_folder):
    """A course in which one student has handed something in."""
    course = generated_course.copied(open_folder / "course")
    course.place("ada").write_bytes(b"x")
    return course


def configure(course, line):
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(f"\n{line}\n")


def test_what_cannot_be_written_is_that_student_s_problem_alone(ada):
    ada.place("evil").write_bytes(b"x")
    ada.place("zoe").write_bytes(b"x")
    for turn, count in enumerate((3, 1)):  # the failed one is tried again, and no other
        records, batch = graded(ada)
        assert batch.graded == count, turn
        problems = {name: record.notebooks[0].problem for name, record in records.items()}
        assert [problem.kind for problem in problems.values()] == ["broken", FAILED, "broken"]
        assert "UnicodeEncodeError" in problems["evil"].reason
    assert "could not be graded" in ada.autograded("evil").cells[0].source
    assert set(ada.scores("evil").values()) == {0.0}


def test_of_whom_nothing_can_be_written_at_all_is_named(ada, monkeypatch):
    def write(*_, **__):
        raise RuntimeError("\x1b[2J")

    monkeypatch.setattr(Writer, "write", write)
    with pytest.raises(GradeError, match="for the submission of ada: RuntimeError") as error:
        graded(ada)
    assert str(error.value).isprintable()


def test_a_disk_that_fails_ends_the_batch(ada, monkeypatch):
    def copied(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "_copy_files", copied)
    with pytest.raises(GradeError, match=r"cannot be written.*No space"):
        graded(ada)


def test_a_database_that_is_locked_ends_the_batch_with_a_sentence(ada, caplog, capfd):
    configure(ada, f"c.CourseDirectory.db_url = '{ada.database}?timeout=0.1'")
    other = sqlite3.connect(ada.folder / "gradebook.db")
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(GradeError, match="database is locked"):
            graded(ada)
    finally:
        other.close()
    assert graded(ada)[1].graded == 1


def test_sqlite_is_waited_for_longer_than_its_own_5_seconds(ada, monkeypatch):
    seen = []
    connect = sqlite3.connect

    def connected(*args, **kwargs):
        seen.append(kwargs.get("timeout"))
        return connect(*args, **kwargs)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", connected)
    graded(ada)
    assert seen
    assert all(seconds and seconds > 5 for seconds in seen)


def test_a_student_whom_somebody_else_enters_at_that_moment_is_tried_again(ada, monkeypatch):
    enter, turns = api.Gradebook.update_or_create_student, []

    def entered(self, student):
        turns.append(student)
        if len(turns) == 1:
            try:
                raise sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("UNIQUE"))
            except sqlalchemy.exc.IntegrityError as error:
                raise api.InvalidEntry(*error.args)  # noqa: B904 - as nbgrader does it
        return enter(self, student)

    monkeypatch.setattr(api.Gradebook, "update_or_create_student", entered)
    records, _ = graded(ada)
    assert turns == ["ada", "ada"]
    assert records["ada"].notebooks[0].problem.kind == "broken"


def test_batches_of_two_problem_sets_take_turns(ada, monkeypatch):
    enter, alone = Writer._enter, []

    def entered(self, record):
        with (ada.folder / ".grade" / ".lock").open("w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone.append(record.student)
        enter(self, record)

    monkeypatch.setattr(Writer, "_enter", entered)
    graded(ada)
    assert alone == ["ada"]


def test_what_cannot_be_read_beside_a_notebook_is_left_out(ada):
    graded(ada)  # which also imports all that an ordinary user may not be able to
    ada.place("ada").write_bytes(b"y")
    beside = ada.place("ada").parent
    for name in ("here", "file", "closed/inside", "listed/inside"):
        (beside / name).parent.mkdir(exist_ok=True)
        (beside / name).write_text("x")
    shut = {"file": 0, "closed": 0, "listed": 0o444}
    with ordinary_user(ada.folder):
        for name, mode in shut.items():
            (beside / name).chmod(mode)
        try:
            graded(ada)
        finally:
            for name in shut:
                (beside / name).chmod(0o700)
    copied = ada.folder / "autograded" / "ada" / PS
    assert {path.name for path in copied.iterdir()} == {"here.txt", f"{NOTEBOOK}.ipynb"}
    assert "`file` (it cannot be read)" in ada.autograded("ada").cells[0].source


def test_no_file_of_a_student_stands_in_the_way_of_one_of_the_problem_set(ada):
    source, beside = ada.folder / "solutions" / PS, ada.place("ada").parent
    for folder, names in (
        (source, ("data.csv", "pictures/one", "both", "[x]/__pycache__/ignored")),
        (beside, ("data.csv/inside", "pictures", "both", "more", "other.ipynb")),
    ):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(folder.parts[-2])
    graded(ada)
    copied = ada.folder / "autograded" / "ada" / PS
    found = {
        str(path.relative_to(copied)): path.read_text()
        for path in copied.rglob("*")
        if path.is_file() and path.suffix != ".ipynb"
    }
    assert found == {
        "data.csv": "solutions",
        "pictures/one": "solutions",
        "both": "solutions",
        "pictures.txt": "ada",
        "more.txt": "ada",
    }
    assert not (copied / "other.ipynb").exists()


@pytest.mark.parametrize("shared", [True, False])
def test_a_group_that_shares_the_course_can_write_in_its_folders(ada, shared):
    configure(ada, f"c.CourseDirectory.groupshared = {shared}")
    (ada.place("ada").parent / "sub").mkdir()
    (ada.place("ada").parent / "sub" / "file").write_text("x")
    graded(ada)
    top = ada.folder / "autograded"
    folders = [top, top / "ada", top / "ada" / PS, top / "ada" / PS / "sub"]
    for folder in folders:
        mode = folder.stat().st_mode
        assert mode & 0o2070 == 0o2070 if shared else not mode & 0o020, folder


@pytest.mark.parametrize(
    "text", ["9" * 30 + ".5h", "1e9h", "-" + "9" * 45 + ".5m", "\0", "yesterday", "", None]
)
def test_a_timestamp_that_is_none_says_nothing(text):
    assert _timestamp(text) == {}


def test_who_is_in_time_for_want_of_a_time_is_named_in_the_summary(ada):
    for student, text in (("zoe", "yesterday"), ("bea", "2030-01-02 10:00:00 UTC")):
        ada.place(student).write_bytes(b"x")
        ada.place(student).with_name("timestamp.txt").write_text(text)
    _, batch = graded(ada)
    told = {
        (each.student, each.reason) for each in Summary(batch).remarks if each.kind == "no time"
    }
    assert told == {("zoe", "timestamp.txt gives no time, so the work is not late.")}


def test_records_that_cannot_be_kept_are_said_at_once(ada):
    (ada.folder / ".grade").write_text("x")
    with pytest.raises(GradeError, match=r"cannot be kept in .*\.grade"):
        graded(ada)


def test_a_summary_that_cannot_be_written_is_said_after_it_was_shown(ada):
    (ada.folder / "grades").write_text("x")
    done = ada.grade("--jobs", "1", check=False)
    assert done.returncode == 1
    assert "1 submission" in done.stdout
    assert "attncourse grade: everything is graded, but the summary" in done.stderr
    assert "Traceback" not in done.stderr
