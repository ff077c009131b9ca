"""Queries and keys from two matrices that are turned apart: what the figure says is so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
import traitlets
from browsing import in_both_schemes
from playwright.sync_api import Locator, Page, expect
from torch.nn import functional as F
from visuals.driving import assert_fits_and_is_accessible, place, slide

from attncourse.attention import attention_weights, dot_affinity
from attncourse.visuals.explorers import TwoProjections

TOKENS = ["rock", "paper", "scissors"]  # in the order in which the chapter names them
WANTED = torch.tensor([2, 0, 1])  # each wants the one it beats, ...
PLACES = (0, 240, 120)  # ... which is the next clockwise
SIDE = 300


def turned(turn_q: float, turn_k: float, size: float = 1.5, see_self: bool = False):
    explorer = TwoProjections(turn_q)
    explorer.turn_k, explorer.size, explorer.see_self = turn_k, size, see_self
    return explorer


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "angle"),
    [
        (TypeError, r"angle must be a number of degrees, got 'a third'", "a third"),
        (TypeError, r"angle .*got True", True),
        (TypeError, r"angle .*got \[120\]", [120]),
        (ValueError, r"angle must lie between -180 and 180 degrees, got 181", 181),
        (ValueError, r"angle .*got -180\.5", -180.5),
        (ValueError, r"angle .*got nan", math.nan),
    ],
)
def test_an_angle_that_is_none_is_refused(
    error: type[Exception], message: str, angle: object
) -> None:
    with pytest.raises(error, match=message):
        TwoProjections(angle)


@pytest.mark.parametrize(("name", "value"), [("turn_q", 181), ("turn_k", -190), ("size", 0.4)])
def test_what_the_handles_cannot_show_is_refused_later_too(name: str, value: float) -> None:
    explorer = TwoProjections(30)
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(explorer, name, value)


def test_the_angle_is_that_of_the_queries_and_two_decimals_of_it_survive() -> None:
    state = {"see_self": False, "size": 1.5, "turn_k": 0.0, "turn_q": -59.25}
    assert TwoProjections(-59.25).state() == state


def test_the_floors_that_the_figure_names_hold_for_any_symmetric_and_any_shared_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    W, X = torch.randn(2, 20_000, 3, 3, generator=generator, dtype=torch.float64) * 2
    wanted = WANTED.expand(len(W), 3)

    def loss(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        logs = attention_weights(scores, mask).log()
        return -logs.gather(2, wanted[..., None]).mean((1, 2))

    others = ~torch.eye(3, dtype=torch.bool)
    assert loss(W + W.mT, others).min() >= math.log(2) - 1e-12
    queries = X @ W.mT
    assert loss(queries @ queries.mT, None).min() >= math.log(3) - 1e-12
    # Symmetric scores alone, which need not come from one matrix, do go below log 3.
    assert loss(W + W.mT, None).min() < 1


# ---------------------------------------------------------------- a page without a kernel


def values(root: Locator, selector: str) -> torch.Tensor:
    found = root.locator(selector).evaluate_all("all => all.map(data => Number(data.value))")
    return torch.tensor(found, dtype=torch.float64)


def turns(root: Locator) -> tuple[float, float]:
    handles = [root.get_by_role("slider", name=f"angle of W_{kind}") for kind in "qk"]
    q, k = (float(handle.get_attribute("aria-valuenow") or "nan") for handle in handles)
    return q, k


def outcome(angle: float, visible: bool) -> str:
    """What must come of it, by the trigonometry of the chapter; ``angle`` in whole degrees."""
    angle %= 360
    first = 60 if visible else 0
    return "tie" if angle in (first, 180) else "granted" if first < angle < 180 else "missed"


def assert_true(root: Locator) -> tuple[str, float]:
    """All that one explorer shows follows from its handles; the outcome and the loss."""
    turn_q, turn_k = turns(root)
    size = values(root, ".shown-size").item()
    visible = root.get_by_label("a token may look at itself").is_checked()

    def rotation(degrees: float) -> torch.Tensor:  # clockwise, as the figure counts
        a = torch.tensor(math.radians(degrees), dtype=torch.float64)
        return torch.stack([a.cos(), a.sin(), -a.sin(), a.cos()]).view(2, 2)

    up = torch.tensor([0.0, 1.0], dtype=torch.float64)
    x = torch.stack([rotation(place) @ up for place in PLACES])
    W_q, W_k = size * rotation(turn_q), size * rotation(turn_k)
    queries, keys = x @ W_q.mT, x @ W_k.mT
    scores = dot_affinity(queries, keys)
    weights = attention_weights(scores, None if visible else ~torch.eye(3, dtype=torch.bool))

    tables = root.locator("table")
    assert tables.nth(0).locator("th").all_inner_texts() == TOKENS * 2
    for table, true, decimals in ((0, scores, 2), (1, weights, 3)):
        exact = values(tables.nth(table), "td data").view(3, 3)
        torch.testing.assert_close(exact, true, atol=1e-9, rtol=0)
        texts = tables.nth(table).locator("td data").all_inner_texts()
        for text, number in zip(texts, true.flatten().tolist(), strict=True):
            if text != "–":
                assert float(text.replace("−", "-")) == pytest.approx(
                    number, abs=0.51 * 10**-decimals
                )
        hatched = (
            tables.nth(table)
            .locator("td:has(data)")
            .evaluate_all("all => all.map(cell => cell.classList.contains('masked'))")
        )
        assert (
            torch.tensor(hatched).view(3, 3).equal(torch.eye(3, dtype=torch.bool) & (not visible))
        )
        outlined = (
            tables.nth(table)
            .locator("td:has(data)")
            .evaluate_all("all => all.map(cell => getComputedStyle(cell).outlineStyle === 'solid')")
        )
        assert torch.tensor(outlined).view(3, 3).int().argmax(1).equal(WANTED)
    assert tables.nth(1).locator("td data").all_inner_texts().count("–") == (0 if visible else 3)

    wish = outcome(turn_q - turn_k, visible)
    assert tables.nth(1).locator("td:last-child").all_inner_texts() == [wish] * 3
    expect(root.locator(".granted").last).to_have_text("3 of 3" if wish == "granted" else "0 of 3")
    loss = F.nll_loss(weights.log(), WANTED).item()
    assert values(root, ".loss").item() == pytest.approx(loss, abs=1e-9)
    assert float(root.locator(".loss").inner_text()) == pytest.approx(loss, abs=6e-4)
    there, back = re.findall(r"−?\d\.\d\d", root.locator(".mirrored").inner_text())
    rounded = [float(number.replace("−", "-")) for number in (there, back)]
    assert rounded == pytest.approx([scores[0, 2].item(), scores[2, 0].item()], abs=0.0051)
    mirror = "its own mirror image" if torch.allclose(scores, scores.mT) else "not symmetric"
    expect(root.locator(".mirror")).to_have_text(mirror)

    # Drawn where they are: up is up, all to one scale.
    middle = place(root, ".turns")[0]
    for selector, vectors in ((".turns .tip-q", queries), (".turns .tip-k", keys)):
        drawn = (place(root, selector) - middle) / 33
        torch.testing.assert_close(
            drawn, vectors * torch.tensor([1.0, -1.0]).double(), atol=0.03, rtol=0
        )
    return wish, loss


@pytest.mark.browser
def test_scores_weights_wishes_and_loss_are_those_of_the_course(show: Callable) -> None:
    settings = [
        (turned(q, k, size, see_self), outcome(q - k, see_self))
        for q, k, size in [
            (37, 0, 0.5),
            (-140, 175, 2),
            (12, 13, 1.15),
            (61, 0, 1.5),
            (59, 0, 1.5),
            (179, 0, 2),
            (-60, 0, 1.5),
            (-120, 0, 0.9),
        ]
        for see_self in (False, True)
    ]
    page = show(*(explorer for explorer, _ in settings))
    for root, (_, wish) in zip(page.locator(".attn-explorer").all(), settings, strict=True):
        assert assert_true(root)[0] == wish


@pytest.mark.browser
@pytest.mark.parametrize("apart", [0, 180])
def test_symmetric_scores_tie_and_lose_log_2_whatever_the_size(apart: int, show: Callable) -> None:
    page = show(turned(23 - apart, 23), turned(-157, -157 + apart))
    for root in page.locator(".attn-explorer").all():
        for size in (0.5, 1.25, 2):
            slide(root.get_by_label("Size of both matrices"), size)
            wish, loss = assert_true(root)
            assert wish == "tie"
            assert loss == pytest.approx(math.log(2), abs=1e-12)
            expect(root.locator(".outcome")).to_have_text("three ties, and a tie grants none")
            # Equal scores read equal, down to the last digit.
            texts = root.locator("table").first.locator("td data").all_inner_texts()
            assert len({text for i, text in enumerate(texts) if i % 4}) == 1


@pytest.mark.browser
def test_who_may_look_at_itself_needs_more_than_60_degrees(show: Callable) -> None:
    page = show(TwoProjections(60))
    root = page.locator(".attn-explorer")
    assert assert_true(root)[0] == "granted"
    root.get_by_text("a token may look at itself").click()
    assert assert_true(root)[0] == "tie"
    root.get_by_role("slider", name="W_q").press("ArrowRight")
    assert assert_true(root)[0] == "granted"
    root.get_by_role("slider", name="W_q").press("Shift+ArrowLeft")
    assert assert_true(root)[0] == "missed"
    expect(root.locator(".outcome")).to_have_text("each prefers itself")


@pytest.mark.browser
def test_what_one_matrix_can_do_is_said_only_once_the_two_have_met(show: Callable) -> None:
    page = show(TwoProjections(-40))
    root = page.locator(".attn-explorer")
    floor = root.locator(".floor")
    handle = root.get_by_role("slider", name="angle of W_q")

    def says_nothing() -> bool:
        page.wait_for_timeout(800)  # a screen reader hears of a change a moment later
        heard = root.get_by_role("status").inner_text()
        return not re.search(r"log|0\.693|1\.099|least", floor.inner_text() + heard.split(";")[-1])

    assert says_nothing()
    handle.press("Shift+ArrowRight")
    root.get_by_text("a token may look at itself").click()
    root.get_by_text("a token may look at itself").click()
    assert says_nothing()
    for _ in range(25):
        handle.press("ArrowRight")
    assert turns(root) == (0, 0)
    expect(floor).to_have_text("symmetric scores: at least log 2 = 0.693")
    root.get_by_text("a token may look at itself").click()
    expect(floor).to_have_text("one shared matrix: at least log 3 = 1.099")
    handle.press("ArrowRight")  # once known it stays
    expect(floor).to_have_text("one shared matrix: at least log 3 = 1.099")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("angle", "see_self", "outcome"),
    [
        (-30, False, "each scores the one that beats it highest"),
        (-30, True, "each prefers itself"),
        (-60, True, "each prefers itself and the one that beats it"),
        (-90, True, "each scores the one that beats it highest"),
        (90, True, "each looks for the one it beats"),
    ],
)
def test_it_says_whom_each_prefers(
    angle: int, see_self: bool, outcome: str, show: Callable
) -> None:
    page = show(turned(angle, 0, see_self=see_self))
    expect(page.locator(".outcome")).to_have_text(outcome)
    assert_true(page.locator(".attn-explorer"))


def point(page: Page, degrees: float, radius: float) -> tuple[float, float]:
    x, y = place(page, ".turns")[0].tolist()
    angle = math.radians(degrees)
    return x + radius * math.sin(angle), y - radius * math.cos(angle)


@pytest.mark.browser
def test_a_handle_is_dragged_round_its_ring_and_a_ring_is_clicked(show: Callable) -> None:
    page = show(TwoProjections())
    root = page.locator(".attn-explorer")
    for kind, radius in (("q", 136), ("k", 106)):  # at 0 both stand at the top, none on the other
        page.mouse.move(*point(page, 0, radius))
        page.mouse.down()
        page.mouse.move(*point(page, 90, radius), steps=4)
        page.mouse.move(*point(page, 200, 20), steps=4)  # off the ring: the direction counts
        assert turns(root)["qk".index(kind)] == pytest.approx(-160, abs=3)
        page.mouse.move(*point(page, 77, 300))
        page.mouse.up()
        page.mouse.move(*point(page, 80, radius))  # not a drag any more, though on the handle
        assert turns(root)["qk".index(kind)] == pytest.approx(77, abs=1)
        assert_true(root)
    page.mouse.click(*point(page, -100, 136))
    page.mouse.click(*point(page, 150, 106))
    assert turns(root) == pytest.approx((-100, 150), abs=1)
    expect(root.get_by_role("slider", name="W_k")).to_be_focused()
    page.mouse.click(*point(page, 30, 60))  # nothing is there
    page.mouse.move(*point(page, -100, 136))
    page.mouse.down(button="right")
    page.mouse.move(*point(page, -97, 136))
    page.mouse.up(button="right")
    assert turns(root) == pytest.approx((-100, 150), abs=1)
    assert_true(root)


@pytest.mark.browser
def test_a_finger_on_a_handle_drags_and_elsewhere_scrolls(show: Callable) -> None:
    page = show(TwoProjections())
    found = page.evaluate("""() => Object.fromEntries([".drag", ".turns", ".track"].map(each =>
        [each, getComputedStyle(document.querySelector(each)).touchAction]))""")
    assert found == {".drag": "none", ".turns": "auto", ".track": "auto"}
    for handle in page.locator(".drag").all():
        box = handle.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24


@pytest.mark.browser
def test_a_handle_is_turned_with_keys_past_half_a_turn(show: Callable) -> None:
    page = show(TwoProjections(150))
    root = page.locator(".attn-explorer")
    handle = root.get_by_role("slider", name="angle of W_q")
    handle.focus()
    for key, angle in [
        ("ArrowRight", 151),
        ("ArrowUp", 152),
        ("ArrowLeft", 151),
        ("ArrowDown", 150),
        ("Shift+ArrowUp", 165),
        ("PageUp", 180),
        ("ArrowRight", -179),
        ("Shift+ArrowLeft", 166),
        ("PageDown", 151),
        ("Control+ArrowRight", 151),
        ("a", 151),
    ]:
        page.keyboard.press(key)
        assert turns(root) == (angle, 0)
        assert_true(root)
    expect(handle).to_be_focused()
    expect(handle).to_have_attribute("aria-valuetext", "151 degrees, 3 of 3 wishes granted")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+ArrowDown")
    assert turns(root) == (151, -15)
    expect(root.locator(".angle")).to_have_text("166°")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert values(root, ".shown-size").item() == 1.55
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert_true(root)
    assert root.get_by_label("a token may look at itself").is_checked()


@pytest.mark.browser
def test_buttons_turn_the_queries_to_the_keys_and_a_third_ahead_and_reset_undoes_all(
    show: Callable,
) -> None:
    page = show(turned(-45, 130, 0.7, True))
    root = page.locator(".attn-explorer")
    root.get_by_role("button", name="A third of a turn").click()
    assert turns(root) == (-110, 130)
    expect(root.locator(".angle")).to_have_text("120°")
    assert assert_true(root)[0] == "granted"
    expect(root.get_by_role("status")).to_have_text(
        re.compile(
            r"^W_q is turned 120° from W_k\. Wishes granted: 3 of 3\..* Loss 0\.\d{3}; what one"
        )
    )
    expect(root.locator(".turns [role=img]")).to_have_attribute(
        "aria-label", re.compile(r"query of rock is 0 degrees from the key of scissors\.")
    )
    root.get_by_role("button", name="One matrix").click()
    assert turns(root) == (130, 130)
    assert assert_true(root)[0] == "missed"  # each sees itself
    slide(root.get_by_label("Size of both matrices"), 2)
    root.get_by_text("a token may look at itself").click()
    assert assert_true(root)[0] == "tie"
    root.get_by_role("button", name="Reset").click()
    assert turns(root) == (-45, 130)
    assert values(root, ".shown-size").item() == 0.7
    assert root.get_by_label("a token may look at itself").is_checked()
    assert_true(root)


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, axe: str, show: Callable
) -> None:
    page = show(TwoProjections(), turned(120, -60, 2, True), width=width)
    assert_fits_and_is_accessible(page, width, axe)
