"""`attncourse grade` and `nbgrader autograde` leave the same gradebook, whatever was handed in."""

import copy

import nbformat
import pytest
from instructor.batch.course_of_a_class import (
    HALF_RIGHT,
    HALF_RIGHT_SCORES,
    NOTEBOOK,
    PS,
    broken_submissions,
    class_of_two,
)
from instructor.corpus import ENTRIES
from instructor.corpus.shown import acting, active_files, page_of

ESSAY = "raw_is_enough"
# One of each kind that the files, the grading and the looking at it could treat in two ways.
HOSTILE = {
    *("tracebacks in colour", "photographs in a written answer", "a drawing beside the notebook"),
    *("a table of answers", "finite numbers that overflow", "errors that nobody prints"),
    *("reads the exchange", "links beside the notebook", "killed as if from outside"),
    *("one element that expand has made", "a tensor of many rows and no columns"),
    *("many outputs in twenty cells", "a colour for every letter", "tags that are never closed"),
    *("lists in lists, 101 deep", "a file of 64 MB and a byte"),
    *("an old notebook of 4 MB", "an old notebook of 100,000 values"),
    *("a picture that is missing", "pictures that are none", "a time that is none"),
    *("a script in a written answer", "links without a host", "pictures that are fetched"),
    *("a raw cell in the place of a field", "links in formulas", "files that a browser runs"),
}


def at(notebook, name):
    return next(
        number
        for number, cell in enumerate(notebook.cells)
        if cell.metadata.get("nbgrader", {}).get("grade_id") == name
    )


def odd_submissions(course):
    """Notebooks that can be read, and were changed where they should not have been."""

    def change(student, changed):
        course.hand_in(student, HALF_RIGHT)
        notebook = nbformat.read(course.place(student), as_version=4)
        changed(notebook)
        nbformat.write(notebook, course.place(student))

    def doubled(notebook):
        again = copy.deepcopy(notebook.cells[at(notebook, "cosine_affinity_check")])
        again.id, again.source = "again", "1000.0"
        notebook.cells.append(again)

    def edited(notebook):
        cell = notebook.cells[at(notebook, "cosine_affinity_check")]
        cell.source, cell.metadata.nbgrader["points"] = "100.0", 100

    def nameless(notebook):
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)

    change("doubled", doubled)
    change("edited", edited)
    change("without-a-check", lambda book: book.cells.pop(at(book, "cosine_affinity_check")))
    change("without-the-essay", lambda book: book.cells.pop(at(book, ESSAY)))
    change("nameless", nameless)
    return {
        "doubled": "which occurred twice, the first counts: `cosine_affinity_check`",
        "edited": "had changed, and were put back as they were set: `cosine_affinity_check`",
        "without-a-check": "were missing, and were put back as they were set: `cosine_aff",
        "without-the-essay": f"were missing, and were put back as they were set: `{ESSAY}`",
    }


def hostile_submissions(course):
    """Those of the corpus, by student. They have some of the cells of the notebook."""
    exchange = course.folder / "exchange" / "course" / "inbound" / "other+ps1"
    ENTRIES[0].hand_in(exchange, course.folder)  # right answers, for those who look there
    entries = {f"hostile-{n}": entry for n, entry in enumerate(ENTRIES) if entry.name in HOSTILE}
    for student, entry in entries.items():
        entry.hand_in(course.place(student).parent, course.folder)
    return entries


@pytest.fixture(scope="module")
def both(generated_course, tmp_path_factory):
    """A course graded in both ways, and what was told of whom. To be looked at, not changed."""
    folder = tmp_path_factory.mktemp("both")
    course = class_of_two(generated_course, folder / "course")
    kinds, mended = broken_submissions(course), odd_submissions(course)
    hostile = hostile_submissions(course)
    other = course.copied(folder / "other")
    done = other.run("nbgrader", "autograde", PS)
    course.grade()
    return course, other, kinds, mended, hostile, done.stderr


