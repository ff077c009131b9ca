"""The map on the cover is attention, and the attention that the book is about."""

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import matplotlib as mpl
import torch

from attncourse.site.cover import attention_map, cover_figure, draw, mark_svg

COLOURS = {"query": "blue", "key": "orange", "value": "green", "other": "grey"}


def test_each_token_attends_most_to_the_one_before_it_on_the_circle():
    for n in (3, 4, 9):
        weights = attention_map(n, sharpness=2.4)
        torch.testing.assert_close(weights.sum(-1), torch.ones(n))
        assert weights.argmax(-1).tolist() == [(i - 1) % n for i in range(n)]
        assert not torch.allclose(weights, weights.mT, atol=0.1)


def test_one_row_and_one_column_are_coloured_and_meet_in_the_largest_weight():
    dots = list(ET.fromstring(mark_svg(5, sharpness=2.0, row=3, colours=COLOURS)))
    fills = [dot.get("fill") for dot in dots]
    assert {c: fills.count(c) for c in set(fills)} == {
        "blue": 4,
        "orange": 4,
        "green": 1,
        "grey": 16,
    }
    value = dots[fills.index("green")]
    assert (value.get("cx"), value.get("cy")) == ("2.50", "3.50")
    assert float(value.get("r")) == max(float(dot.get("r")) for dot in dots)


def test_the_cover_carries_title_and_subtitle_inside_its_edges():
    figure = cover_figure("Query, Key, Value", "Why attention learns three projections of features")
    figure.canvas.draw()
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert words == "Query, Key, Value Why attention learns three projections of features"
    page = figure.bbox
    for text in figure.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1 * 0.5  # the map begins there
        assert page.y0 <= box.y0 <= box.y1 <= page.y1


def test_the_cover_is_the_same_whatever_a_matplotlibrc_says(tmp_path):
    config = SimpleNamespace(html_title="Query", html_context={"attn_subtitle": "Why three?"})
    own = {"text.usetex": True, "savefig.dpi": 30, "savefig.bbox": "tight", "font.weight": "bold"}
    covers = set()
    for settings in ({}, own):
        with mpl.rc_context(settings):
            draw(SimpleNamespace(outdir=tmp_path, config=config))
        covers.add((tmp_path / "_static" / "cover.png").read_bytes())
    assert len(covers) == 1
