"""Explorers on slides, which reveal.js, RISE and Quarto scale to the screen."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from visuals.driving import middle
from visuals.examples import EXPLORERS

each_slide = pytest.mark.parametrize(
    "slide",
    [f"transform: scale({by}); transform-origin: 0 0" for by in (0.5, 1, 1.6)] + ["zoom: 1.6"],
)


@pytest.fixture
def on_slide(show: Callable[..., Page]) -> Callable[[str, str], Page]:
    """``on_slide(name, slide)``: an explorer on a slide with this style."""

    def on_slide_(name: str, slide: str) -> Page:
        page = show(EXPLORERS[name](), width=1300)
        page.locator("main").evaluate(
            "(main, slide) => { main.style = slide + '; width: 760px'; }", slide
        )
        return page

    return on_slide_


def drag(page: Page, hold: Locator, right: float, down: float) -> tuple[float, float]:
    """Take hold of its middle and move; where the pointer then is, before the page scrolls."""
    x, y = middle(hold)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()
    return x + right, y + down


def now_at(hold: Locator) -> tuple[float, float]:
    box = hold.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def click_cell(page: Page, picture: Locator, at: tuple[int, int], of: tuple[int, int]) -> None:
    """Click the middle of a cell: its row and column, of so many rows and columns."""
    middle(picture)
    box = picture.bounding_box()
    assert box
    down, right = ((each + 0.5) / count for each, count in zip(at, of, strict=True))
    page.mouse.click(box["x"] + right * box["width"], box["y"] + down * box["height"])


def size_of(page: Page) -> float:
    """How many pixels of the screen one of the style sheet takes."""
    return page.locator("form").evaluate(
        "form => form.getBoundingClientRect().width / parseFloat(getComputedStyle(form).width)"
    )


@pytest.mark.browser
@each_slide
@pytest.mark.parametrize("name", ["key_value", "one_projection", "two_heads"])
def test_a_point_that_is_dragged_stays_under_the_pointer(
    name: str, slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide(name, slide)
    for handle in page.locator("svg .drag:not(.fixed)").all():
        pointer = drag(page, handle, -17, 21)
        # One projection puts what is dragged on a grid.
        assert math.dist(now_at(handle), pointer) < 5, handle.get_attribute("aria-label")


@pytest.mark.browser
@each_slide
def test_a_word_that_is_dragged_lies_under_the_pointer_in_either_sentence(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("two_sequences", slide)
    word = page.locator(".moves", has_text="sleeps")
    # The words that it is put in front of: the second that is asked, then the first that asks.
    for other in ("schläft", "the"):
        there = page.locator(".moves", has_text=other)
        x, y = middle(word)
        goal = now_at(there)
        at = drag(page, word, goal[0] - x, goal[1] - y)
        page.wait_for_timeout(300)  # words glide
        box = word.bounding_box()
        assert box
        assert abs(now_at(word)[0] - at[0]) < box["width"] / 2
        assert abs(now_at(word)[1] - at[1]) < box["height"] / 2


@pytest.mark.browser
@each_slide
def test_a_matrix_that_is_turned_points_at_the_pointer(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("two_projections", slide)
    for handle in page.locator(".turns .drag").all():
        x, y = drag(page, handle, 40, 25)
        centre = now_at(page.locator(".turns"))
        wanted = math.degrees(math.atan2(x - centre[0], centre[1] - y))
        assert float(handle.get_attribute("aria-valuenow") or "") == pytest.approx(wanted, abs=1)


@pytest.mark.browser
@each_slide
def test_a_wish_is_drawn_to_the_token_under_the_pointer(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("wishes", slide)
    tokens = page.locator(".token")
    for start, end in (("Gina", "Eve"), ("Ann", "Finn")):
        (x, y), (u, v) = (now_at(tokens.filter(has_text=name)) for name in (start, end))
        drag(page, tokens.filter(has_text=start), u - x, v - y)
        expect(tokens.filter(has_text=start)).to_have_attribute(
            "aria-label", f"{start}, wishes for {end}"
        )


@pytest.mark.browser
@each_slide
def test_the_pixel_under_the_pointer_is_picked_in_either_picture(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("pixel_match", slide)
    for number, picture in enumerate(page.locator(".picture").all()):
        row, column = 3 - number, 5 - number
        click_cell(page, picture, (row, column), of=(5, 7))
        assert page.locator(".where").inner_text() == f"row {row}, column {column}"


@pytest.mark.browser
@each_slide
def test_the_cell_under_the_pointer_is_picked_in_the_scene_and_in_a_map(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("attention_maps", slide)
    for picture, row, column in ((".scene", 2, 1), (".cells", 0, 3)):
        click_cell(page, page.locator(picture).first, (row, column), of=(3, 4))
        expect(page.locator(".scene")).to_have_attribute("aria-valuenow", str(4 * row + column))


@pytest.mark.browser
@each_slide
@pytest.mark.parametrize(
    "name", ["live_softmax", "one_head", "circuit_split", "one_projection", "key_value", "wishes"]
)
def test_a_slider_that_is_dragged_follows_the_pointer(
    name: str, slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide(name, slide)
    for slider in page.locator("input[type=range]").all():
        low, high, step = (
            float(slider.get_attribute(each) or "") for each in ("min", "max", "step")
        )
        x, y = middle(slider)
        box = slider.bounding_box()
        assert box
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + box["width"] / 4, y, steps=4)
        page.mouse.up()
        run = box["width"] - 16 * size_of(page)  # of the handle's middle
        wanted = low + (high - low) * (0.5 + box["width"] / 4 / run)
        assert float(slider.input_value()) == pytest.approx(wanted, abs=step)


@pytest.mark.browser
@each_slide
def test_the_wires_of_a_head_end_at_its_cells(
    slide: str, on_slide: Callable[[str, str], Page]
) -> None:
    page = on_slide("one_head", slide)
    page.evaluate("dispatchEvent(new Event('resize'))")
    for _ in range(2):
        page.locator(".next").click()
    astray = page.evaluate(
        """size => {
            const boxes = [...document.querySelectorAll(".flow > :not(svg)")]
                .map((cell) => cell.getBoundingClientRect());
            return [...document.querySelectorAll(".wires path")].flatMap((path) =>
                [0, path.getTotalLength()].map((length) =>
                    path.getPointAtLength(length).matrixTransform(path.getScreenCTM()))
            ).map(({ x, y }) => Math.min(...boxes.map((box) => Math.hypot(
                Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom),
            )))).filter((gap) => gap > 2 * size);
        }""",
        size_of(page),
    )
    assert page.locator(".wires path").count() > 3
    assert astray == []