def test_both_ways_leave_the_same_gradebook_and_tell_the_same(both):
    batch, plain, kinds, mended, _, log = both
    assert batch.gradebook() == plain.gradebook()
    for course in (batch, plain):
        graded = {(who, name): rest for who, name, *rest in course.gradebook()["grades"]}
        assert not [
            place for place, rest in graded.items() if "_check" in place[1] and rest[0] is None
        ]
        for student, kind in kinds.items():
            assert "could not be graded" in course.autograded(student).cells[0].source
            points, _, _, waits_for_a_person = graded[student, ESSAY]
            nothing_to_read = kind in ("missing", "empty")
            assert (points, bool(waits_for_a_person)) == (
                (0.0, False) if nothing_to_read else (None, True)
            ), student
        for student, told in mended.items():
            assert told in course.autograded(student).cells[0].source
        for student in ("half-right", "untouched"):
            assert "mended" not in course.autograded(student).cells[0].source
            assert f"{student}, {NOTEBOOK}" not in log
    for student in (*kinds, *mended):
        assert f"{student}, {NOTEBOOK}.ipynb: " in log


def test_the_summary_tells_what_was_mended_and_does_not_count_it_as_a_failure(both):
    batch, _, kinds, mended, *_ = both
    found = {row["student"]: row for row in batch.summary()}
    for student in (*kinds, *mended, "half-right", "untouched"):
        assert bool(found[student]["mended"]) == (student in mended)
        assert bool(found[student]["failures"]) == (student in kinds or student == "nameless")
    for student, told in mended.items():
        assert told in found[student]["mended"]
    assert found["half-right"]["score"] == found["edited"]["score"] == found["doubled"]["score"]


@pytest.mark.parametrize("way", [0, 1], ids=["attncourse grade", "nbgrader autograde"])
def test_the_hostile_get_what_they_deserve_in_both_and_nothing_of_it_acts(both, way):
    course, hostile = both[way], both[4]
    for student, entry in hostile.items():
        scores = course.scores(student)
        assert {name: scores[f"{name}_check"] for name in entry.deserves} == entry.deserves
        notebook = course.folder / "autograded" / student / PS / f"{NOTEBOOK}.ipynb"
        if entry.is_looked_at:
            assert acting(page_of(notebook), notebook.parent) == [], entry.name
            assert active_files(notebook.parent) == []


def in_both_ways(course, tmp_path, *, check=True):
    """Two copies of the course, one graded in each way, and what was said."""
    plain = course.copied(tmp_path / "plain")
    return (
        (course, course.grade("--jobs", "1", check=check)),
        (plain, plain.run("nbgrader", "autograde", PS, check=check)),
    )


def test_one_setting_limits_the_time_in_both(course, tmp_path):
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write("c.Referee.seconds = 3\nc.Referee.total_seconds = 5\nc.Execute.timeout = 77\n")
    loop = "while True: pass"
    course.hand_in("slow", {"cosine_affinity": loop, "pixels_as_tokens": loop})
    for graded, _ in in_both_ways(course, tmp_path):
        said = str(graded.autograded("slow"))
        assert "(a cell has 3 seconds)" in said
        assert "the notebook has had its 5 seconds" in said


@pytest.mark.parametrize(("setting", "told"), [("", None), ("1", "more than 1 GiB of memory")])
def test_one_setting_limits_the_memory_in_both(course, tmp_path, setting, told):
    if setting:
        with (course.folder / "nbgrader_config.py").open("a") as file:
            file.write(f"c.Referee.memory = {setting}\n")
    holds = "import time\nheld = torch.ones(350_000_000)  # 1.3 GiB\ntime.sleep(1)"
    course.hand_in(
        "large", {**HALF_RIGHT, "cosine_affinity": holds + HALF_RIGHT["cosine_affinity"]}
    )
    for graded, _ in in_both_ways(course, tmp_path):
        earned = 0.0 if told else HALF_RIGHT_SCORES["cosine_affinity_check"]
        assert graded.scores("large")["cosine_affinity_check"] == earned
        if told:
            assert told in str(graded.autograded("large"))


