"""What `attncourse grade` reads in nbgrader's configuration."""

import pytest

from attncourse.instructor.course.configuration import Course, GradeError


def course(folder, *lines):
    (folder / "nbgrader_config.py").write_text("\n".join(["c = get_config()", *lines]))
    return Course(folder)


def test_the_time_limits_are_those_of_the_referee_and_not_of_execute(tmp_path):
    limits = course(tmp_path, "c.Execute.timeout = 7").limits
    assert (limits.seconds, limits.total_seconds) == (90, 900)
    limits = course(tmp_path, "c.Referee.seconds = 5", "c.Referee.total_seconds = 44").limits
    assert (limits.seconds, limits.total_seconds) == (5, 44)


@pytest.mark.parametrize("value", ["0", "'long'", "None", "float('inf')", "float('nan')"])
def test_a_limit_that_is_none_is_refused(tmp_path, value):
    with pytest.raises(GradeError, match=r"nbgrader_config\.py: .*seconds"):
        course(tmp_path, f"c.Referee.seconds = {value}")


def test_the_course_is_where_the_configuration_says(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    read = course(tmp_path, f"c.CourseDirectory.root = {str(elsewhere)!r}")
    assert read.root == elsewhere
    assert course(tmp_path).root == tmp_path
