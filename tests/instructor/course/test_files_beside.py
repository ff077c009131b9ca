"""What a student lays beside a notebook is kept, and nothing of it is served as what it could do."""

import mimetypes
import os

import pytest
from nbgrader.coursedir import CourseDirectory

from attncourse.instructor import limits
from attncourse.instructor.course.files_beside import (
    Copying,
    copy_files,
    copying,
    files_beside,
    picture_beside,
    remark,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
PICTURES = {
    "a.png": PNG,
    "a.PNG": PNG,
    "a.jpg": b"\xff\xd8\xff\xe0" + b"\0" * 20,
    "a.jpeg": b"\xff\xd8\xff\xe1" + b"\0" * 20,
    "a.gif": b"GIF89a" + b"\0" * 20,
    "a.webp": b"RIFF\0\0\0\0WEBPVP8 ",
}
TEXT = b"<p>a harmless mark</p>"
ACTIVE = [
    *(
        "a.html",
        "a.HTM",
        "a.xhtml",
        "a.xht",
        "a.shtml",
        "a.svg",
        "a.svgz",
        "a.xml",
        "a.xsl",
        "a.rdf",
    ),
    *(
        "a.js",
        "a.mjs",
        "a.css",
        "a.pdf",
        "a.swf",
        "a.mht",
        "a.html.gz",
        "a",
        ".htaccess",
        "a.",
        "a.html ",
    ),
    *("helper.py", "a.png.html", "a.unheard-of", "index.html"),
]
INERT = ["notes.txt", "a.md", "data.csv", "weights.npz", "a.json", "sub/more/a.txt"]
ACTS = ("html", "xml", "svg", "javascript", "ecmascript", "pdf", "flash", "css")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "submitted" / "ada" / "ps1"
    folder.mkdir(parents=True)
    return folder


def lay(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def copied(folder, tmp_path, rules=None, source=None):
    """The copies, by name."""
    target = tmp_path / "autograded"
    target.mkdir()
    copy_files(source or tmp_path / "nothing", folder, target, rules or Copying())
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }


def test_pictures_text_and_data_keep_their_names(folder, tmp_path):
    files = PICTURES | dict.fromkeys(INERT, TEXT)
    lay(folder, files)
    assert copied(folder, tmp_path) == files
    assert remark(files_beside(folder, Copying())) == ""


@pytest.mark.parametrize("name", ACTIVE)
def test_what_a_browser_could_run_has_a_harmless_name_and_the_student_is_told(
    folder, tmp_path, name
):
    lay(folder, {name: TEXT, f"sub/{name}": TEXT})
    assert copied(folder, tmp_path) == {f"{name}.txt": TEXT, f"sub/{name}.txt": TEXT}
    assert f"`{name}` as `{name}.txt`" in remark(files_beside(folder, Copying()))


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_not_the_picture_that_its_name_says_has_a_harmless_name(folder, tmp_path, name):
    lay(folder, {name: TEXT})
    assert set(copied(folder, tmp_path)) == {f"{name}.txt"}


def test_no_name_that_is_kept_is_served_as_anything_that_acts(folder, tmp_path):
    odd = {"data:text,a.txt": TEXT, "a.html?b.txt": TEXT, "a.html#b.txt": TEXT, "a\n.txt": TEXT}
    lay(folder, PICTURES | dict.fromkeys((*ACTIVE, *INERT), TEXT) | odd)
    for name in copied(folder, tmp_path):
        for asked in (name, f"/course/{name}"):  # servers ask by either
            kind, _ = mimetypes.guess_type(asked, strict=False)
            assert not any(each in (kind or "") for each in ACTS), name


def test_of_two_that_would_have_one_name_both_are_kept(folder, tmp_path):
    lay(folder, {"a.html": b"1", "a.html.txt": b"2", "a?": b"3", "a_": b"4"})
    found = copied(folder, tmp_path)
    assert sorted(found.values()) == [b"1", b"2", b"3", b"4"]
    assert found["a.html.txt"] == b"2"
    assert found["a.html.txt.txt"] == b"1"


def test_no_link_is_followed_and_the_student_is_told(folder, tmp_path):
    other = tmp_path / "submitted" / "bob"
    lay(other, {"a.png": PNG, "ps1/b.txt": b"of somebody else"})
    (folder / "a.png").symlink_to(other / "a.png")
    (folder / "b").symlink_to(other / "ps1")
    os.mkfifo(folder / "pipe")
    assert copied(folder, tmp_path) == {}
    said = remark(files_beside(folder, Copying()))
    assert "`a.png` (a link), `b` (a link), `pipe` (no file)" in said


def test_nothing_is_copied_from_a_folder_that_is_a_link(folder, tmp_path):
    lay(folder, {"a.txt": TEXT})
    link = tmp_path / "submitted" / "eve"
    link.symlink_to(folder.parent)
    assert copied(link / "ps1", tmp_path) == {}


def test_the_problem_sets_own_files_keep_their_names_and_are_no_news(folder, tmp_path):
    source = tmp_path / "source"
    ours = ("explorer.html", "run", "mine.py", "no.html")
    lay(source, dict.fromkeys(ours, b"ours"))
    lay(folder, dict.fromkeys((*ours, "other.py", "x.html"), b"theirs"))
    rules = copying(CourseDirectory(), source, student_may_replace=["mine.py", "no.html"])
    assert copied(folder, tmp_path, rules, source) == {
        "explorer.html": b"ours",
        "run": b"ours",
        "mine.py": b"theirs",
        **dict.fromkeys(("no.html.txt", "other.py.txt", "x.html.txt"), b"theirs"),
    }
    assert "explorer" not in remark(files_beside(folder, rules))


def test_too_much_is_left_out_and_told(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_FILES_BESIDE", 3)
    monkeypatch.setattr(limits, "MAX_BYTES_BESIDE", 10)
    lay(
        folder,
        {"a.txt": b"1" * 6, "b.txt": b"2" * 6, "c.txt": b"3" * 4, "d.txt": b"", "e.txt": b""},
    )
    assert set(copied(folder, tmp_path)) == {"a.txt", "c.txt"}
    said = remark(files_beside(folder, Copying()))
    assert "`b.txt` (too large)" in said
    assert "more than 3 files" in said


def test_a_name_in_the_remark_is_on_one_line_and_ends_no_code(folder):
    lay(folder, {"a`b\n\x1b.html": TEXT})
    said = remark(files_beside(folder, Copying()))
    assert said.isprintable()
    assert said.count("`") == 4


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("sub/b%20c.PNG", "sub/b%20c.PNG"),
        ("sub/b c.PNG", "sub/b%20c.PNG"),
        ("größe.png", "gr%C3%B6%C3%9Fe.png"),
        ("gr%C3%B6%C3%9Fe.png", "gr%C3%B6%C3%9Fe.png"),
    ],
)
def test_a_picture_is_found_below_the_folder(folder, address, found):
    lay(folder, {"a.png": PNG, "sub/b c.PNG": PNG, "größe.png": PNG})
    assert picture_beside(folder, address) == found


@pytest.mark.parametrize(
    "address",
    [
        *("", ".", "/", "..", "b.png", "a.html", "fake.png", "folder.png", "link.png", "to/c.png"),
        *("../ps1/a.png", "sub/../a.png", "sub//b.png", "%2e%2e/ps1/a.png", "sub/./b.png"),
        *(
            "//a.png",
            "/a.png",
            "a.png?x",
            "a.png#x",
            "http:a.png",
            "a.png/",
            "sub\\b.png",
            "a.png\0",
        ),
    ],
)
def test_nothing_else_can_be_named(folder, address):
    lay(
        folder,
        {"a.png": PNG, "sub/b.png": PNG, "fake.png": TEXT, "folder.png/x": TEXT, "a.html": PNG},
    )
    lay(folder.parent / "outside", {"c.png": PNG})
    (folder / "link.png").symlink_to(folder.parent / "outside" / "c.png")
    (folder / "to").symlink_to(folder.parent / "outside")
    assert picture_beside(folder, address) is None
    assert picture_beside(folder, str(folder / "a.png")) is None
