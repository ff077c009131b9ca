"""Reading and moving figures and explorers in a page, as their tests need it."""

from __future__ import annotations

import pytest
import torch
from playwright.sync_api import Locator, Page


def number(page: Page | Locator, selector: str) -> float:
    """The exact number behind a read-out, which says the same in three digits."""
    exact = float(page.locator(selector).get_attribute("value") or "")
    text = page.locator(selector).inner_text()
    if text == "< 0.0001\u00a0%":
        assert 0 < exact < 1e-6
    else:
        unit = 100 if text.endswith("%") else 1
        assert float(text.removesuffix("%")) / unit == pytest.approx(exact, rel=6e-3)
    return exact


def slide(slider: Locator, value: float) -> None:
    """Set a slider as a drag does."""
    slider.evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def place(page: Page, selector: str) -> torch.Tensor:
    """``[n, 2]``: the centres of the drawn shapes, in pixels of the page."""
    return torch.tensor(
        page.locator(selector).evaluate_all(
            "all => all.map(e => e.getBoundingClientRect())"
            ".map(b => [b.x + b.width / 2, b.y + b.height / 2])"
        ),
        dtype=torch.float64,
    )


def assert_fits_and_is_accessible(page: Page, width: int, axe: str) -> None:
    """Nothing sticks out, is smaller than can be read or hit, or breaks a rule of axe-core."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        page.evaluate("""() => [...document.querySelectorAll(".attn-explorer *")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3) && !e.matches("style, .announce"))
        .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12 || e.scrollWidth > e.clientWidth + 1
            && getComputedStyle(e).display !== "inline" && !e.closest("svg"))
        .map(e => e.outerHTML)""")
        == []
    )
    assert (
        page.evaluate("""() => [...document.querySelectorAll(".attn-explorer :is(input, button)")]
        .map(e => e.closest("label.check") ?? e)
        .filter(e => Math.min(e.clientWidth, e.offsetHeight) < 24).map(e => e.outerHTML)""")
        == []
    )
    page.evaluate(axe)
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def middle(hold: Locator) -> tuple[float, float]:
    hold.evaluate("hold => hold.scrollIntoView({ block: 'center' })")
    box = hold.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


# The page goes on scrolling for a moment; a busy machine draws its frames later.
SOME_FRAMES = """async () => {
    for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
}"""


class Finger:
    """A real one to the browser: it decides whether the page scrolls."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)

    def swipe(self, start: tuple[float, float], right: float, down: float) -> float:
        """Put down, move, lift; by how much the page has scrolled."""
        before = self._page.evaluate("scrollY")
        x, y = start
        self._send("touchStart", x, y)
        for step in range(1, 7):
            self._send("touchMove", x + right * step / 6, y + down * step / 6)
        self._send("touchEnd")
        self._page.evaluate(SOME_FRAMES)
        return self._page.evaluate("scrollY") - before

    def tap(self, at: tuple[float, float]) -> None:
        self._send("touchStart", *at)
        self._send("touchEnd")
        self._page.wait_for_timeout(30)

    def _send(self, kind: str, *at: float) -> None:
        points = [dict(zip("xy", at, strict=True))] if at else []
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def letter_sizes(page: Page) -> list[float]:
    """How large the letters of the page's figures are, in pixels; indices are left out.

    matplotlib draws a letter as a shape of 100 units and scales it, the page scales the figure.
    """
    return page.evaluate(
        """[...document.querySelectorAll(".attn-figure svg g")]
            .filter(group => /scale/.test(group.getAttribute("transform")))
            .map(group => { const {a, b} = group.getScreenCTM(); return 100 * Math.hypot(a, b); })"""
    )
