"""The explorer of one head: what Python refuses, and what the page shows, step by step."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from browsing import in_both_schemes
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor
from visuals.driving import assert_fits_and_is_accessible, place, slide

from attncourse.attention import attend
from attncourse.visuals.explorers import OneHead

TOKENS = ["Anna", "fed", "Rex", "he"]
FEATURES = ["asks", "female", "legs"]
X = [[0, 1, 2], [1, 0, 0], [0, -1, 4], [1, -1, 0]]
W_Q = [[1, 0, 0], [0, 2, 0]]
W_K = [[-1, 0, 0.5], [0, 1, 0]]
W_V = [[0, 0, 1]]
W_O = [[-0.25], [0], [1]]
STEPS = ["Tokens", "Project", "Score", "Softmax", "Average", "Output"]
# What each step computes, from the second on.
COMPUTED = [["query", "key", "value"], ["score"], ["weight"], ["average"], ["output"]]


def make(**changes) -> OneHead:
    given = {"tokens": TOKENS, "x": X, "features": FEATURES}
    given |= {"W_q": W_Q, "W_k": W_K, "W_v": W_V, "W_o": W_O}
    return OneHead(**given | changes)


def largest() -> OneHead:
    """As many numbers as it takes, and long ones."""
    return make(
        tokens=["amber", "brown", "green", "white"],
        x=[[-5.75, -1.25, 2.25], [1, 2, 3], [-0.75, 0, 0.25], [2, -1.25, 1]],
        W_q=[[-5.75, 0, 1], [0, -2.25, 0], [1, 1, 1]],
        W_k=[[-1, 0, 0.5], [0, -5.25, 0], [1, 1, 1]],
        W_v=[[0, 0, -5.25], [-2.75, 0, 0]],
        W_o=[[-0.25, 1], [-5.75, -2.25], [1, 1]],
        step=6,
    )


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, r"tokens must be 2 to 4 words, got 1", {"tokens": ["he"]}),
        (ValueError, r"tokens must be 2 to 4 words, got 5", {"tokens": list("abcde")}),
        (TypeError, r"tokens must be words", {"tokens": [1, 2, 3, 4]}),
        (TypeError, r"features must be words", {"features": [1, 2, 3]}),
        (ValueError, r"features must be 1 to 3 words, got 4", {"features": list("abcd")}),
        (ValueError, r"x must have shape \[4, 3\], got \[3, 4\]", {"x": np.ones((3, 4))}),
        (ValueError, r"W_q .*\[d_k, 3\].*got \[2, 2\]", {"W_q": np.ones((2, 2))}),
        (ValueError, r"W_q must have 1 to 3 rows, got 4", {"W_q": np.ones((4, 3))}),
        (ValueError, r"W_k must have shape \[2, 3\], got \[1, 3\]", {"W_k": np.ones((1, 3))}),
        (ValueError, r"W_v must have 1 to 2 rows, got 3", {"W_v": np.ones((3, 3))}),
        (ValueError, r"W_o must have shape \[3, 1\], got \[1, 3\]", {"W_o": np.ones((1, 3))}),
        (ValueError, r"W_o must hold multiples of 0.25 from -6 to 6", {"W_o": [[0.3], [0], [1]]}),
        (ValueError, r"x must hold multiples .* from -6 to 6", {"x": [[7, 0, 0], *X[1:]]}),
        (ValueError, r"x must be finite", {"x": [[math.nan, 0, 0], *X[1:]]}),
        (TypeError, r"W_v must be numbers", {"W_v": [["0", "0", "1"]]}),
        (ValueError, r"asks must be .*0 to 3, got 4", {"asks": 4}),
        (ValueError, r"asks must be .*0 to 3, got -1", {"asks": -1}),
        (ValueError, r"step must be from 1 to 6, got 0", {"step": 0}),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(error: type[Exception], message: str, changes: dict) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("x", X[:3]),
        ("w_q", W_Q[:1]),
        ("w_k", [[-1, 0, 0.1], [0, 1, 0]]),
        ("w_o", [[9], [0], [1]]),
        ("asks", 4),
    ],
)
def test_what_the_picture_cannot_show_is_refused_later_too(trait: str, value: object) -> None:
    explorer = make()
    before = explorer.state()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, value)
    assert explorer.state() == before


def test_tensors_that_want_gradients_and_arrays_make_the_same_explorer() -> None:
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    assert make(x=x, W_k=np.array(W_K)).state() == make().state()


# ---------------------------------------------------------------- where no script runs


def test_the_still_picture_says_every_number_of_the_head() -> None:
    asks = 2
    picture = make(tokens=["Anna", "fed", "$x$", "<he>"], asks=asks).still()
    said = re.search(r'aria-label="([^"]*)"', picture)
    assert said
    listed = re.findall(r"[−\d.]+(?:, [−\d.]+)*(?=[.,])", said[1])
    numbers = [[float(n.replace("−", "-")) for n in each.split(", ")] for each in listed]
    x, W_q, W_k, W_v, W_o = (torch.tensor(each).double() for each in (X, W_Q, W_K, W_V, W_O))
    query, key, value = x @ W_q.T, x @ W_k.T, x @ W_v.T
    scores = query @ key.T / math.sqrt(2)
    weights = scores.softmax(-1)
    average = attend(query, key, value)
    of_each = [
        [*key[j].tolist(), scores[asks, j].item(), weights[asks, j].item(), *value[j].tolist()]
        for j in range(4)
    ]
    wanted = [
        *query[asks].tolist(), *itertools.chain(*of_each), *average[asks].tolist(),
        *(W_o @ average[asks]).tolist(),
    ]  # fmt: skip
    assert list(itertools.chain(*numbers)) == pytest.approx(wanted, abs=0.0051)
    assert "&lt;he&gt;" in picture
    assert "<he>" not in picture


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_without_a_script_the_picture_stands_and_can_be_read(
    width: int, chromium: Browser, tmp_path: Path
) -> None:
    mount = make()._repr_mimebundle_()[0]["text/html"]
    path = tmp_path / "page.html"
    path.write_text(
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{mount}', "utf-8"
    )
    with chromium.new_context(
        java_script_enabled=False, viewport={"width": width, "height": 800}
    ) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        expect(page.get_by_role("img", name="One attention head when “he” asks")).to_be_visible()
        expect(page.get_by_text("It needs JavaScript.")).to_be_visible()
        box = page.locator("svg").bounding_box()
    assert box
    assert 350 <= box["width"] <= width


@pytest.mark.browser
def test_where_a_script_runs_nothing_is_left_of_the_picture(show: Callable) -> None:
    page = show(make())
    assert page.locator(".attn-mount .attn-figure").count() == 0
    assert page.locator(".attn-explorer").count() == 1


# ---------------------------------------------------------------- what the page shows


def values(cells: Locator) -> Tensor:
    """The exact numbers of some cells, one after the other."""
    exact = cells.evaluate_all("all => all.map(data => Number(data.value))")
    return torch.tensor(exact, dtype=torch.float64)


def matrix(page: Page, name: str, columns: int) -> Tensor:
    return values(page.get_by_role("group", name=name).locator(".entry data")).view(-1, columns)


def asks(page: Page) -> int:
    return int(page.locator("input[name=asks]:checked").get_attribute("value") or "")


def number(text: str) -> float:
    return float(text.replace("\u2212", "-").strip("()"))


def assert_shows_the_truth(page: Page) -> Tensor:
    """All numbers are those of `attend`, and all sums that are written out are right."""
    n = page.locator(".word").count()
    x = values(page.locator(".vector.x data")).view(n, -1)
    W_q, W_k, W_v = (matrix(page, f"W_{name}", x.shape[1]) for name in "qkv")
    W_o = matrix(page, "W_o", len(W_v))
    i = asks(page)
    query, key, value = x[i : i + 1] @ W_q.T, x @ W_k.T, x @ W_v.T
    average, weights = attend(query, key, value, return_weights=True)
    wanted = {
        "query": query,
        "key": key,
        "value": value,
        "score": query @ key.T / len(W_q) ** 0.5,
        "weight": weights,
        "average": average,
        "output": average @ W_o.T,
    }
    for kind, numbers in wanted.items():
        cells = page.locator(f".vector.{kind} data")
        torch.testing.assert_close(values(cells), numbers.flatten(), atol=1e-12, rtol=1e-12)
        for shown, exact in zip(cells.all_text_contents(), numbers.flatten(), strict=True):
            unit = 0.01 if abs(exact) < 10 else 0.1 if abs(exact) < 100 else 1
            assert number(shown) == pytest.approx(exact.item(), abs=unit / 2 + 1e-9)
    assert_sums_are_right(page)
    return weights[0]


def assert_sums_are_right(page: Page) -> None:
    equations = [
        equation
        for line in page.locator(".sums dd").all_text_contents()
        for equation in line.split(",  ")
        if re.search(" [=≈] ", equation) and "output" not in equation and "sum" not in equation
    ]
    for equation in equations:
        left, sign, right = re.split(" ([=≈]) ", equation)
        terms = left.translate({ord("\u2212"): "-", ord("\u00b7"): "*"})
        python = re.sub(r"^e(.*)", r"exp(\1)", re.sub(r"√(\d)", r"sqrt(\1)", terms))
        exact = eval(python, {"exp": math.exp, "sqrt": math.sqrt})
        # What is rounded on the left makes the right uncertain too.
        rounded = {"abs": 0.02, "rel": 0.02} if sign == "≈" else {"abs": 1e-12}
        assert number(right) == pytest.approx(exact, **rounded), equation


def is_at(page: Page, step: str) -> bool:
    return page.get_by_role("radio", name=step, exact=True).is_checked()


def go_to(page: Page, step: str) -> None:
    page.locator(".walk label", has_text=step).click()


@pytest.mark.browser
@pytest.mark.parametrize("explorer", [make, largest])
def test_every_number_and_every_sum_is_that_of_the_course(
    explorer: Callable, show: Callable
) -> None:
    page = show(explorer())
    for token in page.locator(".word").all():
        token.click()
        for step in STEPS:
            go_to(page, step)
            assert_shows_the_truth(page)


@pytest.mark.browser
def test_each_step_shows_what_it_computes_and_nothing_of_the_next(show: Callable) -> None:
    page = show(make())
    for step in range(1, 7):
        assert page.locator("input[name=step]:checked").get_attribute("value") == str(step)
        for of, kinds in enumerate(COMPUTED, start=2):
            for kind in kinds:
                cell = page.locator(f".vector.{kind}").first
                expect(cell).to_have_class(
                    re.compile(r"\bnow\b" if of == step else r"\blater\b" if of > step else r"\w$")
                )
                expect(cell.locator("data").first).to_be_visible(visible=of <= step)
                label = cell.get_attribute("aria-label") or ""
                assert label.endswith("not computed yet") == (of > step)
        assert_shows_the_truth(page)
        page.get_by_role("button", name="Next").press("Enter")
    assert is_at(page, "Output")  # there is nothing behind it


@pytest.mark.browser
@pytest.mark.parametrize(
    ("step", "blocked", "why"),
    [
        (1, "Back", "Step 1 of 6: “Back” would go beyond."),
        (3, None, "Step 3 of 6."),
        (6, "Next", "Step 6 of 6: “Next” would go beyond."),
    ],
)
def test_a_step_that_there_is_not_is_refused_and_the_button_says_why(
    step: int, blocked: str | None, why: str, show: Callable
) -> None:
    page = show(make(step=step))
    expect(page.locator(".walk .limits")).to_have_text(why)
    for name in ("Back", "Next"):
        button = page.get_by_role("button", name=name)
        assert button.get_attribute("aria-disabled") == str(name == blocked).lower()
        if name == blocked:
            expect(button).to_have_accessible_description(why)
            button.press("Enter")
            assert is_at(page, list(STEPS)[step - 1])
            expect(button).to_be_focused()
            expect(page.get_by_role("status")).to_have_text(why)


@pytest.mark.browser
def test_steps_tokens_and_numbers_are_chosen_by_keys(show: Callable) -> None:
    page = show(make())
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert is_at(page, "Score")
    expect(page.get_by_role("status")).to_contain_text("Step 3 of 6, Score. he asks. Anna")
    for _ in range(3):  # back, next, the tokens
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    assert TOKENS[asks(page)] == "Rex"
    assert_shows_the_truth(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="female of he: −1")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="legs of he: 0")).to_be_focused()
    page.keyboard.press("ArrowRight")  # on to the first matrix
    expect(page.get_by_role("radio", name="W_q, row 1, column 1: 1")).to_be_focused()
    page.keyboard.press("Tab")
    slider = page.get_by_role("slider", name="W_q, row 1, column 1")
    expect(slider).to_be_focused()
    page.keyboard.press("ArrowLeft")
    assert matrix(page, "W_q", 3)[0, 0] == 0.75
    assert slider.get_attribute("aria-valuetext") == "0.75"
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_a_finger_taps_a_token_a_step_and_a_number(show: Callable) -> None:
    page = show(make(), width=390)
    finger = page.context.new_cdp_session(page)

    def tap(target: Locator) -> None:
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    tap(page.locator(".word", has_text="fed"))
    page.wait_for_function("document.querySelector('input[name=asks]:checked').value === '1'")
    tap(page.get_by_role("button", name="Next"))
    expect(page.get_by_label("Project")).to_be_checked()
    tap(page.locator(".entry", has=page.get_by_label("legs of Rex")))
    expect(page.get_by_role("slider", name="legs of Rex")).to_have_value("4")
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_he_finds_rex_and_she_finds_anna(show: Callable) -> None:
    """The sentence of the page "Attention in one minute", and the break that it proposes."""
    page = show(make())
    go_to(page, "Average")
    assert assert_shows_the_truth(page).argmax() == TOKENS.index("Rex")
    legs = values(page.locator(".vector.average data"))
    assert legs == pytest.approx(3.44, abs=0.01)
    slider = page.get_by_role("slider", name="female of he")  # chosen from the start
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 5 / 12, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 7 / 12, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    slide(slider, 1)
    assert assert_shows_the_truth(page).argmax() == TOKENS.index("Anna")
    assert values(page.locator(".vector.average data")) == pytest.approx(1.74, abs=0.01)
    page.locator(".word", has_text="fed").click()
    page.get_by_role("button", name="Reset").click()
    assert TOKENS[asks(page)] == "he"
    assert values(page.locator(".vector.x data")).tolist() == np.ravel(X).tolist()
    assert is_at(page, "Average")  # how far one has come is not undone
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_the_sums_of_a_key_are_those_of_the_token_whose_number_is_chosen(show: Callable) -> None:
    page = show(make(step=2))
    names = page.locator(".sums dt")
    expect(names).to_have_text(["query of he", "", "key of Rex", "", "value of Rex"])
    page.locator(".entry", has=page.get_by_label("asks of Anna")).click()
    expect(names).to_have_text(["query of he", "", "key of Anna", "", "value of Anna"])
    slide(page.get_by_role("slider", name="asks of Anna"), -2.5)
    expect(page.locator(".sums dd").nth(2)).to_have_text("(−1)·(−2.5) + 0·1 + 0.5·2 = 3.5")
    assert_shows_the_truth(page)


@pytest.mark.browser
def test_huge_scores_do_not_overflow(show: Callable) -> None:
    six = [[6, 6, 6]] * 2
    page = show(make(x=[[6, 6, 6], [-6, -6, -6], *X[2:]], W_q=six, W_k=six, step=4, asks=0))
    assert assert_shows_the_truth(page).tolist() == [1, 0, 0, 0]
    assert "Infinity" not in page.locator(".attn-explorer").inner_text()
    assert "NaN" not in page.locator(".attn-explorer").inner_text()


# ---------------------------------------------------------------- lines and motion


def wires(page: Page, kind: str) -> Tensor:
    """``[n, 2, 2]``: where the lit wires of a kind begin and end, in pixels of the page."""
    ends = page.locator(f".wires path.{kind}.now").evaluate_all(
        """all => all.map(path => [0, path.getTotalLength()].map(at => {
            const { x, y } = path.getPointAtLength(at).matrixTransform(path.getScreenCTM());
            return [x, y];
        }))"""
    )
    return torch.tensor(ends, dtype=torch.float64)


def boxes(page: Page, selector: str) -> Tensor:
    """``[n, 4]``: left, top, right and bottom of the cells."""
    return torch.tensor(
        page.locator(selector).evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
        ),
        dtype=torch.float64,
    )


def touches(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether each point lies on the border of the box of its number."""
    low, high = boxes[:, :2], boxes[:, 2:]
    inside = ((points >= low - 1) & (points <= high + 1)).all(-1)
    return inside & ((points - low).abs().minimum((points - high).abs()).amin(-1) < 1)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 800])
