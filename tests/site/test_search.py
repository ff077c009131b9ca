"""The search: what can be found, by which words, and what a reader is shown of it."""

import json
import shutil
from urllib.parse import quote

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx_build import build_html

from attncourse.site import assets
from attncourse.site.theme import TEMPLATES

INDEX = r"""---
myst: {html_meta: {keywords: "Q, K, V"}}
---
# Why query, key and value?

```{toctree}
projections
glossary
code
```

A softmax is mentioned here, and so are pineapples.
"""

PROJECTIONS = r"""# Projections

Each head has $W_q$ and $W_k$ of $d_k$ rows, and a map of 32 × 48 pixels.

## What $\sqrt{d_k}$ is for

Scores grow with it: $\frac{q \cdot k}{\sqrt{d_k}}$ does not. Write `scaled_scores` for them.

## What K = V cannot carry

A key $k_j = W_k x_j$ is also a value. Some papers write $W^Q$ for it.

```python
pineapple_code = 1
```

| symbol | what |
|---|---|
| $W_v$, $V$ | the matrix of the value, and all values |
| $V$ | $V = W_v x$ |
| | nothing that has a name |

| what | symbol |
|---|---|
| $V$ | no entry |

## V, K, d_k

Two letters, K and V, and a size, $d_k$.
"""

GLOSSARY = r"""# Glossary

```{glossary}
softmax
  Turns a row of scores into weights.

1×1 convolution
  One matrix applied to every pixel.
```
"""

