"""What the instructor lays beside a notebook: students' code is shown it, and no solution by it."""

import pytest

from attncourse.instructor import limits
from attncourse.instructor.course.assignment import Assignment, require_gradable
from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.own_files import own_files


@pytest.fixture
def beside(tmp_path):
    """The folder of a problem set, in a course."""
    (tmp_path / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'attention'\n"
    )
    folder = tmp_path / "source" / "ps1"
    folder.mkdir(parents=True)
    (folder / "one.ipynb").write_text("### BEGIN SOLUTION")
    return folder


def found(beside):
    return {file.path: file.content for file in own_files(Course(beside.parents[1]), "ps1")}


def test_data_and_modules_are_shown_in_their_folders(beside):
    (beside / "more").mkdir()
    (beside / "more" / "data.csv").write_bytes(b"1,2\n")
    (beside / "helpers.py").write_bytes(b"x = 1\n")
    assert found(beside) == {"more/data.csv": b"1,2\n", "helpers.py": b"x = 1\n"}


@pytest.mark.parametrize(
    "name",
    ["one.ipynb~", "one.ipynb.bak", "#one.ipynb#", ".one.ipynb.swp", "one.ipynb.orig", ".old/one"],
)
def test_a_copy_that_an_editor_leaves_is_not_shown(beside, name):
    (beside / name).parent.mkdir(exist_ok=True)
    (beside / name).write_text("### BEGIN SOLUTION")
    assert found(beside) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one-copy.txt", "x\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n"),
        ("tests.py", "### BEGIN HIDDEN TESTS"),
        ("scheme.md", "=== BEGIN MARK SCHEME ==="),
        ("Solutions/one.py", "x = 1"),
        ("mark-scheme.txt", "three points"),
    ],
)
def test_what_looks_like_a_solution_is_refused_by_name_before_anything_is_graded(
    beside, name, content
):
    (beside / name).parent.mkdir(exist_ok=True)
    (beside / name).write_text(content)
    with pytest.raises(GradeError, match="looks like a solution") as error:
        found(beside)
    assert name in str(error.value)
    assert "Take it out" in str(error.value)


def test_so_is_what_bears_the_marks_that_a_course_has_chosen_or_nbgraders_own(beside):
    (beside / "one-copy.txt").write_text(">>> OURS\nx = 1")
    assert found(beside)
    with (beside.parents[1] / "nbgrader_config.py").open("a") as config:
        config.write("c.ClearSolutions.begin_solution_delimeter = '>>> OURS'\n")
        config.write("c.ClearMarkScheme.begin_mark_scheme_delimeter = ''\n")
    for text in (">>> OURS\nx = 1", "### BEGIN SOLUTION"):
        (beside / "one-copy.txt").write_text(text)
        with pytest.raises(GradeError, match="looks like a solution"):
            found(beside)
    (beside / "one-copy.txt").write_text("three points")
    assert found(beside)


def test_a_file_that_nbgrader_would_not_copy_is_refused_and_not_left_out(beside):
    with (beside.parents[1] / "nbgrader_config.py").open("a") as config:
        config.write("c.CourseDirectory.max_file_size = 1\n")
    (beside / "data.csv").write_bytes(bytes(1000))
    assert len(found(beside)["data.csv"]) == 1000
    (beside / "data.csv").write_bytes(bytes(1001))
    with pytest.raises(
        GradeError, match=r"data.csv has 1,001 bytes, .* no file of more than 1,000"
    ):
        found(beside)


def test_more_than_the_sandbox_can_show_is_refused(beside, monkeypatch):
    monkeypatch.setattr(limits, "FILE_BYTES", 10)
    for name, size in (("a.csv", 6), ("b.csv", 4)):
        (beside / name).write_bytes(bytes(size))
    course = Course(beside.parents[1])
    require_gradable(Assignment("ps1", (), own_files(course, "ps1")))
    (beside / "b.csv").write_bytes(bytes(5))
    with pytest.raises(GradeError, match=r"have 11 bytes together, .* shown 10"):
        require_gradable(Assignment("ps1", (), own_files(course, "ps1")))
