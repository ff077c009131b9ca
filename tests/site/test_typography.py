"""What an author types plainly, and how it is set."""

import json

import pytest
from bs4 import BeautifulSoup
from sphinx_build import build_html

from attncourse.site.theme import TEMPLATES
from attncourse.site.typography import plain_title, unbroken

SPACE = "\N{NO-BREAK SPACE}"
INDEX = r"""# What √d_k and W_q are for

With K = V, or `Q = K`, or *Q = K = V*, d_k is not `d_k`, and $K = V$. See [the other](#why-k--v).

| Q = K | b |
|---|---|
| K = V | W_Q |

## Why K = V

A word of_a name, /tmp/a_b, x_long_name and a_file.txt stay as they are.

## Calls of `a_b`

```python
K = V  # d_k
```

{py:func}`x_y`

```{toctree}
cell
```
"""
HTML = (
    '<div class="attn-results"><style>.a { content: "K = V" }</style><table title="K = V"><tr>'
    "<td>K = V</td><td><code>K = V</code></td></tr></table><pre>K = V</pre></div>"
)
CELL = {
    "nbformat": 4,
    "nbformat_minor": 4,
    "metadata": {"language_info": {"name": "python", "pygments_lexer": "python"}},
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "# d_v of $W_q$"},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": "K = V",
            "outputs": [
                {"output_type": "display_data", "metadata": {}, "data": {"text/html": HTML}}
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typography")
    (folder / "index.md").write_text(INDEX, encoding="utf-8")
    (folder / "cell.ipynb").write_text(json.dumps(CELL), encoding="utf-8")
    (folder / "conf.py").write_text(
        "extensions = ['myst_nb', 'sphinx_book_theme', 'attncourse.site.typography']\n"
        "nb_execution_mode = 'off'\n"
        "myst_enable_extensions = ['dollarmath']\n"
        "myst_heading_anchors = 2\n"
        "html_theme = 'sphinx_book_theme'\n"
        f"templates_path = [{str(TEMPLATES)!r}]\n"
    )
    built = build_html(folder, "-W")
    assert built.returncode == 0, built.stderr
    return {
        name: BeautifulSoup((folder / "out" / f"{name}.html").read_text("utf-8"), "html.parser")
        for name in ("index", "cell")
    }


def symbols(element):
    return [f"{sub.find_previous_sibling('em').text}_{sub.text}" for sub in element.select("sub")]


def test_a_symbol_has_its_subscript_in_the_text_in_headings_and_in_the_contents(pages):
    article = pages["index"].article
    assert symbols(article.h1) == ["d_k", "W_q"]
    assert symbols(article.p) == ["d_k"]
    assert symbols(article.table) == ["W_Q"]
    sidebar = pages["index"].select_one("nav.bd-links")
    assert [each.text for each in sidebar.select("a")] == ["dv of Wq"]
    assert [sub.text for sub in sidebar.select("sub")] == ["v", "q"]
    assert not pages["index"].select("nav .math")
    assert symbols(pages["cell"].select_one(".prev-next-area")) == ["d_k", "W_q"]


def test_the_anchors_of_headings_stay(pages):
    assert pages["index"].find(id="what-d-k-and-w-q-are-for")
    assert pages["index"].find(id="why-k-v")


def test_the_window_has_a_title_without_markup(pages):
    assert pages["index"].title.text.startswith("What √dₖ and W_q are for")
    assert pages["cell"].title.text.startswith("dᵥ of W_q")


def test_names_paths_and_code_stay_as_they_are(pages):
    text = pages["index"].find(id="why-k-v").text
    assert "A word of_a name, /tmp/a_b, x_long_name and a_file.txt stay" in text
    assert [code.text for code in pages["index"].select("p code")] == ["Q = K", "d_k", "x_y()"]
    assert "K = V  # d_k" in pages["index"].select_one("pre").text
    assert pages["index"].select("#calls-of-a-b h2 code")[0].text == "a_b"


def test_a_short_equation_has_no_space_at_which_a_line_may_break(pages):
    equals = f"K{SPACE}={SPACE}V"
    first = pages["index"].article.p.text
    assert first.count(equals) == 2
    assert f"Q{SPACE}={SPACE}K{SPACE}={SPACE}V" in first
    assert r"\(K = V\)" in first
    cells = [cell.text for cell in pages["index"].article.select("th, td")]
    assert cells[0] == f"Q{SPACE}={SPACE}K"
    assert cells[2] == equals
    assert equals in pages["index"].find(id="why-k-v").h2.text
    output = pages["cell"].select_one(".attn-results")
    assert [cell.text for cell in output.select("td")] == [equals, "K = V"]
    assert output.table["title"] == output.pre.text == "K = V"
    assert 'content: "K = V"' in output.style.text


@pytest.mark.parametrize("text", ["K = V", "V = W_v", "n = 100", "V = −X", "T = H·W"])
def test_what_an_equation_is(text):
    assert " " not in unbroken(text)


@pytest.mark.parametrize("text", ["word = another", "a == b", "the width = 3", "K=V", "2 = x + 1"])
def test_what_no_short_equation_is(text):
    assert unbroken(text) == text


def test_a_small_letter_that_there_is_not_keeps_its_line():
    assert plain_title("<em>d</em><sub>k</sub>, <em>d</em><sub>model</sub>") == (
        "<em>d</em>ₖ, <em>d</em>_model"
    )


def test_punctuation_stays_on_the_line_of_its_formula(tmp_path):
    text = "# P\n\nIf $x > y$, then **not** $y > x$.\n\n$z$ alone\n\n*One*, a $w$, a *third*\n"
    (tmp_path / "index.md").write_text(text)
    (tmp_path / "conf.py").write_text(
        'extensions = ["myst_parser", "attncourse.site.typography"]\n'
        'myst_enable_extensions = ["dollarmath"]\n'
    )
    build_html(tmp_path, "-W").check_returncode()
    page = BeautifulSoup((tmp_path / "out" / "index.html").read_text(), "html.parser")
    assert [s.text for s in page.select(".attn-unbroken")] == [
        *(r"\(x > y\),", r"\(y > x\).", r"\(w\),"),
    ]
    sentences = [each.text for each in page.select("section p")]
    assert sentences[0] == r"If \(x > y\), then not \(y > x\)."
    assert sentences[2] == r"One, a \(w\), a third"