def test_the_wires_of_a_step_join_the_cells_that_it_is_computed_from(
    width: int, show: Callable
) -> None:
    page = show(make(), width=width)
    n = len(TOKENS)
    joins = {
        ("Project", "query"): (".vector.x", ".vector.query", [asks(page)], [0]),
        ("Project", "key"): (".vector.x", ".vector.key", range(n), range(n)),
        ("Project", "value"): (".vector.x", ".vector.value", range(n), range(n)),
        ("Score", "query"): (".vector.query", ".vector.score", [0] * n, range(n)),
        ("Score", "key"): (".vector.key", ".vector.score", range(n), range(n)),
        ("Softmax", "ink"): (".vector.score", ".vector.weight", range(n), range(n)),
        ("Average", "ink"): (".vector.weight", ".vector.value", range(n), range(n)),
        ("Average", "value"): (".vector.value", ".vector.average", range(n), [0] * n),
        ("Output", "ink"): (".vector.average", ".vector.output", [0], [0]),
    }
    for (step, kind), (start, end, starts, ends) in joins.items():
        go_to(page, step)
        drawn = wires(page, kind)
        assert len(drawn) == len(list(starts)), (step, kind)
        assert touches(drawn[:, 0], boxes(page, start)[list(starts)]).all(), (step, kind)
        assert touches(drawn[:, 1], boxes(page, end)[list(ends)]).all(), (step, kind)


