"""Figures: they follow the page's colours, say what they show, and do not get in each other's way."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from matplotlib.font_manager import fontManager, get_font
from PIL import Image
from visuals.driving import letter_sizes

from attncourse.palette import DARK, LIGHT
from attncourse.visuals.figures import heat, image, panels, show
from attncourse.visuals.repeated import once


def picture(alt="Two rising lines, one steep and one flat"):
    left, right = panels("Left", "Right")
    left.plot([0, 1], [0, 1], color=LIGHT["query"])
    right.plot([0, 1], [0, 2], color=LIGHT["key"])
    return show(left, right, alt=alt)


def html(figure):
    return figure._repr_mimebundle_()["text/html"]


def test_every_colour_of_the_palette_is_left_to_the_page():
    page = re.sub(r"<style>.*?</style>", "", html(picture()), flags=re.DOTALL)
    for name, colour in LIGHT.items():
        assert not re.search(rf"(?<!, ){colour}", page), name
    assert f"var(--attn-query, var(--host-query, {LIGHT['query']}))" in page
    assert "#000000" not in page  # matplotlib's own black would vanish on a dark page


def test_the_alternative_text_is_there_and_is_escaped():
    page = html(picture('A "quoted" line & a <tag>'))
    assert 'role="img" aria-label="A &quot;quoted&quot; line &amp; a &lt;tag&gt;"' in page


@pytest.mark.parametrize("alt", ["", "figure", "a nice plot"])
def test_a_figure_without_a_sentence_about_it_is_refused(alt):
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        picture(alt)


def test_ids_of_two_figures_on_one_page_differ_and_every_reference_resolves():
    other = panels("Other")
    other[0].plot([1, 0], [0, 1])
    pages = [html(picture()), html(show(*other, alt="One falling line and nothing else"))]
    ids = [set(re.findall(r'id="([^"]+)"', page)) for page in pages]
    assert not {each for each in ids[0] & ids[1] if not each.startswith("letter-")}
    for page, own in zip(pages, ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        assert used
        assert used <= own


def test_a_letter_is_drawn_from_one_shape_however_many_figures_have_it():
    left, right, other = panels("Tau", "Atu", "Tau and more")
    together = once(
        html(show(left, right, alt="Two panels with one title"))
        + html(show(other, alt="A panel of another figure"))
    )
    ids = re.findall(r'id="([^"]+)"', together)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)', together)) <= set(ids)
    assert together.count("<style>") == 1


def test_a_figure_uses_no_letter_of_one_that_only_a_page_without_scripts_has():
    figure = html(picture())
    page = once(f"<noscript>{figure}</noscript>{figure}{figure}")
    unscripted, _, others = page.partition("</noscript>")
    ids = [re.findall(r'id="(letter-[^"]+)"', part) for part in (unscripted, others)]
    assert sorted(ids[0]) == sorted(ids[1])
    assert page.count("<style>") == 2


def test_the_same_figure_is_the_same_bytes():
    assert html(picture()) == html(picture())


# A reader's own; a program for TeX is hardly ever there.
MATPLOTLIBRC = """
text.usetex: True
axes.prop_cycle: cycler("color", ["ff0000"])
axes.grid: True
axes.linewidth: 3
font.weight: bold
lines.marker: x
path.sketch: 2, 100, 2
figure.dpi: 300
figure.constrained_layout.h_pad: 0.4
image.origin: lower
savefig.bbox: tight
savefig.facecolor: red
svg.fonttype: none
"""


def drawn():
    """A digest of figures with everything in them that this file knows."""
    plain, weights, pixels = panels("Lines", "Weights", "Photograph")
    for slope in (1, 2):
        plain.plot([0, 1], [0, slope], label=f"slope ${slope}$")
    plain.legend()
    heat(weights, torch.tensor([[0.0, 0.5], [1.0, 0.25]]), columns=["a", "b"], digits=1)
    image(pixels, torch.linspace(0, 1, 12).view(3, 4))
    figure = show(plain, weights, pixels, alt="Two lines, four weights and a photograph")
    return digest_of(figure)


def digest_of(figure):
    return hashlib.sha256(html(figure).encode() + figure._png()).hexdigest()


def test_a_figure_is_the_same_whatever_a_readers_matplotlibrc_says(tmp_path):
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    program = "from visuals.test_figures import drawn; print(drawn())"
    path = os.pathsep.join(path for path in sys.path if path)
    hostile = {"MATPLOTLIBRC": str(tmp_path), "MPLBACKEND": "svg"}
    said = {
        subprocess.check_output(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path, **own}
        )
        for own in ({"MPLBACKEND": ""}, hostile)
    }
    assert len(said) == 1


def test_a_figure_that_is_drawn_is_shown_the_same_whatever_the_session_sets_then(tmp_path):
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    before = digest_of(picture())
    with mpl.rc_context():
        figure = picture()
        mpl.rc_file(tmp_path / "matplotlibrc")
        assert digest_of(figure) == before


def test_on_paper_all_panels_stand_side_by_side():
    png = Image.open(io.BytesIO(picture()._repr_mimebundle_()["image/png"]))
    one = Image.open(io.BytesIO(show(*panels("Left"), alt="An empty pair of axes")._png()))
    assert png.size == (2 * one.width, one.height)


def letters(figure):
    """By face, the letters that the figure draws with it; a box is a letter called None."""
    # Of two files of one name, the first is the one that matplotlib takes.
    files = {Path(entry.fname).stem: entry.fname for entry in reversed(fontManager.ttflist)}
    name = r'id="letter-((?:SourceSansPro|DejaVuSans)-\w+)-([0-9a-f]+)"'
    found = {}
    for face, index in re.findall(name, html(figure)):
        characters = {
            glyph: chr(code) for code, glyph in get_font(files[face]).get_charmap().items()
        }
        found.setdefault(face, set()).add(characters.get(int(index, 16)))
    return found


def test_letters_are_the_books_own_and_what_it_lacks_is_no_box():
    (axes,) = panels("Lo ± 0.1, W⊤ ∈ A")
    axes.set(xlabel=r"$d_k \times \alpha \in M^\top$", ylabel="bits → ½", xticks=[-1, 1])
    drawn = letters(show(axes, alt="An empty pair of axes with all kinds of letters"))
    assert set("Lo±0.1W") <= drawn["SourceSansPro-Semibold"]
    assert set("bits→½−1×") <= drawn["SourceSansPro-Regular"]
    assert drawn["SourceSansPro-It"] == set("dkM")
    assert drawn["DejaVuSans-Bold"] == set("⊤∈")
    for box in (None, "¤"):  # of a text, of a formula
        assert all(box not in characters for characters in drawn.values())


def test_letters_of_a_figure_say_nothing_on_stderr(capfd, caplog):
    (axes,) = panels(r"A title with $\mathbf{W}\,\mathit{x}\,\mathcal{L}\,\mathtt{a}$")
    axes.legend([], title="an empty legend")
    html(show(axes, alt="An empty pair of axes with a title"))
    assert capfd.readouterr().err == ""
    assert caplog.text == ""


@pytest.fixture
def show_figure(tmp_path, open_page):
    """A figure in a column of the page as wide as a text column, or as a phone leaves."""

    def show_(figure, column, *, scheme="light", body="<body>"):
        page = tmp_path / "page.html"
        page.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>F</title>{body}'
            f'<div style="width: {column}px">{html(figure)}</div>',
            "utf-8",
        )
        return open_page(page, scheme=scheme, width=max(column + 35, 390))

    return show_


PHONE, NARROWEST, WIDEST = 355, 656, 800  # columns of text, in px: of 390 px, of 41 and of 50 rem


@pytest.mark.browser
@pytest.mark.parametrize("column", [PHONE, NARROWEST, WIDEST])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_letter_is_smaller_than_twelve_pixels_or_larger_than_the_text(
    show_figure, column, count
):
    drawn = panels(*"abc"[:count], width=2.4 if count == 3 else 3.25)
    for axes in drawn:
        axes.plot([0, 1], [0, 1], label="a line")
        axes.set(xlabel="layer", ylabel="loss")
        axes.legend()
    page = show_figure(show(*drawn, alt="Panels with a line in each of them"), column)
    sizes = letter_sizes(page)
    assert min(sizes) >= 12
    assert max(sizes) <= 18


def boxes(page):
    return page.eval_on_selector_all(
        ".attn-figure svg", "all => all.map(e => e.getBoundingClientRect().toJSON())"
    )


@pytest.mark.browser
@pytest.mark.parametrize("column", [NARROWEST, WIDEST])
def test_two_panels_stand_side_by_side_in_the_text(show_figure, column):
    left, right = boxes(show_figure(picture(), column))
    assert left["top"] == right["top"]
    assert left["right"] < right["left"]
    assert left["width"] == right["width"] >= 0.44 * column


@pytest.mark.browser
def test_three_panels_stand_side_by_side_in_a_wide_text_and_are_as_large_as_they_can_be(
    show_figure,
):
    figure = show(*panels("a", "b", "c", width=2.4), alt="Three empty pairs of axes")
    three = boxes(show_figure(figure, WIDEST))
    assert len({box["top"] for box in three}) == 1
    assert all(box["width"] >= 250 for box in three)


@pytest.mark.browser
def test_on_a_phone_a_panel_stands_below_the_other_and_fills_the_screen(show_figure):
    upper, lower = boxes(show_figure(picture(), PHONE))
    assert upper["bottom"] < lower["top"]
    assert upper["width"] == lower["width"] == pytest.approx(PHONE, abs=1)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "body", "palette"),
    [
        ("dark", '<body data-jp-theme-light="true">', LIGHT),
        ("light", '<body data-jp-theme-light="false">', DARK),
        ("dark", "<body>", LIGHT),  # it would say so if it were dark
        ("dark", '<meta name="color-scheme" content="light dark"><body>', DARK),
    ],
)
def test_a_figure_is_dark_in_a_dark_notebook(show_figure, scheme, body, palette):
    page = show_figure(picture(), WIDEST, scheme=scheme, body=body)
    strokes = page.eval_on_selector_all(
        ".attn-figure path", "all => all.map(e => getComputedStyle(e).stroke)"
    )
    assert "rgb({}, {}, {})".format(*bytes.fromhex(palette["query"][1:])) in strokes


def test_heat_is_darker_for_more_and_comparable_between_figures():
    def alphas(matrix):
        (axes,) = panels("Weights")
        heat(axes, matrix)
        return [patch.get_alpha() for patch in axes.patches[: matrix.numel()]]

    few, many = alphas(torch.tensor([[0.0, 0.5]])), alphas(torch.tensor([[0.5, 1.0], [0.0, 0.25]]))
    assert few[1] == many[0]
    assert many[1] > many[0] > many[3] > many[2]


@pytest.mark.parametrize("matrix", [torch.tensor([[1.5]]), torch.tensor([[-0.1]]), torch.zeros(3)])
def test_heat_refuses_what_is_no_table_of_weights(matrix):
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        heat(panels("Weights")[0], matrix)


def test_an_image_keeps_its_pixels_and_its_orientation():
    (axes,) = panels("Photograph")
    pixels = torch.rand(3, 4, 6)
    image(axes, pixels)
    (drawn,) = axes.get_images()
    torch.testing.assert_close(torch.tensor(drawn.get_array().data), pixels.permute(1, 2, 0))


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["query", "key", "value", "ink", "muted"])
def test_every_text_colour_has_the_contrast_that_wcag_asks_for(palette, name):
    lighter, darker = sorted((luminance(palette[name]), luminance(palette["paper"])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
