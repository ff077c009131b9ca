"""The explorer of keys and values: what Python refuses, and what the page shows."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from browsing import in_both_schemes
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Locator, Page, expect
from torch import Tensor
from visuals.driving import assert_fits_and_is_accessible, number, place, slide

from attncourse.attention import attend
from attncourse.visuals.explorers import KeyValue

KEYS = [[-1.9, 0.7], [1.9, 0.7], [0.2, 2.1], [-0.2, -2.1]]
VALUES = [[1.0, 1.3], [-1.0, -1.2], [-1.6, 1.9], [1.7, -1.5]]
NAMES = [("red", "square"), ("blue", "circle"), ("green", "star"), ("grey", "moon")]
QUERY = [-0.4, 0.9]
WISHES = {0: ([-1.7, -0.3], [1.0, 1.3]), 1: ([1.7, -0.3], [-1.0, -1.2])}  # crosswise


def make(**changes) -> KeyValue:
    given = {"keys": KEYS, "values": VALUES, "names": NAMES, "query": QUERY, "wishes": WISHES}
    return KeyValue(**given | changes)


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, r"keys must be 2 to 6 points, got 1", {"keys": KEYS[:1]}),
        (ValueError, r"keys must be 2 to 6 points, got 7", {"keys": [[0, 0]] * 7}),
        (ValueError, r"keys .*\[4, 2\].*\[4, 3\]", {"keys": np.ones((4, 3))}),
        (ValueError, r"keys .*from -3 to 3.*3\.5", {"keys": [[3.5, 0], *KEYS[1:]]}),
        (ValueError, r"values .*\[4, 2\].*\[3, 2\]", {"values": VALUES[:3]}),
        (ValueError, r"values .*finite.*nan", {"values": [[np.nan, 0], *VALUES[1:]]}),
        (TypeError, r"values must be numbers", {"values": [["1", "2"]] * 4}),
        (ValueError, r"names .*3 for 4 keys", {"names": NAMES[:3]}),
        (TypeError, r"names must be pairs of words", {"names": ["red", "blue", "green", "grey"]}),
        (TypeError, r"names must be pairs of words", {"names": [(1, 2)] * 4}),
        (ValueError, r"query .*\[2\].*\[3\]", {"query": [0, 0, 0]}),
        (ValueError, r"wishes .*items 0 to 3, got 4", {"wishes": {4: ([0, 0], [0, 0])}}),
        (ValueError, r"target of wish 1 .*-3 to 3", {"wishes": {1: ([0, 0], [0, 9])}}),
        (ValueError, r"ask of wish 1 .*-3 to 3", {"wishes": {1: ([0, -9], [0, 0])}}),
        (ValueError, r"temperature .*0\.125 and 4\.0, got 0", {"temperature": 0}),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, changes: dict) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("trait", "value"),
    [("keys_at", KEYS[:3]), ("values_at", [[0, 0, 0]] * 4), ("query", [0, 4]), ("query", [0])],
)
def test_points_that_the_plane_cannot_show_are_refused_later_too(trait: str, value: list) -> None:
    explorer = make()
    before = explorer.state()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, value)
    assert explorer.state() == before


def test_tensors_that_want_gradients_and_arrays_make_the_same_explorer() -> None:
    keys = torch.tensor(KEYS, dtype=torch.float64, requires_grad=True)
    assert make(keys=keys, values=np.array(VALUES)).state() == make().state()


# ---------------------------------------------------------------- what the page promises


@given(
    st.integers(1, 8), st.integers(1, 4), st.floats(1 / 8, 4), st.integers(0, 2**31), st.booleans()
)
def test_with_keys_as_values_asking_further_that_way_gets_more_of_that_way(
    n: int, d: int, temperature: float, seed: int, tied: bool
) -> None:
    """(o(q) - o(q')) · (q - q') >= 0. With other values, here -K, it can be the other way round."""
    draw = torch.Generator().manual_seed(seed)
    keys = 3 * torch.randn(n, d, dtype=torch.float64, generator=draw)
    query = 3 * torch.randn(2, d, dtype=torch.float64, generator=draw)
    output = attend(query, keys, keys if tied else -keys, scale=1 / temperature)
    turned = (output[0] - output[1]) @ (query[0] - query[1])
    assert turned >= -1e-9 if tied else turned <= 1e-9


# ---------------------------------------------------------------- a page without a kernel


def points(page: Page, kind: str) -> Tensor:
    """``[n, 2]``: the coordinates that the handles of a kind tell a screen reader."""
    texts = page.locator(f".drag.{kind}").evaluate_all(
        "all => all.map(handle => handle.getAttribute('aria-valuetext'))"
    )
    return torch.tensor([_numbers(text) for text in texts], dtype=torch.float64)


def _numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.\d+", text.replace("\u2212", "-"))]


def assert_shows_the_truth(page: Page) -> tuple[Tensor, Tensor]:
    """Everything agrees with the course's own ``attend``; returns the weights and the output."""
    keys, values, query = (points(page, kind) for kind in ("key", "value", "query"))
    scale = 1 / number(page, ".temperature data")
    output, weights = attend(query, keys, values, scale=scale, return_weights=True)
    output, weights = output[0], weights[0]

    rows = page.locator(".tokens")
    exact = rows.locator(".weight").evaluate_all("all => all.map(data => Number(data.value))")
    torch.testing.assert_close(torch.tensor(exact, dtype=torch.float64), weights, atol=1e-9, rtol=0)
    widths = rows.locator(".bar i").evaluate_all(
        "all => all.map(bar => bar.getBoundingClientRect().width "
        "/ bar.parentElement.getBoundingClientRect().width)"
    )
    torch.testing.assert_close(torch.tensor(widths).double(), weights, atol=0.01, rtol=0)

    # Both axes have one scale, up is up, and the handles are where they say they are.
    (origin,) = place(page, ".axes")
    for expected, selector in (
        (keys, ".drag.key .key-mark"),
        (values, ".drag.value .value-mark"),
        (query, ".drag.query .query-mark"),
        (output[None], ".plane .output"),
    ):
        drawn = (place(page, selector) - origin) * torch.tensor([1.0, -1.0]) / 48
        torch.testing.assert_close(drawn, expected, atol=0.02, rtol=0)

    best = int(weights.argmax())
    found = page.locator(".found").inner_text()
    assert found.startswith(f"{NAMES[best][0]}, ")
    assert _numbers(page.locator(".where").inner_text()) == pytest.approx(output.tolist(), abs=6e-3)
    tied = page.get_by_label("K = V").is_checked()
    colour, shape = NAMES[int((values - output).norm(dim=1).argmin())]
    expect(page.locator(".nearest")).to_have_text(
        f"the key of {colour}" if tied else f"the {shape}"
    )
    for i, (ask, target) in enumerate(WISHES.values()):
        asked = torch.tensor([ask], dtype=torch.float64)
        got = attend(asked, keys, values, scale=scale)[0]
        miss = (got - torch.tensor(target, dtype=torch.float64)).norm().item()
        outcome = page.locator(".wish").nth(i)
        assert float(outcome.get_attribute("value") or "") == pytest.approx(miss, abs=1e-9)
        expect(outcome).to_have_text("met" if miss <= 0.25 else f"misses by {miss:.2f}")
    return weights, output


def handle(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def drag(page: Page, name: str, right: float, up: float) -> None:
    """Drag a handle by so many units of the plane, which are 48 pixels each."""
    box = handle(page, name).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20 * right, y - 20 * up, steps=3)
    page.mouse.move(x + 48 * right, y - 48 * up, steps=3)
    page.mouse.up()
    page.mouse.move(x + 48 * right + 6, y - 48 * up)  # what is let go stays where it is


@pytest.mark.browser
@pytest.mark.parametrize("tied", [False, True])
def test_weights_and_output_are_those_of_the_course(tied: bool, show: Callable) -> None:
    page = show(make(tied=tied))
    for exponent in (-1, -3, 2, 0.5):
        slide(page.get_by_label("temperature"), exponent)
        assert number(page, ".temperature data") == pytest.approx(2**exponent)
        assert_shows_the_truth(page)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "kind", "index"),
    [("key of blue", "key", 1), ("value of grey moon", "value", 3), ("query", "query", 0)],
)
def test_every_point_is_moved_by_drag_and_keys(
    name: str, kind: str, index: int, show: Callable
) -> None:
    page = show(make())
    before = {each: points(page, each) for each in ("key", "value", "query")}
    drag(page, name, -0.75, 0.5)
    moved = points(page, kind)[index]
    wanted = before[kind][index] + torch.tensor([-0.75, 0.5])
    torch.testing.assert_close(moved, wanted, atol=0.03, rtol=0)
    assert_shows_the_truth(page)
    handle(page, name).focus()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    torch.testing.assert_close(points(page, kind)[index], moved - 0.4)
    assert_shows_the_truth(page)
    for _ in range(14):
        page.keyboard.press("Shift+ArrowDown")
    assert points(page, kind)[index][1] == -3  # the plane's border
    expect(handle(page, name)).to_be_focused()
    for each, start in before.items():
        others = torch.arange(len(start)) != (index if each == kind else -1)
        assert points(page, each)[others].equal(start[others])


