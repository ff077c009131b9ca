"""The explorer of two heads: what Python refuses, and what the page shows."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from browsing import in_both_schemes
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from torch import Tensor
from visuals.driving import assert_fits_and_is_accessible, place

from attncourse.attention import attend
from attncourse.visuals.explorers import TwoHeads

NAMES = ["Anna", "Ben", "book", "gave"]
PAYLOADS = [2.0, -1.5, 0.5, -2.5]
KEYS = [
    [[-1.4, 1.4], [1.4, 1.4], [1.4, -1.4], [-1.4, -1.4]],
    [[1.4, -1.4], [-1.4, -1.4], [-1.4, 1.4], [1.4, 1.4]],
]
QUERIES = [[0.3, -1.1], [0.4, 0.9]]
WISHES = [(0, 1), (1, 0), (2, 2)]
SCALES = {".head-1": 70 / 3, ".head-2": 70 / 3, ".outputs": 114 / 3}  # pixels to a unit


def make(**changes) -> TwoHeads:
    given = {"keys": KEYS, "queries": QUERIES, "wishes": WISHES, "payloads": PAYLOADS}
    return TwoHeads(changes.pop("names", NAMES), **given | changes)


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, r"names must be 2 to 4 words, got 1", {"names": ["Anna"]}),
        (ValueError, r"names must be 2 to 4 words, got 5", {"names": list("abcde")}),
        (TypeError, r"names must be words", {"names": [1, 2, 3, 4]}),
        (ValueError, r"payloads .*\[4\].*\[3\]", {"payloads": [1, 2, 3]}),
        (ValueError, r"payloads .*from -3 to 3.*4\.0", {"payloads": [1, 2, 3, 4]}),
        (ValueError, r"keys .*\[2, 4, 2\].*\[1, 4, 2\]", {"keys": KEYS[:1]}),
        (ValueError, r"queries .*finite.*nan", {"queries": [[float("nan"), 0], [0, 0]]}),
        (TypeError, r"queries must be numbers", {"queries": [["1", "2"]] * 2}),
        (ValueError, r"wishes must hold", {"wishes": []}),
        (ValueError, r"wishes .*items 0 to 3, got \(0, 4\)", {"wishes": [(0, 4)]}),
        (ValueError, r"wishes .*pairs.*got \(0,\)", {"wishes": [(0,)]}),
    ],
)
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, changes: dict) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("trait", "value"), [("queries", [[0, 0]]), ("queries", [[0, 4], [0, 0]]), ("wish", 3)]
)
def test_what_the_picture_cannot_show_is_refused_later_too(trait: str, value: object) -> None:
    explorer = make()
    before = explorer.state()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, value)
    assert explorer.state() == before


# ---------------------------------------------------------------- what the page promises


def attended(queries: Tensor, keys: Tensor, payloads: Tensor, *, merged: bool) -> list[Tensor]:
    """Output and weights, ``[2]`` and ``[2, n]``, by the course's own ``attend``."""
    if merged:  # one head of the same matrices: queries and keys behind one another
        queries, keys = queries.flatten().expand(2, 1, -1), torch.cat([*keys], dim=1)
    else:
        queries = queries[:, None]
    output, weights = attend(queries, keys, payloads[:, None], scale=1.0, return_weights=True)
    return [output.flatten(), weights[:, 0]]


