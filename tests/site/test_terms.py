"""Words that lead to the glossary: which of them do, and the card that a reader gets."""

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx_build import build_html

from attncourse.site.glossary import plural
from attncourse.site.terms import occurrence_of

GLOSSARY = r"""# Words

```{glossary}
affinity
  A table of $s_{ij}$, see {term}`head`: how *well* do they match? The second sentence.

symmetry score
  A number {cite}`nobody2020`. More.

score
  Another number.

head
  One set of projections. More.

  :linked: by hand

query
  What a token looks for. More.

  :linked: by hand

trace (tr)
  The sum of a diagonal.

  :also: sum of the
    diagonal
```
"""

PAGE = """# An affinity in a heading

```{predict} Is it an affinity?
Yes
: An affinity.

No
: No affinity.
```

A `score`, a head and its query, [a score](other.md), [a score](https://score.example).

| score |
|---|
| cell |

A pre-affinity. Two *Affinities*, one **symmetry score**, one more affinity.
- The scores of a {term}`head`, and of two {term}`heads <head>`.
- A {q}`query`, {q}`queries`, the sum of
  the diagonal, the trace, tr.
"""

OTHER = "# Other\n\nA score.\n"
MANUAL = "# Manual\n\nA score of a {q}`query`, and {term}`affinities <affinity>`.\n"


def build(folder, **pages):
    folder.mkdir(exist_ok=True)
    names = "\n".join(["glossary", *pages])
    files = {"index": f"# Book\n\n```{{toctree}}\n{names}\n```\n", "glossary": GLOSSARY} | pages
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "nobody.bib").write_text("@misc{nobody2020, title={T}, author={A}, year={2020}}")
    (folder / "conf.py").write_text(
        "extensions = ['myst_parser', 'sphinxcontrib.bibtex', 'attncourse.site.predictions',"
        " 'attncourse.site.questions', 'attncourse.site.roles', 'attncourse.site.terms']\n"
        "myst_enable_extensions = ['deflist', 'dollarmath', 'fieldlist']\n"
        "bibtex_bibfiles = ['nobody.bib']\n"
        "suppress_warnings = ['bibtex']\n"
        "attn_terms_unlinked = ['man*']\n"
    )
    return build_html(folder)


