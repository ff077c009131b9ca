"""Handing out a problem set and publishing the course, by the commands that the guides show."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from copies import copy_parts
from course.guide import commands_of_the_guide

ROOT = Path(__file__).resolve().parents[2]
SET = "ps1-similarity"


def run(command, cwd, **environment):
    """A block of a guide, in a shell that goes on after an error, as a person's does."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which a release fails, then succeeds, then fails again; what each said and left."""
    folder = copy_parts(
        tmp_path_factory.mktemp("clone"),
        *("attncourse", f"solutions/{SET}", "pyproject.toml", "constraints.txt"),
        *("README.md", "LICENSE", ".gitignore", "nbgrader_config.py"),
    )
    source = folder / "solutions" / SET / "similarity.ipynb"
    good = source.read_text(encoding="utf-8")
    bad = good.replace("### END SOLUTION", "###", 1)
    [command] = commands_of_the_guide("Hand out a problem set")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said, left = [], []
    for text in (bad, good, bad):
        source.write_text(text, encoding="utf-8")
        said.append(run(command, folder, PATH=path))
        left.append({file.name: file.read_bytes() for file in folder.glob("handouts/*")})
    return said, left, zipfile.Path(folder / f"handouts/{SET}.zip")


def test_a_release_prints_the_notebook_and_the_archive(clone):
    [_, done, _], _, _ = clone
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"exercises/{SET}/similarity.ipynb: written",
        f"handouts/{SET}.zip: written",
    ]


def test_the_notebook_in_the_archive_is_the_one_in_exercises(clone):
    _, _, archive = clone
    released = ROOT / "exercises" / SET / "similarity.ipynb"
    assert (archive / SET / "similarity.ipynb").read_bytes() == released.read_bytes()


def test_a_release_that_fails_leaves_the_archives_as_they_were(clone):
    [first, _, last], [none, made, after], _ = clone
    assert (first.returncode, last.returncode) == (1, 1)
    assert "could not convert" in first.stderr
    assert none == {}
    assert made.keys() == {f"{SET}.zip"}
    assert after == made


def test_the_student_guide_sets_up_as_the_readme_of_the_archive_does(clone):
    _, _, archive = clone
    readme = (archive / SET / "README.txt").read_text(encoding="utf-8")
    guide = (ROOT / "book/student-guide.md").read_text(encoding="utf-8")
    set_up, start, again, _ = commands_of_the_guide("Get the notebook and open it", "student-guide")
    assert set_up in readme.replace("\n    ", "\n")
    for line in (*start.splitlines(), *again.splitlines()):
        assert line in readme
    for word in ("py -m venv .venv", r".venv\Scripts\activate", "--extra-index-url", "3 GB"):
        assert word in readme
        assert word in guide
    assert " 3.11 to 3.15" in " ".join(readme.split())
    assert " 3.11 to 3.15" in guide


@pytest.fixture
def published(tmp_path, monkeypatch):
    """``published()`` publishes by the guide; the private clone; an address of the public one."""
    for name, value in {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
    }.items():
        monkeypatch.setenv(name, value)
    course = tmp_path / "upstream"
    for file in (
        "solutions/ps1/one.ipynb",
        "tests/problem_sets/answers/ps1.py",
        "exercises/ps1/one.ipynb",
        "book/gone soon.md",
        ".github/site.png",
    ):
        (course / file).parent.mkdir(parents=True, exist_ok=True)
        (course / file).write_text(f"first {file}\n")
    shutil.copy(ROOT / ".gitignore", course)
    git("init", "--quiet", cwd=course)
    git("add", ".", cwd=course)
    git("commit", "-m", "The course", cwd=course)
    git("clone", "--quiet", "upstream", "course", cwd=tmp_path)
    once, publish, ask = commands_of_the_guide("Keep the solutions private")
    for name in ("attention-private", "attention"):
        git("init", "--quiet", "--bare", f"{name}.git", cwd=tmp_path)
        assert f"git@git.example.org:ada/{name}.git" in once
    done = run(once.replace("git@git.example.org:ada", str(tmp_path)), tmp_path / "course")
    assert done.returncode == 0, done.stderr

    def publish_and_ask():
        published = run(publish, tmp_path / "course")
        asked = run(ask, tmp_path / "course")
        assert (asked.stdout, asked.stderr) == ("", "")
        return published

    return publish_and_ask, tmp_path / "course", tmp_path / "attention.git"


def git(*arguments, cwd):
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(repository):
    return git("ls-tree", "-r", "--name-only", "-z", "HEAD", cwd=repository).split("\0")[:-1]


def test_the_public_repository_has_all_but_the_answers_and_never_had_them(published):
    publish, course, public = published
    assert publish().returncode == 0
    kept = [name for name in files_of(course) if name.split("/")[0] not in ("solutions", "tests")]
    assert files_of(public) == kept
    everything = git("rev-list", "--objects", "--all", cwd=public)
    assert "one.ipynb" in everything
    assert "solutions" not in everything
    assert "answers" not in everything


def test_the_same_commands_bring_an_update_to_those_who_cloned(published):
    publish, course, public = published
    publish()
    git("clone", "--quiet", str(public), "student", cwd=public.parent)
    (course / "book/gone soon.md").rename(course / "book/new.md")
    (course / "exercises/ps1/one.ipynb").write_text("second\n")
    (course / "solutions/ps1/one.ipynb").write_text("second, with its answer\n")
    git("add", "--all", cwd=course)
    git("commit", "-m", "Mend the first task", cwd=course)
    (course / "exercises/ps1/one.ipynb").write_text("not committed\n")
    assert publish().returncode == 0
    student = public.parent / "student"
    git("pull", "--ff-only", cwd=student)
    assert (student / "exercises/ps1/one.ipynb").read_text() == "second\n"
    assert [path.name for path in (student / "book").iterdir()] == ["new.md"]
    assert len(git("rev-list", "--all", cwd=public).split()) == 2
    assert "solutions" not in git("rev-list", "--objects", "--all", cwd=public)


def test_publishing_again_without_a_change_publishes_nothing(published):
    publish, _, public = published
    publish()
    before = git("rev-list", "--all", cwd=public)
    assert "nothing to commit" in publish().stdout
    assert git("rev-list", "--all", cwd=public) == before


def test_publishing_that_fails_half_way_publishes_nothing(published):
    publish, course, public = published
    publish()
    before = git("rev-list", "--all", cwd=public)
    (course / ".git/HEAD").write_text("ref: refs/heads/gone\n")  # git archive finds no HEAD
    done = publish()
    assert (done.returncode, done.stdout) == (128, ""), done.stderr
    assert git("rev-list", "--all", cwd=public) == before
    assert (public.parent / "attention-public/exercises/ps1/one.ipynb").is_file()