def files(folder):
    """What lies below a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def test_what_lies_beside_a_notebook_is_copied_harmlessly_in_both(course, tmp_path):
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(f"c.Autograde.exclude_overwriting = {{'{PS}': ['helper.py']}}\n")
    source, theirs = (course.folder / part for part in (f"solutions/{PS}", f"submitted/ada/{PS}"))
    course.hand_in("ada", HALF_RIGHT)
    (theirs / "[x]").mkdir()
    for folder, name in (
        *((source, "ours.html"), (source, "helper.py"), (source, "data.csv")),
        *((theirs, "ours.html"), (theirs, "helper.py"), (theirs, "data.csv")),
        *((theirs, "page.html"), (theirs, "[x]/.page"), (theirs, "notes.txt")),
    ):
        (folder / name).write_text(f"of {folder.parts[-2]}")
    neighbour = course.place("half-right")
    (theirs / "theirs.txt").symlink_to(neighbour)
    (theirs / "[x]" / "folder").symlink_to(neighbour.parent)
    (batch, done), (plain, autograded) = in_both_ways(course, tmp_path)
    for graded in (batch, plain):
        found = files(graded.folder / "autograded" / "ada" / PS)
        del found[f"{NOTEBOOK}.ipynb"]
        assert {name: content.decode() for name, content in found.items()} == {
            **dict.fromkeys(("ours.html", "data.csv"), "of solutions"),
            **dict.fromkeys(("helper.py", "page.html.txt", "[x]/.page.txt", "notes.txt"), "of ada"),
        }
        told = graded.autograded("ada").cells[0].source
        assert "`page.html` as `page.html.txt`, `[x]/.page` as `[x]/.page.txt`" in told
        assert "`theirs.txt` (a link), `[x]/folder` (a link)" in told
        assert "ours.html" not in told
    assert "`page.html` as `page.html.txt`" in autograded.stderr
    told = {row["student"]: row["mended"] for row in batch.summary()}
    assert "`page.html` as `page.html.txt`" in told["ada"]
    assert done.returncode == 0
    # Nor does anything stay of what an earlier version has copied.
    left_over = plain.folder / "autograded" / "ada" / PS / "page.html"
    left_over.write_text("x")
    again = ("autograde", PS, "--student=ada", f"--notebook={NOTEBOOK}", "--force")
    plain.run("nbgrader", *again)
    assert not left_over.exists()
    assert (left_over.with_name("page.html.txt")).exists()


def test_a_check_that_cannot_be_made_ends_both_before_the_first_submission(course, tmp_path):
    source = course.folder / "solutions" / PS / f"{NOTEBOOK}.ipynb"
    notebook = nbformat.read(source, as_version=4)
    cell = notebook.cells[at(notebook, "cosine_affinity_check")]
    cell.source = cell.source.replace('"ps1.cosine_affinity"', '"ps1.cosine_afinity"')
    nbformat.write(notebook, source)
    course.run("nbgrader", "generate_assignment", PS, "--force")
    for refusing, done in in_both_ways(course, tmp_path, check=False):
        assert done.returncode != 0
        assert f"{NOTEBOOK}.ipynb, cell cosine_affinity_check: " in done.stderr
        assert 'check("ITEM", FUNCTION)' in done.stderr
        assert not list(refusing.folder.glob("autograded/*/*"))


JUDGE_THAT_FAILS = """
import attncourse.checking.engine as engine

check_caller = engine.check_caller

def fails(item, caller, **settings):
    if item.id == "ps1.cosine_affinity":
        raise ArithmeticError("not foreseen")
    return check_caller(item, caller, **settings)