@pytest.mark.browser
def test_wires_and_bars_are_as_large_as_the_weights(show: Callable) -> None:
    page = show(make(step=5))
    for token in TOKENS:
        page.locator(".word", has_text=token).click()
        weights = assert_shows_the_truth(page)
        widths = page.locator(".wires path.value.now").evaluate_all(
            "all => all.map(path => Number(path.getAttribute('stroke-width')))"
        )
        torch.testing.assert_close(torch.tensor(widths).double(), 0.75 + 7 * weights)
        bars = page.locator(".vector.weight").evaluate_all(
            "all => all.map(e => parseFloat(getComputedStyle(e, '::before').width) / e.clientWidth)"
        )
        torch.testing.assert_close(torch.tensor(bars).double(), weights, atol=0.01, rtol=0)


@pytest.mark.browser
def test_on_a_narrow_screen_things_flow_from_top_to_bottom(show: Callable) -> None:
    stages = (".word.asker", ".vector.x", ".vector.key", ".vector.score", ".vector.weight", ".vector.value")  # fmt: skip
    for width, axis in ((800, 0), (390, 1)):
        page = show(make(), width=width)
        along = [place(page, stage)[-1, axis] for stage in stages]
        assert along == sorted(along)
        across = torch.stack([place(page, stage)[-1, 1 - axis] for stage in stages])
        torch.testing.assert_close(across, across[:1].expand(6), atol=1, rtol=0)


