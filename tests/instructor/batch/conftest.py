"""A course to grade: generated once, copied for a test that changes it."""

import pytest
from instructor.batch.course_of_a_class import ClassCourse, class_of_two, generated


@pytest.fixture(scope="session")
def generated_course(tmp_path_factory) -> ClassCourse:
    """Nothing is handed in. To be copied, not changed."""
    return generated(tmp_path_factory.mktemp("generated") / "course")


@pytest.fixture
def course(generated_course, tmp_path) -> ClassCourse:
    """A course of one's own, with an untouched submission and a half-right one."""
    return class_of_two(generated_course, tmp_path / "course")
