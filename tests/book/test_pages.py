"""The built book as a reader meets it: every page, in a real browser that reaches nobody outside."""

import re
from collections import Counter
from copy import copy
from functools import cache
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from browsing import in_both_schemes
from bs4 import BeautifulSoup
from conftest import ROOT
from pypdf import PdfReader
from sphinx_external_toc.parsing import parse_toc_yaml
from visuals.driving import letter_sizes

from attncourse.palette import DARK, LIGHT
from attncourse.site.glossary import plural
from attncourse.site.terms import occurrence_of

CHAPTERS = [f"{name}.html" for name in parse_toc_yaml(ROOT / "_toc.yml")]
PAGES = [*CHAPTERS, "search.html", "genindex.html"]
# Each page's explorers, with a button or choice in each that changes what it shows at first.
EXPLORERS = {
    "book/index.html": {"wishes": "Two circles"},
    "book/one-minute.html": {"one_head": "Next"},
    "book/similarity.html": {"pixel_match": "dot product"},
    "book/attention.html": {"live_softmax": "All equal"},
    "book/shared-projection.html": {"one_projection": "Stretch"},
    "book/query-and-key.html": {
        "two_projections": "A third of a turn",
        "wishes": "A chain",
        "circuit_split": "Swapped",
    },
    "book/value.html": {"key_value": "K = V"},
    "book/heads.html": {"two_heads": "One wide head", "wishes": "A chain"},
    "book/cross-attention.html": {"two_sequences": "Swap the two"},
    "book/feature-maps.html": {"attention_maps": "its own digit again"},
}
# The two opening pages show what the chapters argue about, and argue nothing themselves.
OPENING = ("book/index.html", "book/one-minute.html")
ARGUING = [where for where in EXPLORERS if where not in OPENING]
# Chapters in which the reader commits to something.
PREDICTING = [
    page for page in CHAPTERS if "```{predict} " in (ROOT / page).with_suffix(".md").read_text()
]
AXE = ROOT / ".build" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
MEGABYTE = 1_000_000
# Presses of the Tab key before the first explorer: one for each page in the contents, two more in
# the frame of a page, the rest its text's.
MOST_STOPS = len(CHAPTERS) + 16
PAPER = 642  # px that A4 leaves between the margins

every_page = pytest.mark.parametrize("where", PAGES)


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def rgb(hexadecimal):
    return "rgb({}, {}, {})".format(*bytes.fromhex(hexadecimal[1:]))


def settle(page):
    """Wait for formulas and fonts, which arrive after the page itself."""
    page.evaluate(
        "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }"
    )


OF_COLOURS = ("color-contrast", "link-in-text-block")  # the rules of axe that look at colours


