"""The explorers: what Python refuses, what a page without a kernel shows, and a live notebook."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from browsing import in_both_schemes
from playwright.sync_api import Browser, Locator, Page, expect
from torch.nn import functional as F
from visuals.driving import Finger, assert_fits_and_is_accessible, middle, number, place, slide

from attncourse import palette
from attncourse.attention import attention_weights, cosine_affinity, dot_affinity
from attncourse.visuals.explorers import (
    LiveSoftmax,
    PixelMatch,
)

H, W = 5, 7
LABELS = ["river", "bank", "money", "the"]
SCORES = [2.0, 0.5, -1.0, 1.2]
VALUES = [[1.0, 0.0], [0.2, 2.5], [-1.5, 0.5], [-0.8, -0.9]]


@pytest.fixture
def photo() -> torch.Tensor:
    """``[3, H, W]``: every colour differs, and one pixel is black, a vector without direction."""
    pixels = torch.rand(3, H, W, generator=torch.Generator().manual_seed(0))
    pixels[:, 4, 1] = 0
    return pixels


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, r"photo .*uint8", lambda x: PixelMatch((x * 255).to(torch.uint8))),
        (ValueError, r"photo .*\[3, H, W\].*\[5, 7, 3\]", lambda x: PixelMatch(x.permute(1, 2, 0))),
        (ValueError, r"photo .*\[3, H, W\].*\[1, 3, 5, 7\]", lambda x: PixelMatch(x[None])),
        (ValueError, r"photo .*0 to 1.*255", lambda x: PixelMatch(x / x.max() * 255)),
        (ValueError, r"photo .*nan", lambda x: PixelMatch(x * torch.nan)),
        (ValueError, r"photo .*4096.*80 × 90 = 7200", lambda x: PixelMatch(torch.zeros(3, 80, 90))),
        (ValueError, r"start .*row below 5 .*column below 7.*\(5, 0\)", lambda x: PixelMatch(x, start=(5, 0))),
        (ValueError, r"start .*\(0, -1\)", lambda x: PixelMatch(x, start=(0, -1))),
        (TypeError, r"start .*\(1\.5, 2\)", lambda x: PixelMatch(x, start=(1.5, 2))),
        (TypeError, r"start .*two integers", lambda x: PixelMatch(x, start=(1, 2, 3))),
        (ValueError, r"affinity .*'euclid'", lambda x: PixelMatch(x, affinity="euclid")),
        (ValueError, r"features .*'rgb'", lambda x: PixelMatch(x, features="rgb")),
        (ValueError, r"temperature .*got 0", lambda x: PixelMatch(x, temperature=0)),
        (ValueError, r"temperature .*got 9", lambda x: LiveSoftmax([1, 2], ["a", "b"], None, 9)),
        (ValueError, r"labels .*3 labels, 2 scores", lambda x: LiveSoftmax([1, 2], list("abc"))),
        (ValueError, r"labels .*1 labels, 2 scores", lambda x: LiveSoftmax([1, 2], "ab")),
        (TypeError, r"labels must be strings", lambda x: LiveSoftmax([1, 2], [1, 2])),
        (ValueError, r"scores .*2 to 8.*got 1", lambda x: LiveSoftmax([1], ["a"])),
        (ValueError, r"scores .*2 to 8.*got 9", lambda x: LiveSoftmax([0] * 9, list("abcdefghi"))),
        (ValueError, r"scores .*\[n\].*\[1, 2\]", lambda x: LiveSoftmax([[1, 2]], ["a", "b"])),
        (ValueError, r"scores .*finite.*inf", lambda x: LiveSoftmax([1, np.inf], ["a", "b"])),
        (TypeError, r"scores must be numbers", lambda x: LiveSoftmax(["1", "2"], ["a", "b"])),
        (ValueError, r"values .*\[2, 2\].*\[3, 2\]", lambda x: LiveSoftmax([1, 2], ["a", "b"], np.ones((3, 2)))),
        (ValueError, r"values .*\[2, 2\].*\[2, 3\]", lambda x: LiveSoftmax([1, 2], ["a", "b"], np.ones((2, 3)))),
        (ValueError, r"values .*unequal", lambda x: LiveSoftmax([1, 2], ["a", "b"], [[1, 2], [3]])),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(
    error: type[Exception], message: str, make: Callable, photo: torch.Tensor
) -> None:
    with pytest.raises(error, match=message):
        make(photo)


def test_a_pick_outside_the_photo_is_refused_later_too(photo: torch.Tensor) -> None:
    explorer = PixelMatch(photo)
    with pytest.raises(ValueError, match=r"row below 5 and a column below 7.*\(6, 4\)"):
        explorer.pick = (6, 4)
    assert explorer.pick == (H // 2, W // 2)


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, 3.0], [1.0, 99.0], [1.0, float("nan")]])
def test_scores_that_the_sliders_cannot_show_are_refused_later_too(scores: list[float]) -> None:
    explorer = LiveSoftmax([1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"scores must be 2 numbers.*from -6 to 6"):
        explorer.scores = scores
    assert explorer.scores == [1.0, 2.0]


def test_tensors_that_want_gradients_and_arrays_make_the_same_explorer(photo: torch.Tensor) -> None:
    assert PixelMatch(photo.requires_grad_()).state() == PixelMatch(photo.detach().numpy()).state()
    scores = torch.tensor([0.5, 2.0], requires_grad=True)
    assert LiveSoftmax(scores, ["a", "b"]).state() == LiveSoftmax([0.5, 2], ["a", "b"]).state()


class _Mount(HTMLParser):
    """Reads an explorer's ``text/html`` as a browser does."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(dict(attributes))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_bundle_holds_the_widget_the_state_and_a_sentence_whatever_the_labels() -> None:
    labels = ['"></div><script>alert(1)</script>', "it's & 'that'"]
    explorer = LiveSoftmax([1.0, -0.5], labels, [[0, 1], [2, 3]], temperature=0.5)
    data, _ = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    mount = _Mount(data["text/html"])
    (element,) = mount.elements
    assert element["class"] == "attn-mount"
    assert element["data-explorer"] == "live_softmax"
    assert json.loads(element["data-state"] or "") == {
        "labels": labels,
        "limit": 6,
        "scores": [1.0, -0.5],
        "temperature": 0.5,
        "values": [[0.0, 1.0], [2.0, 3.0]],
    }
    assert mount.text == explorer.description()


