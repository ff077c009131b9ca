"""The problem sets on disk: clean, fresh, complete, and without a trace of their solutions."""

import ast
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from copies import copy_parts

from attncourse.grading import items
from attncourse.instructor.course.release import ReleaseError, problem_set_names, release

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("solutions/*/*.ipynb"))
RELEASED = sorted(ROOT.glob("exercises/*/*.ipynb"))


def name(path):
    return str(path.relative_to(ROOT))


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source_of(cell):
    return "".join(cell["source"])


def nbgrader_of(cell):
    return cell["metadata"].get("nbgrader", {})


def copy_of_the_course(folder):
    """What nbgrader needs of the course."""
    return copy_parts(folder, "solutions", "nbgrader_config.py")


@pytest.fixture
def course(tmp_path):
    return copy_of_the_course(tmp_path)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A course that has been released once, and what was said about it."""
    folder = copy_of_the_course(tmp_path_factory.mktemp("released"))
    return folder, list(release(folder))


def test_there_is_a_problem_set():
    assert "ps1-similarity" in problem_set_names(ROOT)


def test_exercises_are_byte_for_byte_what_solutions_generate(released):
    folder, said = released
    written = {path.relative_to(folder): path.read_bytes() for path, _ in said}
    committed = {
        path.relative_to(ROOT): path.read_bytes()
        for path in ROOT.glob("exercises/**/*")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }
    assert written.keys() == committed.keys()
    stale = [str(path) for path in written if written[path] != committed[path]]
    assert not stale, f"run `attncourse release`; out of date: {stale}"


def test_a_release_says_what_changed_and_leaves_no_gradebook_behind(released):
    folder, said = released
    before = sorted(folder.rglob("*"))
    assert [changed for _, changed in said] == [True] * len(SOURCES)
    assert [changed for _, changed in release(folder)] == [False] * len(SOURCES)
    assert sorted(folder.rglob("*")) == before
    assert not list(folder.rglob("gradebook.db*"))


def test_a_release_that_fails_leaves_the_old_one_in_place(course):
    old = course / "exercises/ps1-similarity/similarity.ipynb"
    old.parent.mkdir(parents=True)
    old.write_text("the old one")
    source = course / "solutions/ps1-similarity/similarity.ipynb"
    source.write_text(source.read_text(encoding="utf-8").replace("### END SOLUTION", "###", 1))
    with pytest.raises(ReleaseError, match="could not convert ps1-similarity"):
        list(release(course))
    assert old.read_text() == "the old one"


def test_an_unknown_problem_set_is_refused_with_a_list(course):
    with pytest.raises(ReleaseError, match="no problem set 'ps9'; there is ps1-similarity"):
        list(release(course, ["ps9"]))


@pytest.mark.parametrize("brackets", ["a [2024]", "what?", "*"])
def test_a_course_in_a_folder_that_is_a_pattern_is_released(tmp_path, brackets):
    (tmp_path / brackets).mkdir()
    course = copy_of_the_course(tmp_path / brackets / "course")
    [(path, changed)] = release(course, ["ps1-similarity"])
    assert changed
    assert path == course / "exercises/ps1-similarity/similarity.ipynb"
    committed = ROOT / path.relative_to(course)
    assert path.read_bytes() == committed.read_bytes()
    assert sorted(each.name for each in course.iterdir()) == [
        *("exercises", "nbgrader_config.py", "solutions")
    ]


def test_where_nbgrader_can_find_nothing_it_is_told_to_rename_the_folder(tmp_path, monkeypatch):
    course = copy_of_the_course(tmp_path / "a [2024]")
    (course / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(course / "tmp"))
    with pytest.raises(ReleaseError, match=r"pattern\. Rename the folder"):
        list(release(course, ["ps1-similarity"]))
    (course / "solutions/ps1-similarity").rename(course / "solutions/ps1 [2024]")
    with pytest.raises(ReleaseError, match=r"takes 'ps1 \[2024\]' for a pattern.*; rename"):
        list(release(course, ["ps1 [2024]"]))


def test_a_folder_that_is_no_course_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match="course's root folder"):
        list(release(tmp_path))


def test_the_command_prints_what_it_wrote(course):
    command = Path(sys.executable).with_name("attncourse")
    # An empty PATH: nbgrader needs programs of its own environment, activated or not.
    done = subprocess.run(
        [command, "release", "ps1-similarity"],
        cwd=course,
        env={"PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "exercises/ps1-similarity/similarity.ipynb: written\n"
    assert f"no archives, since the source of the package in them is not in {course}" in done.stderr
    refused = subprocess.run(
        [command, "release", "ps9"], cwd=course, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "no problem set 'ps9'" in refused.stderr


@pytest.mark.parametrize("path", SOURCES + RELEASED, ids=name)
def test_a_notebook_carries_nothing_of_a_run_or_a_machine(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"nbgrader", "deletable", "editable"}, cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", RELEASED, ids=name)
def test_no_solution_and_no_mark_scheme_reaches_a_student(path):
    released = "\n".join(source_of(cell) for cell in cells_of(path))
    source = "\n".join(
        source_of(cell) for cell in cells_of(ROOT / "solutions" / Path(*path.parts[-2:]))
    )
    hidden = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", source, re.S)
    hidden += re.findall(r"BEGIN MARK SCHEME -->\n(.*?)<!-- END MARK SCHEME", source, re.S)
    assert len(hidden) > 1
    for text in hidden:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        assert lines
        assert not [line for line in lines if line in released]
    assert "SOLUTION" not in released
    assert "MARK SCHEME" not in released


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_item_is_graded_once_for_its_points(path):
    number = path.parent.name.split("-")[0]
    graded = {}
    for cell in cells_of(path):
        found = re.search(r'check\("([^"]+)", (\w+)\)', source_of(cell))
        if nbgrader_of(cell).get("grade") and found:
            item_id, function = found.groups()
            assert item_id not in graded
            assert items()[item_id].function_name == function
            graded[item_id] = nbgrader_of(cell)["points"]
    expected = {key: item.points for key, item in items().items() if key.startswith(f"{number}.")}
    assert graded == expected


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_graded_cell_ends_in_the_score(path):
    """nbgrader gives full marks to a cell that ends in anything else."""
    graded = [cell for cell in cells_of(path) if nbgrader_of(cell).get("grade")]
    assert graded
    for cell in graded:
        assert cell["cell_type"] == "code"
        assert nbgrader_of(cell)["locked"]
        last = ast.parse(source_of(cell)).body[-1]
        assert isinstance(last, ast.Expr)
        assert ast.unparse(last) == "verdict.score"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_graded_cell_brings_the_names_it_needs(path):
    """A student who calls something `check` or `display` must not lose the items after it."""
    for cell in cells_of(path):
        if nbgrader_of(cell).get("grade"):
            imported = {
                alias.name
                for line in ast.parse(source_of(cell)).body
                if isinstance(line, ast.ImportFrom)
                for alias in line.names
            }
            assert {"check", "display"} <= imported, cell["id"]


def picture_of(path, **names):
    """The function `picture` of a notebook, in which these names are known."""
    setup = next(source_of(cell) for cell in cells_of(path) if "def picture" in source_of(cell))
    parsed = ast.parse(setup)
    parsed.body = [part for part in parsed.body if isinstance(part, ast.FunctionDef)]
    exec(compile(parsed, str(path), "exec"), names)
    return names["picture"]


@pytest.mark.parametrize("path", SOURCES, ids=name)
@pytest.mark.parametrize("error", [NotImplementedError, ValueError, SystemExit])
def test_a_picture_that_cannot_be_drawn_stops_nothing_and_leaves_nothing(path, error, capsys):
    import matplotlib.pyplot as plt

    def draw():
        plt.figure()
        raise error

    picture_of(path, plt=plt)(draw)
    assert "no picture" in capsys.readouterr().out.lower()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_picture_is_the_same_whatever_a_students_matplotlibrc_says(path):
    import matplotlib.pyplot as plt

    pictures = []

    def display(figure, metadata):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        pictures.append(buffer.getvalue())

    def draw():
        plt.figure()
        plt.plot([0, 1], label="a line")
        plt.legend()

    own = {"text.usetex": True, "lines.linewidth": 9, "axes.grid": True, "figure.dpi": 30}
    for settings in ({}, own):
        with plt.rc_context(settings):
            picture_of(path, plt=plt, display=display)(draw)
    assert len(pictures) == 2
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_task_says_the_points_minutes_and_difficulty_of_its_item(path):
    text = "\n".join(source_of(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    headings = re.findall(r"\*(\d+) points · (\w+) · (\d+) minutes\*", text)
    declared = [
        (f"{item.points:g}", item.difficulty, str(item.minutes))
        for key, item in items().items()
        if key.startswith(path.parent.name.split("-")[0] + ".")
    ]
    assert headings == declared
    table = re.findall(r"^\| \d \| [^|(]+ \| (\d+) \| (\w+) \| (\d+) \|$", text, re.M)
    assert table == declared


def test_the_verdict_that_the_student_guide_shows_is_a_real_one():
    import torch

    from attncourse.grading import check

    def slip(scores, mask=None):
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)

    real = " ".join(repr(check("ps1.attention_weights", slip)).split())
    guide = (ROOT / "book/student-guide.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\n(.*?)\n  …\n```", guide, re.S)
    assert shown is not None
    head, *lines = re.split(r"\n  (?=ok  |FAIL)", shown[1])
    assert real.startswith(" ".join(head.split()))
    for line in lines:
        assert " ".join(line.split()) in real