@pytest.mark.browser
def test_values_move_along_the_wires_unless_the_reader_wants_no_motion(show: Callable) -> None:
    page = show(make(step=4))
    beads = ".wires circle.value"

    def click_and_hold(selector: str) -> None:
        """Click, and stop all motion at once: a slow machine sees of it as much as a fast one."""
        page.locator(selector).evaluate(
            "e => { e.click(); document.getAnimations().forEach(each => each.pause()); }"
        )

    def distances(milliseconds: int) -> Tensor:
        """How far the beads are from the average at that time."""
        page.evaluate(
            "at => document.getAnimations().forEach(each => { each.currentTime = at; })",
            milliseconds,
        )
        return (place(page, beads) - place(page, ".vector.average")).norm(dim=1)

    click_and_hold(".next")
    assert page.locator(beads).count() == len(TOKENS)
    halfway, near = distances(450), distances(890)
    assert (near < halfway).all()
    assert (near < 30).all()
    areas = page.locator(beads).evaluate_all("all => all.map(e => e.r.baseVal.value ** 2)")
    assert np.argmax(areas) == TOKENS.index("Rex")
    finish = "document.getAnimations().forEach(each => each.finish())"
    page.evaluate(finish)
    expect(page.locator(".wires circle")).to_have_count(0)
    click_and_hold("input[name=asks][value='1']")
    assert page.locator(beads).count() == len(TOKENS)  # who asks anew, sees it anew
    page.evaluate(finish)

    page.emulate_media(reduced_motion="reduce")
    try:
        page.get_by_role("button", name="Back").click()
        page.get_by_role("button", name="Next").click()
        slide(page.get_by_role("slider"), 2)
        assert page.locator(".wires circle").count() == 0
        assert page.evaluate("document.getAnimations().length") == 0
    finally:
        page.emulate_media(reduced_motion="no-preference")