# ---------------------------------------------------------------- a page without a kernel


def true_weights(photo: torch.Tensor, page: Page) -> torch.Tensor:
    """``[H, W]``: what the course's own functions say for the settings that the page shows."""

    def checked(trait: str) -> str | None:
        return page.locator(f"input[name={trait}]:checked").get_attribute("value")

    rgb = (photo.double() * 255).round() / 255
    tokens = rgb.flatten(1).T  # [3, H, W] -> [H·W, 3]
    if checked("features") == "neighbourhood":
        padded = F.pad(rgb[None], (1, 1, 1, 1), mode="replicate")
        tokens = F.unfold(padded, 3)[0].T  # [1, 3, H+2, W+2] -> [H·W, 27]
    if page.get_by_label("subtract the mean").is_checked():
        tokens = tokens - tokens.mean(0)
    affinity = {"dot": dot_affinity, "cosine": cosine_affinity}[checked("affinity") or ""]
    row, column = picked(page)
    scores = affinity(tokens[row * W + column][None], tokens)[0]
    return attention_weights(scores / number(page, ".temperature data")).view(H, W)


def picked(page: Page) -> tuple[int, int]:
    row, column = re.findall(r"\d+", page.locator(".where").inner_text())
    return int(row), int(column)


def colours(canvas: Locator) -> torch.Tensor:
    """``[H, W, 4]``: what a canvas shows, read off a copy (reading the canvas slows it down)."""
    height, width, data = canvas.evaluate("""canvas => {
        const { height, width } = canvas;
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return [height, width, [...copy.getImageData(0, 0, width, height).data]];
    }""")
    return torch.tensor(data).view(height, width, 4)


def mapped(page: Page) -> torch.Tensor:
    """``[H, W]``: the weights read off the map's colours with the scale beside it."""
    scale = colours(page.locator(".scale canvas"))[0]
    cells = colours(page.locator(".map canvas"))[:, :, None]
    step = (cells - scale).abs().sum(-1).argmin(-1)
    return step / 255 * number(page, ".scale-end")