engine.check_caller = fails
"""


def test_where_the_judge_fails_a_person_is_asked_in_both(course, tmp_path, monkeypatch):
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(JUDGE_THAT_FAILS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "patched"))
    (batch, done), (plain, _) = in_both_ways(course, tmp_path)
    assert batch.gradebook() == plain.gradebook()
    grades = {(who, name): rest for who, name, *rest in batch.gradebook()["grades"]}
    points, _, _, waits_for_a_person = grades["half-right", "cosine_affinity_check"]
    assert (points, bool(waits_for_a_person)) == (0.0, True)
    points, _, _, waits_for_a_person = grades["half-right", "attention_weights_check"]
    assert (points, bool(waits_for_a_person)) == (3.69, False)
    assert "needs a person (2)" in done.stdout
    told = {row["student"]: row for row in batch.summary()}["half-right"]
    assert told["needs a person"].startswith("cosine_affinity_check: The judge itself failed")
    assert "ArithmeticError" in told["needs a person"]


def test_what_is_handed_in_after_all_is_for_a_person_to_read_in_both(course, tmp_path):
    course.place("late")
    (batch, _), (plain, _) = in_both_ways(course, tmp_path)
    for graded in (batch, plain):
        graded.hand_in("late", HALF_RIGHT)
    batch.grade("--jobs", "1")
    plain.run("nbgrader", "autograde", PS, "--student=late", "--force")
    assert batch.gradebook() == plain.gradebook()
    [(points, waits_for_a_person)] = [
        (points, bool(needed))
        for who, name, points, _, _, needed in batch.gradebook()["grades"]
        if (who, name) == ("late", ESSAY)
    ]
    assert (points, waits_for_a_person) == (None, True)


def configure(course, line):
    with (course.folder / "nbgrader_config.py").open("a") as file:
        file.write(f"{line}\n")


def entered(course):
    return {who for (who, *_) in course.gradebook()["submissions"]}


@pytest.mark.parametrize(
    "line",
    [
        "c.CourseDirectory.student_id_exclude = 'tester,untouched'",
        "c.CourseDirectory.student_id = '[gh]*'",
    ],
)
def test_whom_the_configuration_leaves_out_is_graded_in_neither(course, tmp_path, line):
    course.hand_in("tester", HALF_RIGHT)
    configure(course, line)
    (batch, _), (plain, _) = in_both_ways(course, tmp_path)
    assert entered(batch) == {"half-right"}
    assert batch.gradebook() == plain.gradebook()
    for graded in (batch, plain):
        assert {path.name for path in graded.folder.glob("autograded/*")} == {"half-right"}
        assert graded.sql("SELECT id FROM student") == [("half-right",)]
    assert [row["student"] for row in batch.summary()] == ["half-right"]


def test_where_no_student_may_be_created_only_those_who_are_known_are_graded(course, tmp_path):
    course.run("nbgrader", "db", "student", "add", "half-right")
    configure(course, "c.Autograde.create_student = False")
    (batch, done), (plain, told) = in_both_ways(course, tmp_path, check=False)
    assert entered(batch) == {"half-right"}
    assert batch.gradebook() == plain.gradebook()
    assert batch.sql("SELECT id FROM student") == [("half-right",)]
    assert "not in the gradebook (1)" in done.stdout
    assert "untouched: The gradebook does not know this student" in done.stdout
    assert done.returncode == told.returncode == 1
    assert "No student with ID 'untouched'" in told.stderr
    batch.run("nbgrader", "db", "student", "add", "untouched")
    batch.grade("--jobs", "1")
    assert entered(batch) == {"half-right", "untouched"}


def test_where_no_student_is_known_nothing_is_graded_and_it_is_said(course):
    configure(course, "c.Autograde.create_student = False")
    done = course.grade("--jobs", "1", check=False)
    assert done.returncode == 1
    assert "half-right, untouched" in done.stderr
    assert "nbgrader db student add" in done.stderr
    assert not entered(course)


def test_a_folder_that_begins_with_a_dot_is_named_in_both(course, tmp_path):
    course.hand_in(".hidden", HALF_RIGHT)
    (batch, done), (plain, told) = in_both_ways(course, tmp_path)
    assert entered(batch) == entered(plain) == {"half-right", "untouched"}
    assert done.returncode == told.returncode == 0
    for said in (done.stdout, told.stderr):
        assert ".hidden: nbgrader does not see a folder whose name begins with a dot" in said


def test_where_all_are_left_out_it_is_said_why(generated_course, tmp_path):
    course = generated_course.copied(tmp_path / "course")
    course.hand_in(".hidden", HALF_RIGHT)
    course.hand_in("tester", HALF_RIGHT)
    configure(course, "c.CourseDirectory.student_id_exclude = 'tester'")
    done = course.grade("--jobs", "1", check=False)
    assert done.returncode == 1
    for words in ("nothing is submitted", ".hidden: ", "begins with a dot", "student_id_exclude"):
        assert words in done.stderr


def test_marks_that_the_course_has_chosen_for_hidden_tests_are_known_to_both(course, tmp_path):
    configure(course, "c.ClearHiddenTests.begin_test_delimeter = '>>> ONLY FOR TEACHERS'")
    configure(course, "c.ClearHiddenTests.end_test_delimeter = '<<< ONLY FOR TEACHERS'")
    hidden = "\n>>> ONLY FOR TEACHERS\n# nobody sees this\n<<< ONLY FOR TEACHERS\n"
    source = course.folder / "solutions" / PS / f"{NOTEBOOK}.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[at(notebook, "cosine_affinity_check")].source += hidden
    nbformat.write(notebook, source)
    course.run("nbgrader", "generate_assignment", PS, "--force")
    course.hand_in("untouched", {})
    for graded, _ in in_both_ways(course, tmp_path):
        assert "mended" not in graded.autograded("untouched").cells[0].source