# ---------------------------------------------------------------- the page around it


@pytest.mark.browser
def test_a_coloured_word_of_the_text_lights_its_part_up(show: Callable) -> None:
    page = show(make(step=6))
    page.evaluate(
        """document.querySelector("main").insertAdjacentHTML("beforeend",
        `<p>${["q", "k", "v"].map(k => `<a href="#" class="attn-${k}">${k}</a>`).join(", and ")}</p>`)"""
    )
    plain = "rgb(255, 255, 255)"
    background = "e => getComputedStyle(e).backgroundColor"
    for word, kind in (("q", "query"), ("k", "key"), ("v", "value")):
        text, away = page.locator(f".attn-{word}"), page.locator(".next")
        for reach, leave in ((text.hover, away.hover), (text.focus, away.focus)):
            reach()
            lit = {
                each
                for each in ("query", "key", "value")
                if page.locator(f".vector.{each}").first.evaluate(background) != plain
            }
            assert lit == {kind}
            leave()
            assert page.locator(f".vector.{kind}").first.evaluate(background) == plain


@pytest.mark.browser
def test_on_paper_every_number_stands(show: Callable) -> None:
    page = show(make())
    page.emulate_media(media="print")
    try:
        for kind in itertools.chain(*COMPUTED):
            assert page.locator(f".vector.{kind} data").first.is_visible(), kind
    finally:
        page.emulate_media(media="screen")


@pytest.mark.browser
def test_words_are_text_never_markup(show: Callable) -> None:
    tokens = ["<b>a</b>", '"q"', "&", "it's"]
    page = show(make(tokens=tokens, features=["<i>x</i>", "y", "z"], step=6))
    assert page.locator(".word").all_inner_texts() == tokens
    assert page.locator(".names span").first.inner_text() == "<i>x</i>"
    assert "it's + output" in page.locator(".sums").inner_text()


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("step", [1, 2, 6])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, step: int, axe: str, show: Callable
) -> None:
    page = show(make(step=step), width=width)
    assert_fits_and_is_accessible(page, width, axe)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_the_largest_head_fits_too(width: int, axe: str, show: Callable) -> None:
    assert_fits_and_is_accessible(show(largest(), width=width), width, axe)
