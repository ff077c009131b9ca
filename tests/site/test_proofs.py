"""Proofs: folded behind their statement, and open wherever somebody wants to read them."""

from io import BytesIO

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from pypdf import PdfReader
from sphinx_build import build_html

SOURCE = r"""# Page

See [the proof](#the-proof) first.

*A statement about {math}`x`.*

(the-proof)=
```{proof}
Suppose $x > y$. See [the proof](#the-proof).

- One case.
- Another, with an unmistakable word.
```

A second statement.

```{proof} of the *second* part, $z$
Two lines,

$$ z = 1 $$
```

```{proof}
:name: named
It is obvious.
```
"""


def build(folder, text, extensions=("attncourse.site.proofs", "attncourse.site.typography")):
    (folder / "index.md").write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text(
        f"extensions = ['myst_parser', *{extensions}]\n"
        "myst_enable_extensions = ['dollarmath']\n"
        # No formula is set here, and none is asked for elsewhere.
        "mathjax_path = 'none.js'\n"
    )
    return build_html(folder, "-W")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proofs")
    done = build(folder, SOURCE)
    assert done.returncode == 0, done.stderr
    (folder / "out" / "_static" / "none.js").touch()
    style = ROOT / "book" / "_static" / "proofs.css"
    path = folder / "out" / "index.html"
    path.write_text(
        path.read_text("utf-8").replace(
            "</head>", f"<style>{style.read_text('utf-8')}</style></head>"
        ),
        "utf-8",
    )
    return path


@pytest.fixture(scope="module")
def proofs(built):
    return BeautifulSoup(built.read_text("utf-8"), "html.parser").select("details.attn-proof")


def test_a_proof_is_folded_behind_a_title(proofs):
    assert [p.summary.text.strip() for p in proofs] == [
        "Proof",
        r"Proof of the second part, \(z\)",
        "Proof",
    ]
    assert not any(p.has_attr("open") for p in proofs)
    assert proofs[1].select_one("summary em").text == "second"


def test_what_is_in_a_proof_is_as_elsewhere(proofs):
    first = proofs[0]
    assert first.select_one(".math").text == r"\(x > y\)"
    assert first.select_one('a[href="#the-proof"]')
    assert len(first.select("li")) == 2
    assert proofs[1].select_one("div.math")


def test_every_proof_ends_with_one_mark(proofs):
    for proof in proofs:
        assert proof.text.count("∎") == 1
        assert proof.text.rstrip().endswith("\N{NO-BREAK SPACE}∎")
    assert proofs[2].p.text == "It is obvious.\N{NO-BREAK SPACE}∎"


def test_a_label_stands_inside_where_a_browser_opens_what_is_around_it(proofs):
    for proof, label in ((proofs[0], "the-proof"), (proofs[2], "named")):
        assert not proof.has_attr("id")
        assert proof.find(id=label) is not None


def test_a_proof_without_content_fails_the_build_and_says_where(tmp_path):
    failed = build(tmp_path, "# Page\n\n```{proof}\n```\n")
    assert failed.returncode != 0
    assert "index.md:3" in failed.stderr
    assert "Content block expected" in failed.stderr


WORD = "unmistakable"


@pytest.mark.browser
def test_a_proof_opens_and_closes_from_the_keyboard(built, open_page):
    page = open_page(built)
    text = page.get_by_text(WORD)
    assert not text.is_visible()
    page.locator(".attn-proof summary").first.focus()
    page.keyboard.press("Enter")
    assert text.is_visible()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Space")
    assert not text.is_visible()


@pytest.mark.browser
def test_a_link_to_a_proof_opens_it(built, open_page):
    page = open_page(built)
    page.evaluate("document.body.style.padding = '1000px 0'")  # room to scroll
    page.get_by_role("link", name="the proof").first.click()
    assert page.get_by_text(WORD).is_visible()
    assert not page.get_by_text("It is obvious.").is_visible()
    summary = page.locator(".attn-proof summary").first
    assert summary.bounding_box()["y"] >= 0  # what has been opened can be seen to have been


@pytest.mark.browser
def test_a_search_in_the_page_opens_the_proof_that_has_the_word(built, open_page):
    page = open_page(built)
    # What Ctrl+F does, asked for by an address: no test can press it.
    page.goto(f"{page.url}#:~:text={WORD}")
    page.get_by_text(WORD).wait_for(state="visible")


@pytest.mark.browser
def test_the_mark_stands_on_the_line_of_what_it_ends(built, open_page):
    page = open_page(built)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for mark in page.locator(".attn-qed").all():
        shares = mark.evaluate(
            """mark => {
                const {top, bottom} = mark.getBoundingClientRect();
                const words = document.createTreeWalker(
                    mark.closest("details").lastElementChild, NodeFilter.SHOW_TEXT);
                const range = document.createRange();
                while (words.nextNode()) {
                    if (mark.contains(words.currentNode) || !words.currentNode.data.trim()) continue;
                    range.selectNodeContents(words.currentNode);
                    for (const box of range.getClientRects())
                        if (box.top < bottom && box.bottom > top) return true;
                }
                return false;
            }"""
        )
        assert shares, mark.evaluate("mark => mark.closest('details').innerText")


@pytest.mark.browser
def test_on_paper_the_title_of_a_proof_keeps_to_its_first_lines(built, open_page):
    page = open_page(built)
    page.evaluate(
        """() => {
            const proof = document.querySelector(".attn-proof");
            const before = document.createElement("p");
            before.textContent = "Filled.";
            before.className = "filler";
            proof.before(before);
            document.body.style.margin = 0;
        }"""
    )
    alone = []
    for height in range(600, 800, 12):
        page.locator(".filler").evaluate(
            "(p, height) => { p.style.height = `${height}px`; }", height
        )
        sheets = [s.extract_text() for s in PdfReader(BytesIO(page.pdf(format="A4"))).pages]
        alone += [text for text in sheets if text.rstrip().endswith("\nProof")]
    assert alone == []


@pytest.mark.browser
def test_proofs_are_printed_open(built, open_page):
    page = open_page(built)
    page.emulate_media(media="print")
    assert page.get_by_text(WORD).is_visible()
    assert page.get_by_text("It is obvious.").is_visible()
