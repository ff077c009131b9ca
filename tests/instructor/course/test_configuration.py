"""What `attncourse grade` reads in nbgrader's configuration."""

import json

import pytest
from nbgrader.apps import NbGrader

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


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "$HOME ~ [x]"
    folder.mkdir()
    assert course(folder, "c.Referee.seconds = 5").limits.seconds == 5


@pytest.fixture
def account(tmp_path, monkeypatch):
    """The folder in which an account's own configuration lies, and one that goes before it."""
    folders = {
        "JUPYTER_CONFIG_DIR": tmp_path / "account",
        "JUPYTER_CONFIG_PATH": tmp_path / "first",
    }
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    return folders


def test_what_jupyters_folders_set_counts_as_it_does_for_nbgrader(tmp_path, account, monkeypatch):
    own, first = account.values()
    here = tmp_path / "course"
    here.mkdir()
    monkeypatch.chdir(here)
    written = {
        first / "jupyter_config.py": "c.Referee.total_seconds = 101; c.Referee.memory = 1",
        own / "jupyter_config.py": "c.Referee.memory = 2; c.Referee.scratch = 17",
        first / "nbgrader_config.py": "c.Referee.seconds = 31; c.Referee.processes = 11",
        own / "nbgrader_config.py": "c.Referee.seconds = 32; c.Referee.memory = 3",
        here / "nbgrader_config.py": "c.Referee.seconds = 33",
    }
    for file, line in written.items():
        file.write_text(f"c = get_config(); {line}")
    (first / "nbgrader_config.json").write_text(json.dumps({"Referee": {"processes": 12}}))
    limits = Course(here).limits.as_dict()
    assert limits == {
        "seconds": 33, "total_seconds": 101, "memory": 3, "processes": 12, "scratch": 17,
    }  # fmt: skip
    theirs = NbGrader()
    theirs.load_config_file()
    assert dict(theirs.config.Referee) == limits


def test_one_of_them_that_fails_is_named(tmp_path, account):
    broken = account["JUPYTER_CONFIG_DIR"] / "nbgrader_config.py"
    broken.write_text("c = get_config(")
    with pytest.raises(GradeError, match=r"account.nbgrader_config\.py fails: SyntaxError"):
        course(tmp_path)
