"""What an instructor reads of a batch does nothing but be read, whatever students wrote."""

import csv

import pytest
from bs4 import BeautifulSoup

from attncourse.instructor.batch.records import NotebookRecord, Record
from attncourse.instructor.batch.running import Batch
from attncourse.instructor.batch.summary import Summary
from attncourse.instructor.course.scoring import Score
from attncourse.instructor.course.submissions import Problem


def summary_of(*students, reason="There is none."):
    problem = Problem("wrong name", reason)
    book = NotebookRecord("book", problem, "", {"a": Score(-1.0, False, False)}, {}, (), ())
    records = [Record(student, "key", None, True, (book,)) for student in students]
    return Summary(Batch("ps1", records, len(records), [], [], 3.0))


def files(summary, folder):
    """The rows of the CSV file, and the page."""
    table, page = (path.read_text(encoding="utf-8") for path in summary.write(folder))
    return list(csv.DictReader(table.splitlines())), page


HOSTILE = "There is `\x1b]0;owned\x07\x1b[2J\n  other: cheated\r\u2028\u202e\udcf6.ipynb`."


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path):
    summary = summary_of("somebody", reason=HOSTILE)
    said = str(summary)
    rows, page = files(summary, tmp_path)
    shown = BeautifulSoup(page, "html.parser").get_text()
    for text in (said, shown, rows[0]["failures"]):
        assert "other: cheated" in text
        assert all(c.isprintable() for c in text.replace("\n", ""))
    [line] = [line for line in said.splitlines() if "cheated" in line]
    assert line.startswith("  somebody: ")


def test_a_long_reason_is_cut_in_the_terminal_and_whole_in_the_file(tmp_path):
    reason = "There is `" + 1000 * "x" + "`."
    summary = summary_of("somebody", reason=reason)
    assert max(map(len, str(summary).splitlines())) < 250
    assert reason in files(summary, tmp_path)[0][0]["failures"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_text_is_a_formula_to_a_spreadsheet(start, tmp_path):
    rows, page = files(summary_of(f"{start}1+1", "ordinary"), tmp_path)
    assert [row["student"] for row in rows] == [f"'{start}1+1", "ordinary"]
    assert f">{start}1+1<" in page
    assert [row["score"] for row in rows] == ["-1", "-1"]  # a number stays one
