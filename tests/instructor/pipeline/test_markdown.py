"""A student's Markdown is shown as it was meant, and does nothing in the browser that shows it."""

import pytest
from bs4 import BeautifulSoup

from attncourse.instructor.pipeline.markdown import markdown2html

PICTURE = "iVBORw0KGgo="


def shown(source):
    cell = {"attachments": {"a.png": {"image/png": PICTURE}}}
    return BeautifulSoup(markdown2html({"cell": cell, "resources": {}}, source), "html.parser")


ACTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<img src="https://example.org/a.png" onload="alert(1)">',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<svg><use href="data:image/svg+xml;base64,PHN2Zz4="/></svg>',
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
    "[a link](javascript:alert(1))",
    '<a href="java&#x0A;script:alert(1)">a link</a>',
    '<a href=" data:text/html,<script>alert(1)</script>">a link</a>',
    '<a href="da&#9;ta:text/html,<script>alert(1)</script>">a link</a>',
    '<a href="&#1;data:text/html,<script>alert(1)</script>">a link</a>',
    '<a href="\u00a0data&colon;text/html,<script>alert(1)</script>">a link</a>',
    "[a link](data:text/html;base64,PHN2Zz4=)",
    "[a link](vbscript:alert(1))",
    "[a link](//example.net/a-page)",
    '<iframe src="https://example.org"></iframe>',
    '<form action="/"><input name="score"><button>send</button></form>',
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<style>body { display: none }</style>",
    '<div style="position: fixed; inset: 0">over the page</div>',
    '<div class="navbar-fixed-top">over the page</div>',
    '<span id="raw_is_enough">in the place of a field</span>',
    '<meta http-equiv="refresh" content="0; url=https://example.org">',
    '<base href="https://example.org">',
    "<details ontoggle=alert(1) open>x</details>",
    "`$`<script>alert(1)</script>`$`",
    "$$<script>alert(1)</script>$$",
    '![x](https://example.org/a.png"onerror="alert(1))',
    "<!--><script>alert(1)</script>-->",
    "```html\n<script>alert(1)</script>\n```",
]


@pytest.mark.parametrize("source", ACTS)
def test_nothing_acts(source):
    page = shown(source)
    names = {tag.name for tag in page.find_all(True)}
    assert not names & {
        *("script", "svg", "iframe", "form", "input", "button", "math", "style", "meta", "base")
    }
    for tag in page.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on")]
        assert not tag.attrs.keys() & {"id", "name", "style"}
        assert "navbar-fixed-top" not in tag.get("class", [])
        for place in (tag.get("src", ""), tag.get("href", "")):
            assert place.startswith(("https://example.org", "data:image/png;")) or not place


def test_what_was_written_can_be_read():
    assert "<script>alert(1)</script>" in shown("<script>alert(1)</script>").get_text()


@pytest.mark.parametrize(
    "source", ["<div>" * 501, "<b><i>" * 251, "long " * 10_001], ids=["nested", "unclosed", "long"]
)
def test_what_would_take_too_long_to_clean_is_shown_as_it_was_written(source, monkeypatch):
    monkeypatch.setattr("bleach.clean", None)
    source += "<script>alert(1)</script>"
    page = shown(source)
    assert [tag.name for tag in page.find_all(True)] == ["pre"]
    assert page.pre.get_text() == source


@pytest.mark.parametrize(
    "place", ["#below", "http://example.org", "HTTPS://example.org/?a=1", "mailto:a@example.org"]
)
def test_links_lead_where_an_answer_may_point(place):
    assert shown(f"[a link]({place})").a["href"] == place


def test_what_an_answer_is_made_of_is_shown():
    page = shown(
        "# Why\n\n**bold** $a < b$ \\begin{align} c &= d \\end{align} ![one](attachment:a.png)\n\n"
        "[a link](https://example.org/?a=1&b=2)\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n"
        "<details><summary>more</summary>H<sub>2</sub>O</details>\n\n"
        "```python\ndef f(x): return x < 3\n```\n"
    )
    assert page.h1.get_text() == "Why"
    assert page.strong.get_text() == "bold"
    assert "$a < b$" in page.get_text()
    assert "\\begin{align} c &= d \\end{align}" in page.get_text()
    assert page.img["src"] == f"data:image/png;base64,{PICTURE}"
    assert page.a["href"] == "https://example.org/?a=1&b=2"
    assert [cell.get_text() for cell in page.find_all("td")] == ["1", "2"]
    assert page.details.sub.get_text() == "2"
    assert page.find("span", class_="k").get_text() == "def"
    assert page.find("div", class_="highlight").get_text().strip() == "def f(x): return x < 3"
