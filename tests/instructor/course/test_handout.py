"""A student's archive: all that an answer needs, nothing that gives one away, whole or not at all."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from copies import copy_parts

from attncourse.instructor.course import handout
from attncourse.instructor.course.configuration import CONFIG
from attncourse.instructor.course.handout import hand_out
from attncourse.instructor.course.release import ReleaseError, problem_set_names

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = f"attncourse-{PROJECT['version']}"
WHEEL = f"{PACKAGE}-py3-none-any.whl"
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def clone(folder, of=ROOT):
    """What the archives are made of, and what must not come into them."""
    folders = ("attncourse", "exercises", "solutions")
    files = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".gitignore", CONFIG)
    return copy_parts(folder, *folders, *files, of=of)


@pytest.fixture
def course(tmp_path):
    return clone(tmp_path)


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """A clone after a release, unpacked by its students into the same place."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    assert all(changed for _, changed in hand_out(folder))
    for archive in folder.glob("handouts/*.zip"):
        zipfile.ZipFile(archive).extractall(folder / "students")
    return folder


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def archives_in(course):
    return files_below(course / "handouts")


def pip(*arguments, cwd):
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_every_problem_set_has_an_archive_with_one_folder_of_its_name(handed_out):
    assert archives_in(handed_out).keys() == {f"{name}.zip" for name in problem_set_names(ROOT)}
    for archive in handed_out.glob("handouts/*.zip"):
        names = zipfile.ZipFile(archive).namelist()
        assert {name.split("/")[0] for name in names} == {archive.stem}
        assert names == sorted(names)  # no file system's order


@pytest.mark.parametrize("name", problem_set_names(ROOT))
def test_an_archive_holds_what_was_released_and_what_sets_it_up(handed_out, name):
    contents = files_below(handed_out / "students" / name)
    for added in ("README.txt", "requirements.txt", "constraints.txt", WHEEL):
        assert contents.pop(added)
    assert contents == files_below(ROOT / "exercises" / name)


def test_what_lies_beside_a_notebook_goes_with_it(course):
    beside = course / "exercises/ps1-similarity/data/birds of Ürümqi.csv"
    beside.parent.mkdir()
    beside.write_bytes(b"a,b\r\n")
    [(archive, _)] = hand_out(course, ["ps1-similarity"])
    with zipfile.ZipFile(archive) as unpacked:
        assert unpacked.read(f"ps1-similarity/data/{beside.name}") == b"a,b\r\n"


@pytest.mark.parametrize(
    "name",
    [".similarity.ipynb.swp", "similarity.ipynb~", ".~similarity.ipynb", "x.bak", ".git/HEAD"],
)
def test_what_an_editor_leaves_beside_a_notebook_is_not_handed_out(course, name):
    left = course / "exercises" / "ps1-similarity" / name
    left.parent.mkdir(exist_ok=True)
    left.write_text("### BEGIN SOLUTION")
    (course / "attncourse" / "scratch.ipynb").write_text("my own")
    [(archive, _)] = hand_out(course, ["ps1-similarity"])
    with zipfile.ZipFile(archive) as content:
        assert f"ps1-similarity/{name}" not in content.namelist()
        wheel = zipfile.ZipFile(content.open(f"ps1-similarity/{WHEEL}"))
        assert not any("scratch" in file for file in wheel.namelist())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mark-scheme.md", "4 points"),
        ("Solutions.pdf", ""),
        ("notes.txt", "### BEGIN SOLUTION\nx = 1"),
        ("plan.py", "### BEGIN MARK SCHEME"),
    ],
)
def test_what_looks_like_a_solution_stops_the_archive_and_is_named(course, name, text):
    (course / "exercises" / "ps1-similarity" / name).write_text(text)
    with pytest.raises(ReleaseError, match=f"ps1-similarity/{re.escape(name)} looks like"):
        list(hand_out(course, ["ps1-similarity"]))
    assert archives_in(course) == {}


