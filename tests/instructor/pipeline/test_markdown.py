"""A student's Markdown is shown as it was meant, and does nothing in the browser that shows it."""

import types
from html import unescape

import pytest
from bs4 import BeautifulSoup
from jupyter_server import CallContext

from attncourse.instructor import limits
from attncourse.instructor.pipeline.markdown import formula, markdown2html

PICTURE = "iVBORw0KGgo="
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def shown(source, attachments=None, folder=None):
    cell = {"attachments": {"a.png": {"image/png": PICTURE}} | (attachments or {})}
    resources = {"metadata": {"path": str(folder)}} if folder else {}
    context = {"cell": cell, "resources": resources}
    page = BeautifulSoup(markdown2html(context, source), "html.parser")
    if page.div and page.div.get("style"):  # the box that nothing leaves
        assert page.div["style"] == "position: relative; overflow: auto hidden"
        assert page.div.next_sibling is None
        page.div.unwrap()
    return page


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
    "[a link](http:a-page)",
    "[a link](https:/a-page)",
    "[a link](HTTP:///logout)",
    "[a link](/logout)",
    "[a link](logout)",
    "[a link](?a=1)",
    "[a link](#below)",
    "[a link](mailto:a@example.net)",
    "[a link](http://localhost/a-page)",
    "[a link](http://hub.localhost:8888/a-page)",
    "[a link](http://127.0.0.1/a-page)",
    "[a link](http://2130706433/a-page)",
    "[a link](http://0x7f.0.0.0x1/a-page)",
    "[a link](http://[::1]/a-page)",
    "[a link](http://hub/a-page)",
    "[a link](http://user@example.net/a-page)",
    "[a link](<http://example.net\\a-page>)",
    "[a link](http://exa%6dple.net/a-page)",
    "[a link](http://example\u3002net/a-page)",
    '<a href="ht&#9;tp:a-page">a link</a>',
    '<a href="http:&#x2F;a-page" rel="opener" target="a-frame" ping="/logout">a link</a>',
    "[a link]: http:a-page\n\n[a link]",
    '<img src="https://example.net/a.png">',
    "![x](https://example.net/a.png)",
    "![x](//example.net/a.png)",
    "![x](/logout)",
    "![x](logout.png)",
    "![x](http:logout.png)",
    "![x](attachment:gone.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
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
        assert tag.get("src", "data:image/png;").startswith("data:image/png;")
        assert tag.get("href", "https://example.org").startswith("https://example.org")
        if tag.has_attr("href"):
            assert (tag["rel"], tag["target"]) == (["noopener", "noreferrer"], "_blank")


def test_what_was_written_can_be_read():
    assert "<script>alert(1)</script>" in shown("<script>alert(1)</script>").get_text()


@pytest.mark.parametrize(
    "source", ["<div>" * 501, "<b><i>" * 251, "long " * 10_001], ids=["nested", "unclosed", "long"]
)
def test_what_would_take_too_long_to_clean_is_shown_as_it_was_written(source, monkeypatch):
    monkeypatch.setattr("bleach.Cleaner", None)
    source += "<script>alert(1)</script>"
    page = shown(source)
    assert [tag.name for tag in page.find_all(True)] == ["pre"]
    assert page.pre.get_text() == source


@pytest.mark.parametrize(
    "place", ["http://example.org", "HTTPS://example.org/?a=1", "https://example.org:8080/a#b"]
)
def test_links_lead_where_an_answer_may_point(place):
    link = shown(f"[a link]({place})").a
    assert link["href"] == place
    assert (link["rel"], link["target"]) == (["noopener", "noreferrer"], "_blank")
    assert shown("see https://example.org/a there").a["href"] == "https://example.org/a"


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("hub.example.org:8000", {}),
        ("HUB.example.org.", {}),
        ("inner", {"Referer": "https://hub.example.org/user/ada/formgrader"}),
        ("inner", {"X-Forwarded-Host": "hub.example.org:443"}),
    ],
)
def test_no_link_leads_to_the_pages_own_host(host, headers):
    handler = types.SimpleNamespace(request=types.SimpleNamespace(host=host, headers=headers))
    source = "[a](https://hub.example.org/logout) [b](http://HUB.example.org.:9/) [c](https://example.org)"
    assert len(shown(source).find_all("a", href=True)) == 3  # on no page of a server
    CallContext.set(CallContext.JUPYTER_HANDLER, handler)
    try:
        page = shown(source)
    finally:
        CallContext.set(CallContext.JUPYTER_HANDLER, None)
    assert [link["href"] for link in page.find_all("a", href=True)] == ["https://example.org"]
    assert "a (https://hub.example.org/logout)" in page.get_text()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[a *link*](http:a-page)", "a link (http:a-page)"),
        (
            "![a drawing](https://example.org/a.png?b=1&c=2)",
            "a drawing (https://example.org/a.png?b=1&c=2)",
        ),
        ('<img src="https://example.org/a.png">', "(https://example.org/a.png)"),
        ("![a drawing](gone.png)", "a drawing (gone.png)"),
        ("![a drawing](attachment:gone.png)", "a drawing (attachment:gone.png)"),
        ("![a &lt; b](attachment:empty.png)", "a < b (attachment:empty.png)"),
        ("![a drawing](attachment:no-base64.png)", "a drawing (attachment:no-base64.png)"),
        ("![a drawing](attachment:active.svg)", "a drawing (attachment:active.svg)"),
    ],
)
def test_what_is_not_shown_is_named(source, text):
    attachments = {
        "empty.png": {},
        "no-base64.png": {"image/png": 'x"<b>'},
        "active.svg": {"image/svg+xml": "PHN2Zz4="},
    }
    page = shown(source, attachments)
    assert page.get_text().strip() == text
    assert page.img is None


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif", "image/webp"])
@pytest.mark.parametrize(
    ("name", "written"),
    [("a", "a"), ("my photo.jpg", "my%20photo.jpg"), ("größe", "größe"), ("a%20b", "a%20b")],
)
def test_every_picture_that_was_attached_is_shown(kind, name, written):
    page = shown(f"![x](attachment:{written})", {name: {kind: PICTURE + "\n"}})
    assert page.img["src"] == f"data:{kind};base64,{PICTURE}"


