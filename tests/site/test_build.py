"""`attncourse book`: what it runs again, what it refuses, and that it never claims too much."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import COMMAND, ROOT
from instructor.course.ordinary_user import open_folder, ordinary_user
from sphinx.util.matching import get_matching_files
from sphinx_external_toc.parsing import parse_toc_yaml

from attncourse.site import freshness
from attncourse.site.build import BookError, build_book
from attncourse.site.extension import leave_out_other_files

__all__ = ["open_folder"]

FRONT_MATTER = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"


def chapter(title, code):
    return f"{FRONT_MATTER}# {title}\n\n```{{code-cell}} python\n{code}\n```\n"


def counting(name):
    """A cell that leaves a line in a file each time it is run."""
    return f'print("{name}", file=open("../runs.txt", "a"))\nprint("output of {name}")'


@pytest.fixture
def course(site, tmp_path):
    """A course of two small chapters, with the real configuration and the assets of the real one."""
    root = tmp_path / "course [2024]"  # which some tools take for a pattern
    (root / "book").mkdir(parents=True)
    (root / "README.md").write_text("# No page\n\n[dead](nowhere.md)\n")
    for name in ("_config.yml", "constraints.txt", "book/references.bib"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    (root / ".build").mkdir()
    (root / ".build" / "assets").symlink_to(ROOT / ".build" / "assets")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/second\n"
    )
    (root / "book" / "index.md").write_text(chapter("First", counting("first")))
    (root / "book" / "second.md").write_text(chapter("Second", counting("second")))
    return root


@pytest.fixture
def built(open_folder, monkeypatch):
    """The least that is a course, with a site that counts as up to date."""
    root = open_folder / "course"
    for name in ("_config.yml", "_toc.yml", "book/index.md", "_build/html/index.html"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x\n")
    monkeypatch.setattr(freshness, "PACKAGE", root / "book")  # which an ordinary user can read
    (root / "_build/html/.built-from").write_text(freshness.site_fingerprint(root))
    return root


@contextlib.contextmanager
def read_only(root):
    """For a while we are somebody who may not write there."""
    with ordinary_user(root.parent):
        modes = {path: path.stat().st_mode for path in (root, *root.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)


def book(root, **environment):
    return subprocess.run(
        [COMMAND, "book"],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def runs(root):
    """The chapters run since the last call."""
    record = root / "runs.txt"
    names = record.read_text().split() if record.exists() else []
    record.unlink(missing_ok=True)
    return names


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_only_what_changed_is_run_again(course):
    first = book(course)
    assert first.returncode == 0, first.stdout + first.stderr
    assert runs(course) == ["first", "second"]
    page = course / "_build" / "html" / "index.html"
    assert f"was built in {first.stdout.split('was built in ')[1].split()[0]} s" in first.stdout
    assert page.as_uri() in first.stdout
    assert page.is_file()

    again = book(course)
    assert again.returncode == 0
    assert "is up to date" in again.stdout
    assert "Sphinx" not in again.stdout
    assert page.as_uri() in again.stdout
    assert runs(course) == []

    edit(course / "book" / "second.md", "# Second", "# Second, with other prose")
    assert book(course).returncode == 0
    assert runs(course) == []
    assert "with other prose" in (course / "_build/html/book/second.html").read_text()

    edit(course / "book" / "second.md", "output of second", "another output")
    assert book(course).returncode == 0
    assert runs(course) == ["second"]
    assert "another output" in (course / "_build/html/book/second.html").read_text()

    (course / "constraints.txt").write_text("torch==0.0.0\n")
    assert book(course).returncode == 0
    assert runs(course) == ["first", "second"]
    assert len(list((course / "_build" / "executed").iterdir())) == 1


def test_a_failing_cell_fails_every_build_until_it_is_mended(course):
    second = course / "book" / "second.md"
    edit(second, 'print("output of second")', 'raise ValueError("seven is not an even number")')
    for _ in range(2):
        failed = book(course)
        assert failed.returncode == 1
        assert "book/second.md: WARNING: Executing notebook failed" in failed.stdout
        assert "ValueError: seven is not an even number" in failed.stdout
        assert "\x1b[" not in failed.stdout
        assert "attncourse book: the book was not built" in failed.stderr
        assert "Traceback" not in failed.stderr
    edit(second, 'raise ValueError("seven is not an even number")', "print(7)")
    runs(course)
    assert book(course).returncode == 0
    assert runs(course) == ["second"]


MISTAKES = {
    "{cite:p}`nobody1999nothing`": "nobody1999nothing",
    "[a chapter](nowhere.md)": "nowhere.md",
    "{doc}`lost`": "lost",
    "![no such picture](nowhere.png)": "nowhere.png",
    "[a place](#no-such-place)": "no-such-place",
    "```{code-cell} python\nimport sys; print('careful', file=sys.stderr)\n```": "stderr",
}


def test_every_mistake_in_a_page_fails_the_build_and_is_named(course):
    (course / "book" / "index.md").write_text(
        "\n\n".join([f"{FRONT_MATTER}# First", *MISTAKES]), encoding="utf-8"
    )
    failed = book(course)
    assert failed.returncode == 1
    complaints = [line for line in failed.stdout.splitlines() if "book/index.md" in line]
    for mistake, named in MISTAKES.items():
        assert any(named in line for line in complaints), f"{mistake} went unseen"


def test_a_page_shows_what_another_page_last_computed(course):
    """By jupyter-book itself, which reads only what it takes for outdated."""
    second = course / "book" / "second.md"
    second.write_text(
        chapter("Second", "from myst_nb import glue\nglue('share', 0.125, display=False)")
    )
    # A page of its own: Sphinx writes the index anew whenever a page below it changed.
    third = "# Third\n\nA share of {glue:text}`second.md::share:.2f`.\n"
    (course / "book" / "third.md").write_text(third)
    with (course / "_toc.yml").open("a") as toc:
        toc.write("  - file: book/third\n")
    jupyter_book = [str(COMMAND.with_name("jupyter-book")), "build", "-W", "-n", "."]

    def share_on_the_page():
        built = subprocess.run(jupyter_book, cwd=course, capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
        page = (course / "_build/html/book/third.html").read_text()
        return re.search(r'A share of <span class="pasted-text">(.*?)</span>', page)[1]

    assert share_on_the_page() == "0.12"
    edit(second, "0.125", "0.875")
    assert share_on_the_page() == "0.88"

    edit(second, "'share'", "'part'")
    failed = book(course)
    assert failed.returncode == 1
    assert "book/third.md" in failed.stdout
    assert "Glue reference 'share' not found in doc 'book/second'" in failed.stdout


@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_after_a_killed_build_nothing_claims_to_be_up_to_date(course):
    assert book(course).returncode == 0
    runs(course)
    edit(
        course / "book" / "second.md",
        'print("output of second")',
        'import time\nopen("../started", "w").close()\ntime.sleep(600)',
    )
    building = subprocess.Popen(
        [COMMAND, "book"], cwd=course, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (course / "started").exists():
        assert building.poll() is None, "the build ended before its cell began"
        assert time.monotonic() < deadline, "the cell never began"
        time.sleep(0.1)
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()
    edit(course / "book" / "second.md", "\ntime.sleep(600)", "")
    runs(course)
    after = book(course)
    assert after.returncode == 0, after.stdout
    assert "was built" in after.stdout
    assert runs(course) == ["second"]


def test_the_settings_of_whoever_builds_change_no_page(course, tmp_path):
    """Nor do they fail the build: what matplotlib says of a setting it says on stderr."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nno.such.setting: 1\n")
    cell = (
        "import matplotlib as mpl\n"
        "from joblib._multiprocessing_helpers import mp\n"
        "print('processes', mp, 'usetex', mpl.rcParams['text.usetex'], 'by', mpl.get_backend())"
    )
    (course / "book" / "second.md").write_text(chapter("Second – and last", cell), "utf-8")
    own = {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    done = book(course, **own)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (course / "_build/html/book/second.html").read_text("utf-8")
    assert "processes None usetex False by" in page
    assert "Second – and last" in page


def test_a_file_that_the_table_of_contents_does_not_name_is_no_page(course):
    """Also where there are brackets in the path of the book."""
    config = SimpleNamespace(
        external_toc_exclude_missing=True,
        external_site_map=parse_toc_yaml(course / "_toc.yml"),
        source_suffix={".ipynb": "myst-nb", ".md": "myst-nb"},
    )
    leave_out_other_files(SimpleNamespace(srcdir=str(course)), config)
    pages = get_matching_files(course, config.include_patterns, ["_build"])
    assert sorted(pages) == ["book/index.md", "book/second.md"]


def test_repository_links_are_there_for_a_fork_that_names_itself_and_for_no_one_else(course):
    fork = "https://github.com/someone/fork"
    assert book(course).returncode == 0
    assert "github.com" not in (course / "_build/html/book/second.html").read_text()
    named = book(course, BOOK_REPOSITORY_URL=f"{fork}.git", BOOK_REPOSITORY_BRANCH="draft")
    assert named.returncode == 0, named.stdout
    page = (course / "_build/html/book/second.html").read_text()
    assert f'href="{fork}"' in page
    assert f"{fork}/blob/draft/book/second.md" in page
    assert f"{fork}/issues/new" in page
    assert runs(course) == ["first", "second"]

    wrong = book(course, BOOK_REPOSITORY_URL="someone/fork")
    assert wrong.returncode == 1
    assert "BOOK_REPOSITORY_URL is 'someone/fork'" in wrong.stdout


def test_jupyter_book_alone_builds_too_and_says_what_to_run_when_assets_are_missing(course):
    jupyter_book = [str(COMMAND.with_name("jupyter-book")), "build", "-W", "-n", "."]
    built = subprocess.run(jupyter_book, cwd=course, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (course / ".build" / "assets").unlink()
    (course / "_build" / "html" / "index.html").unlink()
    bare = subprocess.run(jupyter_book, cwd=course, capture_output=True, text=True)
    assert bare.returncode != 0
    assert "Run `attncourse book`, which fetches them" in bare.stdout + bare.stderr


@pytest.mark.skipif(os.name != "posix", reason="becomes an ordinary user")
@pytest.mark.parametrize("before", ["", ".build/", ".build/book.lock"])
def test_where_nothing_can_be_written_a_site_that_is_up_to_date_is_found(built, before, capsys):
    if before.endswith("/"):
        (built / before).mkdir()
    elif before:
        (built / before).parent.mkdir()
        (built / before).touch()
    with read_only(built):
        page = build_book(built)
    assert page == built / "_build/html/index.html"
    assert "is up to date" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="becomes an ordinary user")
def test_where_nothing_can_be_written_a_site_to_be_built_is_refused_in_a_sentence(built):
    edit(built / "book/index.md", "x", "another text")
    with read_only(built), pytest.raises(BookError, match=r"nothing can be written in .*Build it"):
        build_book(built)
    (built / ".build").mkdir()
    (built / ".build/assets").write_text("no folder")
    with pytest.raises(BookError, match=r"the book was not built: .*assets"):
        build_book(built)


def test_a_folder_without_a_course_is_refused(tmp_path):
    refused = book(tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"attncourse book: {tmp_path} holds no course")
    assert "_config.yml, _toc.yml, book is missing" in refused.stderr
    assert "root folder of a clone" in refused.stderr
    assert not list(Path(tmp_path).iterdir())


def test_help_says_what_a_newcomer_asks():
    help_text = subprocess.run([COMMAND, "book", "--help"], capture_output=True, text=True).stdout
    help_text = " ".join(help_text.split())
    for answer in ("_build/html", "fonts and MathJax", "only the chapters whose cells changed"):
        assert answer in help_text