def assert_shows_the_truth(page: Page, photo: torch.Tensor) -> None:
    weights = true_weights(photo, page)
    row, column = picked(page)
    assert number(page, ".own") == pytest.approx(weights[row, column].item(), abs=1e-5)
    assert number(page, ".match-weight") == pytest.approx(weights.max().item(), abs=1e-5)
    entropy = -torch.xlogy(weights, weights).sum()
    assert number(page, ".effective") == pytest.approx(entropy.exp().item(), rel=1e-5)
    match = page.locator(".match").inner_text()
    best = (row, column) if match == "itself" else tuple(map(int, re.findall(r"\d+", match)))
    assert weights[best].item() == pytest.approx(weights.max().item(), abs=1e-9)
    # Neighbouring colours of the scale may be one and the same in 8 bits.
    two_steps = 2 / 255 * number(page, ".scale-end")
    torch.testing.assert_close(mapped(page).double(), weights, atol=two_steps, rtol=0)
    for panel, mark, (i, j) in itertools.product(
        (".photo", ".map"), (".mark-query", ".mark-key"), [(row, column)]
    ):
        i, j = (i, j) if mark == ".mark-query" else best
        box = page.locator(panel).bounding_box()
        drawn = page.locator(f"{panel} {mark}").bounding_box()
        assert box
        assert drawn
        assert drawn["x"] + drawn["width"] / 2 - box["x"] == pytest.approx(
            (j + 0.5) * box["width"] / W, abs=1
        )
        assert drawn["y"] + drawn["height"] / 2 - box["y"] == pytest.approx(
            (i + 0.5) * box["height"] / H, abs=1
        )


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("affinity", ["dot", "cosine"])
@pytest.mark.parametrize("features", ["colour", "neighbourhood"])
@pytest.mark.parametrize("centred", [False, True])
def test_pixel_weights_are_those_of_the_course(
    affinity: str, features: str, centred: bool, photo: torch.Tensor, show: Callable
) -> None:
    page = show(
        PixelMatch(photo, start=(1, 5), affinity=affinity, features=features, centred=centred)
    )
    for exponent in (0, -4.5, -9):
        slide(page.get_by_label("temperature"), exponent)
        assert number(page, ".temperature data") == pytest.approx(2**exponent)
        assert_shows_the_truth(page, photo)


@pytest.mark.browser
def test_a_black_pixel_has_no_direction_and_attends_to_all_alike(
    photo: torch.Tensor, show: Callable
) -> None:
    page = show(PixelMatch(photo, start=(4, 1), affinity="cosine", temperature=0.01))
    assert number(page, ".own") == pytest.approx(1 / (H * W))
    assert_shows_the_truth(page, photo)


@pytest.mark.browser
def test_the_brightest_pixel_can_match_better_than_the_picked_one(
    photo: torch.Tensor, show: Callable
) -> None:
    photo[:, 3, 6] = 1
    page = show(PixelMatch(photo, start=(0, 2), affinity="dot"))
    expect(page.locator(".match")).to_have_text("row 3, column 6")
    page.get_by_text("cosine", exact=True).click()
    expect(page.locator(".match")).to_have_text("itself")


