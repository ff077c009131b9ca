"""What nbgrader shows of a submission: verdicts and pictures, and nothing that acts."""

import base64
import json

import nbformat
import pytest
from bs4 import BeautifulSoup
from instructor.batch.course_of_a_class import HALF_RIGHT, NOTEBOOK, PS
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension

ACTS = """$a < b$ <script>alert(1)</script> <img src="x" onerror="alert(1)">

<div id="raw_is_enough" onclick="alert(1)">in the place of a field</div>"""
PICTURE = """
from IPython.display import HTML
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
display(HTML("<script>alert(2)</script>"))
"""


class WebApplication:
    def __init__(self):
        self.settings = {}


def page_of_the_formgrader(course, student):
    """As its server renders it, by the exporter that it makes of the course's configuration."""
    extension = FormgradeExtension()
    extension.root_dir = str(course.folder)
    extension.initialize([])
    application = WebApplication()
    extension.init_tornado_settings(application)
    names = ("submission_id", "notebook_id", "assignment_id", "base_url", "student")
    resources = dict.fromkeys((*names, "first_name", "last_name", "notebook_path"), "x")
    path = course.folder / "autograded" / student / PS / f"{NOTEBOOK}.ipynb"
    exporter = application.settings["nbgrader_exporter"]
    return exporter.from_filename(str(path), {**resources, "index": 0, "total": 1})[0]


@pytest.fixture
def graded(course, monkeypatch):
    course.hand_in("hostile", HALF_RIGHT)
    notebook = nbformat.read(course.place("hostile"), as_version=4)
    for place in (1, len(notebook.cells)):
        notebook.cells.insert(place, nbformat.v4.new_markdown_cell(ACTS))
    notebook.cells.append(nbformat.v4.new_code_cell(PICTURE))
    nbformat.write(notebook, course.place("hostile"))
    course.grade("--jobs", "1")
    monkeypatch.chdir(course.folder)
    return course


def test_scripts_are_inert_and_verdicts_as_they_are_in_formgrader_and_feedback(graded):
    graded.run("nbgrader", "generate_feedback", PS, "--student=hostile")
    feedback = graded.folder / "feedback" / "hostile" / PS / f"{NOTEBOOK}.html"
    pages = (page_of_the_formgrader(graded, "hostile"), feedback.read_text(encoding="utf-8"))
    for text in pages:
        page = BeautifulSoup(text, "html.parser")
        notebook = page.find(id="notebook-container")
        assert not notebook.find_all(["script", "iframe"])
        assert not [t for t in notebook.find_all(True) if any(n[:2] == "on" for n in t.attrs)]
        assert notebook.get_text().count("<script>alert(1)</script>") == 2  # as text
        assert "alert(2)" not in "".join(map(str, notebook.select("div.output")))
        assert "$a < b$" in notebook.get_text()
        assert page.find("script", src=lambda address: address and "MathJax" in address) or (
            "mathjax" in text.lower()
        )
        verdicts = notebook.find_all(role="group", style=lambda style: style and "border" in style)
        assert len(verdicts) == 6
        assert all(verdict["class"] == ["tex2jax_ignore"] for verdict in verdicts)  # no formulas
        assert notebook.find("summary", style=lambda style: style and "list-item" in style)
        assert notebook.select('div.output_png img[src^="data:image/png"]')
    fields = BeautifulSoup(pages[0], "html.parser").find_all(id="raw_is_enough")
    assert [field.name for field in fields] == ["input"]


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
JPEG, WEBP = "/9j/4AAQSkZJRg==", "UklGRgAAAABXRUJQ"
WITHIN = f"data:image/png;base64,{base64.b64encode(PNG + bytes(60_000)).decode()}"
ANSWERS = [
    ("![my drawing](drawing.png)", {}),
    (
        "![fetched](https://example.org/a.png) ![gone](attachment:gone.png) ![linked](linked.png)",
        {},
    ),
    ("![photo](attachment:photo.jpg)", {"photo.jpg": {"image/jpeg": JPEG}}),
    ("![photo](attachment:photo.webp)", {"photo.webp": {"image/webp": [WEBP[:4], WEBP[4:]]}}),
    ("![none](attachment:empty)", {"empty": {}}),
    (f"In words, and ![pasted]({WITHIN})", {}),
    ("[a link](http:page.html) and [another](https://example.org/)", {}),
]
RAW = '<input class="score" id="raw_is_enough" style="position: fixed"> [a link](http:page.html)'
LATEX = "from IPython.display import Latex\ndisplay(Latex(r'$\\href{http:page.html}{a link}$'))"


@pytest.mark.parametrize(
    "command", [("attncourse", "grade", PS, "--jobs", "1"), ("nbgrader", "autograde", PS)]
)
def test_pictures_are_shown_and_nothing_else_is_fetched_or_opened(course, command, monkeypatch):
    course.hand_in("ana", HALF_RIGHT)
    place = course.place("ana")
    notebook = json.loads(place.read_text())
    blank = {"metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"][1:1] = [
        *(
            {"cell_type": "markdown", "metadata": {}, "source": source, "attachments": attached}
            for source, attached in ANSWERS
        ),
        {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": RAW},
        {"cell_type": "raw", "metadata": {}, "source": RAW},
        {"cell_type": "code", "source": LATEX, **blank},
    ]
    place.write_text(json.dumps(notebook))
    (place.parent / "drawing.png").write_bytes(PNG)
    (place.parent / "page.html").write_text("<p>a harmless mark</p>")
    (place.parent.parent / "outside.png").write_bytes(PNG)
    (place.parent / "linked.png").symlink_to(place.parent.parent / "outside.png")
    course.run(*command)
    course.run("nbgrader", "generate_feedback", PS, "--student=ana")
    monkeypatch.chdir(course.folder)
    feedback = course.folder / "feedback" / "ana" / PS
    assert (feedback / "drawing.png").read_bytes() == PNG
    assert not (feedback / "page.html").exists()
    assert not (feedback / "linked.png").exists()
    written = (feedback / f"{NOTEBOOK}.html").read_text(encoding="utf-8")
    for text in (page_of_the_formgrader(course, "ana"), written):
        page = BeautifulSoup(text, "html.parser").find(id="notebook-container")
        found = {image.get("alt"): image["src"] for image in page.find_all("img")}
        assert found["my drawing"] == "drawing.png"
        assert found["photo"] in (
            f"data:image/jpeg;base64,{JPEG}",
            f"data:image/webp;base64,{WEBP}",
        )
        assert found["pasted"] == WITHIN
        assert {"fetched", "gone", "linked", "none"}.isdisjoint(found)
        told = page.get_text()
        for shown in (
            "fetched (https://example.org/a.png) gone (attachment:gone.png) linked (linked.png)",
            "none (attachment:empty)",
            "a link (http:page.html) and another",
            "`page.html` as `page.html.txt`".replace("`", ""),
        ):
            assert shown in told
        links = page.select(".text_cell_render a[href]")
        assert [link["href"] for link in links] == ["https://example.org/"]
        assert [found.get_text() for found in page.find_all("pre", string=RAW)] == [RAW] * 2
        assert "\\href" not in "".join(each.get_text() for each in page.select(".output_latex"))
        assert "href{http:page.html}" in "".join(
            each.get_text() for each in page.select(".output_latex")
        )
