"""`nbgrader generate_feedback` with our exporter in it: no link is followed."""

import os

import pytest
from instructor.batch.conftest import generated_course
from instructor.batch.course_of_a_class import NOTEBOOK, PS, class_of_two

__all__ = ["generated_course"]
PRIVATE = "nobody but the instructor reads this"


@pytest.fixture(scope="module")
def graded_once(generated_course, tmp_path_factory):
    """A course that is graded, with something private in it. To be copied, not changed."""
    course = class_of_two(generated_course, tmp_path_factory.mktemp("graded") / "course")
    course.grade("--jobs", "1")
    (course.folder / "private.txt").write_text(PRIVATE)
    return course


@pytest.fixture
def graded(graded_once, tmp_path):
    """A copy of one's own."""
    return graded_once.copied(tmp_path / "course")


def autograded(course):
    return course.folder / "autograded" / "half-right" / PS


def feedback(course, student="half-right"):
    return course.folder / "feedback" / student / PS


def everything(folder):
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())


def test_a_link_beside_a_notebook_is_left_out_and_named(graded):
    (autograded(graded) / "kept.txt").write_text("kept")
    (autograded(graded) / "link.txt").symlink_to(graded.folder / "private.txt")
    (autograded(graded) / "gone.txt").symlink_to("nowhere")
    (autograded(graded) / "folder").symlink_to(graded.folder)
    said = graded.run("nbgrader", "generate_feedback", PS).stderr
    assert {path.name for path in feedback(graded).iterdir()} == {"kept.txt", f"{NOTEBOOK}.html"}
    assert PRIVATE not in everything(graded.folder / "feedback")
    assert f"{autograded(graded) / 'link.txt'} is a link, and is left out" in said
    assert "cosine" in (feedback(graded) / f"{NOTEBOOK}.html").read_text(encoding="utf-8")


def refused(course, link, *options):
    """Feedback is written to nobody, and the link is named."""
    command = ("nbgrader", "generate_feedback", PS, *options)
    done = course.run(*command, check=False)
    assert done.returncode != 0
    assert f"No feedback was written: {link} is a link" in done.stderr
    pages = course.folder.glob("feedback/*/*/*.html")
    assert not [path for path in pages if not path.is_symlink()]


@pytest.mark.parametrize("what", ["notebook", "folder", "student"])
def test_a_link_in_the_place_of_graded_work_is_refused(graded, what):
    linked = {
        "notebook": autograded(graded) / f"{NOTEBOOK}.ipynb",
        "folder": autograded(graded),
        "student": autograded(graded).parent,
    }[what]
    moved = graded.folder / "moved"
    linked.rename(moved)
    linked.symlink_to(moved)
    refused(graded, linked)


@pytest.mark.parametrize("what", ["page", "folder", "student"])
def test_nothing_is_written_or_removed_by_way_of_a_link(graded, what):
    elsewhere = graded.folder / "elsewhere"
    (elsewhere / PS).mkdir(parents=True)
    (elsewhere / PS / "kept").write_text("kept")
    link, target = {
        "page": (feedback(graded) / f"{NOTEBOOK}.html", elsewhere / PS / "kept"),
        "folder": (feedback(graded), elsewhere / PS),
        "student": (feedback(graded).parent, elsewhere),
    }[what]
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    refused(graded, link, "--force")
    assert os.listdir(elsewhere / PS) == ["kept"]
    assert (elsewhere / PS / "kept").read_text() == "kept"
