"""Figures: they follow the page's colours, say what they show, and do not get in each other's way."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys

import matplotlib as mpl
import pytest
import torch
from PIL import Image

from attncourse.palette import DARK, LIGHT
from attncourse.visuals.figures import heat, image, panels, show


def picture(alt="Two rising lines, one steep and one flat"):
    left, right = panels("Left", "Right")
    left.plot([0, 1], [0, 1], color=LIGHT["query"])
    right.plot([0, 1], [0, 2], color=LIGHT["key"])
    return show(left, right, alt=alt)


def html(figure):
    return figure._repr_mimebundle_()["text/html"]


def test_every_colour_of_the_palette_is_left_to_the_page():
    page = html(picture())
    for name, colour in LIGHT.items():
        assert not re.search(rf"(?<!, ){colour}", page), name
    assert f"var(--attn-query, {LIGHT['query']})" in page
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
    assert not ids[0] & ids[1]
    for page, own in zip(pages, ids, strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        assert used
        assert used <= own


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
