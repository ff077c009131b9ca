"""`attncourse grade`: what it leaves behind is what `nbgrader autograde` would."""

import csv
import json
import re
import subprocess
import sys

import pytest
from instructor.batch.course_of_a_class import (
    HALF_RIGHT,
    HALF_RIGHT_SCORES,
    NOTEBOOK,
    PS,
    ROOT,
    broken_submissions,
    class_of_two,
)

STOCK = """
c.Autograde.autograde_preprocessors = [
    f"nbgrader.preprocessors.{name}" for name in ("Execute", "SaveAutoGrades", "AssignLatePenalties")
]
c.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
"""
LATE = 'c.LateSubmissionPlugin.penalty_method = "zero"\n'


def append(course, lines):
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(lines)


def table(course, path):
    return list(csv.DictReader((course.folder / path).read_text(encoding="utf-8").splitlines()))


def test_the_gradebook_is_that_of_stock_nbgrader_with_late_work_and_work_of_a_person(
    course, tmp_path
):
    course.hand_in("late", HALF_RIGHT)
    for student, time in (
        ("late", "2030-01-02 10:00:00 UTC"),
        ("untouched", "2029-12-31 10:00:00"),
    ):
        course.place(student).with_name("timestamp.txt").write_text(time)
    course.sql("UPDATE assignment SET duedate = '2030-01-01 10:00:00.000000'")
    append(course, LATE)
    stock = course.copied(tmp_path / "stock")
    append(stock, STOCK)

    course.grade("--jobs", "1")
    stock.run("nbgrader", "autograde", PS)

    ours, theirs = course.gradebook(), stock.gradebook()
    assert ours == theirs
    assert [row for row in ours["submissions"] if row[3]] == [
        ("late", "2030-01-02 10:00:00.000000", None, pytest.approx(6.69))
    ]
    assert ("untouched", "cosine_affinity", "No response.", None) in ours["comments"]

    # A person overrules a check and reads an answer; then the work is handed in again.
    for each in (course, stock):
        each.sql(
            "UPDATE grade SET manual_score = 1.5, extra_credit = 0.25, needs_manual_grade = 0 "
            "WHERE cell_id IN (SELECT id FROM base_cell "
            "WHERE name IN ('cosine_affinity_check', 'raw_is_enough'))"
        )
        each.sql("UPDATE comment SET manual_comment = 'well seen'")
    again = {**HALF_RIGHT, "cosine_affinity": "def cosine_affinity(x, y=None): return x @ x.mT"}
    course.hand_in("half-right", again)
    stock.hand_in("half-right", again)
    course.grade("--jobs", "1")
    stock.run("nbgrader", "autograde", PS, "--student=half-right", "--force")
    assert course.scores("half-right")["cosine_affinity_check"] == 0.0
    assert course.gradebook() == stock.gradebook()


def test_the_autograded_notebook_shows_the_run_and_the_verdicts(course):
    course.grade()
    assert course.scores("half-right") == HALF_RIGHT_SCORES
    cells = {
        cell.metadata.get("nbgrader", {}).get("grade_id"): cell
        for cell in course.autograded("half-right").cells
    }
    assert cells["cosine_affinity"].source == HALF_RIGHT["cosine_affinity"].strip()
    assert "A reshape keeps the order" in str(cells["pixels_as_tokens_check"].outputs)
    assert "SyntaxError" in str(cells["pixel_affinity"].outputs)
    for step in ("generate_feedback", "export"):
        course.run("nbgrader", step, *([PS] if step == "generate_feedback" else []))
    page = course.folder / "feedback" / "half-right" / PS / f"{NOTEBOOK}.html"
    assert "A reshape keeps the order" in page.read_text(encoding="utf-8")
    [row] = [row for row in table(course, "grades.csv") if row["student_id"] == "half-right"]
    assert float(row["score"]) == pytest.approx(6.69)


def test_what_did_not_change_is_not_graded_again(course):
    course.grade()
    book = course.gradebook()
    seen = {path: path.stat().st_mtime_ns for path in (course.folder / "autograded").rglob("*")}
    assert "2 of them graded before" in course.grade().stdout
    assert {path: path.stat().st_mtime_ns for path in seen} == seen
    assert course.gradebook() == book


def test_a_regrade_gives_the_same_notebook_byte_for_byte(course):
    course.grade("--jobs", "2")
    first = {path: path.read_bytes() for path in (course.folder / "autograded").rglob("*.ipynb")}
    for record in (course.folder / ".grade" / PS).iterdir():
        record.unlink()
    assert "graded before" not in course.grade("--jobs", "1").stdout
    assert {path: path.read_bytes() for path in first} == first


@pytest.mark.parametrize("lost", ["the autograded notebook", "the score", "the record", "its turn"])
def test_what_got_lost_is_graded_again(course, lost):
    course.grade("--jobs", "1")
    book = course.gradebook()
    notebook = course.folder / "autograded" / "half-right" / PS / f"{NOTEBOOK}.ipynb"
    text = notebook.read_text(encoding="utf-8")
    if lost == "the autograded notebook":
        notebook.unlink()
    elif lost == "the score":
        course.sql("UPDATE grade SET auto_score = NULL WHERE auto_score = 3.0")
    else:
        for record in (course.folder / ".grade" / PS).iterdir():
            kept = json.loads(record.read_text())
            if kept["student"] == "half-right":
                failed = {"kind": "grading failed", "reason": "The job ended."}
                kept["notebooks"][0]["problem"] = failed
                record.write_text(json.dumps(kept) if lost == "its turn" else "cut o")
    assert "1 of them graded before" in course.grade("--jobs", "1").stdout
    assert course.gradebook() == book
    assert notebook.read_text(encoding="utf-8") == text


