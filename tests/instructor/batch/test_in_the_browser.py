"""The formgrader in a real browser: a student's work neither acts in it nor ends its session."""

import base64

import nbformat
import pytest
from course.server import Server
from instructor import warm
from instructor.batch.course_of_a_class import HALF_RIGHT, NOTEBOOK, PS, class_of_two

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
TEXT = """[first](http:page.html) <a href="page.xhtml">second</a> [third](https:sub/page.svg)
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


@pytest.mark.parametrize("student", ["eve", "mallory"])
def test_a_students_work_does_nothing_in_the_instructors_session(server, student, chromium):
    submission, _ = server.grades(student, f"{PS}/{NOTEBOOK}.ipynb")
    context = chromium.new_context()
    page = context.new_page()
    submitted = f"{server.address}/formgrader/submissions/{submission}/"
    try:
        page.goto(f"{server.address}/formgrader/manage_assignments?token={server.token}")
        page.goto(submitted)
        drawing = page.get_by_alt_text("a drawing").first
        assert (
            drawing.evaluate("async each => { await each.decode(); return each.naturalWidth }") == 1
        )
        assert "fetched (" in page.locator("#notebook-container").first.inner_text()

        # Points that are typed are kept.
        field = page.locator("#raw_is_enough")
        assert field.count() == 1
        assert field.evaluate("each => each.closest('.nbgrader_cell') !== null")
        with page.expect_response(lambda answer: answer.request.method == "PUT") as saved:
            field.fill("2.5")
            field.press("Tab")
        assert saved.value.ok
        grade = server.grades(student, f"{PS}/{NOTEBOOK}.ipynb")[1]["raw_is_enough"]
        assert grade["manual_score"] == 2.5

        # Whatever can be followed is followed; what is opened all the same is text.
        links = page.locator("#notebook-container .text_cell_render a[href]")
        for address in links.evaluate_all("all => all.map(each => each.href)"):
            page.goto(address)
            page.goto(submitted)
        assert links.count() == 0
        assert page.locator("pre", has_text="over the page").count() == 1
        for name in BESIDE:
            for asked in (name, f"{name}.txt"):
                answer = context.request.get(submitted + asked)
                if asked != "drawing.png" and answer.ok:
                    assert answer.headers["content-type"].startswith("text/plain"), asked
                    page.goto(submitted + asked)
        page.goto(f"{server.address}/formgrader/manage_assignments")  # without the token
        assert page.evaluate("localStorage.getItem('mark')") is None
        assert page.url.endswith("/formgrader/manage_assignments")
        page.get_by_role("row", name=PS).wait_for(timeout=30_000)
    finally:
        context.close()
