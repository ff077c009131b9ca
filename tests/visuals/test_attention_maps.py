"""The explorer of a feature map: where a picked cell looks under each way of projecting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from browsing import in_both_schemes
from playwright.sync_api import Page, expect
from visuals.driving import Finger, assert_fits_and_is_accessible, middle

from attncourse.visuals.explorers import AttentionMaps, Question

H, W = 2, 3
N = H * W
MODES = ("raw cosine", "separate")
LABELS = [f"a digit {i}" for i in range(N)]
WANTED = ([[1], [2, 3], [3], [4], [5], []], [[5], [4], [3], [2], [1], [0]])


def weights(seed: int) -> torch.Tensor:
    """``[N, N]``, its rows all different, in the digits that a page keeps."""
    scores = torch.randn(N, N, generator=torch.Generator().manual_seed(seed))
    rounded = (20 * scores).softmax(-1).double().mul(1e4).round().div(1e4)  # from 0 to nearly 1
    rounded[range(N), rounded.argmax(1)] += 1 - rounded.sum(1)
    return rounded


MAPS = [
    [{mode: weights(100 * q + 10 * masked + m) for m, mode in enumerate(MODES)} for masked in (0, 1)]
    for q in (0, 1)
]  # fmt: skip


def question(q: int, **changes: object) -> Question:
    text = ("the one it beats", "its twin")[q]
    return Question(text, WANTED[q], *MAPS[q])._replace(**changes)


def picture() -> torch.Tensor:
    return torch.rand(3, 8 * H, 8 * W, generator=torch.Generator().manual_seed(0))


def make(**changes: object) -> AttentionMaps:
    given = {
        "picture": picture(),
        "grid": (H, W),
        "labels": LABELS,
        "questions": [question(0), question(1)],
    }
    given |= changes
    return AttentionMaps(given.pop("picture"), **given)


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (TypeError, r"picture .*uint8", {"picture": (picture() * 255).to(torch.uint8)}),
        (ValueError, r"picture .*2 × 3 cells, got \[3, 16, 25\]", {"picture": torch.zeros(3, 16, 25)}),
        (ValueError, r"picture must have from 2 to 16384", {"picture": torch.zeros(3, 160, 240)}),
        (ValueError, r"grid .*24 cells, got 5 × 5", {"grid": (5, 5)}),
        (ValueError, r"labels .*6 cells, got 5", {"labels": LABELS[1:]}),
        (ValueError, r"start .*row below 2 .*\(2, 0\)", {"start": (2, 0)}),
        (ValueError, r"questions must be one or two, got 0", {"questions": []}),
        (ValueError, r"1 to 4 modes, got 0", {"questions": [question(0, in_sight={}, masked={})]}),
        (ValueError, r"must have the modes \['raw cosine', 'separate'\], got \['separate'\]",
         {"questions": [question(0, masked={"separate": weights(0)})]}),
        (ValueError, r"'its twin' must have the modes",
         {"questions": [question(0), question(1, in_sight={"separate": weights(0)})]}),
        (ValueError, r"'separate' .*shape \[6, 6\], got \[6, 5\]",
         {"questions": [question(0, masked=MAPS[0][1] | {"separate": weights(0)[:, 1:]})]}),
        (ValueError, r"'separate' .*adding up to 1",
         {"questions": [question(0, masked=MAPS[0][1] | {"separate": weights(0) * 2})]}),
        (ValueError, r"'separate' .*positive",
         {"questions": [question(0, masked=MAPS[0][1] | {"separate": 2 * torch.eye(N) - 1 / N})]}),
        (ValueError, r"wanted .*numbers of cells", {"questions": [question(0, wanted=[[0]] * 5)]}),
        (ValueError, r"wanted .*numbers of cells", {"questions": [question(0, wanted=[[6]] * 6)]}),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, changes: dict) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(("trait", "value"), [("pick", 6), ("pick", -1), ("question", 2)])
def test_a_cell_or_a_question_that_is_not_there_is_refused_later_too(
    trait: str, value: int
) -> None:
    explorer = make()
    with pytest.raises(ValueError, match=f"{trait} must be from 0"):
        setattr(explorer, trait, value)
    assert getattr(explorer, trait) == 0


# ---------------------------------------------------------------- a page without a kernel


def shown(page: Page, mode: int) -> torch.Tensor:
    """``[N]``: the exact weights that a map shows, whose cells say the same in per cent."""
    cells = page.locator(".cells").nth(mode).locator("data")
    exact = [float(value) for value in cells.evaluate_all("all => all.map(each => each.value)")]
    assert cells.all_inner_texts() == [str(int(100 * w + 0.5)) for w in exact]
    return torch.tensor(exact, dtype=torch.float64)


def marked(page: Page, mode: int, name: str) -> list[int]:
    return page.locator(".cells").nth(mode).evaluate(
        f"map => [...map.children].flatMap((cell, i) => cell.matches('.{name}') ? [i] : [])"
    )  # fmt: skip


def assert_shows(page: Page, pick: int, q: int = 0, masked: int = 0) -> None:
    """Maps, frames and read-outs are those of the cell, the question and the mask."""
    expect(page.locator(".who")).to_have_text(LABELS[pick])
    for m, mode in enumerate(MODES):
        expected = MAPS[q][masked][mode]
        torch.testing.assert_close(shown(page, m), expected[pick])
        assert marked(page, m, "asks") == [pick]
        assert marked(page, m, "wanted") == WANTED[q][pick]
        shares = torch.stack([expected[i, cells].sum() for i, cells in enumerate(WANTED[q])])
        for name, share in (("here", shares[pick]), ("everywhere", shares.mean())):
            read = page.locator(f".{name}").nth(m)
            assert float(read.get_attribute("value")) == pytest.approx(share.item())
            assert read.inner_text() == f"{int(100 * share + 0.5)}\u00a0%"


@pytest.mark.browser
def test_a_cell_is_picked_in_any_picture_by_click_and_drag_and_the_keys_go_on_from_there(
    show: Callable[..., Page],
) -> None:
    page = show(make())
    assert_shows(page, 0)

    def at(picture: str, row: float, column: float) -> tuple[float, float]:
        box = page.locator(picture).first.bounding_box()
        assert box
        down, right = (row + 0.5) / H * box["height"], (column + 0.5) / W * box["width"]
        return box["x"] + right, box["y"] + down

    page.mouse.click(*at(".scene", 1, 2))
    assert_shows(page, 5)
    page.mouse.click(*at(".cells", 0, 1))
    assert_shows(page, 1)
    page.mouse.move(*at(".scene", 0, 0))
    page.mouse.down()
    page.mouse.move(*at(".scene", 1, 0), steps=4)
    assert_shows(page, 3)
    page.mouse.move(*at(".scene", 9, 9))  # beyond the border: the nearest cell
    page.mouse.up()
    assert_shows(page, 5)
    for key, pick in [
        ("ArrowUp", 2), ("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowDown", 4), ("Home", 3), ("End", 5),
        ("ArrowRight", 5), ("PageUp", 2), ("PageDown", 5),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert_shows(page, pick)
    slider = page.get_by_role("slider", name="The cell that asks")
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", "row 2, column 3: a digit 5")


@pytest.mark.browser
def test_question_and_mask_choose_the_maps_and_reset_undoes_all(show: Callable[..., Page]) -> None:
    page = show(make(start=(1, 0)))
    page.get_by_text("its twin").click()
    assert_shows(page, 3, q=1)
    page.get_by_label("sees its own place").uncheck()
    assert_shows(page, 3, q=1, masked=1)
    expect(page.get_by_role("status")).to_contain_text("a digit 3. Weight on what it asks for")
    page.get_by_text("the one it beats").click()
    assert_shows(page, 3, q=0, masked=1)
    page.get_by_role("slider", name="The cell that asks").press("Home")
    page.keyboard.press("PageUp")
    assert_shows(page, 0, q=0, masked=1)
    page.get_by_role("button", name="Reset").click()
    assert_shows(page, 3)


@pytest.mark.browser
def test_a_finger_picks_by_a_tap_in_scene_and_map(show: Callable[..., Page]) -> None:
    page = show(make(), width=390)
    finger = Finger(page)
    for picture in (".scene", ".cells"):
        x, y = middle(page.locator(picture).first)
        box = page.locator(picture).first.bounding_box()
        assert box
        finger.tap((x + box["width"] / 3, y + box["height"] / 4))
        assert_shows(page, 5)
        page.get_by_role("button", name="Reset").click()
        assert_shows(page, 0)


@pytest.mark.browser
def test_the_marker_lies_on_the_picked_cell_of_the_picture(show: Callable[..., Page]) -> None:
    page = show(make(start=(1, 2)))
    scene, marker = (page.locator(each).bounding_box() for each in (".scene svg", ".marker"))
    assert scene
    assert marker
    assert marker["x"] == pytest.approx(scene["x"] + 2 * scene["width"] / W, abs=1)
    assert marker["y"] == pytest.approx(scene["y"] + scene["height"] / H, abs=1)
    assert marker["width"] == pytest.approx(scene["width"] / W, abs=1)
    assert marker["height"] == pytest.approx(scene["height"] / H, abs=1)


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [800, 390])
def test_it_fits_and_is_accessible(width: int, axe: str, show: Callable[..., Page]) -> None:
    assert_fits_and_is_accessible(show(make(), width=width), width, axe)
