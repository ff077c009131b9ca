"""The explorer of two sentences: whose word is a row, whose a column, and what a mask leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from browsing import in_both_schemes
from playwright.sync_api import Locator, Page, expect
from visuals.driving import Finger, assert_fits_and_is_accessible

from attncourse.attention import attend
from attncourse.visuals.explorers import TwoSequences

ASKING = [("the", [1, 0, 0]), ("cat", [0, 1, 0]), ("sleeps", [0, 0.5, 1])]
ASKED = [("heute", [0.2, 0, 0]), ("schläft", [0, 0, 1]), ("die", [1, 0, 0]), ("Katze", [0, 1, 0])]
FEATURES = dict([*ASKING, *ASKED])
W_Q = [[2.0, 0.5, 0.0], [0.0, 1.5, 1.0]]  # d_k = 2, d = 3
W_K = [[1.5, 0.0, 0.5], [0.0, 2.0, 1.0]]


def make(**changes) -> TwoSequences:
    given = {"asking": ASKING, "asked": ASKED, "W_q": W_Q, "W_k": W_K} | changes
    return TwoSequences(given.pop("asking"), given.pop("asked"), **given)


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, r"asking must have 2 to 5 words, got 1", {"asking": ASKING[:1]}),
        (ValueError, r"asked must have 2 to 5 words, got 6", {"asked": ASKED[:3] * 2}),
        (ValueError, r"at most 8 words, got 9", {"asking": ASKING + ASKING[:2]}),
        (TypeError, r"asking must have words", {"asking": [(1, [1, 0, 0]), *ASKING[1:]]}),
        (ValueError, r"asked .*1 to 8 letters, got ''", {"asked": [("", [1, 0, 0]), *ASKED[1:]]}),
        (ValueError, r"asked .*got 'Eichhörnchen'", {"asked": [("Eichhörnchen", [1, 0, 0])] * 2}),
        (ValueError, r"features .*unequal", {"asking": [("the", [1, 0]), *ASKING[1:]]}),
        (ValueError, r"W_q must have shape \[2, 3\], got \[2, 2\]", {"W_q": [[1, 0], [0, 1]]}),
        (ValueError, r"W_k must have shape \[2, 3\], got \[1, 3\]", {"W_k": W_K[:1]}),
        (ValueError, r"mask must be one of .*got 'left'", {"mask": "left"}),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, changes: dict) -> None:
    with pytest.raises(error, match=message):
        make(**changes | ({"asked": ASKED[:4]} if "9" in message else {}))


@pytest.mark.parametrize(
    ("trait", "value"), [("rows", [0]), ("rows", [0, 7]), ("columns", [3, 3]), ("mask", "")]
)
def test_what_no_sentence_can_be_is_refused_later_too(trait: str, value: object) -> None:
    explorer = make()
    before = explorer.state()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, value)
    assert explorer.state() == before


# ---------------------------------------------------------------- a page without a kernel


def word(page: Page, text: str) -> Locator:
    return page.locator(".moves", has_text=text)


def sentences(page: Page) -> tuple[list[str], list[str]]:
    """The words on the left and on top, by where they are drawn."""
    drawn = page.locator(".moves:visible").evaluate_all(
        """all => all.map(each => {
            const {x, y} = each.getBoundingClientRect();
            const box = each.closest(".board").getBoundingClientRect();
            return [each.textContent, x - box.x, y - box.y];
        })"""
    )
    left = [text for _, text in sorted((y, text) for text, x, y in drawn if x < 40)]
    top = [text for _, text in sorted((x, text) for text, x, y in drawn if x >= 40)]
    return left, top


def settled(page: Page) -> None:
    """A word that was moved glides for a moment."""
    page.wait_for_function("document.getAnimations().every(each => each.playState === 'finished')")


def assert_true(page: Page) -> tuple[list[str], list[str]]:
    """All that is shown follows from where the words stand and from the controls."""
    settled(page)
    left, top = sentences(page)
    same = page.get_by_label("asks itself").is_checked()
    asked = left if same else top
    x, y = (
        torch.tensor([FEATURES[each] for each in s], dtype=torch.float64) for s in (left, asked)
    )
    W_q, W_k = (torch.tensor(W, dtype=torch.float64) for W in (W_Q, W_K))
    mask = None
    corner = page.locator("input[name=mask]:checked").get_attribute("value")
    if corner != "none":
        shift = len(asked) - len(left) if corner == "bottom right" else 0
        mask = torch.ones(len(left), len(asked), dtype=torch.bool).tril(shift)
    _, weights = attend(x @ W_q.mT, y @ W_k.mT, y, mask=mask, return_weights=True)

    table = page.get_by_role("table", name="Weights")
    rows = table.get_by_role("row")
    assert rows.nth(0).get_by_role("columnheader").all_text_contents()[1:] == asked
    assert table.get_by_role("rowheader").all_text_contents() == left
    exact = (
        table.get_by_role("cell")
        .locator("data")
        .evaluate_all("all => all.map(data => Number(data.value))")
    )
    shown = torch.tensor(exact, dtype=torch.float64).view(len(left), len(asked))
    torch.testing.assert_close(shown, weights, atol=1e-9, rtol=0)
    hatched = table.get_by_role("cell").evaluate_all("all => all.map(e => e.matches('.masked'))")
    hidden = torch.zeros_like(weights, dtype=torch.bool) if mask is None else ~mask
    assert torch.tensor(hatched).view_as(hidden).equal(hidden)
    assert_in_line(page, left, top, same)

    number = {
        name: page.locator(f".{name}").inner_text()
        for name in ("queries", "keys", "size", "outputs")
    }
    T_q, T_k = len(left), len(asked)
    assert number == {
        "queries": f"{T_q}", "keys": f"{T_k}", "size": f"{T_q} × {T_k}", "outputs": f"{T_q}",
    }  # fmt: skip
    blind = [text for text, row in zip(left, hidden, strict=True) if row.all()]
    readouts = page.locator(".readouts").inner_text()
    assert ("with nothing for" in readouts) == bool(blind)
    for each in blind:
        assert each in readouts.split("with nothing for")[1]
    return left, top


def assert_in_line(page: Page, left: list[str], top: list[str], same: bool) -> None:
    """A row of cells stands beside its word, a column under its own."""
    middles = (
        page.get_by_role("table", name="Weights")
        .get_by_role("cell")
        .evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(b => [b.x + b.width / 2, b.y + b.height / 2])"
        )
    )
    places = torch.tensor(middles).view(len(left), -1, 2)
    for i, text in enumerate(left):
        box = word(page, text).bounding_box()
        assert box
        assert (places[i, :, 1] - (box["y"] + box["height"] / 2)).abs().max() < 2
    for j, text in enumerate([] if same else top):
        box = word(page, text).bounding_box()
        assert box
        assert (places[:, j, 0] - (box["x"] + box["width"] / 2)).abs().max() < 2


def drag(page: Page, text: str, to: tuple[float, float]) -> None:
    """Drag a word to a place of the board, in pixels from its corner."""
    settled(page)
    box, board = word(page, text).bounding_box(), page.locator(".board").bounding_box()
    assert box
    assert board
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(board["x"] + to[0], board["y"] + to[1], steps=6)
    page.mouse.up()
    page.mouse.move(board["x"] + 200, board["y"] + 200)


@pytest.mark.browser
def test_a_drag_moves_a_word_along_its_sentence_and_into_the_other(show: Callable) -> None:
    page = show(make())
    assert assert_true(page) == (["the", "cat", "sleeps"], ["heute", "schläft", "die", "Katze"])
    drag(page, "the", (30, 40 + 2 * 36 + 18))
    assert assert_true(page)[0] == ["cat", "sleeps", "the"]
    drag(page, "Katze", (78 + 20, 20))
    assert assert_true(page)[1] == ["Katze", "heute", "schläft", "die"]
    drag(page, "cat", (78 + 66 + 20, 15))
    assert assert_true(page) == (["sleeps", "the"], ["Katze", "cat", "heute", "schläft", "die"])
    drag(page, "schläft", (20, 40 + 18))
    assert assert_true(page) == (["schläft", "sleeps", "the"], ["Katze", "cat", "heute", "die"])


@pytest.mark.browser
def test_keys_move_a_word_along_and_across_and_the_focus_goes_with_it(show: Callable) -> None:
    page = show(make())
    cat = word(page, "cat")
    cat.focus()
    for key, left, top in (
        ("ArrowUp", "cat the sleeps", "heute schläft die Katze"),
        ("ArrowLeft", "cat the sleeps", "heute schläft die Katze"),  # it is the first
        ("ArrowDown", "the cat sleeps", "heute schläft die Katze"),
        ("Enter", "the sleeps", "heute schläft die Katze cat"),
        ("ArrowLeft", "the sleeps", "heute schläft die cat Katze"),
        (" ", "the sleeps cat", "heute schläft die Katze"),
    ):
        page.keyboard.press(key)
        assert assert_true(page) == (left.split(), top.split())
        expect(cat).to_be_focused()
    expect(cat).to_have_accessible_name("cat, asks, 3 of 3")
    expect(page.get_by_role("status")).to_contain_text("the sleeps cat: 3")
    page.keyboard.press("Tab")
    expect(word(page, "heute")).to_be_focused()  # the order of the Tab key is that of the words


@pytest.mark.browser
def test_a_press_sends_a_word_across_until_a_sentence_would_be_too_long(show: Callable) -> None:
    page = show(make())
    word(page, "cat").click()
    assert assert_true(page)[0] == ["the", "sleeps"]
    word(page, "the").click()
    assert assert_true(page)[0] == ["the", "sleeps"]
    expect(page.get_by_role("status")).to_have_text("A sentence keeps two to five words.")
    drag(page, "the", (78 + 100, 15))
    assert assert_true(page)[0] == ["the", "sleeps"]


@pytest.mark.browser
def test_neither_sentence_becomes_shorter_than_two_words(show: Callable) -> None:
    page = show(make(asking=ASKING[:2], asked=ASKED[:2]))
    for text in ("cat", "heute"):
        word(page, text).click()
        assert assert_true(page) == (["the", "cat"], ["heute", "schläft"])


@pytest.mark.browser
def test_a_finger_drags_a_word_and_taps_one_and_the_page_stays(show: Callable) -> None:
    page = show(make(), width=390)
    finger = Finger(page)
    settled(page)
    box = word(page, "sleeps").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert finger.swipe(middle, right=0, down=-74) == 0
    assert assert_true(page)[0] == ["sleeps", "the", "cat"]
    box = word(page, "die").bounding_box()
    assert box
    finger.tap((box["x"] + 20, box["y"] + 12))
    assert assert_true(page) == (["sleeps", "the", "cat", "die"], ["heute", "schläft", "Katze"])


@pytest.mark.browser
@pytest.mark.parametrize("corner", ["top left", "bottom right"])
def test_a_causal_mask_starts_from_its_corner_whichever_sentence_is_longer(
    corner: str, show: Callable
) -> None:
    page = show(make())
    page.locator("label", has_text=corner).click()
    assert_true(page)
    page.get_by_role("button", name="Swap the two").click()
    left, top = assert_true(page)
    assert (len(left), len(top)) == (4, 3)
    # From the bottom right the first of four queries would see the key before the first of three.
    assert ("with nothing for heute" in page.locator(".readouts").inner_text()) == (
        corner == "bottom right"
    )


@pytest.mark.browser
def test_a_sentence_that_asks_itself_makes_a_square_and_the_other_waits(show: Callable) -> None:
    page = show(make())
    page.get_by_label("asks itself").check()
    assert assert_true(page) == (["the", "cat", "sleeps"], [])
    word(page, "cat").click()
    expect(page.get_by_role("status")).to_have_text(
        "One sentence asks itself, the other one waits."
    )
    word(page, "cat").press("ArrowUp")
    assert assert_true(page)[0] == ["cat", "the", "sleeps"]
    expect(page.get_by_role("button", name="Swap the two")).to_be_disabled()
    page.get_by_role("button", name="Reset").click()
    assert assert_true(page) == (["the", "cat", "sleeps"], ["heute", "schläft", "die", "Katze"])


@pytest.mark.browser
def test_words_are_text_never_markup(show: Callable) -> None:
    asking = [("<b>x</b>", [1, 0, 0]), ('"&amp;"', [0, 1, 0])]
    page = show(make(asking=asking))
    assert page.locator(".moves").all_text_contents()[:2] == ["<b>x</b>", '"&amp;"']


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("same", [False, True])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, same: bool, axe: str, show: Callable
) -> None:
    page = show(make(same=same, mask="bottom right"), width=width)
    if not same:
        word(page, "cat").press("Enter")  # as many columns as there may be
        settled(page)
    assert_fits_and_is_accessible(page, width, axe)
    for box in page.locator(".drag:visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.width, b.height])"
    ):
        assert min(box) >= 24
