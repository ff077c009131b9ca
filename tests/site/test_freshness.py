"""Which change makes which part of the built site stale."""

import pytest

from attncourse.site import freshness
from attncourse.site.freshness import execution_fingerprint, site_fingerprint

PAGE = """# A page

```{code-cell} ipython3
%matplotlib inline
from attncourse.visuals.explorers import (
    Pick,
)
```

```python
from attncourse.grading import check  # shown, not run
```
"""
IMPORTS = {
    "book/index.md": PAGE,
    "attncourse/visuals/explorers/__init__.py": "def pick():\n    from attncourse import attention\n",
}


@pytest.fixture
def course(tmp_path, monkeypatch):
    root, package = tmp_path / "course", tmp_path / "course" / "attncourse"
    for name in (*CELLS, *PAGES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(IMPORTS.get(name, f"# content of {name}\n"))
    monkeypatch.setattr(freshness, "PACKAGE", package)
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    return root


CELLS = [
    "constraints.txt",
    "book/results/runs.csv",
    "attncourse/__init__.py",
    "attncourse/attention.py",
    "attncourse/visuals/__init__.py",
    "attncourse/visuals/explorers/__init__.py",
    "attncourse/visuals/explorers/pick.js",
]
PAGES = [
    "_config.yml",
    "_toc.yml",
    "book/index.md",
    "book/_static/text.css",
    "exercises/ps1/one.ipynb",
    "attncourse/checking/engine.py",
    "attncourse/experiments/training.py",
    "attncourse/grading.py",
    "attncourse/instructor/limits.py",
    "attncourse/site/theme.py",
    "attncourse/cli.py",
]


def edit(path):
    path.write_text(path.read_text() + "# something else\n")


@pytest.mark.parametrize("name", CELLS + PAGES)
def test_every_input_changes_the_site(course, name):
    before = site_fingerprint(course)
    edit(course / name)
    assert site_fingerprint(course) != before


@pytest.mark.parametrize("name", CELLS)
def test_what_cells_run_makes_their_outputs_stale(course, name):
    before = execution_fingerprint(course)
    edit(course / name)
    assert execution_fingerprint(course) != before


@pytest.mark.parametrize("name", PAGES)
def test_what_cells_do_not_run_keeps_their_outputs(course, name):
    before = execution_fingerprint(course)
    edit(course / name)
    assert execution_fingerprint(course) == before


@pytest.mark.parametrize("fingerprint", [site_fingerprint, execution_fingerprint])
def test_a_new_file_a_lost_file_and_a_renamed_file_are_changes(course, fingerprint):
    seen = {fingerprint(course)}
    new = course / "attncourse" / "visuals" / "explorers" / "heads.js"
    new.write_text("")
    seen.add(fingerprint(course))
    new.rename(new.with_name("tails.js"))
    seen.add(fingerprint(course))
    assert len(seen) == 3
    new.with_name("tails.js").unlink()
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
