"""A gradebook in PostgreSQL, on a real server: what it holds is what SQLite would."""

import os
import uuid

import pytest
from instructor.batch.batches import autograded, batch, wait_until
from instructor.batch.course_of_a_class import HALF_RIGHT, PS, ClassCourse
from instructor.batch.postgresql import NoServer, Server
from sqlalchemy import create_engine, make_url, text

from attncourse.instructor.course.secret import course_seed

LATE = 'c.LateSubmissionPlugin.penalty_method = "zero"\n'


@pytest.fixture(scope="module")
def server():
    """A running server; skips where there is none, and fails where there has to be."""
    try:
        prepared = Server()
    except NoServer as reason:
        if os.environ.get("ATTNCOURSE_REQUIRE_POSTGRESQL") == "1":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    with prepared:
        yield prepared


@pytest.fixture(scope="module")
def in_sqlite(generated_course, tmp_path_factory) -> ClassCourse:
    """A class has handed in, nothing is graded. To be copied, not changed."""
    course = generated_course.copied(tmp_path_factory.mktemp("sqlite") / "course")
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(LATE)
    course.sql("UPDATE assignment SET duedate = '2030-01-01 10:00:00'")
    course.hand_in("untouched", {})
    course.hand_in("late", HALF_RIGHT)
    course.place("late").with_name("timestamp.txt").write_text("2030-01-02 10:00:00 UTC")
    course.place("broken").write_bytes(b"{")
    for number in range(3):
        course.hand_in(f"student-{number}", HALF_RIGHT)
    course_seed(course.folder)  # copies draw the same cases
    return course


@pytest.fixture(scope="module")
def graded(in_sqlite, tmp_path_factory) -> ClassCourse:
    """The same, graded."""
    course = in_sqlite.copied(tmp_path_factory.mktemp("graded") / "course")
    course.grade("--jobs", "2")
    return course


@pytest.fixture(scope="module")
def prepared(in_sqlite, server, tmp_path_factory) -> str:
    """The name of a database that knows the assignment. To be copied, not changed."""
    course = in_sqlite.copied(tmp_path_factory.mktemp("prepared") / "course")
    in_a_new_database(course, server)
    course.run("nbgrader", "generate_assignment", PS, "--force")
    course.sql("UPDATE assignment SET duedate = '2030-01-01 10:00:00'")
    return make_url(course.database).database


@pytest.fixture
def course(in_sqlite, prepared, server, tmp_path) -> ClassCourse:
    """The same with a gradebook of its own in PostgreSQL; nothing is graded."""
    course = in_sqlite.copied(tmp_path / "course")
    in_a_new_database(course, server, copy_of=prepared)
    return course


def in_a_new_database(course, server, copy_of="template1"):
    """Give the course a gradebook in PostgreSQL instead of the one in SQLite."""
    name = f"gradebook_{uuid.uuid4().hex}"
    engine = create_engine(server.address("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {copy_of}"))
    engine.dispose()
    (course.folder / "gradebook.db").unlink()
    course.database = server.address(name)
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(f"c.CourseDirectory.db_url = {course.database!r}\n")


def book(course):
    """What the gradebook says, in one form: SQLite gives times as text."""
    found = course.gradebook()
    found["submissions"] = [
        (student, time and str(time).removesuffix(".000000"), *rest)
        for student, time, *rest in found["submissions"]
    ]
    return found


def assert_same(course, graded):
    assert book(course) == book(graded)
    ours, theirs = (
        {path.relative_to(each.folder): text for path, text in autograded(each).items()}
        for each in (course, graded)
    )
    assert ours == theirs
    assert not (course.folder / "gradebook.db").exists()


def test_it_holds_what_sqlite_holds_and_export_reads_it(course, graded):
    course.grade("--jobs", "2")
    assert_same(course, graded)
    assert any(penalty for *_, penalty in book(course)["submissions"])
    exported = []
    for each in (course, graded):
        each.run("nbgrader", "export")
        exported.append(sorted((each.folder / "grades.csv").read_text().splitlines()))
    assert exported[0] == exported[1]


def test_what_a_person_gave_stays_and_what_got_lost_is_graded_again(course, graded, tmp_path):
    beside = graded.copied(tmp_path / "beside")
    course.grade("--jobs", "2")
    assert "6 of them graded before" in course.grade("--jobs", "1").stdout
    for each in (course, beside):
        each.sql(
            "UPDATE grade SET manual_score = 1.5, extra_credit = 0.25, needs_manual_grade = false "
            "WHERE cell_id IN (SELECT id FROM base_cell WHERE name = 'cosine_affinity_check')"
        )
        each.sql("UPDATE comment SET manual_comment = 'well seen'")
        each.sql(
            "UPDATE grade SET auto_score = NULL WHERE auto_score > 0 AND notebook_id IN (SELECT n.id "
            "FROM submitted_notebook n JOIN submitted_assignment a ON a.id = n.assignment_id "
            "WHERE a.student_id = 'student-0')"
        )
        each.hand_in("student-1", {})
        assert "4 of them graded before" in each.grade("--jobs", "1").stdout
    assert_same(course, beside)
    assert {row[3] for row in book(course)["grades"] if row[1] == "cosine_affinity_check"} == {1.5}


def test_killed_in_the_midst_it_goes_on_where_it_stopped(course, graded):
    with batch(course, "--jobs", "1") as (process, _):
        wait_until(lambda: len(autograded(course)) > 1, process)
        process.kill()
    assert "of them graded before" in course.grade("--jobs", "1").stdout
    assert_same(course, graded)


def test_a_server_that_goes_away_is_said_and_the_batch_goes_on_later(course, graded, server):
    with batch(course, "--jobs", "1") as (process, _):
        wait_until(lambda: autograded(course), process)
        server.stop()
        assert process.wait(120) == 1
    [*_, said] = (course.folder / "said").read_text().splitlines()
    try:
        assert said.startswith("attncourse grade: the gradebook postgresql+psycopg://")
        assert "goes on where it stopped" in said
        assert "open-sesame" not in said
        again = course.grade(check=False)
        assert again.returncode == 1
        assert again.stderr.startswith("attncourse grade: the gradebook postgresql+psycopg://")
    finally:
        server.start()
    assert "of them graded before" in course.grade("--jobs", "1").stdout
    assert_same(course, graded)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql+pg8000://ada:open-sesame@/book", "needs pg8000, which is not installed"),
        ("ada:open-sesame", "db_url is not the address of a database"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_no_password_shown(
    in_sqlite, tmp_path, address, words
):
    course = in_sqlite.copied(tmp_path / "course")
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(f"c.CourseDirectory.db_url = {address!r}\n")
    done = course.grade("--jobs", "1", check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert "open-sesame" not in done.stderr
