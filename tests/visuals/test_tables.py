"""Tables of results: what stands in them, in a terminal, in a page and on a phone."""

import re
from statistics import stdev

import numpy as np
import pytest
import torch
from browsing import in_both_schemes
from bs4 import BeautifulSoup

from attncourse.palette import DARK, LIGHT
from attncourse.visuals.tables import spread, table

ACCURACIES = [0.91, 0.94, 0.98]
WIDE = {
    "task": "match",
    "mode": "K = V",
    "accuracy": spread(ACCURACIES),
    "loss in bits": -0.25,
    "steps": 15_000,
    "off by": 3.2e-12,
}


def wide(**others):
    return table(tuple(WIDE), [tuple(WIDE.values())], caption="Everything", **others)


def narrow():
    rows = [(2, spread([0.1, 0.3]), spread([0.8, 1.0])), (16, spread([0.4, 0.5]), spread([1, 1]))]
    return table(("width d_k", "K = V", "separate"), rows, caption="Share of shapes right")


def html(of):
    return of._repr_mimebundle_()["text/html"]


def parsed(of):
    return BeautifulSoup(html(of), "html.parser")


def values(of):
    """The body's cells as a page shows them, without the names beside them."""
    page = parsed(of)
    for name in page.select(".name"):
        name.decompose()
    return [[cell.text for cell in row.select("th, td")] for row in page.select("tbody tr")]


def test_a_spread_is_mean_and_standard_deviation_of_the_sample():
    given = spread(torch.tensor(ACCURACIES, dtype=torch.float64))
    assert given.mean == pytest.approx(sum(ACCURACIES) / 3)
    assert given.sd == pytest.approx(stdev(ACCURACIES))
    assert given.n == 3


def test_the_caption_says_what_the_spread_is_and_over_how_many():
    assert parsed(narrow()).caption.text == (
        "Share of shapes right. Mean ± standard deviation of the sample over 2 seeds."
    )
    assert parsed(wide(over="draws")).caption.text.endswith("over 3 draws.")
    plain = table(("a", "b"), [("x", 1)], caption="No spread at all?")
    assert parsed(plain).caption.text == "No spread at all?"


def test_every_header_says_what_it_is_the_header_of():
    page = parsed(narrow())
    assert [h["scope"] for h in page.select("thead th")] == ["col"] * 3
    assert [h["scope"] for h in page.select("tbody th")] == ["row"] * 2
    assert [h.text for h in page.select("tbody th")] == ["2", "16"]


def row_names(*rows):
    page = parsed(table(tuple("abcd")[: len(rows[0])], rows, caption="C"))
    return [[h.find_all("span")[-1].text for h in r.select("th")] for r in page.select("tbody tr")]


def test_rows_of_one_name_are_told_apart_by_the_next_cell_too():
    assert row_names(("K = V", 2, 0.5), ("K = V", 4, 0.5), ("separate", 2, 0.5)) == [
        ["K = V", "2"], ["K = V", "4"], ["separate", "2"],
    ]  # fmt: skip
    assert row_names(("x", "y", 1, 2), ("x", "y", 2, 2)) == [["x", "y", "1"], ["x", "y", "2"]]
    assert row_names(("x", 0.5, 1), ("x", 0.25, 1)) == [["x"], ["x"]]  # measured: no name
    assert row_names(("x", 1), ("x", 1)) == [["x"], ["x"]]


def test_each_kind_of_cell_is_written_its_own_way():
    header = ("text", "whole", "other", "spread", "true", "nothing", "tensor", "numpy")
    row = ("a-b", 15_000, -0.256, spread([0.5, 1]), True, None, torch.tensor(2), np.float32(0.5))
    assert values(table(header, [row], caption="All kinds")) == [
        ["a-b", "15,000", "−0.26", "0.75 ± 0.35", "yes", "–", "2", "0.50"]
    ]