@pytest.mark.parametrize(
    "source", ["![x]({})", '<img alt="x" src="{}">', "![x][1]\n\n[1]: <{}>", "![x][1]\n\n[1]: {}"]
)
def test_a_picture_within_the_text_is_shown_however_large_it_is(source):
    picture = f"data:image/jpeg;base64,{'A' * (2 * limits.MAX_MARKDOWN)}"
    page = shown("In words.\n\n" + source.format(picture) + "\n")
    assert page.img["src"] == picture
    assert page.img["alt"] == "x"


def test_a_picture_beside_the_notebook_is_shown_and_nothing_from_elsewhere(tmp_path):
    folder = tmp_path / "ada" / "ps1"
    (folder / "files").mkdir(parents=True)
    (folder / "page.png").write_text("<p>no picture</p>")
    for place in (folder, folder / "files", folder.parent):
        (place / "my drawing.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(folder.parent / "my drawing.png")
    for written, found in {
        "![x](my%20drawing.png)": "my%20drawing.png",
        "![x](<my drawing.png>)": "my%20drawing.png",
        '<img src="my drawing.png" width="30">': "my%20drawing.png",
        "![x](files/my%20drawing.png)": "./files/my%20drawing.png",
    }.items():
        assert shown(written, folder=folder).img["src"] == found
    for place in ("../my%20drawing.png", "link.png", "page.png", f"{folder}/my%20drawing.png"):
        page = shown(f"![x]({place})", folder=folder)
        assert page.img is None
        assert page.get_text().strip() == f"x ({place})"


@pytest.mark.parametrize("error", [ValueError, RecursionError, StopIteration, KeyError])
def test_what_cannot_be_converted_is_shown_as_it_was_written(error, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr("attncourse.instructor.pipeline.markdown.MarkdownWithMath.render", fails)
    page = shown("# <b>an answer</b>")
    assert [tag.name for tag in page.find_all(True)] == ["pre"]
    assert page.pre.get_text() == "# <b>an answer</b>"


@pytest.mark.parametrize(
    "source",
    [
        *(
            "$\\href{http:a-page}{x}$",
            "$$\\mmlToken{mi}[href='http:a-page']{x}$$",
            "$\\hr<!-- -->ef{a}{b}$",
        ),
        *("$&#92;href{a}{b}$", "\\begin{align}\\href{a}{b}\\end{align}", "`$`\\href{a}{b}`$`"),
        # In HTML of a student's own, mistune does not look for formulas: MathJax does.
        *(
            place.format(command)
            for place in (
                "<p>${}{{a}}{{b}}$</p>",
                "<table><tr><td>$${}{{a}}{{b}}$$</td></tr></table>",
                "<ul><li>\\({}{{a}}{{b}}\\)</li></ul>",
                "<details><summary>$x$</summary>${}{{a}}{{b}}$</details>",
            )
            for command in (
                *("&#92;href", "&#x5C;href", "&bsol;href", "\\h&#114;ef", "&#92;mmlToken"),
                *("\\<!-- -->href", "\\<font>href", "&#92;<!-- -->h&#x72;ef", "\\hr<a>e</a>f"),
            )
        ),
    ],
)
def test_no_formula_has_a_link(source):
    for text in (
        shown(source).get_text(),
        BeautifulSoup(formula(source), "html.parser").get_text(),
    ):
        assert "\\href" not in text
        assert "\\mmlToken" not in text


def test_a_text_stays_in_a_box_of_its_own():
    for html in (markdown2html({}, "$x$ and **more**"), formula("$x$")):
        box = BeautifulSoup(html, "html.parser").div
        assert box["style"] == "position: relative; overflow: auto hidden"
        assert "$x$" in box.get_text()


@pytest.mark.parametrize("written", ["&lt;b&gt; &amp;lt; &#60;i&#62; &copy;", "a &b; &nosuch; & c"])
def test_entities_stand_for_what_they_stood_for(written):
    for source in (written, f"<p>{written}</p>"):
        assert unescape(written) in shown(source).get_text()


def test_a_formula_is_otherwise_as_it_was_written():
    source = "$a < b \\text{ and } \\hat{c}$"
    assert source in shown(source).get_text()
    assert BeautifulSoup(formula(source), "html.parser").div.get_text() == source


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