def violations(page, *within, rules=()):
    """What axe finds in the page, or only in what these selectors match, or only by these rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """async ([within, rules]) => (await axe.run(
            within.length ? { include: within.map(each => [each]) } : document,
            { resultTypes: ['violations'], ...(rules.length ? { runOnly: rules } : {}) })).violations""",
        [within, rules],
    )
    return [
        f"{v['id']}: {v['help']}\n  {node['html'][:200]}\n  {node['failureSummary']}"
        for v in found
        for node in v["nodes"]
    ]


@pytest.mark.browser
@every_page
@in_both_schemes
def test_a_page_opens_whole_in_light_and_dark(look_at, where, scheme):
    page = look_at(where, scheme)  # fails at its end for any fault in console or network
    settle(page)
    assert page.locator("h1").first.is_visible()
    assert page.locator("mjx-merror, .math:not(:has(mjx-container))").all_inner_texts() == []
    paper = {"light": LIGHT, "dark": DARK}[scheme]["paper"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == rgb(paper)


# Of everything in the page, what it is, whether it is in sight, and where.
LAYOUT = """() => [...document.querySelectorAll("body, body *")].map((each) => {
    const { x, y, width, height } = each.getBoundingClientRect();
    const box = [x + scrollX, y + scrollY, width, height].map(Math.round);
    return `${each.localName} ${each.className} ${each.checkVisibility({ visibilityProperty: true })} ${box}`;
})"""


@pytest.mark.browser
@every_page
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_violation_in_light_and_dark(look_at, where, width):
    """All rules in light; in dark, where the same things stand in the same places, those of colours."""
    page = look_at(where, width=width)
    settle(page)
    page.evaluate(
        "window.wereClosed = [...document.querySelectorAll('details:not([open])')];"
        "for (const one of wereClosed) one.open = true"
    )
    page.wait_for_timeout(400)  # the theme makes what scrolls reachable a moment after a change
    try:
        assert violations(page) == []
        light = page.evaluate(LAYOUT)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        dark = page.evaluate(LAYOUT)
        assert [pair for pair in zip(light, dark, strict=True) if pair[0] != pair[1]] == []
        assert violations(page, rules=OF_COLOURS) == []
    finally:
        page.emulate_media(color_scheme="light")
        page.evaluate("for (const one of wereClosed) one.open = false")


@pytest.mark.browser
@every_page
def test_nothing_sticks_out_of_a_narrow_screen(look_at, where):
    page = look_at(where, width=390)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@every_page
def test_the_first_visit_loads_at_most_three_megabytes(chromium, site_address, where):
    """With nothing kept from before: what a browser has already is not counted alike each time."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(site_address + where)
    settle(page)
    sizes = page.evaluate(
        """Object.fromEntries(
            [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .map(each => [each.name, each.encodedBodySize]))"""
    )
    context.close()
    assert 0 < sum(sizes.values()) <= 3 * MEGABYTE, sizes


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
def test_a_page_opened_from_a_file_is_the_same(open_page, site, where):
    page = open_page(site / where)
    settle(page)
    formulas = len(parsed(site / where).select("article .math"))
    assert page.locator("article mjx-container").count() >= formulas
    assert page.evaluate("document.fonts.check('16px \"Source Serif 4 Variable\"')")
    for mount in page.locator(".attn-mount").all():
        assert mount.locator("input, button").count() > 0


HANDLE = '.photo, .scene, .drag, input[type="range"]'


def press(page, explorer, button):
    sliders = explorer.locator('input[type="range"], [role="slider"]')
    # The first of a row of words could go no further to the left.
    (sliders.first if sliders.count() else explorer.locator(".drag").last).press("ArrowLeft")


def click(page, explorer, button):
    explorer.locator("button, label", has_text=button).first.click()


def drag(page, explorer, button):
    handle = explorer.locator(HANDLE).first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()


# In one scheme: which it is changes colours, and the tests of the explorers look at those in both.
@pytest.mark.browser
@pytest.mark.parametrize(
    ("where", "name", "button"),
    [(where, *each) for where, explorers in EXPLORERS.items() for each in explorers.items()],
)
def test_an_explorer_in_a_page_answers_to_a_drag_a_click_and_a_key(open_page, where, name, button):
    page = open_page(where)
    explorer = page.locator(f'.attn-mount[data-explorer="{name}"]').first
    for act in (click, drag, press):
        before = explorer.inner_text()
        act(page, explorer, button)
        assert explorer.inner_text() != before, f"a {act.__name__} changes nothing"


# What a reader can press, write in or open. What scrolls is a stop too, for without one no key moves
# it; and in a group of radio buttons only one is.
CONTROLS = "a[href], button, summary, input, select, textarea, [role=slider], .attn-explorer"


