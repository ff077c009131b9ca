"""Whatever a student writes, the page that shows it is made within its time."""

import time
import types
from html import escape
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from jupyter_server import CallContext
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.ansi import ansi2html as stock_ansi2html
from nbconvert.filters.highlight import Highlight2HTML
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    new_raw_cell,
)
from traitlets.config import PyFileConfigLoader

from attncourse.instructor import limits
from attncourse.instructor.pipeline import rendering
from attncourse.instructor.pipeline.rendering import (
    ansi2html,
    clean_html,
    formula,
    highlight_code,
    markdown2html,
)

# In the place of nbconvert's: what it does is said in the text.
STAND_INS = """
import sys, time
from attncourse.instructor.pipeline import rendering_child as child

def convert(request):
    what = request["source"]
    if what == "loops":
        while True: pass
    if what == "waits":
        time.sleep(600)
    if what == "grows":
        return str(len(bytearray(child.limits.CONVERTING_MEMORY)))
    if what == "ends":
        sys.exit(1)
    if what == "is long":
        return "x" * (child.limits.MAX_PAGE_CHARACTERS + 1)
    if what == "has tags":
        return "<b>x</b>" * child.limits.MAX_PAGE_MARKS
    return f"<i>{what}</i>" if what != "fails" else 1 / 0

child._CONVERTERS.update(markdown=convert, code=convert)
child.main()
"""
SECONDS = 20  # the limits are below; the rest is for a machine with much to do


@pytest.fixture
def stand_ins(monkeypatch):
    """Converters that do what no text should make them do; each test has a child of its own."""
    converter = rendering._Converter()
    monkeypatch.setattr(rendering, "_PROGRAM", STAND_INS)
    monkeypatch.setattr(rendering, "_converter", lambda: converter)
    yield converter
    converter.close()


def page():
    return {"cell": {}, "resources": {}}


@pytest.mark.parametrize("show", [markdown2html, highlight_code])
@pytest.mark.parametrize("what", ["loops", "grows", "ends", "fails", "is long", "has tags"])
def test_a_text_on_which_a_converter_fails_is_shown_as_written(what, show, stand_ins):
    this = page()
    assert show(this, "a") == "<i>a</i>"
    this["resources"][rendering._NAME].seconds = 120.0  # others may use the processor too
    begun = time.monotonic()
    shown = BeautifulSoup(show(this, what), "html.parser")
    assert time.monotonic() - begun < 60
    assert shown.pre.get_text() == what
    assert not shown.find("b")
    assert show(this, "b") == "<i>b</i>"


def test_all_texts_of_a_page_have_their_time_together_and_the_next_page_has_its_own(stand_ins):
    slow, other = page(), page()
    assert markdown2html(slow, "a") == "<i>a</i>"
    slow["resources"][rendering._NAME].seconds = 1.0
    begun = time.monotonic()
    texts = [markdown2html(slow, what) for what in ["waits", *["b"] * 50, "waits"]]
    assert time.monotonic() - begun < SECONDS
    assert set(texts) == {"<pre>waits</pre>", "<pre>b</pre>"}
    assert markdown2html(other, "b") == "<i>b</i>"


def test_a_child_that_has_ended_is_started_anew(stand_ins):
    assert markdown2html(page(), "a") == "<i>a</i>"
    stand_ins._process.kill()
    stand_ins._process.wait()
    assert markdown2html(page(), "b") == "<i>b</i>"


def test_where_no_child_starts_everything_is_shown_as_written(stand_ins, monkeypatch, caplog):
    monkeypatch.setattr(rendering, "_PROGRAM", "raise SystemExit(1)")
    assert markdown2html(page(), "<b>a</b>") == "<pre>&lt;b&gt;a&lt;/b&gt;</pre>"
    assert "did not start" in caplog.text


@pytest.mark.parametrize("show", [markdown2html, highlight_code, ansi2html])
def test_of_a_text_that_is_too_long_the_beginning_is_shown(show, stand_ins):
    shown = show(page(), "loops" * 100_000)
    assert len(shown) < limits.MAX_SHOWN + 200
    assert "300,000 more characters are in the autograded notebook" in shown
    assert stand_ins._process is None  # nothing was asked


