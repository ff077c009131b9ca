"""What is wider than the page: it scrolls, and its edge shows on which side there is more."""

import io

import pytest
from browsing import in_both_schemes
from conftest import ROOT
from PIL import Image

from attncourse.palette import DARK, LIGHT, custom_properties

INSIDE = {
    "in the text": '<div class="pst-scrollable-table-container"><table class="table">{}</table></div>',
    "code": '<div class="cell_input"><div class="highlight-python"><div class="highlight"><pre>{}</pre>'
    "</div></div></div>",
    "a result": '<div class="cell_output"><div class="output"><div class="attn-results">'
    "<table>{}</table></div></div></div>",
}


@pytest.fixture(params=INSIDE)
def scroller(request, tmp_path, open_page, scheme):
    sheets = ("base", "tables", "code", "scrolling")  # in the order of _config.yml
    style = "".join((ROOT / f"book/_static/{each}.css").read_text("utf-8") for each in sheets)
    colours = custom_properties({"light": LIGHT, "dark": DARK}[scheme])
    cells = "".join(f"<td>{'wide' * 9}</td>" for _ in range(4))
    content = "wide" * 36 if request.param == "code" else f"<tr>{cells}</tr>"
    path = tmp_path / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>:root {{ {colours} }} body {{ background: var(--attn-paper) }} {style}</style>"
        f'<main class="bd-article">{INSIDE[request.param].format(content)}</main>',
        "utf-8",
    )
    page = open_page(path, scheme=scheme, width=390)
    return page.locator(".pst-scrollable-table-container, .output, pre")


def shaded(scroller):
    """Whether the left and the right edge differ from the paper that is between them."""
    picture = Image.open(io.BytesIO(scroller.screenshot())).convert("L")
    y = picture.height - 6  # below the letters, above the round corners
    left, middle, right = (picture.getpixel((x, y)) for x in (0, 190, picture.width - 1))
    return [abs(edge - middle) > 2 for edge in (left, right)]


@pytest.mark.browser
@in_both_schemes
def test_the_edge_is_shaded_on_the_side_where_there_is_more(scroller):
    assert shaded(scroller) == [False, True]
    scroller.evaluate("one => one.scrollLeft = 200")
    assert shaded(scroller) == [True, True]
    scroller.evaluate("one => one.scrollLeft = one.scrollWidth")
    assert shaded(scroller) == [True, False]
    assert scroller.page.evaluate("document.documentElement.scrollWidth") <= 390