@pytest.mark.browser
def test_a_pixel_is_picked_by_click_drag_and_keys(photo: torch.Tensor, show: Callable) -> None:
    page = show(PixelMatch(photo, start=(0, 0), temperature=0.05))
    slider = page.get_by_role("slider", name="Picked pixel")
    box = page.locator(".photo").bounding_box()
    assert box

    def point(row: float, column: float) -> tuple[float, float]:
        return (
            box["x"] + (column + 0.5) * box["width"] / W,
            box["y"] + (row + 0.5) * box["height"] / H,
        )

    def expect_pick(row: int, column: int) -> None:
        expect(slider).to_have_attribute("aria-valuetext", f"row {row}, column {column}")
        expect(slider).to_have_attribute("aria-valuenow", str(row * W + column))
        assert_shows_the_truth(page, photo)

    page.mouse.click(*point(1, 5))
    expect_pick(1, 5)
    page.mouse.move(*point(1, 5))
    page.mouse.down()
    page.mouse.move(*point(3, 2), steps=4)
    expect_pick(3, 2)
    page.mouse.move(*point(-9, 40))  # beyond the border: the nearest pixel
    expect_pick(0, 6)
    page.mouse.up()
    page.mouse.move(*point(2, 3))  # not a drag any more
    expect_pick(0, 6)
    for key, row, column in [
        ("ArrowDown", 1, 6),
        ("ArrowLeft", 1, 5),
        ("Shift+ArrowLeft", 1, 0),
        ("ArrowRight", 1, 1),
        ("Shift+ArrowRight", 1, 6),
        ("Shift+ArrowDown", 4, 6),
        ("ArrowDown", 4, 6),  # the border
        ("ArrowUp", 3, 6),
        ("Home", 3, 0),
        ("End", 3, 6),
        ("PageDown", 4, 6),
        ("Shift+ArrowUp", 0, 6),
        ("PageDown", 4, 6),
        ("PageUp", 0, 6),
    ]:
        page.keyboard.press(key)
        expect_pick(row, column)
    expect(slider).to_be_focused()


@pytest.mark.browser
def test_the_map_picks_a_pixel_as_the_photograph_does_and_the_keys_go_on_from_there(
    photo: torch.Tensor, show: Callable
) -> None:
    page = show(PixelMatch(photo, start=(0, 0), temperature=0.05))
    box = page.locator(".map").bounding_box()
    assert box

    def point(row: float, column: float) -> tuple[float, float]:
        return (
            box["x"] + (column + 0.5) * box["width"] / W,
            box["y"] + (row + 0.5) * box["height"] / H,
        )

    page.mouse.click(*point(3, 1))
    assert picked(page) == (3, 1)
    page.keyboard.press("ArrowRight")
    assert picked(page) == (3, 2)
    page.mouse.move(*point(3, 2))
    page.mouse.down()
    page.mouse.move(*point(1, 6), steps=4)
    page.mouse.up()
    page.mouse.move(*point(0, 0))  # not a drag any more
    assert picked(page) == (1, 6)
    assert_shows_the_truth(page, photo)
    expect(page.get_by_role("status")).to_contain_text("It gives itself")
    assert "in either picture" in page.locator(".attn-explorer").inner_text()


@pytest.mark.browser
def test_a_finger_picks_by_a_tap_and_by_a_drag_to_the_side_on_either_picture(
    photo: torch.Tensor, show: Callable
) -> None:
    page = show(PixelMatch(photo, start=(0, 0)), width=390)
    finger = Finger(page)
    for picture in (".photo", ".map"):
        x, y = middle(page.locator(picture))
        finger.tap((x - 120, y))
        assert picked(page) == (2, 1)
        assert finger.swipe((x - 120, y), right=150, down=20) == 0
        assert picked(page) == (2, 4)


@pytest.mark.browser
def test_pixel_controls_answer_to_keys_and_reset_undoes_all(
    photo: torch.Tensor, show: Callable
) -> None:
    page = show(PixelMatch(photo, start=(2, 4), affinity="cosine"))
    before = true_weights(photo, page)
    page.locator(".photo").focus()
    page.keyboard.press("ArrowUp")
    for keys in (
        ["Tab", "ArrowLeft"],
        ["Tab", "ArrowLeft"],
        ["Tab", "ArrowRight"],
        ["Tab", "Space"],
    ):
        for key in keys:
            page.keyboard.press(key)
        assert_shows_the_truth(page, photo)
    assert page.get_by_label("dot product").is_checked()
    assert number(page, ".temperature data") == pytest.approx(2**-0.25)
    assert page.get_by_label("3 × 3").is_checked()
    assert page.get_by_label("subtract the mean").is_checked()
    expect(page.get_by_role("status")).to_contain_text("Best match")
    page.get_by_role("button", name="Reset").click()
    assert picked(page) == (2, 4)
    torch.testing.assert_close(true_weights(photo, page), before)
    assert_shows_the_truth(page, photo)