@pytest.mark.parametrize("show", [markdown2html, highlight_code, ansi2html, formula])
def test_a_page_has_room_for_so_many_marks_whatever_they_stand_for(show, stand_ins):
    this = page()
    shown = "".join(show(this, "<" * 45_000) for _ in range(200))
    assert shown.count("<") + shown.count("&") // 4 < 2 * limits.MAX_PAGE_MARKS
    assert "more is in the autograded notebook" in shown


def test_output_of_too_many_colours_has_none():
    text = "\x1b[31ma" * (limits.MAX_CONTROLS + 1)
    assert "<span" not in ansi2html(page(), text)
    assert ansi2html(page(), text[: 6 * 100]) == stock_ansi2html(text[: 6 * 100])
    assert ansi2html(page(), "a\x1b[" + "1;" * 1000 + "m") == "a[" + "1;" * 1000 + "m"


def test_a_raw_cell_is_shown_as_code():
    source = '<input class="score" id="raw_is_enough" style="position: fixed">'
    raw = page() | {"cell": new_raw_cell(source)}
    shown = BeautifulSoup(clean_html(raw, source), "html.parser")
    assert [tag.name for tag in shown.find_all(True)] == ["pre"]
    assert shown.pre.get_text() == source
    assert clean_html(page(), "<b>x</b>") == "<b>x</b>"  # as ever


def test_the_child_knows_the_folder_of_the_page_and_its_host(tmp_path, monkeypatch):
    this = page()
    assert "<b>x</b>" in markdown2html(this, "<b>x</b>")  # it is started, elsewhere
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "drawing.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    this["resources"]["metadata"] = {"path": "ana"}
    assert 'src="drawing.png"' in markdown2html(this, "![x](drawing.png)")
    link = "[x](https://hub.example.org/logout)"
    assert 'href="https://hub.example.org/logout"' in markdown2html(this, link)
    request = types.SimpleNamespace(host="hub.example.org:8000", headers={})
    CallContext.set(CallContext.JUPYTER_HANDLER, types.SimpleNamespace(request=request))
    try:
        assert "href" not in markdown2html(this, link)
    finally:
        CallContext.set(CallContext.JUPYTER_HANDLER, None)


def test_a_picture_within_a_text_is_none_of_its_characters():
    picture = f"data:image/png;base64,{'A' * (2 * limits.MAX_SHOWN)}"
    assert f'src="{picture}"' in markdown2html(page(), f"In words. ![x]({picture})")


def test_the_pages_of_this_course_are_made_by_these_filters():
    """As stock nbconvert makes them, where nothing is too much."""
    root = str(Path(__file__).parents[3])
    config = PyFileConfigLoader("nbgrader_config.py", path=root).load_config()
    colours = "\x1b[31mred\x1b[0m <b>"
    code = "def f(x): return x < 3\n%timeit f(2)"
    notebook = new_notebook(
        cells=[
            new_markdown_cell("**bold** <script>alert(1)</script>"),
            new_raw_cell('<b id="cell">raw</b>'),
            new_code_cell(code, outputs=[new_output("stream", name="stdout", text=colours)]),
        ]
    )
    exporter = HTMLExporter(config=config, template_name="classic")
    for name in ("markdown2html", "highlight_code", "ansi2html", "clean_html"):
        assert config.HTMLExporter.filters[name].endswith(f".rendering.{name}")
    assert config.HTMLExporter.filters["e"].endswith(".rendering.formula")
    html = exporter.from_notebook_node(notebook)[0]
    assert "<pre>" + escape('<b id="cell">raw</b>', quote=False) + "</pre>" in html
    assert "<strong>bold</strong> " + escape("<script>alert(1)</script>") in html
    assert str(BeautifulSoup(stock_ansi2html(colours), "html.parser")) in html
    assert str(BeautifulSoup(Highlight2HTML()(code), "html.parser")) in html