@pytest.mark.browser
@pytest.mark.parametrize("where", EXPLORERS)
def test_the_tab_key_stops_only_at_links_and_controls_on_its_way_to_the_first_explorer(
    look_at, where
):
    page = look_at(where)
    settle(page)
    page.wait_for_timeout(400)  # the theme makes what scrolls reachable a moment after a change
    ways = page.evaluate(
        """controls => {
            const first = document.querySelector(".attn-explorer");
            return [...document.querySelectorAll(controls)]
                .filter(each => each.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING)
                .filter(each => each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true }))
                .filter(each => each.type !== "radio" || each.matches(":checked")
                    || !document.querySelector(`[name="${each.name}"]:checked`)
                        && each === document.querySelector(`[name="${each.name}"]`))
                .length;
        }""",
        CONTROLS,
    )
    stops = []
    for _ in range(200):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """controls => {
                const focused = document.activeElement;
                const style = getComputedStyle(focused);
                return focused.closest(".attn-explorer") ? "explorer"
                    : focused.matches(controls) ? "control"
                    : /auto|scroll/.test(style.overflowX) && focused.scrollWidth > focused.clientWidth
                        ? "scrolls" : focused.outerHTML.slice(0, 200);
            }""",
            CONTROLS,
        )
        if stop == "explorer":
            break
        stops.append(stop)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    assert set(stops) <= {"control", "scrolls"}
    assert stops.count("control") == ways
    assert len(stops) <= MOST_STOPS


@pytest.mark.browser
@pytest.mark.parametrize("where", EXPLORERS)
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_picture_comes_within_a_screen_and_a_half(look_at, where, width, height):
    page = look_at(where, width=width)
    settle(page)
    picture = page.locator("article").locator(".attn-mount, .attn-figure").first
    top = picture.evaluate("each => each.getBoundingClientRect().top + scrollY")
    assert top <= 1.5 * height


@pytest.mark.browser
@pytest.mark.parametrize("where", EXPLORERS)
def test_at_most_twenty_lines_of_code_stand_in_sight_before_what_they_show(look_at, where):
    """Counted from a heading, a picture or a table to the next of them; helpers are folded."""
    runs = look_at(where).evaluate(
        """() => {
            const marks = "h2, h3, .attn-mount, .attn-figure, table, .attn-predicted";
            const code = ".cell_input pre";
            const runs = [0];
            for (const each of document.querySelectorAll(`article :is(${marks}, ${code})`)) {
                if (!each.matches(code)) runs.push(0);
                else if (each.checkVisibility())
                    runs[runs.length - 1] += each.textContent.trim().split("\\n").length;
            }
            return runs;
        }"""
    )
    assert max(runs) <= 20


@pytest.mark.parametrize("where", EXPLORERS)
def test_results_are_tables_pictures_and_sentences_and_nothing_that_is_printed(site, where):
    printed = parsed(site / where).select(".cell_output pre, .cell_output .output.text_plain")
    assert [each.text for each in printed] == []


@pytest.mark.browser
@every_page
def test_a_fold_says_what_it_holds_by_one_name(look_at, where):
    page = look_at(where)
    names = page.locator("details.hide > summary").all_inner_texts()
    assert not [name for name in names if re.search("Show|Hide|cell|source|result", name)]
    folded = page.locator("details.hide").evaluate_all(
        """all => all.map(fold => {
            fold.open = true;
            const opened = fold.querySelector("summary").innerText;
            fold.open = false;
            return opened;
        })"""
    )
    assert folded == names


@pytest.mark.browser
@every_page
def test_no_formula_is_a_stop_of_the_tab_key_and_each_is_there_for_a_screen_reader(look_at, where):
    page = look_at(where)
    settle(page)
    formulas = page.evaluate(
        """() => [...document.querySelectorAll("mjx-container")].map(each =>
            [each.tabIndex, each.querySelector("mjx-assistive-mml math")?.textContent ?? ""])"""
    )
    assert [each for each in formulas if each[0] >= 0 or not each[1].strip()] == []