@pytest.mark.browser
@in_both_schemes
def test_the_map_follows_the_theme_of_the_page(photo: torch.Tensor, show: Callable) -> None:
    page = show(PixelMatch(photo, start=(2, 4), temperature=0.03))
    for theme, named in (("dark", palette.DARK), ("light", palette.LIGHT)):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_function("() => new Promise(requestAnimationFrame)")
        scale = colours(page.locator(".scale canvas"))[0, :, :3]
        ends = ["#" + bytes(scale[i].tolist()).hex() for i in (0, 255)]
        assert ends == [named["paper"], named["key"]]
        assert_shows_the_truth(page, photo)


# ---------------------------------------------------------------- live softmax


def assert_softmax_is_true(page: Page) -> torch.Tensor:
    rows = page.locator(".tokens")
    exact = rows.locator(".weight").evaluate_all("all => all.map(data => Number(data.value))")
    scores = rows.locator(".shown-score").evaluate_all("all => all.map(data => Number(data.value))")
    weights = attention_weights(
        torch.tensor(scores, dtype=torch.float64) / number(page, ".temperature data")
    )
    torch.testing.assert_close(torch.tensor(exact, dtype=torch.float64), weights, atol=1e-5, rtol=0)
    rounded = [float(text) for text in rows.locator(".weight").all_inner_texts()]
    assert rounded == pytest.approx(exact, abs=6e-4)
    assert number(rows, ".sum data") == pytest.approx(1)
    entropy = -torch.xlogy(weights, weights).sum()
    assert number(page, ".effective") == pytest.approx(entropy.exp().item(), rel=1e-5)
    widths = rows.locator(".bar i").evaluate_all(
        "all => all.map(bar => bar.getBoundingClientRect().width "
        "/ bar.parentElement.getBoundingClientRect().width)"
    )
    torch.testing.assert_close(torch.tensor(widths).double(), weights, atol=0.01, rtol=0)
    return weights


@pytest.mark.browser
def test_softmax_weights_are_those_of_the_course(show: Callable) -> None:
    page = show(LiveSoftmax(SCORES, LABELS, VALUES))
    for exponent in (0, -3, 3, 1.5):
        slide(page.get_by_label("temperature"), exponent)
        assert number(page, ".temperature data") == pytest.approx(2**exponent)
        assert_softmax_is_true(page)


@pytest.mark.browser
def test_huge_scores_do_not_overflow(show: Callable) -> None:
    page = show(LiveSoftmax([900.0, 899.0, -900.0], LABELS[:3], temperature=0.125))
    assert_softmax_is_true(page)


@pytest.mark.browser
def test_a_score_is_moved_by_drag_click_and_keys(show: Callable) -> None:
    page = show(LiveSoftmax(SCORES, LABELS, VALUES))
    handle = page.get_by_role("slider", name="score of money")
    box = handle.bounding_box()
    assert box

    def point(score: float) -> tuple[float, float]:  # a handle of 16 px runs from -6 to 6
        return box["x"] + 8 + (score + 6) / 12 * (box["width"] - 16), box["y"] + box["height"] / 2

    page.mouse.move(*point(SCORES[2]))
    page.mouse.down()
    page.mouse.move(*point(1.0), steps=5)
    page.mouse.move(*point(3.0), steps=5)
    page.mouse.up()
    moved = float(handle.input_value())
    assert moved == pytest.approx(3.0, abs=0.11)
    assert assert_softmax_is_true(page).argmax() == 2
    page.mouse.click(*point(-4.0))
    assert float(handle.input_value()) == pytest.approx(-4.0, abs=0.11)
    assert_softmax_is_true(page)
    slide(handle, 1.5)
    handle.focus()
    page.keyboard.press("ArrowRight")
    weights = assert_softmax_is_true(page)
    text = handle.get_attribute("aria-valuetext") or ""
    assert re.fullmatch(r"score 1\.6, weight [\d.]+\s%", text)
    assert float(re.findall(r"[\d.]+", text)[1]) == pytest.approx(100 * weights[2].item(), abs=0.05)
    others = page.locator(".shown-score").all_inner_texts()
    assert others == ["2.0", "0.5", "1.6", "1.2"]