def parsed(folder, name):
    return BeautifulSoup((folder / "out" / f"{name}.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms")
    built = build(folder, page=PAGE, other=OTHER, manual=MANUAL)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr.replace("nobody2020", ""), built.stderr
    return folder


@pytest.fixture(scope="module")
def page(book):
    return parsed(book, "page")


def test_the_first_use_of_each_word_in_running_prose_is_its_one_link(page):
    links = [(" ".join(a.text.split()), a["href"]) for a in page.select("a.attn-term")]
    assert links == [
        ("Affinities", "glossary.html#term-affinity"),
        ("symmetry score", "glossary.html#term-symmetry-score"),
        ("scores", "glossary.html#term-score"),
        ("head", "glossary.html#term-head"),
        ("query", "glossary.html#term-query"),
        ("sum of the diagonal", "glossary.html#term-trace-tr"),
    ]


def test_a_word_that_is_linked_keeps_its_weight_and_its_colour(page):
    assert page.select_one("em > a.attn-term").text == "Affinities"
    assert page.select_one("strong > a.attn-term").text == "symmetry score"
    assert page.select_one(".attn-q > a.attn-term").text == "query"


def test_later_uses_are_plain_words(page):
    assert page.select_one("ul").text.split() == [
        "The",
        "scores",
        "of",
        "a",
        "head,",
        "and",
        "of",
        "two",
        "heads.",
        "A",
        "query,",
        "queries,",
        "the",
        "sum",
        "of",
        "the",
        "diagonal,",
        "the",
        "trace,",
        "tr.",
    ]
    assert [word.text for word in page.select(".attn-q")] == ["query", "queries"]
    assert not page.select("a.reference[href*=term-head]")


def test_each_page_has_its_own_first_use(book):
    assert [a.text for a in parsed(book, "other").select("a.attn-term")] == ["score"]


def test_a_manual_and_the_glossary_link_as_ever(book):
    manual = parsed(book, "manual")
    assert not manual.select(".attn-term, .attn-term-card")
    assert manual.select_one('a.reference[href="glossary.html#term-affinity"]').text == "affinities"
    assert not parsed(book, "glossary").select(".attn-term, .attn-term-card")


def test_the_page_of_the_glossary_shows_no_fields(book):
    text = parsed(book, "glossary").select_one("dl.glossary").text
    assert "by hand" not in text
    assert "also" not in text.lower()


def test_a_card_holds_the_first_sentence_and_is_what_describes_the_link(page):
    link = page.select_one("a.attn-term")
    definition = page.find(id=link["aria-describedby"])
    assert definition.decode_contents() == (
        "<strong>affinity</strong> A table of <i>s</i><sub><i>ij</i></sub>, see head:"
        " how <em>well</em> do they match?"
    )
    cited = page.find(id=page.select("a.attn-term")[1]["aria-describedby"])
    assert cited.text.split() == ["symmetry", "score", "A", "number", "."]


def test_cards_are_hidden_and_their_links_are_no_stops_of_the_tab_key(page):
    cards = page.select(".attn-term-card")
    assert len(cards) == len(page.select("a.attn-term"))
    for card in cards:
        assert card.has_attr("hidden")
        assert [link["tabindex"] for link in card.select("a")] == ["-1"]


def test_only_a_page_with_a_card_loads_the_script(book):
    loads = {name: "terms.js" in str(parsed(book, name).head) for name in ("page", "manual")}
    assert loads == {"page": True, "manual": False}


@pytest.mark.parametrize(
    ("form", "several"),
    [
        ("score", "scores"),
        ("query", "queries"),
        ("key", "keys"),
        ("symmetric matrix", "symmetric matrices"),
        ("self-match", "self-matches"),
        ("change of gauge", "changes of gauge"),
    ],
)
def test_plurals(form, several):
    assert plural(form) == several


def test_an_occurrence_is_a_whole_word_and_the_longer_of_two():
    occurrence = occurrence_of(
        ["score", "score sheet", "symmetry score", "entropy", "Jensen's inequality"]
    )
    text = "Scores score sheet cross-entropy entropy. Symmetry\nscore, by Jensen’s inequality."
    assert occurrence.findall(text) == [
        "score sheet",
        "entropy",
        "Symmetry\nscore",
        "Jensen’s inequality",
    ]
    assert occurrence_of([]).findall(text) == []


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("A sentence.\n\n  :linked: never", "got ':linked: never'"),
        ("A sentence.\n\n  :forms: much", "got ':forms: much'"),
        ("no sentence", "'one' of the glossary has to begin with a sentence"),
    ],
)
def test_a_malformed_entry_is_a_warning_that_says_where(tmp_path, entry, complaint):
    built = build(tmp_path, page=f"# P\n\n```{{glossary}}\none\n  {entry}\n```\n")
    assert "page.md:" in built.stderr
    assert complaint in built.stderr


def test_a_change_of_the_glossary_reaches_the_pages_of_an_earlier_build(tmp_path):
    build(tmp_path, other=OTHER)
    glossary = (tmp_path / "glossary.md").read_text().replace("Another number.", "Anything else.")
    (tmp_path / "glossary.md").write_text(glossary)
    build_html(tmp_path).check_returncode()
    assert "Anything else." in parsed(tmp_path, "other").select_one(".attn-term-card").text


# --- With a pointer, a finger and a keyboard --------------------------------------------------


@pytest.fixture
def open_chapter(book, open_page):
    def open_(width=1440, height=900):
        page = open_page(book / "out" / "page.html", width=width, height=height)
        page.add_style_tag(path=ROOT / "book" / "_static" / "terms.css")
        return page

    return open_


def link_and_card(page, word):
    link = page.locator("a.attn-term", has_text=word).first
    card = page.locator(f".attn-term-card:has(#{link.get_attribute('aria-describedby')})")
    return link, card


@pytest.mark.browser
def test_a_card_opens_where_a_pointer_rests_and_not_where_it_passes(open_chapter):
    page = open_chapter()
    link, card = link_and_card(page, "Affinities")
    card.evaluate(
        "card => new MutationObserver(() => (window.changed = true)).observe(card, { attributes: true })"
    )
    link.hover()
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    assert not page.evaluate("window.changed")
    link.hover()
    card.wait_for(state="visible")


