"""A record that is not whole is none, and its submission is graded again."""

import json

import pytest

from attncourse.instructor.batch.records import NotebookRecord, Record, Records
from attncourse.instructor.course.submissions import Problem

BOOK = NotebookRecord("a", Problem("missing", "There is none."), "", {}, {}, (), ())
RECORD = Record("ada", "key", None, True, (BOOK,), {"a": "digest"})


def test_what_was_kept_is_read_again(tmp_path):
    records = Records(tmp_path, "ps1")
    assert records["ada"] is None
    records["ada"] = RECORD
    assert records["ada"] == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"notebooks": [{**BOOK.__dict__, "problem": None, "items": {}}]},
        {"notebooks": [{**BOOK.__dict__, "problem": None, "scores": []}]},
        {"notebooks": [{**BOOK.__dict__, "problem": None, "scores": {"b": 1}}]},
        {"notebooks": [[]]},
        {"notebooks": None},
        {"written": 5},
        {"more": 1},
    ],
)
def test_a_record_of_another_shape_is_none(tmp_path, change):
    records = Records(tmp_path, "ps1")
    records["ada"] = RECORD
    [path] = (tmp_path / ".grade" / "ps1").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert records["ada"] is None


@pytest.mark.parametrize("text", ["", "[]", "1", "[" * 100_000, "\ud800"])
def test_a_file_that_holds_no_record_is_none(tmp_path, text):
    records = Records(tmp_path, "ps1")
    records["ada"] = RECORD
    [path] = (tmp_path / ".grade" / "ps1").iterdir()
    path.write_bytes(text.encode(errors="surrogatepass"))
    assert records["ada"] is None
