"""The formgrader in a real browser: a student's work neither acts in it nor ends its session."""

import base64
import re
from importlib import import_module

import nbformat
import pytest
from course.server import Server
from instructor import warm
from instructor.batch.course_of_a_class import HALF_RIGHT, NOTEBOOK, PS, class_of_two

from attncourse.instructor.pipeline.formgrader import _EXTENSIONS, _TABLES

pytestmark = pytest.mark.browser
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
PAGE = b"""<html xmlns="http://www.w3.org/1999/xhtml"><title>x</title>
<script>localStorage.setItem("mark", location.href)</script></html>"""
BESIDE = {
    **dict.fromkeys(("page.html", "page", "page.xhtml", "sub/page.svg", "not-a.png"), PAGE),
    "drawing.png": PNG,
}
TEXT = """[first](http:page.html) <a href="page.xhtml">second</a> [third](http:sub/page.svg)
[fourth](ADDRESS/logout) ![a drawing](drawing.png) ![fetched](ADDRESS/logout) ![f](not-a.png)"""
# In the place of the field for the points of the written answer, and over the whole page.
RAW = """<input class="score" id="raw_is_enough" value="0">
<div style="position: fixed; inset: 0; z-index: 9999"><a href="http:page.html">over the page</a></div>"""


@pytest.fixture(scope="module")
def server(generated_course, tmp_path_factory):
    """A server in a course in which each of two students was graded in one of the ways."""
    folder = tmp_path_factory.mktemp("browser")
    course = class_of_two(generated_course, folder / "course")
    command = "jupyter server --no-browser"
    server = Server(command, course.folder, warm.environment(), folder / "config")
    try:
        for student, command in {
            "eve": ("attncourse", "grade", PS, "--jobs", "1"),
            "mallory": ("nbgrader", "autograde", PS, "--student=mallory"),
        }.items():
            course.hand_in(student, HALF_RIGHT)
            place = course.place(student)
            notebook = nbformat.read(place, as_version=4)
            text = TEXT.replace("ADDRESS", server.address.replace("127.0.0.1", "localhost"))
            notebook.cells[1:1] = [
                nbformat.v4.new_markdown_cell(TEXT.replace("ADDRESS", server.address)),
                nbformat.v4.new_markdown_cell(text),
                nbformat.v4.new_raw_cell(RAW),
            ]
            nbformat.write(notebook, place)
            for name, content in BESIDE.items():
                (place.parent / name).parent.mkdir(exist_ok=True)
                (place.parent / name).write_bytes(content)
            course.run(*command)
        yield server
    finally:
        server.stop()


class Formgrader:
    """A student's work as an instructor has it open."""

    def __init__(self, server, student, chromium):
        self.server, self.student = server, student
        self.context = chromium.new_context()
        self.page = self.context.new_page()
        self.address = f"{server.address}/formgrader/submissions/{self._found()[0]}/"
        self.folder = server.course / "autograded" / student / PS
        self.page.goto(f"{server.address}/formgrader/manage_assignments?token={server.token}")

    def open(self):
        self.page.goto(self.address)
        return self.page

    def _found(self):
        return self.server.grades(self.student, f"{PS}/{NOTEBOOK}.ipynb")

    def points(self):
        return self._found()[1]["raw_is_enough"]["manual_score"]


@pytest.fixture(params=["eve", "mallory"])
def formgrader(server, request, chromium):
    formgrader = Formgrader(server, request.param, chromium)
    yield formgrader
    formgrader.context.close()


def test_a_picture_beside_the_notebook_is_seen(formgrader):
    drawing = formgrader.open().get_by_alt_text("a drawing").first
    width = "async each => { await each.decode(); return each.naturalWidth }"
    assert drawing.evaluate(width) == 1


def test_points_that_are_typed_are_kept(formgrader):
    page = formgrader.open()
    field = page.locator("#raw_is_enough")
    assert field.count() == 1
    assert field.evaluate("each => each.closest('.nbgrader_cell') !== null")
    points = 2.5 if formgrader.points() != 2.5 else 1.5
    with page.expect_response(lambda answer: answer.request.method == "PUT") as saved:
        field.fill(str(points))
        field.press("Tab")
    assert saved.value.ok
    assert formgrader.points() == points
    assert page.locator("pre", has_text="over the page").count() == 1