@settings(deadline=None)  # the first call warms torch up
@given(st.integers(2, 4), st.integers(0, 2**31))
def test_one_wide_head_brings_the_same_into_both_places_whatever_its_queries(
    n: int, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    queries, keys, payloads = (
        3 * torch.randn(size, dtype=torch.float64, generator=draw)
        for size in ((2, 2), (2, n, 2), (n,))
    )
    output, _ = attended(queries, keys, payloads, merged=True)
    torch.testing.assert_close(output[0], output[1])


# ---------------------------------------------------------------- a page without a kernel


def queries_of(page: Page) -> Tensor:
    """``[2, 2]``: the coordinates that the handles tell a screen reader."""
    texts = page.locator(".drag.query").evaluate_all(
        "all => all.map(handle => handle.getAttribute('aria-valuetext'))"
    )
    return torch.tensor([_numbers(text) for text in texts], dtype=torch.float64)


def _numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.\d+", text.replace("\u2212", "-"))]


def assert_shows_the_truth(page: Page) -> Tensor:
    """Everything agrees with the course's own ``attend``; returns the output."""
    queries = queries_of(page)
    keys, payloads = (torch.tensor(each, dtype=torch.float64) for each in (KEYS, PAYLOADS))
    merged = page.get_by_label("One wide head").is_checked()
    output, weights = attended(queries, keys, payloads, merged=merged)

    shown = page.locator(".weight").evaluate_all("all => all.map(data => Number(data.value))")
    exact = torch.tensor(shown, dtype=torch.float64).view(len(NAMES), 2).T
    torch.testing.assert_close(exact, weights, atol=1e-9, rtol=0)
    widths = page.locator(".bar i").evaluate_all(
        "all => all.map(bar => bar.getBoundingClientRect().width "
        "/ bar.parentElement.getBoundingClientRect().width)"
    )
    drawn = torch.tensor(widths).double().view(len(NAMES), 2).T
    torch.testing.assert_close(drawn, weights, atol=0.01, rtol=0)

    assert _numbers(page.locator(".arrived").inner_text()) == pytest.approx(
        output.tolist(), abs=6e-3
    )
    pair = WISHES[int(page.locator("input[name^=wish]:checked").get_attribute("value") or "")]
    target = payloads[list(pair)]
    assert _numbers(page.locator(".wanted").inner_text()) == pytest.approx(target.tolist())
    miss = (output - target).norm().item()
    outcome = page.locator(".wish")
    assert float(outcome.get_attribute("value") or "") == pytest.approx(miss, abs=1e-9)
    expect(outcome).to_have_text("met" if miss <= 0.25 else f"missed by {miss:.2f}")

    # Both axes have one scale, up is up, and what is drawn stands where it is said to be.
    for where, selector, expected in (
        (".head-1", ".key-mark", keys[0]),
        (".head-2", ".key-mark", keys[1]),
        (".head-1", ".query-mark", queries[:1]),
        (".head-2", ".query-mark", queries[1:]),
        (".outputs", ".output", output[None]),
        (".outputs", ".target-mark", target[None]),
    ):
        origin = place(page, f"{where} svg")[0]
        at = (place(page, f"{where} {selector}") - origin) * torch.tensor([1.0, -1.0])
        torch.testing.assert_close(at / SCALES[where], expected, atol=0.03, rtol=0)
    return output


def drag(page: Page, head: str, right: float, up: float) -> None:
    """Drag the query of a head by so many units of its plane."""
    box = page.get_by_role("slider", name=f"query of the {head} head").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 70 / 3 * right, y - 70 / 3 * up, steps=4)
    page.mouse.up()