CODE = r"""# Code

```{py:function} softmax_of(scores)
A softmax, and a softmax, and nothing but a softmax.
```

````{py:class} SelfAttention
Has queries.

```{py:method} SelfAttention.forward(x)
Goes forward.
```
````
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    pages = {"index": INDEX, "projections": PROJECTIONS, "glossary": GLOSSARY, "code": CODE}
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text(
        "extensions = ['myst_parser', 'sphinx_book_theme', 'attncourse.site.search']\n"
        "myst_enable_extensions = ['dollarmath']\n"
        "html_theme = 'sphinx_book_theme'\n"
        f"templates_path = [{str(TEMPLATES)!r}]\n"
    )
    built = build_html(folder, "-W")
    assert built.returncode == 0, built.stderr
    assets.vendor(ROOT)
    target = folder / "out" / "_static" / "vendor" / "minisearch"
    target.mkdir(parents=True)
    shutil.copy(assets.folder(ROOT) / "node_modules/minisearch/dist/umd/index.js", target)
    (folder / "out" / "_static" / "favicon.svg").touch()
    return folder / "out"


@pytest.fixture(scope="module")
def places(book):
    script = (book / "_static" / "attn-search-data.js").read_text("utf-8")
    found = json.loads(script.removeprefix("const searchPlaces = ").removesuffix(";\n"))
    return {place["address"]: place for place in found}


def test_sections_entries_and_functions_are_places_with_an_address(book, places):
    assert list(places) == [
        "code.html",
        "code.html#softmax_of",
        "code.html#SelfAttention",
        "code.html#SelfAttention.forward",
        "glossary.html",
        "glossary.html#term-softmax",
        "glossary.html#term-11-convolution",
        "index.html",
        "projections.html",
        "projections.html#what-sqrt-d-k-is-for",
        "projections.html#what-k-v-cannot-carry",
        "projections.html#symbol-w-v-v",
        "projections.html#symbol-v",
        "projections.html#v-k-d-k",
    ]
    for address in places:
        page, _, anchor = address.partition("#")
        html = BeautifulSoup((book / page).read_text("utf-8"), "html.parser")
        assert not anchor or html.find(id=anchor), address


def test_a_place_has_the_words_of_its_own_and_not_those_of_places_in_it(places):
    assert places["projections.html"]["text"] == (
        "Each head has W_q and W_k of d_k rows, and a map of 32 × 48 pixels."
    )
    last = places["projections.html#what-k-v-cannot-carry"]
    assert last["page"] == "Projections"
    assert "symbol what nothing that has a name what symbol V no entry" in last["text"]
    assert "all values" not in last["text"]
    assert last["code"].strip() == "pineapple_code = 1"
    assert places["code.html#SelfAttention"]["text"] == "Has queries."
    assert places["glossary.html"]["text"] == ""


def test_formulas_are_in_the_index_as_one_types_them(places):
    place = places["projections.html#what-sqrt-d-k-is-for"]
    assert place["title"] == "What √d_k is for"
    assert place["text"].startswith("Scores grow with it: (q ⋅ k)/√d_k does not.")
    assert not any("\\" in place["text"] + place["title"] for place in places.values())


def test_a_row_of_a_table_of_symbols_is_a_place_that_is_called_by_its_symbol(places):
    row = places["projections.html#symbol-w-v-v"]
    assert (row["title"], row["page"]) == ("W_v, V", "Projections")
    assert row["text"] == "the matrix of the value, and all values"


def test_an_author_can_add_words_to_a_page(places):
    assert places["index.html"]["keywords"] == "Q, K, V"
    assert {place["keywords"] for place in places.values()} == {"Q, K, V", ""}


def test_without_a_script_the_page_says_so_and_leads_to_the_index(book):
    page = BeautifulSoup((book / "search.html").read_text("utf-8"), "html.parser")
    assert "needs JavaScript" in page.select_one("article noscript").text
    assert page.select_one('article noscript a[href="genindex.html"]')


def test_no_other_page_loads_an_index(book):
    for name in ("index", "projections"):
        page = BeautifulSoup((book / f"{name}.html").read_text("utf-8"), "html.parser")
        assert not page.select('script[src*="search"]')


# --- In a browser, from a file ------------------------------------------------------------------


@pytest.fixture
def search(book, open_page):
    return lambda words: open_page(book / "search.html", query=f"?q={quote(words)}")


def addresses(page):
    links = page.locator("#search-results > li > a")
    return links.evaluate_all("all => all.map(a => a.getAttribute('href').replace('./', ''))")


SQRT = "projections.html#what-sqrt-d-k-is-for"
CARRY = "projections.html#what-k-v-cannot-carry"
FIRST = {
    "softmax": "glossary.html#term-softmax",  # and not the function that says it most
    "SOFTMAX": "glossary.html#term-softmax",
    "sofmax": "glossary.html#term-softmax",
    "1x1 convolution": "glossary.html#term-11-convolution",
    "1×1": "glossary.html#term-11-convolution",
    "1 × 1 convolutions": "glossary.html#term-11-convolution",
    "32x48": "projections.html",
    "Q K V": "index.html",
    "W_Q": "projections.html",
    "Wk": "projections.html",
    "W^Q": "projections.html",
    "d_k": "projections.html#v-k-d-k",
    "sqrt(d_k)": SQRT,
    "√d_k": SQRT,
    "K = V": CARRY,
    "K=V": CARRY,
    "value": "index.html",
    "scaled scores": SQRT,
    "scaled_scores": SQRT,
    "pineapple": "index.html",  # before the same word in code
    "pineapple_code": CARRY,
    "self attention": "code.html#SelfAttention",
    "query": "index.html",
    "queries": "index.html",
}


@pytest.mark.browser
@pytest.mark.parametrize("words", FIRST)
def test_the_first_place_is_the_one_that_is_looked_for(search, words):
    assert addresses(search(words))[0] == FIRST[words]


@pytest.mark.browser
def test_a_line_of_the_text_is_shown_with_the_words_marked(search):
    page = search("d_k scores")
    first = page.locator("#search-results > li").first
    assert first.locator("mark").all_inner_texts() == ["Scores", "d_k", "scaled_scores"]
    assert "(q ⋅ k)/√d_k does not" in first.locator("p").inner_text()
    assert page.locator("#search-status").inner_text() == "One place with “d_k scores”:"
    assert page.get_by_role("searchbox").last.input_value() == "d_k scores"


@pytest.mark.browser
def test_a_result_says_in_which_page_it_is_unless_it_is_the_page(search):
    page = search("head value")
    texts = page.locator("#search-results > li").evaluate_all(
        "all => all.map(li => [li.querySelector('a').textContent, li.querySelector('span')?.textContent ?? null])"
    )
    assert ["What K = V cannot carry", "Projections"] in texts
    assert ["Projections", None] in texts


@pytest.mark.browser
def test_where_no_place_has_all_words_the_page_says_so_and_shows_those_with_some(search):
    page = search("convolution pineapple")
    assert (
        page.locator("#search-status").inner_text().startswith("No place has all of these words.")
    )
    assert {"index.html", "glossary.html#term-11-convolution"} <= set(addresses(page))


@pytest.mark.browser
@pytest.mark.parametrize("words", ["zzzz", "and", "<b>", "\\("])
def test_where_nothing_is_found_the_page_says_what_to_do(search, words):
    page = search(words)
    status = page.locator("#search-status").inner_text()
    assert status == f"Nothing in the book has “{words}”. Try another word for it, or fewer words."
    assert page.locator("#search-index a").is_visible()
    assert addresses(page) == []


@pytest.mark.browser
def test_without_words_the_page_waits_for_some(search):
    page = search("")
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.locator("#search-status").inner_text() == ""
    assert not page.locator("#search-index").is_visible()
