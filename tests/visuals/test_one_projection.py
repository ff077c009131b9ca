"""One W that the reader drags: what the figure says is what torch says, whatever W is."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from browsing import in_both_schemes
from playwright.sync_api import Locator, Page, expect
from visuals.driving import assert_fits_and_is_accessible, number, place, slide

from attncourse.attention import attention_weights, cosine_affinity, dot_affinity
from attncourse.visuals.explorers import OneProjection

LABELS = ["tomato", "chilli", "pea", "plum"]
TOKENS = [[0.9, 0.6], [0.8, -0.7], [-0.7, 0.7], [0.4, 0.3]]
X = torch.tensor(TOKENS, dtype=torch.float64)
N = len(LABELS)


def figure(**settings) -> OneProjection:
    return OneProjection(TOKENS, LABELS, features=("colour", "shape"), **settings)


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, r"tokens must be numbers", lambda: OneProjection([["a", "b"]] * 2, "ab")),
        (ValueError, r"tokens .*\[n, 2\].*\[2, 3\]", lambda: OneProjection(np.ones((2, 3)), list("ab"))),
        (ValueError, r"tokens .*2 to 6.*\[7, 2\]", lambda: OneProjection(np.ones((7, 2)), list("abcdefg"))),
        (ValueError, r"tokens .*\[1, 2\]", lambda: OneProjection([[1, 2]], ["a"])),
        (ValueError, r"tokens .*finite", lambda: OneProjection([[1, 2], [np.nan, 0]], list("ab"))),
        (ValueError, r"tokens .*all be zero", lambda: OneProjection(np.zeros((2, 2)), list("ab"))),
        (ValueError, r"labels must be 4 words, got 1", lambda: OneProjection(TOKENS, "ab")),
        (TypeError, r"labels must be strings", lambda: OneProjection(TOKENS, [1, 2, 3, 4])),
        (ValueError, r"features must be 2 words, got 3", lambda: OneProjection(TOKENS, LABELS, features=list("abc"))),
        (ValueError, r"W must be \[2, 2\].*-1.5 to 1.5", lambda: figure(W=[[1, 0], [0, 1.6]])),
        (ValueError, r"W must be \[2, 2\]", lambda: figure(W=np.eye(3))),
        (ValueError, r"pair must be two tokens i < j below 4.*\(2, 1\)", lambda: figure(pair=(2, 1))),
        (ValueError, r"pair .*\(1, 4\)", lambda: figure(pair=(1, 4))),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, make: Callable) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_W_that_the_handles_cannot_show_is_refused_later_too() -> None:
    explorer = figure()
    for W in ([[1.0, 0.0]], [[9.0, 0.0], [0.0, 1.0]], [[float("nan"), 0.0], [0.0, 1.0]]):
        with pytest.raises(ValueError, match="W must be"):
            explorer.W = W
    assert explorer.W == [[1, 0], [0, 1]]


def test_a_tensor_that_wants_gradients_makes_the_same_figure() -> None:
    W = torch.tensor([[0.5, 0.0], [1.0, -1.0]], requires_grad=True)
    assert figure(W=W).state() == figure(W=[[0.5, 0], [1, -1]]).state()


# ---------------------------------------------------------------- a page without a kernel


def data(part: Locator) -> torch.Tensor:
    return torch.tensor(
        part.locator("data").evaluate_all("all => all.map(data => Number(data.value))"),
        dtype=torch.float64,
    )


def shown_W(page: Page) -> torch.Tensor:
    return data(page.locator(".entries")).view(2, 2)


def assert_shows_the_truth(page: Page) -> torch.Tensor:
    """Compare all that is shown with torch; return the scores ``[N, N]``."""
    q = X @ shown_W(page).T
    cosine = page.get_by_label("divide by the lengths").is_checked()
    scores = cosine_affinity(q) if cosine else dot_affinity(q)
    if cosine:
        q = torch.nn.functional.normalize(q, dim=1)
    A = attention_weights(scores)

    score_table, weight_table = page.locator("table.numbers").all()
    for table, expected in ((score_table, scores), (weight_table, A)):
        exact = data(table).view(N, N)
        torch.testing.assert_close(exact, expected, atol=1e-9, rtol=0)
        rounded = [float(t.replace("−", "-")) for t in table.locator("data").all_inner_texts()]
        assert rounded == pytest.approx(exact.flatten().tolist(), abs=0.0051)
        wins = table.locator("td:has(data)").evaluate_all(
            "all => all.map(cell => cell.matches('.wins'))"
        )
        marked = torch.tensor(wins).view(N, N)
        assert marked.sum(1).tolist() == [1] * N
        assert (expected[marked] >= expected.amax(1) - 1e-9).all()

    own = scores.diagonal()[:, None]
    prefers = scores > own + 1e-9
    assert number(page, ".self-wins") == int((~prefers.any(1)).sum())
    assert number(page, ".mutual") == int((prefers & prefers.T).sum()) // 2
    assert number(page, ".score-gap") == pytest.approx((scores - scores.T).abs().max().item())
    assert number(page, ".weight-gap") == pytest.approx((A - A.T).abs().max().item(), abs=1e-9)

    i, j = pair_of(page)
    square = scores[i, i] + scores[j, j] - 2 * scores[i, j]
    assert number_of(page, ".distance") == pytest.approx(square.item(), abs=1e-9)
    preferences = page.locator(".preferences").inner_text()
    for a, b in ((i, j), (j, i)):
        verb = "prefers" if prefers[a, b] else "does not prefer"
        assert f"{LABELS[a]} {verb} {LABELS[b]} to itself" in preferences

    # Tokens and handles are drawn where W puts them, in one scale, up is up.
    handles = place(page, ".drag rect")
    drawn = place(page, ".projected")
    box = page.locator(".columns").bounding_box()
    assert box
    middle = torch.tensor([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]).double()
    points, wanted = torch.cat([drawn, handles]) - middle, torch.cat([q, shown_W(page).T])
    wanted = wanted * torch.tensor([1.0, -1.0])
    scale = float(page.locator(".unit").get_attribute("r") or "")  # of the circle of length 1
    torch.testing.assert_close(points, wanted * scale, atol=1.0, rtol=0)
    return scores


def number_of(page: Page, selector: str) -> float:
    return float(page.locator(selector).get_attribute("value") or "")


def pair_of(page: Page) -> tuple[int, int]:
    first, second = page.locator(".pair strong").inner_text().split(" and ")
    return LABELS.index(first), LABELS.index(second)


@pytest.mark.browser
@pytest.mark.parametrize(
    "W",
    [
        [[1, 0], [0, 1]],
        [[1.5, -1.5], [1.5, 1.5]],
        [[0.3, -1.2], [0.9, 0.4]],
        [[1, 1], [1, 1]],
        [[0, 0], [0, 0]],
    ],
    ids=["identity", "largest", "generic", "flat", "zero"],
)
def test_scores_weights_and_winners_are_those_of_torch(W: list, show: Callable) -> None:
    page = show(figure(W=W, pair=(0, 3)))
    raw = assert_shows_the_truth(page)
    page.get_by_label("divide by the lengths").check()
    cosine = assert_shows_the_truth(page)
    assert number(page, ".self-wins") == N
    assert torch.equal(raw, raw.T)
    assert torch.equal(cosine, cosine.T)


@pytest.mark.browser
def test_a_short_token_prefers_a_longer_one_and_never_the_other_way_round(show: Callable) -> None:
    page = show(figure(pair=(0, 3)))
    assert_shows_the_truth(page)
    expect(page.locator(".preferences")).to_have_text(
        "tomato does not prefer plum to itself; plum prefers tomato to itself"
    )
    assert number(page, ".self-wins") == N - 1


@pytest.mark.browser
def test_a_column_follows_the_mouse_and_stops_at_the_edge(show: Callable) -> None:
    page = show(figure())
    shape = page.get_by_role("slider", name="shape")
    box, plane = (page.locator(s).bounding_box() for s in (".drag >> nth=1", ".columns"))
    assert box
    assert plane
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    unit = plane["y"] + plane["height"] / 2 - y  # the column is (0, 1)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + unit, y + unit / 2, steps=4)
    torch.testing.assert_close(
        shown_W(page), torch.tensor([[1, 1], [0, 0.5]]).double(), atol=0.051, rtol=0
    )
    assert_shows_the_truth(page)
    page.mouse.move(x + 9 * unit, y + 9 * unit)
    assert shown_W(page).tolist() == [[1, 1.5], [0, -1.5]]
    page.mouse.up()
    page.mouse.move(x, y)
    assert shown_W(page).tolist() == [[1, 1.5], [0, -1.5]]
    assert shape.get_attribute("aria-valuetext") == "at 1.50, −1.50"
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_a_column_follows_the_keys(show: Callable) -> None:
    page = show(figure())
    colour = page.get_by_role("slider", name="colour")
    colour.focus()
    for keys, column in [
        (["ArrowRight", "ArrowUp", "ArrowUp"], [1.1, 0.2]),
        (["Shift+ArrowLeft", "ArrowDown"], [0.6, 0.1]),
        (["Home"], [0, 0]),
        (["Shift+ArrowDown"] * 4, [0, -1.5]),
    ]:
        for key in keys:
            page.keyboard.press(key)
        assert shown_W(page)[:, 0].tolist() == pytest.approx(column)
        assert shown_W(page)[:, 1].tolist() == [0, 1]
        assert_shows_the_truth(page)
    expect(colour).to_be_focused()
    expect(page.get_by_role("status")).to_have_text(
        re.compile(r"Self wins in \d of 4 rows. Pairs that prefer each other .*: 0 of 6\.")
    )


@pytest.mark.browser
def test_the_buttons_set_W_and_reset_undoes_all(show: Callable) -> None:
    page = show(figure(W=[[0.5, 0.1], [-0.2, 0.8]], pair=(1, 2)))
    before = assert_shows_the_truth(page)
    page.get_by_role("button", name="Double every score").click()
    torch.testing.assert_close(assert_shows_the_truth(page), 2 * before, atol=1e-6, rtol=0)
    page.get_by_role("button", name="Flatten").click()
    assert torch.linalg.matrix_rank(assert_shows_the_truth(page)) == 1
    page.get_by_role("button", name="Stretch").click()
    assert_shows_the_truth(page)
    double = page.get_by_role("button", name="Double every score")
    expect(double).to_be_disabled()  # 1.5 √2 lies beyond what a handle reaches
    reason = "The numbers of W stay between −1.5 and 1.5: “Double every score” would go beyond."
    expect(double).to_have_accessible_description(reason)
    expect(page.locator(".limits")).to_have_text(reason)
    double.press("Enter")
    expect(page.get_by_role("status")).to_have_text(reason)
    assert shown_W(page).abs().max() == 1.5
    page.get_by_role("button", name="Identity").click()
    assert shown_W(page).tolist() == [[1, 0], [0, 1]]
    slide(page.get_by_role("slider", name="pair"), 5)
    assert pair_of(page) == (2, 3)
    page.get_by_label("divide by the lengths").check()
    page.get_by_role("button", name="Reset").click()
    assert pair_of(page) == (1, 2)
    torch.testing.assert_close(assert_shows_the_truth(page), before)


@pytest.mark.browser
def test_a_pair_is_picked_in_either_half_of_a_table_and_framed_in_both(show: Callable) -> None:
    page = show(figure())
    cells = page.locator("table.numbers").nth(1).locator("td:has(data)")
    cells.nth(3 * N + 1).click()
    assert pair_of(page) == (1, 3)
    answer = page.locator(".answer")
    weight = cells.nth(3 * N + 1).inner_text()
    said = re.compile(
        rf"^You chose row plum, column chilli: score .*, weight {weight}\. Their pair"
    )
    expect(answer).to_have_text(said)
    expect(page.get_by_role("status")).to_have_text(said)
    assert marked(page) == [(0, 3, 1), (1, 3, 1)]
    cells.nth(2 * N + 2).click()  # a token does not make a pair with itself
    assert pair_of(page) == (1, 3)
    said = re.compile(r"^You chose row pea, column pea: .* A token makes no pair with itself\.$")
    expect(answer).to_have_text(said)
    expect(page.get_by_role("status")).to_have_text(said)
    assert marked(page) == [(0, 2, 2), (1, 2, 2)]
    framed = page.locator(".of-pair").count()
    assert framed == 2 * 4
    ends = page.locator(".pair-line").evaluate("line => line.getBoundingClientRect().toJSON()")
    tokens = place(page, ".projected")[[1, 3]]
    assert ends["left"] == pytest.approx(tokens[:, 0].min().item(), abs=2)
    assert ends["bottom"] == pytest.approx(tokens[:, 1].max().item(), abs=2)
    page.get_by_role("slider", name="pair").press("ArrowLeft")
    assert pair_of(page) == (1, 2)
    expect(answer).to_have_text("Click a cell to choose its pair.")  # it was chosen otherwise
    assert marked(page) == []
    assert_shows_the_truth(page)


def marked(page: Page) -> list[tuple[int, int, int]]:
    """Table, row and column of every cell whose frame is thicker than all others."""
    widths = page.locator("table.numbers td:has(data)").evaluate_all(
        "all => all.map(cell => getComputedStyle(cell)).map(style =>"
        " style.outlineStyle === 'solid' ? parseFloat(style.outlineWidth) : 0)"
    )
    return [(n // N**2, n // N % N, n % N) for n, width in enumerate(widths) if width >= 2.5]


@pytest.mark.browser
def test_tokens_that_fall_together_carry_one_label_between_them(show: Callable) -> None:
    page = show(figure(W=[[0, 0], [0, 0]]))
    texts = [text for text in page.locator(".of-token").all_text_contents() if text]
    assert texts == ["tomato, chilli, pea, plum"]


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_hinders_nobody(width: int, axe: str, show: Callable) -> None:
    assert_fits_and_is_accessible(show(figure(), width=width), width, axe)


# What the book shows: five tokens, one of them between the two arms.
GARDEN = [[1.0, 0.5], [0.8, -0.7], [-0.7, 0.7], [-0.8, -0.5], [0.4, 0.3]]


@pytest.mark.browser
@pytest.mark.parametrize("pair", [(0, 4), (1, 2), (3, 4)])
def test_no_arm_and_no_line_of_the_pair_strikes_through_a_label(
    pair: tuple[int, int], show: Callable
) -> None:
    page = show(
        OneProjection(
            GARDEN,
            ["tomato", "chilli", "pea", "bean", "plum"],
            features=("colour", "shape"),
            pair=pair,
        )
    )

    def struck() -> list[str]:
        return page.evaluate(
            """() => {
                const picture = document.querySelector("svg.columns");
                const lines = [...picture.querySelectorAll(".arm, .pair-line")];
                return [...picture.querySelectorAll("text")].filter(text => {
                    const { x, y, width, height } = text.getBBox();
                    return text.textContent && lines.some(line => Array.from({ length: 201 }, (_, i) =>
                        line.getPointAtLength((i / 200) * line.getTotalLength())
                    ).some(p => p.x > x + 1 && p.x < x + width - 1
                        && p.y > y + 4 && p.y < y + height - 4));
                }).map(text => text.textContent);
            }"""
        )

    assert struck() == []
    for button in ("Stretch", "Flatten onto one line", "Identity"):
        page.get_by_role("button", name=button).click()
        assert struck() == [], button
    handle = page.get_by_role("slider", name="image of the axis “colour”")
    for key in (
        "Shift+ArrowUp",
        "Shift+ArrowLeft",
        "ArrowUp",
        "Shift+ArrowLeft",
        "Shift+ArrowDown",
    ):
        handle.press(key)
        assert struck() == [], handle.get_attribute("aria-valuetext")
