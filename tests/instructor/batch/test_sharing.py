"""Two instructors grade in one folder, as nbgrader's `groupshared` means it."""

import contextlib
import os

import pytest
from instructor.batch.course_of_a_class import PS
from instructor.batch.test_writing import Backend, configure
from instructor.course.ordinary_user import open_folder

from attncourse.instructor.batch.running import grade_problem_set
from attncourse.instructor.batch.summary import Summary
from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.secret import SecretError, course_seed

__all__ = ["open_folder"]
GROUP, ADA, BOB = 54321, 54322, 54323


@pytest.fixture
def shared(generated_course, open_folder, monkeypatch):
    """A course of Ada's group in which one student has handed something in."""
    monkeypatch.setenv("HOME", str(open_folder))  # which may be closed to who is not root
    course = generated_course.copied(open_folder / "course")
    configure(course, "c.CourseDirectory.groupshared = True")
    course.place("student").write_bytes(b"x")
    return course


@pytest.fixture
def umask():
    """One that gives the group nothing."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def given_to_the_group(folder):
    for place, _, files in os.walk(folder):
        os.chown(place, ADA, GROUP)
        os.chmod(place, 0o2770)
        for name in files:
            os.chown(os.path.join(place, name), ADA, GROUP)
            os.chmod(os.path.join(place, name), 0o660)


@contextlib.contextmanager
def instructor(user):
    """For a while we are one, and in the group."""
    if os.geteuid() != 0:
        pytest.skip("only root can be two instructors")
    groups = os.getgroups()
    os.setgroups([GROUP])
    os.setegid(GROUP)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def grade(course):
    read = Course(course.folder)
    batch = grade_problem_set(read, PS, Backend())
    shared = read.directory.groupshared
    list(Summary(batch).write(read.root / "grades", groupshared=shared))
    return batch


def secret_and_rest(course):
    yield course.folder / ".referee-secret", 0o640
    for name in (".grade", f".grade/{PS}", "grades", "autograded"):
        yield course.folder / name, 0o2770
    for path in course.folder.glob(".grade/**/*"):
        if path.is_file():
            yield path, 0o664
    for path in course.folder.glob("grades/*"):
        yield path, 0o664


def test_what_grading_makes_has_the_group_s_rights_where_the_course_is_shared(shared, umask):
    grade(shared)
    for path, rights in secret_and_rest(shared):
        assert path.stat().st_mode & rights == rights, path
    assert (shared.folder / ".referee-secret").stat().st_mode & 0o007 == 0


def test_where_it_is_not_shared_the_secret_and_the_records_are_the_owner_s(shared, umask):
    configure(shared, "c.CourseDirectory.groupshared = False")
    grade(shared)
    for path, _ in secret_and_rest(shared):
        assert not path.stat().st_mode & 0o077, path


def test_a_secret_that_was_made_before_the_course_was_shared_is_shared(shared):
    seed = course_seed(shared.folder)("ada", "item")
    assert (shared.folder / ".referee-secret").stat().st_mode & 0o777 == 0o600
    assert course_seed(shared.folder, groupshared=True)("ada", "item") == seed
    assert (shared.folder / ".referee-secret").stat().st_mode & 0o777 == 0o640


def test_a_second_instructor_grades_what_the_first_has_begun_with_the_same_secret(shared, umask):
    other = shared.copied(shared.folder.parent / "other")
    grade(other)  # which imports all that an ordinary user may not be able to
    given_to_the_group(shared.folder)
    with instructor(ADA):
        assert grade(shared).graded == 1
        seed = course_seed(shared.folder)("student", "item")
    shared.place("student").write_bytes(b"y")
    shared.place("late").write_bytes(b"x")
    given_to_the_group(shared.folder / "submitted")
    with instructor(BOB):
        assert grade(shared).graded == 2
        assert course_seed(shared.folder)("student", "item") == seed
    with instructor(ADA):
        assert grade(shared).graded == 0


@pytest.mark.parametrize("name", [".referee-secret", ".grade"])
def test_where_the_first_has_shared_nothing_the_second_is_told_what_to_do(shared, umask, name):
    configure(shared, "c.CourseDirectory.groupshared = False")
    other = shared.copied(shared.folder.parent / "other")
    grade(other)
    given_to_the_group(shared.folder)
    with instructor(ADA):
        grade(shared)
        if name != ".grade":
            (shared.folder / ".grade").chmod(0o2770)
            for path in (shared.folder / ".grade").iterdir():
                path.chmod(0o2770)
    with instructor(BOB), pytest.raises(GradeError) as error:
        grade(shared)
    assert f"{shared.folder / name}`" in str(error.value)
    for words in ("Permission denied", "`chmod ", "c.CourseDirectory.groupshared = True"):
        assert words in str(error.value)
    if name != ".grade":
        with instructor(BOB), pytest.raises(SecretError, match=r"chmod g\+r"):
            course_seed(shared.folder)