def test_a_format_is_for_all_columns_or_for_those_it_names():
    row = (0.12345, 0.12345, spread([0.5, 1]))
    all_of_them = table(("a", "b", "c"), [row], caption="Digits", formats=".3f")
    assert values(all_of_them) == [["0.123", "0.123", "0.750 ± 0.354"]]
    one = table(("a", "b", "c"), [row], caption="Digits", formats={"b": ".4f"})
    assert values(one) == [["0.12", "0.1235", "0.75 ± 0.35"]]


def test_powers_of_ten_and_subscripts_are_printed_as_such():
    page = html(table(("W_q", "tied_kv"), [("d_model", 3.2e-12)], caption="C", formats=".0e"))
    assert "3 × 10<sup>−12</sup>" in page
    assert "<i>W</i><sub>q</sub>" in page
    assert "<i>d</i><sub>model</sub>" in page
    assert "tied_kv" in page  # a name, no symbol


def test_text_is_escaped_wherever_it_stands():
    page = html(table(("<b>", "&"), [("<i>", 1)], caption="<u>"))
    assert not re.search(r"<b>|<i>|<u>", page)
    assert "&amp;" in page


def test_a_terminal_shows_columns():
    assert str(narrow()).splitlines() == [
        "Share of shapes right. Mean ± standard deviation of the sample over 2 seeds.",
        "",
        "width d_k         K = V      separate",
        "        2   0.20 ± 0.14   0.90 ± 0.14",
        "       16   0.45 ± 0.07   1.00 ± 0.00",
    ]
    assert wide()._repr_mimebundle_()["text/plain"] == str(wide())


def test_words_begin_at_one_edge_and_numbers_end_at_one():
    rows = [("short", 1.5), ("much longer", 10.25)]
    assert str(table(("name", "n"), rows, caption="C")).splitlines()[2:] == [
        "name              n",
        "short          1.50",
        "much longer   10.25",
    ]
    kinds = [cell.get("class") for cell in parsed(wide()).select("thead th")]
    assert kinds == [None, None, ["number"], ["number"], ["number"], ["number"]]
    flags = table(("mode", "exact"), [("K = V", False)], caption="C")
    assert str(flags).splitlines()[2:] == ["mode    exact", "K = V   no"]


def test_the_same_table_is_the_same_bytes():
    assert html(wide()) == html(wide())


def test_every_colour_is_left_to_the_page():
    page = html(wide())
    for colour in LIGHT.values():
        assert not re.search(rf"(?<!, |k\(){colour}", page)  # a fallback, or light-dark()
    assert f"var(--attn-ink, var(--host-ink, {LIGHT['ink']}))" in page
    assert not re.search(r"var\(--attn-\w+\)", page)  # a notebook has no such colour


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": []}, ValueError, "at least one row"),
        ({"rows": [(1, 2, 3)]}, ValueError, "a row must have 2 cells"),
        ({"rows": [(1,)]}, ValueError, "a row must have 2 cells"),
        ({"header": ("a", "a")}, ValueError, "names a column twice"),
        ({"caption": " "}, ValueError, "caption must say"),
        ({"formats": {"c": ".1f"}}, ValueError, r"formats names \['c'\]"),
        ({"rows": [(1, [2])]}, TypeError, r"a cell is text, .* got \[2\]"),
        (
            {"rows": [(1, spread([1, 2])), (2, spread([1, 2, 3]))]},
            ValueError,
            r"over \[2, 3\] seeds",
        ),
    ],
)
def test_what_is_no_table_of_results_is_refused(change, error, message):
    given = {"header": ("a", "b"), "rows": [(1, 2)], "caption": "Two numbers"} | change
    with pytest.raises(error, match=message):
        table(given.pop("header"), given.pop("rows"), **given)


def test_one_value_has_no_spread():
    with pytest.raises(ValueError, match="at least two values, got 1"):
        spread([0.5])