@pytest.mark.browser
def test_a_finger_drags_a_point_and_does_not_scroll(show: Callable) -> None:
    page = show(make(), width=390)
    box = handle(page, "key of grey").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    for kind, up in (("touchStart", 0), ("touchMove", 20), ("touchMove", 48), ("touchEnd", None)):
        at = [] if up is None else [{"x": x, "y": y - up}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    assert points(page, "key")[3].tolist() == pytest.approx([-0.2, -1.1], abs=0.03)
    assert page.evaluate("scrollY") == 0
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_with_keys_as_values_the_values_sit_on_their_keys_and_then_return(show: Callable) -> None:
    page = show(make())
    own = points(page, "value")
    page.get_by_label("K = V").press("Space")
    assert points(page, "value").equal(points(page, "key"))
    expect(page.get_by_role("slider", name="value of")).to_have_count(0)  # no handles of their own
    drag(page, "key of green", 0.5, -1)
    assert points(page, "value").equal(points(page, "key"))
    weights, output = assert_shows_the_truth(page)
    keys = points(page, "key")
    torch.testing.assert_close(output, weights @ keys)
    expect(page.locator(".readouts")).to_contain_text("the key of")
    page.get_by_label("K = V").press("Space")
    assert points(page, "value").equal(own)
    assert points(page, "key").equal(keys)
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_the_crosswise_wishes_are_met_with_values_of_their_own_only(show: Callable) -> None:
    page = show(make(tied=True))
    wishes = page.locator(".wish")
    for exponent in (-3, -1, 2):
        slide(page.get_by_label("temperature"), exponent)
        for place_of_red in ([1.0, 1.3], [-1.9, 0.7]):
            now = points(page, "key")[0].tolist()
            drag(page, "key of red", *np.subtract(place_of_red, now))
            assert_shows_the_truth(page)
            assert "misses" in " ".join(wishes.all_inner_texts())
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("K = V").uncheck()
    expect(wishes).to_have_text(["met", "met"])
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_a_button_asks_where_its_wish_asks_and_reset_undoes_all(show: Callable) -> None:
    page = show(make())
    before = {kind: points(page, kind) for kind in ("key", "value", "query")}
    for wish, (ask, _) in WISHES.items():
        page.get_by_role("button", name=f"Ask for {NAMES[wish][0]}").click()
        assert points(page, "query").tolist() == [ask]
        weights, _ = assert_shows_the_truth(page)
        assert weights.argmax() == wish
    expect(page.get_by_role("status")).to_contain_text("The query finds blue")
    drag(page, "value of red square", 0.5, 0.5)
    slide(page.get_by_label("temperature"), 1)
    page.get_by_label("K = V").check()
    page.get_by_role("button", name="Reset").click()
    for kind, start in before.items():
        assert points(page, kind).equal(start)
    assert not page.get_by_label("K = V").is_checked()
    assert number(page, ".temperature data") == 0.5
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_without_wishes_there_are_no_marks_and_names_are_text_never_markup(show: Callable) -> None:
    names = [("<b>bold</b>", '"quoted"'), ("it's", "& that")]
    page = show(make(keys=KEYS[:2], values=VALUES[:2], names=names, wishes=None))
    assert page.locator(".token").all_inner_texts() == [" ".join(pair) for pair in names]
    assert sorted(page.locator(".plane text").all_text_contents()) == sorted(sum(names, ()))
    assert page.locator(".ask-mark, .target-mark, .wish").count() == 0


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("tied", [False, True])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, tied: bool, axe: str, show: Callable
) -> None:
    page = show(make(tied=tied), width=width)
    assert_fits_and_is_accessible(page, width, axe)
    for box in page.locator(".drag").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.width, b.height])"
    ):
        assert min(box) >= 24