@pytest.mark.browser
@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("merged", [False, True])
def test_each_query_is_moved_by_drag_and_keys_and_the_other_stays(
    head: int, merged: bool, show: Callable
) -> None:
    page = show(make(merged=merged))
    name = ("first", "second")[head]
    drag(page, name, -1.5, 0.5)
    moved = queries_of(page)
    wanted = torch.tensor(QUERIES, dtype=torch.float64)
    wanted[head] += torch.tensor([-1.5, 0.5])
    torch.testing.assert_close(moved, wanted, atol=0.06, rtol=0)
    assert_shows_the_truth(page)
    page.get_by_role("slider", name=f"query of the {name} head").focus()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    torch.testing.assert_close(queries_of(page)[head], moved[head] - 0.4)
    for _ in range(14):
        page.keyboard.press("Shift+ArrowDown")
    assert queries_of(page)[head][1] == -3  # the plane's border
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_a_finger_drags_a_query_and_does_not_scroll(show: Callable) -> None:
    page = show(make(), width=390)
    box = page.get_by_role("slider", name="query of the second head").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    for kind, down in (("touchStart", 0), ("touchMove", 15), ("touchMove", 35), ("touchEnd", None)):
        at = [] if down is None else [{"x": x, "y": y + down}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    assert queries_of(page)[1].tolist() == pytest.approx([0.4, 0.9 - 1.5], abs=0.06)
    assert page.evaluate("scrollY") == 0
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_two_heads_meet_every_wish_and_one_wide_head_only_the_one_on_the_diagonal(
    show: Callable,
) -> None:
    page = show(make())
    for wish, met in (("Anna, Ben", False), ("Ben, Anna", False), ("book twice", True)):
        page.get_by_label("Two heads").check()
        page.get_by_label(wish).check()
        page.get_by_role("button", name="Look there").press("Enter")
        assert_shows_the_truth(page)
        expect(page.locator(".wish")).to_have_text("met")
        page.get_by_label("One wide head").check()
        output = assert_shows_the_truth(page)
        torch.testing.assert_close(output[0], output[1])
        expect(page.locator(".wish")).to_have_text("met" if met else re.compile("missed by"))


@pytest.mark.browser
@pytest.mark.parametrize(("length", "met"), [(0.8, False), (1.1, True)])
def test_a_wish_is_met_where_the_output_comes_near_and_not_before(
    length: float, met: bool, show: Callable
) -> None:
    page = show(make(queries=[[-3, 3], [-length, -length]]))
    assert_shows_the_truth(page)
    expect(page.locator(".wish")).to_have_text("met" if met else re.compile(r"missed by 0\."))


@pytest.mark.browser
def test_what_can_be_reached_is_drawn_a_square_for_two_heads_and_the_diagonal_for_one(
    show: Callable,
) -> None:
    page = show(make())
    unit, low, high = SCALES[".outputs"], min(PAYLOADS), max(PAYLOADS)

    def drawn() -> list[float]:
        box = page.locator(".reach").evaluate(
            "e => (b => [b.x, b.y, b.width, b.height])(e.getBBox())"
        )
        return [(box[0] - 128) / unit, (128 - box[1]) / unit, box[2] / unit, box[3] / unit]

    whole = pytest.approx([low, high, high - low, high - low], abs=1e-3)
    assert drawn() == whole
    length = "e => e.getTotalLength()"
    assert page.locator(".reach").evaluate(length) == pytest.approx(
        4 * (high - low) * unit, rel=1e-3
    )
    page.get_by_label("One wide head").check()
    assert drawn() == whole
    assert page.locator(".reach").evaluate(length) == pytest.approx(
        2**0.5 * (high - low) * unit, rel=1e-3
    )
    ends = page.locator(".reach").evaluate(
        "e => [0, e.getTotalLength()].map(at => e.getPointAtLength(at)).map(p => [p.x, p.y])"
    )
    (left, bottom), (right, top) = sorted(ends)
    assert left < right
    assert top < bottom  # it rises: the same in both places


@pytest.mark.browser
def test_reset_undoes_all_and_names_are_text_never_markup(show: Callable) -> None:
    page = show(make(names=["<b>bold</b>", '"quoted"', "it's", "& that"]))
    assert page.locator(".token").all_inner_texts() == ["<b>bold</b>", '"quoted"', "it's", "& that"]
    page.get_by_role("button", name="Look there").click()
    page.get_by_label("One wide head").check()
    page.get_by_label("it's twice").check()
    expect(page.get_by_role("status")).to_contain_text("is wanted: missed by")
    page.get_by_role("button", name="Reset").click()
    assert queries_of(page).tolist() == QUERIES
    assert page.get_by_label("Two heads").is_checked()
    assert page.locator("input[name^=wish]").first.is_checked()
    assert_shows_the_truth(page)


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("merged", [False, True])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, merged: bool, axe: str, show: Callable
) -> None:
    page = show(make(merged=merged), width=width)
    assert_fits_and_is_accessible(page, width, axe)
    for box in page.locator(".drag").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.width, b.height])"
    ):
        assert min(box) >= 24


@pytest.mark.browser
@pytest.mark.parametrize("width", [336, 370, 390, 560, 580, 800])
def test_no_plane_is_cut_off(width: int, show: Callable) -> None:
    page = show(make(), width=width)
    ends = page.locator(".attn-explorer, .plane svg").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert len(ends) == 4
    assert max(ends) == ends[0]