@pytest.mark.browser
def test_the_average_is_drawn_where_the_weights_put_it(show: Callable) -> None:
    page = show(LiveSoftmax(SCORES, LABELS, VALUES))
    values = torch.tensor(VALUES, dtype=torch.float64)
    for exponent in (0, -2, 3):
        slide(page.get_by_label("temperature"), exponent)
        weights = assert_softmax_is_true(page)
        rings = place(page, ".ring")
        torch.testing.assert_close(place(page, ".output")[0], weights @ rings, atol=0.5, rtol=0)
        areas = torch.tensor(
            page.locator(".dot").evaluate_all("all => all.map(dot => dot.r.baseVal.value ** 2)")
        )
        torch.testing.assert_close((areas / areas.sum()).double(), weights, atol=1e-4, rtol=0)
        widths = torch.tensor(
            page.locator(".spoke").evaluate_all(
                "all => all.map(spoke => Number(spoke.getAttribute('stroke-width')))"
            )
        )
        torch.testing.assert_close((widths / widths.sum()).double(), weights, atol=1e-4, rtol=0)
        x, y = re.findall(r"−?[\d.]+", page.locator(".readouts dd").nth(2).inner_text())
        coordinates = [float(n.replace("−", "-")) for n in (x, y)]
        assert coordinates == pytest.approx((weights @ values).tolist(), abs=0.006)
    # Up is up, and both axes have one scale.
    drawn = rings - rings[0]
    wanted = (values - values[0]) * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(drawn / drawn.norm(), wanted / wanted.norm(), atol=1e-3, rtol=0)


@pytest.mark.browser
def test_the_hull_has_the_outer_values_as_corners(show: Callable) -> None:
    values = [[0.0, 0.1], [2.0, 2.0], [-2.0, 1.5], [1.0, -2.0], [-1.0, -1.8], [0.3, 0.4]]
    page = show(LiveSoftmax([0.0] * 6, list("abcdef"), values))
    corners = page.locator(".hull").evaluate(
        "hull => { const m = hull.getScreenCTM();"
        " return [...hull.points].map(p => p.matrixTransform(m)).map(p => [p.x, p.y]); }"
    )
    outer = place(page, ".ring")[1:5]
    assert sorted(map(tuple, np.round(corners, 1))) == sorted(map(tuple, outer.numpy().round(1)))


@pytest.mark.browser
def test_adding_changes_nothing_doubling_halves_the_temperature(show: Callable) -> None:
    page = show(LiveSoftmax(SCORES, LABELS, VALUES))
    before = assert_softmax_is_true(page)
    page.get_by_role("button", name="Add 1 to each").click()
    assert page.locator(".shown-score").all_inner_texts() == ["3.0", "1.5", "0.0", "2.2"]
    torch.testing.assert_close(assert_softmax_is_true(page), before)
    page.get_by_role("button", name="Double each").click()
    assert page.locator(".shown-score").all_inner_texts() == ["6.0", "3.0", "0.0", "4.4"]
    # 12 would lie beyond the sliders' ends.
    double, add = (page.get_by_role("button", name=name) for name in ("Double each", "Add 1"))
    reason = "Scores stay between −6 and 6: “Add 1 to each” and “Double each” would go beyond."
    for button in (double, add):
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description(reason)
    expect(page.locator(".limits")).to_have_text(reason)
    double.press("Enter")
    expect(page.get_by_role("status")).to_have_text(reason)
    assert page.locator(".shown-score").all_inner_texts() == ["6.0", "3.0", "0.0", "4.4"]
    expect(page.get_by_role("button", name="Double each")).to_be_focused()
    doubled = assert_softmax_is_true(page)
    page.get_by_role("button", name="Reset").click()
    slide(page.get_by_label("temperature"), -1)
    torch.testing.assert_close(assert_softmax_is_true(page), doubled)
    expect(double).to_have_accessible_description("")
    expect(page.locator(".limits")).to_have_text("Scores stay between −6 and 6.")
    page.get_by_role("button", name="All equal").click()
    assert assert_softmax_is_true(page).tolist() == [0.25] * 4
    expect(page.get_by_role("status")).to_have_text(
        "Weights: river 0.250, bank 0.250, money 0.250, the 0.250."
    )


