"""Where a course's private places would be shown to students' code, neither command grades."""

import json
import sysconfig
from pathlib import Path

import pytest
from instructor.batch.course_of_a_class import PS

from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.private_places import private_places
from attncourse.instructor.referee.sandbox import Exposed, require_hidden

LIBRARIES = Path(sysconfig.get_path("purelib"))


def places_of(course):
    found = Course(course.folder)
    return private_places(found, found.config)


def configure(course, line):
    with (course.folder / "nbgrader_config.py").open("a") as config:
        config.write(f"\n{line}\n")


def test_both_commands_refuse_to_grade_where_the_exchange_would_be_shown(course):
    configure(course, f"c.Exchange.root = {str(LIBRARIES / 'exchange')!r}")
    for command in (("attncourse", "grade", PS), ("nbgrader", "autograde", PS)):
        done = course.run(*command, check=False)
        assert done.returncode != 0, command
        said = done.stderr
        assert f"nbgrader's exchange (Exchange.root), {LIBRARIES}/exchange: it is in" in said
        assert "Move it elsewhere" in said
        assert "unsandboxed" not in said
        assert "sandboxed=False" not in said
    assert not (course.folder / "autograded").exists()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("c.CourseDirectory.root = '{}'", "the course,"),
        ("c.CourseDirectory.submitted_directory = '{}'", "the course's folder submitted"),
        ("c.CourseDirectory.db_url = 'sqlite:///{}/gradebook.db'", "the gradebook"),
        ("c.ExchangeCollect.root = '{}'", r"exchange \(ExchangeCollect.root\)"),
        ("c.Exchange.cache = '{}'", r"exchange \(Exchange.cache\)"),
    ],
)
def test_each_place_that_the_configuration_names_is_kept_out_of_sight(course, line, what):
    require_hidden(places_of(course))  # as it stands
    configure(course, line.format(LIBRARIES / "there"))
    with pytest.raises(Exposed, match=what):
        require_hidden(places_of(course))


def test_a_gradebook_on_a_server_has_no_place(course):
    configure(course, "c.CourseDirectory.db_url = 'postgresql+psycopg://ada@db.example.org/x'")
    assert "the gradebook" not in dict(places_of(course))


@pytest.mark.parametrize("kind", ["py", "json"])
def test_so_is_what_the_account_s_own_configuration_names(course, tmp_path, monkeypatch, kind):
    place, file = str(LIBRARIES / "exchange"), tmp_path / f"nbgrader_config.{kind}"
    as_json = json.dumps({"Exchange": {"root": place}})
    file.write_text(f"c.Exchange.root = {place!r}" if kind == "py" else as_json)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    with pytest.raises(Exposed, match="exchange"):
        require_hidden(places_of(course))
    file.write_text("{ no")
    with pytest.raises(GradeError, match=f"{file} fails"):
        places_of(course)