def test_a_broken_submission_scores_0_with_its_reason_and_harms_nobody(course):
    kinds = broken_submissions(course)
    course.grade()
    assert course.scores("half-right") == HALF_RIGHT_SCORES
    found = {row["student"]: row for row in table(course, f"grades/{PS}-summary.csv")}
    assert found.keys() == {"untouched", "half-right", *kinds}
    for student, kind in kinds.items():
        assert found[student]["failures"].startswith(f"{kind}: "), student
        assert found[student]["score"] == "0"
        assert set(course.scores(student).values()) == {0.0}
        assert "could not be graded" in course.autograded(student).cells[0].source
    # What a person could still read in the file stays for a person.
    waiting = {who for who, _, _, _, _, needed in course.gradebook()["grades"] if needed}
    nothing_to_read = {name for name, kind in kinds.items() if kind in ("missing", "empty")}
    assert kinds.keys() - waiting == nothing_to_read
    course.run("nbgrader", "generate_feedback", PS)
    page = course.folder / "feedback" / "wrong-name" / PS / f"{NOTEBOOK}.html"
    assert "final (2).ipynb" in page.read_text(encoding="utf-8")


def test_the_summary_names_what_was_missed_and_why(course):
    said = course.grade().stdout
    assert re.search(r"pixels_as_tokens_check +2 of 2: .+ \(1\)", said)
    assert "median 3.3" in said
    page = (course.folder / "grades" / f"{PS}-summary.html").read_text(encoding="utf-8")
    assert "half-right" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)  # self-contained


def test_the_summary_names_every_cell_and_check_that_was_cut_short(course):
    course.hand_in("in-a-cell", {"cosine_affinity": "import os; os._exit(3)"})
    course.hand_in(
        "when-called",
        {"pixels_as_tokens": "def pixels_as_tokens(x):\n    import os; os._exit(3)"},
    )
    said = course.grade("--jobs", "1").stdout
    cut_short = re.findall(r"^  (\S+): (.+?): .*its process ended with status 3$", said, re.M)
    # The picture that calls the function, and then the check.
    when_called = ("when-called", "cell 9, pixels_as_tokens_check")
    assert cut_short == [("in-a-cell", "cosine_affinity"), when_called]
    found = {row["student"]: row for row in table(course, f"grades/{PS}-summary.csv")}
    assert "stopped: cosine_affinity: " in found["in-a-cell"]["failures"]


def test_without_a_sandbox_is_said_in_the_notebook_and_in_the_summary(course):
    assert "graded without a sandbox" in course.grade("--unsandboxed", "--jobs", "1").stdout
    assert course.scores("half-right") == HALF_RIGHT_SCORES
    assert course.autograded("half-right").metadata.attncourse == {"sandboxed": False}


def refused(course, *command, words):
    done = course.run("attncourse", "grade", *command, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("attncourse grade: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_an_unknown_problem_set_is_refused(course):
    refused(course, "ps9", words=["'ps9'", PS])


def test_a_problem_set_for_which_nothing_is_submitted_is_refused(generated_course):
    refused(generated_course, PS, words=["nothing is submitted", f"submitted/STUDENT/{PS}"])


def test_a_problem_set_that_the_gradebook_does_not_know_is_refused(course):
    (course.folder / "gradebook.db").unlink()
    refused(course, PS, words=["gradebook", f"nbgrader generate_assignment {PS}"])


def test_a_course_in_a_folder_with_brackets_is_graded(generated_course, tmp_path):
    course = class_of_two(generated_course, tmp_path / "course [2024]")
    course.grade("--jobs", "1")
    assert course.scores("half-right") == HALF_RIGHT_SCORES
    assert (course.folder / "grades" / f"{PS}-summary.csv").is_file()


def test_where_nbgrader_can_generate_nothing_the_folder_is_to_be_renamed(course, tmp_path):
    (course.folder / "gradebook.db").unlink()
    moved = course.copied(tmp_path / "course [2024]")
    refused(moved, PS, words=["[ ] * ?", "rename or move that folder", "generate_assignment"])


def test_a_folder_that_is_no_course_is_refused(course):
    (course.folder / "nbgrader_config.py").unlink()
    refused(course, PS, words=["nbgrader_config.py", "root"])


def test_a_configuration_that_fails_is_refused(course):
    append(course, "1 / 0\n")
    refused(course, PS, words=["nbgrader_config.py", "ZeroDivisionError"])


def test_a_machine_without_a_sandbox_is_refused(course):
    without = "import os, sys; os.environ['PATH'] = ''; from attncourse.cli import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{without}sys.exit(main(['grade', {PS!r}]))"],
        cwd=course.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "bubblewrap is not installed" in done.stderr
    assert "--unsandboxed" in done.stderr
    assert not (course.folder / "autograded").exists()


def test_a_secret_that_is_none_is_refused(course):
    (course.folder / ".referee-secret").write_text("x")
    refused(course, PS, words=[".referee-secret", "copy"])


def test_the_secret_is_for_the_owner_alone_and_git_ignores_it(course):
    course.grade("--jobs", "1")
    assert (course.folder / ".referee-secret").stat().st_mode & 0o777 == 0o600
    ignored = (ROOT / ".gitignore").read_text()
    for name in (".referee-secret*", ".grade/", "grades/"):
        assert f"/{name}\n" in ignored