@pytest.mark.browser
def test_labels_are_text_never_markup(show: Callable) -> None:
    words = ["<b>bold</b>", "\"quoted\" & 'so'"]
    page = show(LiveSoftmax([0.0, 1.0], words, [[0, 1], [1, 0]]))
    assert page.locator(".token").all_inner_texts() == words
    assert page.locator(".plane text").all_text_contents() == words


# ---------------------------------------------------------------- both


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, axe: str, photo: torch.Tensor, show: Callable
) -> None:
    page = show(
        PixelMatch(photo), PixelMatch(photo), LiveSoftmax(SCORES, LABELS, VALUES), width=width
    )
    assert_fits_and_is_accessible(page, width, axe)


@pytest.mark.browser
def test_two_explorers_on_a_page_do_not_share_their_state(
    photo: torch.Tensor, show: Callable
) -> None:
    page = show(PixelMatch(photo, affinity="cosine"), PixelMatch(photo, affinity="dot"))
    first, second = page.locator(".attn-explorer").all()
    first.get_by_text("3 × 3").click()
    second.get_by_text("cosine", exact=True).click()
    assert first.get_by_label("cosine").is_checked()
    assert first.get_by_label("3 × 3").is_checked()
    assert second.get_by_label("colour (3)").is_checked()


# ---------------------------------------------------------------- a notebook with a kernel


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address and token of a JupyterLab of its own, with ``t.ipynb`` in its folder."""
    cells = (
        "import torch\n"
        "from attncourse.visuals.explorers import LiveSoftmax, PixelMatch\n"
        "pixels = PixelMatch(torch.linspace(0, 1, 105).view(3, 5, 7), start=(1, 5))\n"
        "pixels",
        "scores = LiveSoftmax([2.0, 0.5, -1.0], ['river', 'bank', 'the'])\nscores",
        "print(pixels.pick, pixels.affinity, scores.scores)",
        "pixels.pick = (0, 2); scores.scores = [0, 0, 0]; print('set')",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "t.ipynb")
    folders = {
        f"{name}_DIR": str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "IPYTHON")
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    with (
        (tmp_path / "lab.log").open("w") as log,
        subprocess.Popen(
            [*command, f"--ServerApp.root_dir={tmp_path}"],
            env=os.environ | folders,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            info = tmp_path / "jupyter_runtime" / f"jpserver-{server.pid}.json"
            while not (info.is_file() and info.read_text()):
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.2)
            running = json.loads(info.read_text())
            yield running["url"], running["token"]
        finally:
            server.terminate()


@pytest.mark.browser
def test_in_jupyterlab_what_moves_reaches_python_and_back(
    lab: tuple[str, str], chromium: Browser
) -> None:
    address, token = lab
    with chromium.new_context(viewport={"width": 1300, "height": 1600}) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"{address}lab/tree/t.ipynb?token={token}&reset")
        cells = page.locator(".jp-Notebook .jp-CodeCell")

        def run(cell: int, shows: str = "pre") -> Locator:
            output = cells.nth(cell).locator(".jp-OutputArea-output")
            # JupyterLab loses what is run while it still connects to the kernel: ask again.
            for _ in range(4):
                cells.nth(cell).locator(".cm-content").click()
                page.keyboard.press("Shift+Enter")
                with suppress(AssertionError):
                    expect(output.locator(shows).first).to_be_visible(timeout=15_000)
                    break
            return output

        photo = run(0, ".photo").locator(".photo")
        handle = run(1, ".tokens").get_by_role("slider", name="score of bank")

        photo.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("d")
        page.keyboard.press("d")  # JupyterLab's command to delete the cell
        expect(cells).to_have_count(4)
        # One by one: saving one trait would carry along another that was not saved.
        expect(run(2)).to_have_text("(2, 5) cosine [2.0, 0.5, -1.0]\n")
        page.get_by_text("dot product").click()
        expect(run(2)).to_have_text("(2, 5) dot [2.0, 0.5, -1.0]\n")
        handle.focus()
        page.keyboard.press("ArrowRight")
        expect(run(2)).to_have_text("(2, 5) dot [2.0, 0.6, -1.0]\n")

        run(3)
        expect(photo).to_have_attribute("aria-valuetext", "row 0, column 2")
        expect(page.locator(".weight").first).to_have_text("0.333")
