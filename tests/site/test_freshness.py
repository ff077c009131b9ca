"""Which change makes which part of the built site stale."""

import pytest

from attncourse.site import freshness
from attncourse.site.freshness import execution_fingerprint, site_fingerprint


@pytest.fixture
def course(tmp_path, monkeypatch):
    root, package = tmp_path / "course", tmp_path / "course" / "attncourse"
    for name in (
        "_config.yml",
        "_toc.yml",
        "constraints.txt",
        "book/index.md",
        "book/_static/attn.css",
        "exercises/ps1/one.ipynb",
        "attncourse/attention.py",
        "attncourse/visuals/explorers/pick.js",
        "attncourse/site/theme.py",
        "attncourse/cli.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}\n")
    monkeypatch.setattr(freshness, "PACKAGE", package)
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    return root


CELLS = [
    "constraints.txt",
    "attncourse/attention.py",
    "attncourse/visuals/explorers/pick.js",
]
PAGES = [
    "_config.yml",
    "_toc.yml",
    "book/index.md",
    "book/_static/attn.css",
    "exercises/ps1/one.ipynb",
    "attncourse/site/theme.py",
    "attncourse/cli.py",
]


@pytest.mark.parametrize("name", CELLS + PAGES)
def test_every_input_changes_the_site(course, name):
    before = site_fingerprint(course)
    (course / name).write_text("something else\n")
    assert site_fingerprint(course) != before


@pytest.mark.parametrize("name", CELLS)
def test_what_cells_run_makes_their_outputs_stale(course, name):
    before = execution_fingerprint(course)
    (course / name).write_text("something else\n")
    assert execution_fingerprint(course) != before


@pytest.mark.parametrize("name", PAGES)
def test_what_cells_do_not_run_keeps_their_outputs(course, name):
    before = execution_fingerprint(course)
    (course / name).write_text("something else\n")
    assert execution_fingerprint(course) == before


@pytest.mark.parametrize("fingerprint", [site_fingerprint, execution_fingerprint])
def test_a_new_file_a_lost_file_and_a_renamed_file_are_changes(course, fingerprint):
    seen = {fingerprint(course)}
    new = course / "attncourse" / "heads.py"
    new.write_text("")
    seen.add(fingerprint(course))
    new.rename(new.with_name("tails.py"))
    seen.add(fingerprint(course))
    assert len(seen) == 3
    new.with_name("tails.py").unlink()
    assert fingerprint(course) in seen


def test_the_repository_that_pages_link_to_is_an_input(course, monkeypatch):
    before = site_fingerprint(course)
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://example.org/someone/fork")
    assert site_fingerprint(course) != before


def test_what_python_and_jupyter_leave_behind_is_no_change(course):
    before = site_fingerprint(course), execution_fingerprint(course)
    for name in ("attncourse/__pycache__/attention.pyc", "book/.ipynb_checkpoints/index.md"):
        (course / name).parent.mkdir()
        (course / name).write_text("left behind")
    assert (site_fingerprint(course), execution_fingerprint(course)) == before