@pytest.mark.browser
def test_a_pointer_can_go_into_the_card_and_the_card_goes_when_it_leaves(open_chapter):
    page = open_chapter()
    link, card = link_and_card(page, "Affinities")
    link.hover()
    card.wait_for(state="visible")
    box = link.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] + 3)  # between the two
    page.wait_for_timeout(100)
    assert card.is_visible()
    card.hover()
    page.wait_for_timeout(500)
    assert card.is_visible()
    page.mouse.move(0, 0)
    card.wait_for(state="hidden")


@pytest.mark.browser
def test_passing_another_word_does_not_keep_a_card_open(open_chapter):
    page = open_chapter()
    link, card = link_and_card(page, "Affinities")
    other, _ = link_and_card(page, "symmetry score")
    link.hover()
    card.wait_for(state="visible")
    other.hover()
    page.mouse.move(0, 0)
    card.wait_for(state="hidden")


@pytest.mark.browser
def test_focus_shows_the_card_escape_takes_it_away_and_the_next_stop_is_the_next_word(open_chapter):
    page = open_chapter()
    link, card = link_and_card(page, "Affinities")
    page.get_by_role("link", name="a score").last.focus()
    page.keyboard.press("Tab")
    assert card.is_visible()
    link.hover()
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    assert card.is_visible()  # as long as the focus is there
    page.keyboard.press("Escape")
    assert not card.is_visible()
    assert link.evaluate("link => link === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "symmetry score"
    assert page.locator(".attn-term-card:visible").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.locator(".attn-term-card:visible strong").inner_text() == "symmetry score"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_no_card_leaves_the_screen_or_covers_its_word(open_chapter, width):
    page = open_chapter(width)
    for link in page.locator("a.attn-term").all():
        link.focus()
        page.keyboard.press("Shift+Tab")  # the keyboard asks, not a script
        page.keyboard.press("Tab")
        box = page.locator(".attn-term-card:visible").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        lines = link.evaluate("link => [...link.getClientRects()].map(r => [r.top, r.bottom])")
        assert box["y"] >= max(bottom for _, bottom in lines) or (
            box["y"] + box["height"] <= min(top for top, _ in lines)
        )


@pytest.mark.browser
def test_at_the_bottom_of_the_screen_the_card_opens_above(open_chapter):
    page = open_chapter(height=300)
    link, card = link_and_card(page, "query")
    link.evaluate("link => link.scrollIntoView({ block: 'end' })")
    link.hover()
    card.wait_for(state="visible")
    assert card.bounding_box()["y"] + card.bounding_box()["height"] <= link.bounding_box()["y"]


@pytest.mark.browser
def test_a_click_of_a_mouse_and_the_enter_key_follow_the_word(open_chapter):
    page = open_chapter()
    link, _ = link_and_card(page, "scores")
    link.evaluate(
        "link => link.addEventListener('click', e => (window.went = !e.defaultPrevented, e.preventDefault()))"
    )
    link.click()
    assert page.evaluate("window.went") is True
    page.evaluate("window.went = null")
    link.press("Enter")
    assert page.evaluate("window.went") is True


@pytest.mark.browser
def test_a_tap_opens_the_card_with_the_link_in_it_a_second_follows_and_one_beside_closes(
    book, chromium
):
    context = chromium.new_context(has_touch=True, viewport={"width": 390, "height": 700})
    page = context.new_page()
    page.goto((book / "out" / "page.html").as_uri())
    page.add_style_tag(path=ROOT / "book" / "_static" / "terms.css")
    link, card = link_and_card(page, "scores")
    link.tap()
    assert card.is_visible()
    assert page.url.endswith("page.html")
    page.locator("h1").first.tap()
    assert not card.is_visible()
    link.tap()
    card.get_by_role("link", name="In the glossary").tap()
    page.wait_for_url("**/glossary.html#term-score")
    page.go_back()
    link.tap()
    link.tap()
    page.wait_for_url("**/glossary.html#term-score")
    context.close()