def test_no_page_of_a_student_runs_whatever_is_followed(formgrader):
    formgrader.context.route("**/logout", lambda route: route.abort())
    page = formgrader.open()
    links = page.locator("#notebook-container .text_cell_render a[href]")
    followed = links.evaluate_all("all => all.map(each => each.href)")
    beside = [formgrader.address + name + end for name in BESIDE for end in ("", ".txt")]
    for address in [*followed, *beside]:
        answer = formgrader.context.request.get(address)
        if answer.headers["content-type"].startswith(("text/", "image/svg", "application/xhtml")):
            page.goto(address)
    page.goto(f"{formgrader.server.address}/formgrader/manage_assignments")
    assert page.evaluate("localStorage.getItem('mark')") is None
    assert followed == []


def test_the_session_lives(formgrader):
    said = formgrader.open().locator("#notebook-container").first.inner_text()
    manage = f"{formgrader.server.address}/formgrader/manage_assignments"
    formgrader.page.goto(manage)  # without the token
    assert formgrader.page.url == manage
    formgrader.page.get_by_role("row", name=PS).wait_for(timeout=30_000)
    assert "fetched (" in said


def test_a_page_in_the_folder_runs_nothing(formgrader):
    """Copied by an earlier version, or by the instructor."""
    (formgrader.folder / "copied.html").write_bytes(
        PAGE.replace(b"<script>", b"<script>document.title = 'run';")
    )
    page = formgrader.open()
    page.goto(formgrader.address + "copied.html")
    assert page.title() == "x"
    page.goto(f"{formgrader.server.address}/formgrader/manage_assignments")
    assert page.evaluate("localStorage.getItem('mark')") is None


def test_no_file_of_another_folder_is_served(formgrader):
    link = formgrader.folder / "link.db"
    link.unlink(missing_ok=True)
    link.symlink_to(formgrader.server.course / "gradebook.db")
    ask = formgrader.context.request.get
    assert ask(formgrader.address + "drawing.png").ok
    assert ask(formgrader.address + link.name).status == 403


@pytest.mark.parametrize(
    ("headers", "folder", "reason"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, ".", None),
        ({"Referer": "ADDRESS/lab"}, ".", None),
        ({"Authorization": "token TOKEN"}, ".", None),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "ADDRESS/lab"}, ".", "outside JupyterLab"),
        ({"Sec-Fetch-Site": "none"}, ".", "outside JupyterLab"),
        ({"Referer": "http://example.org/lab"}, ".", "outside JupyterLab"),
        ({}, ".", "outside JupyterLab"),
        ({"Sec-Fetch-Site": "same-origin"}, "solutions", "is no course"),
    ],
)
def test_a_course_is_opened_by_jupyterlab_alone(formgrader, headers, folder, reason):
    server = formgrader.server
    answer = formgrader.context.request.get(
        f"{server.address}/formgrader",
        params={"path": str(server.course / folder)},
        headers={
            name: value.replace("ADDRESS", server.address).replace("TOKEN", server.token)
            for name, value in headers.items()
        },
    )
    assert answer.status == (403 if reason else 200)
    assert reason is None or reason in answer.text()
    assert formgrader.open().locator("#raw_is_enough").count() == 1


def routes():
    """The addresses of nbgrader's that hold a name, with a harmless one in its place."""
    for name in _TABLES:
        for pattern, *_ in import_module(f"{_EXTENSIONS}.{name}").default_handlers:
            if "(" in pattern and "components" not in pattern:
                yield re.sub(r"\([^)]*\)\??", "a%3Cb", pattern.rstrip("?/")).replace("/?", "")


def test_no_address_with_a_sign_of_code_in_a_name_is_answered(formgrader):
    for route in (*routes(), "/nbgrader_version?version=a%3Cb"):
        answer = formgrader.context.request.get(formgrader.server.address + route)
        assert answer.status in (400, 404, 405), route
        assert "a<b" not in answer.text(), route