def test_a_released_file_does_not_take_the_place_of_one_that_sets_it_up(course):
    (course / "exercises/ps1-similarity/Requirements.txt").write_text("numpy\n")
    with pytest.raises(ReleaseError, match=r"'Requirements.txt'.* give the one in solutions/ps1-"):
        list(hand_out(course))


def mark_schemes():
    """Every line of every mark scheme, as text and as it stands in a notebook's file."""
    for path in ROOT.glob("solutions/*/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells)
        for scheme in re.findall(r"BEGIN MARK SCHEME -->\n(.*?)<!-- END MARK", source, re.S):
            for line in filter(None, map(str.strip, scheme.splitlines())):
                yield from (line.encode(), json.dumps(line, ensure_ascii=False)[1:-1].encode())


def test_no_solution_and_no_mark_scheme_is_in_an_archive(handed_out):
    sources = files_below(ROOT / "solutions").values()
    hidden = {b"MARK SCHEME", b"BEGIN SOLUTION", *mark_schemes()}
    assert len(hidden) > 10
    for archive in handed_out.glob("handouts/*.zip"):
        with zipfile.ZipFile(archive) as unpacked:
            held = {name: unpacked.read(name) for name in unpacked.namelist()}
            with zipfile.ZipFile(unpacked.open(f"{archive.stem}/{WHEEL}")) as wheel:
                held |= {name: wheel.read(name) for name in wheel.namelist()}
        assert "attncourse/grading.py" in held
        for name, data in held.items():
            assert not {"solutions", "tests"} & set(name.split("/"))
            assert data not in sources
            assert not [text for text in hidden if text in data], name


def test_the_same_contents_are_the_same_bytes(handed_out, tmp_path, monkeypatch):
    course = clone(tmp_path, of=handed_out)
    # Another day, other rights, another system, another idea of the date.
    for path in course.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    monkeypatch.setattr(sys, "platform", "win32")  # zipfile asks it
    before = archives_in(handed_out)
    list(hand_out(course))
    assert archives_in(course) == before
    assert [changed for _, changed in hand_out(course)] == [False] * len(before)
    assert archives_in(course) == before


def test_a_folder_with_the_signs_of_a_pattern_makes_the_same_archives(handed_out, tmp_path):
    course = clone(tmp_path / "a [course] * $HOME? 'of' mine", of=handed_out)
    list(hand_out(course))
    assert archives_in(course) == archives_in(handed_out)
    with zipfile.ZipFile(handed_out / "students/ps1-similarity" / WHEEL) as wheel:
        assert f"{PACKAGE}.dist-info/licenses/LICENSE" in wheel.namelist()


def test_the_requirements_are_pinned_as_the_course_is(handed_out):
    lines = (handed_out / "students/ps1-similarity/requirements.txt").read_text().splitlines()
    for name in [*PROJECT["dependencies"], "jupyterlab"]:
        pinned = [line for line in PINS if line.startswith(f"{name}==")]
        assert pinned
        assert [line for line in lines if line.startswith(f"{name}==")] == pinned
    assert f"./{WHEEL}" in lines
    assert "--constraint constraints.txt" in lines  # and what these need in their turn


def test_a_version_that_depends_on_python_keeps_every_line(course):
    (course / "constraints.txt").write_text(
        "\n".join(line for line in PINS if not line.startswith(("tqdm==", "scikit-learn==")))
        + '\ntqdm==1.0; python_version < "3.15"\ntqdm==2.0; python_version >= "3.15"'
        "\nScikit_Learn==3.0\n"
    )
    [(archive, _)] = hand_out(course, ["ps1-similarity"])
    with zipfile.ZipFile(archive) as unpacked:
        lines = unpacked.read("ps1-similarity/requirements.txt").decode().splitlines()
    assert 'tqdm==1.0; python_version < "3.15"' in lines
    assert 'tqdm==2.0; python_version >= "3.15"' in lines
    assert "Scikit_Learn==3.0" in lines


def test_a_version_that_is_not_pinned_is_refused(course):
    (course / "constraints.txt").write_text("\n".join(x for x in PINS if "tqdm" not in x))
    with pytest.raises(ReleaseError, match="tqdm==VERSION"):
        list(hand_out(course))
    assert archives_in(course) == {}


def test_pip_takes_the_requirements_in_the_folder(handed_out):
    """What is pinned is installed here already; only the package would come from the archive."""
    done = pip(
        *("install", "--dry-run", "--no-index", "--no-deps", "-r", "requirements.txt"),
        cwd=handed_out / "students/ps1-similarity",
    )
    assert done.returncode == 0, done.stderr
    assert f"Processing ./{WHEEL}" in done.stdout
    assert re.findall(r"^Would install (.*)$", done.stdout, re.M) == [PACKAGE]
    assert "already satisfied: torch==" in done.stdout


def test_the_package_in_an_archive_checks_answers(handed_out, tmp_path):
    zipfile.ZipFile(handed_out / "students/ps1-similarity" / WHEEL).extractall(tmp_path)
    program = """
import attncourse, torch
from attncourse.grading import check
print(attncourse.__file__)
def cosine_affinity(x, y=None):
    x, y = (torch.nn.functional.normalize(v, dim=-1) for v in (x, x if y is None else y))
    return x @ y.mT
print(check("ps1.cosine_affinity", cosine_affinity).score)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "attncourse/__init__.py"), "3.0"], (
        done.stderr
    )


@pytest.mark.parametrize("name", problem_set_names(ROOT))
def test_the_readme_says_how_to_begin_with_this_notebook(handed_out, name):
    folder = handed_out / "students" / name
    text = (folder / "README.txt").read_text(encoding="utf-8")
    [notebook] = folder.glob("*.ipynb")
    assert f"jupyter lab {notebook.name}" in text
    assert f"hand in {notebook.name}" in text
    assert text.startswith(f"Problem set {name}\n")
    assert max(map(len, text.splitlines())) <= 100
    assert not re.search(r"[{}]", text)


@pytest.mark.parametrize(
    ("specifier", "words"), [(">=3.11", "3.11 or later"), (">=3.11,<3.16", "3.11 to 3.15")]
)
def test_the_pythons_that_will_do_are_said_in_words(specifier, words):
    assert handout._pythons(specifier) == words


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_archive_that_is_cut_short_leaves_the_old_one_and_nothing_else(
    course, monkeypatch, error
):
    list(hand_out(course, ["ps1-similarity"]))
    before = archives_in(course)
    (course / "exercises/ps1-similarity/more.csv").write_text("1,2\n")
    write, written = zipfile.ZipFile.writestr, []

    def stop_at_the_third(archive, entry, data):
        written.append(entry.filename)
        if len(written) == 3:
            raise error("in the middle")
        write(archive, entry, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", stop_at_the_third)
    wanted = ReleaseError if error is OSError else error
    with pytest.raises(wanted, match="in the middle"):
        list(hand_out(course))
    assert len(written) == 3
    assert archives_in(course) == before
    assert [path.name for path in course.glob("handouts/*")] == ["ps1-similarity.zip"]


def test_without_hatchling_it_says_what_to_install(course, monkeypatch):
    monkeypatch.setattr(handout, "find_spec", lambda name: None)
    with pytest.raises(ReleaseError, match=r"pip install hatchling==\d"):
        list(hand_out(course))


def test_a_package_that_cannot_be_built_is_told_as_hatchling_tells_it(course):
    settings = course / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('license = "BSD', 'license = "no such licence'))
    with pytest.raises(ReleaseError, match=r"(?s)could not build.*no such licence"):
        list(hand_out(course))


def test_settings_that_cannot_be_read_are_named(course):
    (course / "pyproject.toml").write_text("[project\n")
    with pytest.raises(ReleaseError, match=r"pyproject\.toml cannot be read"):
        list(hand_out(course))
    with pytest.raises(ReleaseError, match=r"pyproject\.toml cannot be read"):
        handout.is_repository(course)


def test_git_ignores_the_archives():
    assert "/handouts/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
