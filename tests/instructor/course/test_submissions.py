"""What was handed in is found and read, whatever it is called and whatever rights it has."""

import os

import pytest
from instructor.course.ordinary_user import open_folder, ordinary_user

from attncourse.instructor.course.configuration import Course
from attncourse.instructor.course.submissions import Submission, find, read

__all__ = ["open_folder"]
PS = "ps1"


def course_in(root):
    (root / "submitted" / "ada" / PS).mkdir(parents=True)
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    return Course(root)


@pytest.fixture
def course(open_folder):
    return course_in(open_folder / "course")


def place(course):
    return course.root / "submitted" / "ada" / PS


def only_problem(course, name="a"):
    [submission], left_out = find(course, PS)
    assert submission == Submission("ada", place(course))
    assert left_out == []
    return read(submission, [name]).notebooks[name]


def test_brackets_in_the_name_of_the_course_are_only_brackets(tmp_path):
    course = course_in(tmp_path / "course [2024]")
    (place(course) / "a.ipynb").write_bytes(b"x")
    assert only_problem(course) == b"x"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"l\xf6sung.ipynb", "l\N{REPLACEMENT CHARACTER}sung.ipynb"),
        (b"\x1b[2J\n\x07.ipynb", "\N{REPLACEMENT CHARACTER}[2J" + "\N{REPLACEMENT CHARACTER}" * 2),
        ("\u202e\u00f6.ipynb".encode(), "\N{REPLACEMENT CHARACTER}\u00f6.ipynb"),
    ],
)
def test_every_name_of_a_file_can_be_stored_and_shown(course, raw, told):
    with open(os.path.join(os.fsencode(place(course)), raw), "wb"):
        pass
    problem = only_problem(course)
    assert problem.kind == "wrong name"
    assert f"`{told}" in problem.reason
    assert problem.reason.isprintable()
    assert problem.reason.encode()


@pytest.mark.parametrize(("asked", "also"), [(["a", "b"], []), (["b"], ["a"])])
def test_another_notebook_of_the_problem_set_is_no_wrong_name(course, asked, also):
    (place(course) / "a.ipynb").write_bytes(b"x")
    submission = Submission("ada", place(course))
    assert read(submission, asked, also).notebooks["b"].kind == "missing"
    (place(course) / "c.ipynb").write_bytes(b"x")
    problem = read(submission, asked, also).notebooks["b"]
    assert problem.kind == "wrong name"
    assert "`c.ipynb`" in problem.reason
    assert "`a.ipynb`" not in problem.reason


@pytest.mark.parametrize(("folder", "mode"), [("ada", 0), ("ada/ps1", 0), ("ada/ps1", 0o600)])
def test_who_has_a_folder_that_nobody_may_look_into_is_not_lost(course, folder, mode):
    (place(course) / "a.ipynb").write_bytes(b"x")
    with ordinary_user(course.root.parent):
        (course.root / "submitted" / folder).chmod(mode)
        try:
            assert only_problem(course).kind == "unreadable"
        finally:
            (course.root / "submitted" / folder).chmod(0o700)


def test_who_has_handed_in_other_work_only_is_not_listed(course):
    (course.root / "submitted" / "bob" / "ps2").mkdir(parents=True)
    (course.root / "submitted" / "README").write_text("x")
    (place(course) / "a.ipynb").write_bytes(b"x")
    assert only_problem(course) == b"x"


def hand_in(course, *students):
    for student in students:
        (course.root / "submitted" / student / PS).mkdir(parents=True, exist_ok=True)


def students(course, **settings):
    for name, value in settings.items():
        setattr(course.directory, name, value)
    found, left_out = find(course, PS)
    return [each.student for each in found], [(each.name, each.kind) for each in left_out]


def test_whom_the_configuration_leaves_out_is_not_found(course):
    hand_in(course, "ada", "bob", "tester", "tester2")
    assert students(course)[0] == ["ada", "bob", "tester", "tester2"]
    assert students(course, student_id_exclude="tester,bob")[0] == ["ada", "tester2"]
    assert students(course, student_id="t*", student_id_exclude="")[0] == ["tester", "tester2"]
    assert students(course, student_id="[ab]*", student_id_exclude="ada")[0] == ["bob"]


def test_a_folder_that_begins_with_a_dot_is_named_unless_it_is_left_out_or_asked_for(course):
    hand_in(course, ".ada", ".bob", "tester")
    (course.root / "submitted" / ".git").mkdir()
    assert students(course) == (["ada", "tester"], [(".ada", "hidden"), (".bob", "hidden")])
    assert students(course, student_id_exclude=".bob")[1] == [(".ada", "hidden")]
    assert students(course, student_id="ada") == (["ada"], [])
    assert students(course, student_id=".a*") == ([".ada"], [])


@pytest.mark.parametrize("link", ["the folder", "the student's folder"])
def test_no_link_is_followed_to_a_time(course, link):
    (place(course) / "timestamp.txt").write_text("2030-01-02")
    assert read(Submission("ada", place(course)), []).timestamp == "2030-01-02"
    other = course.root / "submitted" / "eve"
    if link == "the folder":
        other.mkdir()
        (other / PS).symlink_to(place(course))
    else:
        other.symlink_to(place(course).parent)
    assert read(Submission("eve", other / PS), []).timestamp is None