@pytest.fixture
def show_tables(tmp_path, open_page):
    def show(*tables, width, scheme="light", body="<body>"):
        page = tmp_path / "page.html"
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Tables</title>'
            '<meta name="viewport" content="width=device-width">'
            "<style>:root { color-scheme: light dark } body { background: canvas }</style>"
            f'{body}<main><h1 style="color: canvastext">Tables</h1>{"".join(map(html, tables))}',
            "utf-8",
        )
        return open_page(page, scheme=scheme, width=width)

    return show


def shown(page):
    """Of each text in a table's body: the text, and its edges."""
    return page.eval_on_selector_all(
        ".attn-results tbody span",
        """all => all.filter(one => one.checkVisibility()).map(one => {
            const box = one.getBoundingClientRect();
            return [one.textContent, Math.round(box.left), Math.round(box.right), Math.round(box.top)];
        })""",
    )


@pytest.mark.browser
def test_on_a_phone_every_value_of_a_wide_table_has_its_name_beside_it(show_tables):
    page = show_tables(wide(), width=390)
    texts = shown(page)
    assert [text for text, *_ in texts] == [
        "task", "match", "mode", "K = V", "accuracy", "0.94 ± 0.04", "loss in bits", "−0.25",
        "steps", "15,000", "off by", "0.00",
    ]  # fmt: skip
    for (_, left, end, top), (_, start, right, level) in zip(texts[::2], texts[1::2], strict=True):
        assert 0 <= left < end < start < right <= 390
        assert top == level
    assert page.locator("thead").bounding_box()["width"] <= 1  # it is there to who listens
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_long_words_go_below_their_name_on_a_phone(show_tables):
    words = "a remark that is much longer than what is left of a line on such a small screen"
    page = show_tables(
        table(("accuracy", "likeness", "distance", "d"), [(1, 2, 3, words)], caption="C"), width=390
    )
    name, text = shown(page)[-2:]
    assert text[0] == words
    assert text[3] > name[3]
    assert text[1] == name[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_a_table_of_three_columns_stays_a_table(show_tables, width):
    page = show_tables(narrow(), width=width)
    assert [text for text, *_ in shown(page)] == [
        "2", "0.20 ± 0.14", "0.90 ± 0.14", "16", "0.45 ± 0.07", "1.00 ± 0.00",
    ]  # fmt: skip
    rights = [right for _, _, right, _ in shown(page)]
    assert rights[:3] == rights[3:]
    assert all(0 < right <= width for right in rights)
    assert page.locator("thead th").evaluate_all("all => all.every(one => one.checkVisibility())")


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(show_tables, axe, scheme, width):
    page = show_tables(wide(), narrow(), scheme=scheme, width=width)
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations")
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_a_stacked_table_is_still_a_table_to_who_listens(show_tables, width):
    tree = show_tables(wide(), width=width).locator("main").aria_snapshot()
    for part in (
        'table "Everything.',
        'columnheader "accuracy"',
        'rowheader "match"',
        'cell "0.94',
    ):
        assert part in tree


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "body", "ink"),
    [
        ("dark", '<body data-jp-theme-light="true">', LIGHT),
        ("light", '<body data-jp-theme-light="false">', DARK),
        ("dark", "<body>", DARK),
    ],
)
def test_a_notebook_is_dark_where_jupyterlab_or_else_the_system_is(show_tables, scheme, body, ink):
    page = show_tables(narrow(), width=800, scheme=scheme, body=body)
    colour = page.locator("td").first.evaluate("one => getComputedStyle(one).color")
    assert colour == "rgb({}, {}, {})".format(*bytes.fromhex(ink["ink"][1:]))


@pytest.mark.parametrize(("number", "stays"), [(1.5, True), (1234567, False)])
def test_a_table_stays_one_on_a_phone_if_its_columns_have_room(show_tables, number, stays):
    page = show_tables(table(tuple("abcde"), [(number,) * 5], caption="C"), width=390)
    tops = {round(cell.bounding_box()["y"]) for cell in page.locator("tbody :is(th, td)").all()}
    assert (len(tops) == 1) is stays
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
