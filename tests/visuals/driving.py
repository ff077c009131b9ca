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


def letter_sizes(page: Page) -> list[float]:
    """How large the letters of the page's figures are, in pixels; indices are left out.

    matplotlib draws a letter as a shape of 100 units and scales it, the page scales the figure.
    """
    return page.evaluate(
        """[...document.querySelectorAll(".attn-figure svg g")]
            .filter(group => /scale/.test(group.getAttribute("transform")))
            .map(group => { const {a, b} = group.getScreenCTM(); return 100 * Math.hypot(a, b); })"""
    )
