"""What nbgrader shows of a submission: verdicts and pictures, and nothing that acts."""

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
        assert notebook.find("summary", style=lambda style: style and "list-item" in style)
        assert notebook.select('div.output_png img[src^="data:image/png"]')
    fields = BeautifulSoup(pages[0], "html.parser").find_all(id="raw_is_enough")
    assert [field.name for field in fields] == ["input"]