@pytest.mark.browser
@every_page
def test_what_a_cell_prints_has_no_button_to_copy_it(look_at, where):
    page = look_at(where)
    assert page.locator(".output button.copybtn").count() == 0
    code = page.locator("div.cell_input:visible div.highlight pre").count()
    assert page.locator("div.cell_input:visible button.copybtn").count() == code


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
def test_a_dark_page_is_printed_dark_on_white(look_at, where):
    page = look_at(where, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    try:
        assert_printed(page)
    finally:
        page.emulate_media(media="screen", color_scheme="dark")


def squeezed(text):
    """Without white space: where lines break on paper is the browser's affair."""
    return re.sub(r"\s", "", text)


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
def test_on_paper_a_page_has_its_title_its_code_and_where_it_came_from(look_at, site, where):
    page = look_at(where)
    settle(page)
    sheets = [sheet.extract_text() for sheet in PdfReader(BytesIO(page.pdf(format="A4"))).pages]
    article = parsed(site / where).select_one("article")
    title = squeezed(article.h1.get_text().rstrip("#"))
    assert title in squeezed(sheets[0])
    text = squeezed("".join(sheets))
    visible = [
        code for code in article.select("div.highlight pre") if not code.find_parent("details")
    ]
    lines = [squeezed(line) for code in visible for line in code.get_text().splitlines()]
    assert [line for line in lines if line not in text] == []
    assert "FromQuery,Key,Value,version" in text
    assert "CCBY4.0" in text
    for only_on_a_screen in ("Onthispage", "Skiptomaincontent", "Search"):
        assert only_on_a_screen not in text.replace("searchsorted", "")
    assert squeezed(str(ROOT)) not in text


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
def test_forgetting_predictions_is_offered_only_where_there_is_one(look_at, where):
    page = look_at(where)
    page.evaluate(
        """localStorage.setItem("attn-prediction:somewhere#else", "1234:0");
        dispatchEvent(new StorageEvent("storage"));"""  # as if in another tab
    )
    offers = page.get_by_role("button", name="Forget my predictions").count()
    page.evaluate("localStorage.clear(); dispatchEvent(new StorageEvent('storage'));")
    assert offers == (where in PREDICTING)


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
@pytest.mark.parametrize("width", [PAPER])
def test_on_paper_nothing_is_cut_off_at_the_edge(look_at, where, width):
    page = look_at(where, width=width)
    settle(page)
    page.emulate_media(media="print")
    try:
        cut = page.evaluate(
            """[...document.querySelectorAll("article :not(.math, .math *)")]
                .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
                .filter(one => getComputedStyle(one).overflowX !== "visible")
                .map(one => one.outerHTML.slice(0, 200))"""
        )
        assert cut == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page.emulate_media(media="screen")


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
@pytest.mark.parametrize("width", [1440, 390])
def test_the_letters_in_figures_can_be_read(look_at, site, where, width):
    sizes = letter_sizes(look_at(where, width=width))
    assert bool(sizes) == bool(parsed(site / where).select(":not(noscript) > .attn-figure svg"))
    assert all(11.5 <= size <= 18 for size in sizes)


@pytest.mark.browser
@pytest.mark.parametrize("where", CHAPTERS)
def test_a_narrow_screen_loses_no_column_of_a_table(look_at, where):
    page = look_at(where, width=390)
    settle(page)
    lost = page.evaluate(
        """[...document.querySelectorAll("article :is(table.table, .attn-results) tbody :is(th, td)")]
            .filter(cell => {
                const around = cell.closest(".pst-scrollable-table-container, .cell_output > .output");
                const edge = around.getBoundingClientRect().right + 1;
                if (!cell.checkVisibility() || cell.getBoundingClientRect().right <= edge) return false;
                const {overflowX, backgroundImage} = getComputedStyle(around);
                return !(overflowX === "auto" && backgroundImage.includes("gradient"));
            })
            .map(cell => cell.outerHTML.slice(0, 200))"""
    )
    assert lost == []


@every_page
def test_contents_and_titles_show_symbols_as_they_are_printed(site, where):
    page = parsed(site / where)
    for place in page.select("title, nav"):
        for code in place.select("code"):  # names of functions
            code.decompose()
        assert not re.search(r"\\\(|\$|\b[A-Za-z]_\w", place.text), place.text


@every_page
def test_no_line_breaks_within_a_short_equation(site, where):
    article = copy(parsed(site / where).select_one("article"))
    for no_prose in article.select("pre, code, style, script, .math, .attn-mount"):
        no_prose.decompose()
    assert not re.search(r"\b[A-Z] = [A-Z]\b", article.text)


@pytest.mark.parametrize("where", CHAPTERS)
def test_each_row_of_a_result_has_a_name_of_its_own(site, where):
    for table in parsed(site / where).select(".attn-results table"):
        rows = [
            " | ".join(cell.find_all("span")[-1].text for cell in row.select("th"))
            for row in table.select("tbody tr")
        ]
        twice = [name for name, count in Counter(rows).items() if count > 1]
        assert not twice, f"{table.caption.text}: {twice}"


def assert_printed(page):
    for selector in ("body", "article p"):
        colour = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
        assert colour == rgb(LIGHT["ink"]), selector
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == rgb(LIGHT["paper"])


@pytest.mark.parametrize("where", CHAPTERS)
def test_no_figure_keeps_a_colour_that_a_dark_page_would_swallow(site, where):
    for figure in parsed(site / where).select(".attn-figure"):
        assert not re.search(r"#000000|#000[^0-9a-f]|black", str(figure)), figure["aria-label"]


@pytest.mark.browser
def test_the_reader_can_leave_the_systems_scheme_and_it_stays_left(open_page):
    page = open_page("book/index.html", "light")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button").click()
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
    assert seen == {"light", "dark", "auto"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        page.locator(".theme-switch-button").click()
    page.goto(page.url.replace("index", "similarity"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == rgb(DARK["paper"])


@pytest.mark.browser
def test_on_a_narrow_screen_chapters_sections_and_search_are_a_button_away(open_page):
    page = open_page("book/similarity.html", width=390)
    assert not page.get_by_role("link", name="Bibliography").is_visible()
    page.get_by_role("button", name="Chapters").click()
    page.get_by_role("link", name="Bibliography").wait_for()
    assert page.get_by_role("button", name="Search").is_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="On this page").click()
    page.get_by_role("navigation", name="On this page").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("searchbox").wait_for()
    assert violations(page) == []


@pytest.mark.browser
def test_the_search_box_leads_to_what_is_found(open_page):
    page = open_page("book/index.html")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("searchbox").fill("1x1 convolution")
    page.keyboard.press("Enter")
    page.locator("#search-results a").first.click()
    page.wait_for_url("**/" + FOUND_FIRST["1x1 convolution"])


# What a reader types, and what should come first.
FOUND_FIRST = {
    "1x1 convolution": "book/glossary.html#term-11-convolution",
    "1×1": "book/glossary.html#term-11-convolution",
    "Q K V": "book/index.html",
    "W_Q": "book/notation.html#symbol-w-q-w-k",
    "W_q": "book/notation.html#symbol-w-q-w-k",
    "self-attention length": "book/answers.html#what-is-self-attention-and-which-lengths-must-agree",
    "d_k": "book/notation.html#symbol-d-k",
    "softmax": "book/glossary.html#term-softmax",
    "K = V": "book/value.html#what-k-v-cannot-carry",
}


@pytest.mark.browser
@pytest.mark.parametrize("words", FOUND_FIRST)
def test_the_search_finds_first_what_a_reader_wants_also_from_a_file(open_page, site, words):
    page = open_page(site / "search.html", query=f"?q={quote(words)}")
    first = page.locator("#search-results > li > a").first
    assert first.get_attribute("href").removeprefix("./") == FOUND_FIRST[words]
    assert page.locator("#search-results > li > p").count() > 0
    shown = page.locator("#search-results").inner_text()
    assert not re.search(r"\\[a-z(\[]|\$", shown), shown


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("words", ["d_model", "no such word", "zzzz"])
def test_axe_finds_no_violation_in_what_the_search_shows(open_page, scheme, width, words):
    page = open_page(f"search.html?q={quote(words)}", scheme, width)
    settle(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_the_root_of_the_site_leads_to_the_first_page(open_page):
    page = open_page("index.html")
    page.wait_for_url("**/book/index.html")


@every_page
def test_a_page_has_one_way_to_search_and_one_first_heading(site, where):
    page = parsed(site / where)
    assert len(page.select(".search-button__button")) == 1
    assert len(page.select("h1")) == 1


@every_page
def test_nothing_of_the_stock_theme_shows(site, where):
    page = (site / where).read_text(encoding="utf-8")
    for stock in ("Back to top", "fa-solid fa-arrow", "Theme by", "Created using"):
        assert stock not in page, stock


@every_page
def test_links_lead_somewhere(site, where):
    broken = []
    for tag in parsed(site / where).find_all(["a", "link", "script", "img", "source"]):
        address = tag.get("href") or tag.get("src")
        if not address or (tag.name == "a" and address.startswith(("http:", "https:", "mailto:"))):
            continue
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            broken.append(f"{address} is loaded from outside")
            continue
        target = (site / where).parent / unquote(parts.path) if parts.path else site / where
        if not target.is_file():
            broken.append(f"{address} is not a file")
        elif parts.fragment and not parsed(target.resolve()).find(id=unquote(parts.fragment)):
            broken.append(f"{address} is not a place in that page")
    assert not broken, "\n".join(broken)


def glossary():
    """The entries of the glossary, as its source has them: (name, forms, whether by hand)."""
    source = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```\{glossary\}\n(.*?)^```", source, re.DOTALL | re.MULTILINE):
        for entry in re.split(r"\n\n(?=\S)", block):
            name = entry.splitlines()[0]
            also = re.search(r"^ +:also: (.*)", entry, re.MULTILINE)
            forms = [*re.split(r" \(|\)$", name), *(also[1].split(", ") if also else [])]
            forms = [form for form in forms if form]
            yield name, [*forms, *map(plural, forms)], ":linked: by hand" in entry


def prose(page):
    """The running prose of a page, and in it each link to the glossary: (where it begins, address)."""
    text, links = "", []

    def read(element):
        nonlocal text
        for child in element.children:
            if isinstance(child, str):
                text += child
            elif "attn-term" in child.get("class", []):
                links.append((len(text), child["href"]))
                read(child)
            elif child.name in ("a", "code") or {"math", "attn-glued"} & set(
                child.get("class", [])
            ):
                text += "\0"
            else:
                read(child)

    for paragraph in page.select("article p"):
        if not paragraph.find_parent(class_=["attn-question", "attn-term-card", "cell"]):
            read(paragraph)
            text += "\0"
    return text, links


LINKED = [
    where for where in CHAPTERS if not re.search(r"notation|glossary|api|guide|bibliography", where)
]
# Words with other senses, where a chapter has one of these and not the one of the glossary.
OTHER_SENSES = {
    "book/similarity.html": {"value", "cycle"},
    "book/value.html": {"cycle", "wish"},
}


def first_uses(text, entries):
    """Where each entry is first used: {name: position}."""
    name_of = {form.lower(): name for name, forms, _ in entries for form in forms}
    found = {}
    for use in occurrence_of(name_of).finditer(text):
        form = " ".join(use[0].lower().replace("’", "'").split())
        found.setdefault(name_of[form], use.start())
    return found


@pytest.mark.parametrize("where", LINKED)
def test_each_word_of_the_glossary_is_linked_once_in_a_chapter_at_its_first_use(site, where):
    page = parsed(site / where)
    text, links = prose(page)
    assert len(links) == len(page.select("a.attn-term")), "a link stands outside of running prose"
    linked = {address.partition("#")[2]: start for start, address in links}
    assert len(linked) == len(links), "a word is linked twice"
    anchors = {
        " ".join(term.get_text().removesuffix("#").replace("’", "'").split()): term["id"]
        for term in parsed(site / "book/glossary.html").select("dl.glossary > dt")
    }
    entries = list(glossary())
    automatic = [entry for entry in entries if not entry[2]]
    wanted = {anchors[name]: start for name, start in first_uses(text, automatic).items()}
    by_hand = {anchors[name] for name, _, hand in entries if hand}
    assert {a: start for a, start in linked.items() if a not in by_hand} == wanted

    used = {
        name
        for entry in entries
        if entry[2]
        for name in first_uses(text, [entry])
        if name not in OTHER_SENSES.get(where, ())
    }
    unmarked = {name for name in used if anchors[name] not in linked}
    assert not unmarked, (
        f"{where} uses {sorted(unmarked)} and marks none: write {{term}}`word` (or {{q}}, {{k}}, {{v}})"
        " where it is first meant as in the glossary, or say in OTHER_SENSES that it never is"
    )


@pytest.mark.parametrize("where", LINKED)
def test_a_card_shows_words_and_no_tex(site, where):
    for card in parsed(site / where).select(".attn-term-card"):
        assert not re.search(r"[\\$_^{}]", card.text), card.text
        assert card.p.text.rstrip()[-1] in ".?!"


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_violation_in_an_open_card(open_page, scheme, width):
    page = open_page("book/query-and-key.html", scheme, width)
    settle(page)
    page.locator("a.attn-term").first.focus()
    page.keyboard.press("Tab")
    assert page.locator(".attn-term-card:visible").count() == 1
    assert violations(page, "a.attn-term", ".attn-term-card") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@every_page
def test_no_two_things_in_a_page_have_one_id(site, where):
    ids = [each["id"] for each in parsed(site / where).select("[id]")]
    assert [each for each, count in Counter(ids).items() if count > 1] == []


@every_page
def test_every_picture_says_what_it_shows(site, where):
    page = parsed(site / where)
    silent = [
        str(picture)[:200]
        for picture in page.select("img, svg, canvas")
        if not picture.find_parent(attrs={"aria-hidden": "true"})
        and not picture.find_parent(attrs={"role": "img", "aria-label": True})
        and picture.get("aria-hidden") != "true"
        and not (picture.get("alt") or picture.get("aria-label") or "").strip()
    ]
    assert not silent, "\n".join(silent)


@pytest.mark.parametrize("where", CHAPTERS)
def test_a_page_that_ran_says_on_what(site, where):
    page = parsed(site / where)
    if page.select(".cell_output"):
        assert page.select_one(".attn-ran-on").text.startswith("This page ran on: ")


@every_page
def test_no_widget_manager_is_loaded_or_fed(site, where):
    page = (site / where).read_text(encoding="utf-8")
    assert "require.js" not in page
    assert "widget-state+json" not in page
    assert "thebe" not in page.lower()


def test_explorers_are_where_the_book_promises_them(site):
    found = {
        where: {mount["data-explorer"] for mount in parsed(site / where).select(".attn-mount")}
        for where in PAGES
    }
    assert {where: names for where, names in found.items() if names} == {
        where: set(names) for where, names in EXPLORERS.items()
    }


@pytest.mark.parametrize("where", ARGUING)
def test_a_chapter_has_the_rhythm_of_a_chapter(site, where):
    page = parsed(site / where)
    headings = [heading.get_text().rstrip("#") for heading in page.select("article h2")]
    ends = ["Where this stops being true", "Check yourself", "In three lines"]
    assert headings[-3:] == ends
    assert page.select(".attn-predict")
    assert len(page.select("#in-three-lines ol > li")) == 3
    source = (ROOT / where).with_suffix(".md").read_text(encoding="utf-8")
    tests = page.select("#check-yourself .attn-self-test")
    assert len(tests) == source.count("{self-test}") >= 3
    assert all(len(test.select(".attn-right")) == 1 for test in tests)


def words_with_picture(page):
    """A page's words, with PICTURE where its first explorer stands; answers are not in sight."""
    text = copy(page.select_one("article"))
    answers = ".attn-question details > :not(summary)"
    for aside in text.select(f".cell, .headerlink, .prev-next-area, .attn-term-card, {answers}"):
        if aside.select(".attn-mount"):
            aside.replace_with(" PICTURE ")
        else:
            aside.decompose()
    return text, re.findall(r"\w[^\s]*", text.get_text(" "))


def test_the_opening_page_is_short_and_begins_with_the_picture(site):
    text, words = words_with_picture(parsed(site / "book/one-minute.html"))
    assert words.index("PICTURE") <= 100
    assert len(words) <= 350
    assert len(text.select("ol > li")) == 6  # one for each step of the picture


def test_the_first_page_can_be_played_with_after_sixty_words(site):
    _, words = words_with_picture(parsed(site / "book/index.html"))
    assert words.index("PICTURE") <= 60


@pytest.mark.browser
def test_on_paper_and_without_scripts_a_still_picture_stands_where_an_explorer_was(open_page):
    page = open_page("book/index.html")
    live, still = page.locator(".attn-explorer"), page.locator(".tag_still .attn-figure")

    def seen():
        return [
            each.evaluate("each => each.checkVisibility({ visibilityProperty: true })")
            for each in (live, still)
        ]

    assert seen() == [True, False]
    assert still.evaluate("each => each.closest('.cell').getBoundingClientRect().height") == 0
    page.emulate_media(media="print")
    assert seen() == [False, True]
    rules = page.evaluate(
        """[...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
            .filter((rule) => /tag_still/.test(rule.cssText)).map((rule) => rule.conditionText)"""
    )
    assert "screen and (scripting: enabled)" in rules


@pytest.mark.parametrize("where", PREDICTING)
def test_each_prediction_has_a_name_and_one_place_below_where_it_is_settled(site, where):
    asked = parsed(site / where).select(".attn-predict")
    source = (ROOT / where).with_suffix(".md").read_text(encoding="utf-8")
    assert len(asked) == source.count("```{predict} ") >= 1
    for prediction in asked:
        key = f"{where.removesuffix('.html')}#{prediction['id'].removeprefix('prediction-')}"
        assert prediction["data-key"] == key
        assert len(prediction.find_all_next(id=prediction["data-place"])) == 1
    assert len(parsed(site / where).select(".attn-predicted")) == len(asked)


AS_WRITTEN = """[...document.querySelectorAll(".attn-predict, .attn-predicted")]
    .map((each) => each.outerHTML)"""


# Each scheme and each width once: what one has to do with the other is tested with the pages.
@pytest.mark.browser
@pytest.mark.parametrize("where", PREDICTING)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_what_a_reader_commits_to_stands_beside_its_run_until_it_is_forgotten(
    open_page, where, scheme, width
):
    page = open_page(where, scheme, width)
    asked, settled = page.locator(".attn-predict"), page.locator(".attn-predicted")
    before = page.evaluate(AS_WRITTEN)
    choices = [one.locator(".attn-choice").first.inner_text() for one in asked.all()]
    for one in asked.all():
        one.get_by_role("radio").first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    page.reload()
    settle(page)
    for place, choice in zip(settled.all(), choices, strict=True):
        assert place.inner_text().split("\n")[:2] == ["You predicted:", choice]
        place.locator("summary").click()
    assert (
        page.locator(".attn-predict :is(button, input:enabled)").locator("visible=true").count()
        == 0
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Forget my predictions").click()
    assert violations(page, ".attn-predict", ".attn-predicted", ".attn-forget") == []
    page.get_by_role("button", name="Forget them").click()
    assert page.evaluate(AS_WRITTEN) == before  # in which axe finds nothing
    if where == PREDICTING[0]:  # what is said then is the same in every page
        assert violations(page, ".attn-forget") == []


def test_pages_carry_no_path_of_the_machine_that_built_them(site):
    for path in site.rglob("*.html"):
        assert str(ROOT) not in path.read_text(encoding="utf-8"), path


def test_cover_and_favicon_are_drawn(site):
    width, height = (
        int.from_bytes((site / "_static/cover.png").read_bytes()[a : a + 4]) for a in (16, 20)
    )
    assert (width, height) == (1200, 630)
    assert "<circle" in (site / "_static/favicon.svg").read_text()
