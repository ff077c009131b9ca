"""Wishes: what the figure says of a drawing is the theorem's, what it trains is what torch trains."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import traitlets
from browsing import in_both_schemes
from playwright.sync_api import Locator, Page, expect
from torch import Tensor
from visuals.driving import Finger, assert_fits_and_is_accessible, middle

from attncourse.visuals.explorers import Wishes
from attncourse.wishes import Mode, circles_in_the_way, loss_floor, most_granted

RPS = {"rock": "scissors", "paper": "rock", "scissors": "paper"}
NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hugo"]
STEPS = 300


def random_wishes(n: int, draw: random.Random) -> dict[str, str | None]:
    """A wish for each of n tokens, or for all but a few of them."""
    names = NAMES[:n]
    wishes: dict[str, str | None] = {
        name: draw.choice([other for other in names if other != name]) for name in names
    }
    if n > 2 and draw.random() < 0.3:
        wishes[draw.choice(names)] = None
    return wishes


def drawings() -> Iterator[Wishes]:
    """Fifty of 2 to 8 tokens, masked and visible, some with few numbers a query."""
    draw = random.Random(23)
    for number in range(50):
        n = 2 + number % 7
        yield Wishes(
            random_wishes(n, draw),
            see_self=draw.random() < 0.5,
            d_k=draw.choice([None, None, max(1, n - 2)]),
            seed=draw.randrange(2**32),
        )


# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, r"'b' wishes for itself", lambda: Wishes({"a": "b", "b": "b"})),
        (ValueError, r"'a' wishes for 'c', which is none of a, b", lambda: Wishes({"a": "c", "b": "a"})),
        (ValueError, r"2 to 8 tokens, got 1", lambda: Wishes({"a": None})),
        (ValueError, r"2 to 8 tokens, got 9", lambda: Wishes(dict.fromkeys("abcdefghi"))),
        (ValueError, r"1 to 8 letters, got 'Alexander'", lambda: Wishes({"Alexander": None, "b": None})),
        (ValueError, r"word .*got '7'", lambda: Wishes({"a": None, "7": None})),
        (TypeError, r"words, got 7", lambda: Wishes({"a": None, 7: None})),
        (ValueError, r"d_k must be from 1 to 3, got 4", lambda: Wishes(RPS, d_k=4)),
        (ValueError, r"d_k must be from 1 to 3, got 0", lambda: Wishes(RPS, d_k=0)),
        (TypeError, r"d_k must be a whole number, got 1\.5", lambda: Wishes(RPS, d_k=1.5)),
        (TypeError, r"seed must be a whole number, got True", lambda: Wishes(RPS, seed=True)),
        (ValueError, r"seed .*got -1", lambda: Wishes(RPS, seed=-1)),
        (ValueError, r"cross-entropy or margin, got 'hinge'", lambda: Wishes(RPS, objective="hinge")),
    ],
)  # fmt: skip
def test_what_is_no_drawing_is_refused_by_name(
    error: type[Exception], message: str, make: Callable[[], Wishes]
) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "value"),
    [("wishes", {"a": "a", "b": None}), ("mode", "raw"), ("objective", "hinge"), ("d_k", 9)],
)
def test_what_the_figure_cannot_show_is_refused_later_too(name: str, value: object) -> None:
    explorer = Wishes(RPS)
    with pytest.raises(
        (ValueError, traitlets.TraitError), match=name if name != "wishes" else "itself"
    ):
        setattr(explorer, name, value)
    assert explorer.wishes == RPS


def test_the_start_is_uniform_and_of_the_shape_that_it_says() -> None:
    W_q, W_k = Wishes(dict.fromkeys(NAMES), d_k=5, seed=7).start()
    assert W_q.shape == W_k.shape == (5, 8)
    numbers = [n for seed in range(60) for n in Wishes(RPS, seed=seed).start()[0].flat]
    assert -1 <= min(numbers) < -0.95
    assert 0.95 < max(numbers) < 1
    assert abs(sum(numbers) / len(numbers)) < 0.08


# ---------------------------------------------------------------- training, beside torch's


class Run:
    """What torch makes of a figure's start: leads, weights and loss after the figure's steps."""

    def __init__(self, explorer: Wishes, mode: Mode, steps: int = STEPS) -> None:
        W_q, W_k = (torch.tensor(W, requires_grad=True) for W in explorer.start())  # [d_k, n]
        self.target = torch.tensor(explorer.target())
        self.wishing = self.target >= 0
        n = len(self.target)
        self.wished = torch.nn.functional.one_hot(self.target.clamp(min=0), n).bool()
        self.margin = explorer.objective == "margin"
        forbidden = torch.eye(n, dtype=torch.bool) & (not explorer.see_self)
        if mode == "shared":
            W_k = W_q
        optimiser = torch.optim.Adam([W_q] if mode == "shared" else [W_q, W_k], lr=0.05)
        tokens = torch.eye(n, dtype=torch.float64)  # [T, d_model]
        for step in range(steps + 1):
            query, key = tokens @ W_q.T, tokens @ W_k.T
            self.scores = (query @ key.T / len(W_q) ** 0.5).masked_fill(forbidden, -torch.inf)
            loss = self.loss()
            self.last = loss.item()
            if step < steps:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

    def leads(self) -> Tensor:
        rivals = self.scores.masked_fill(self.wished, -torch.inf).amax(1)
        return (self.scores[self.wished] - rivals)[self.wishing]

    def loss(self) -> Tensor:
        if self.margin:
            lead = self.leads()
            return -(lead.sign() * (100 * lead.abs()).log1p()).mean()
        return -self.scores.log_softmax(1)[self.wished][self.wishing].mean()

    def granted(self) -> list[int]:
        return torch.arange(len(self.target))[self.wishing][self.leads() > 0.01].tolist()


@pytest.fixture
def still(show: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """``show``, for a reader who wants nothing to move: training is at once at its end."""
    pages = []

    def still_(*explorers: Wishes, width: int = 800) -> Page:
        page = show(*explorers, width=width)
        page.emulate_media(reduced_motion="reduce")
        pages.append(page)
        return page

    yield still_
    for page in pages:
        page.emulate_media(reduced_motion="no-preference")


def read(root: Locator) -> dict[str, Any]:
    """All that one figure shows, at once: numbers by name, and the arrows by how they look."""
    return root.evaluate(
        """root => {
            const arrows = (which) => [...root.querySelectorAll(which)]
                .map((arrow) => [Number(arrow.dataset.from), Number(arrow.dataset.to)]);
            return {
                ...Object.fromEntries([...root.querySelectorAll("data[class]")]
                    .map((data) => [data.className, data.value && Number(data.value)])),
                arrows: arrows(".arrow"),
                granted: arrows(".arrow.granted").map(([from]) => from),
                lit: arrows(".arrow:has(.lit)").map(([from]) => from),
            };
        }"""
    )


def press_in_each(page: Page, words: str) -> None:
    page.evaluate(
        """words => {
            for (const each of document.querySelectorAll(".attn-explorer :is(button, label)"))
                if (each.textContent === words) each.click();
        }""",
        words,
    )


@pytest.mark.browser
@pytest.mark.parametrize("objective", ["cross-entropy", "margin"])
def test_fifty_drawings_train_as_torch_trains_them(
    objective: str, still: Callable[..., Page]
) -> None:
    explorers = list(drawings())
    for explorer in explorers:
        explorer.objective = objective
        n = len(explorer.wishes)
        if objective == "margin" and n == 2:
            explorer.see_self = True  # where there is no rival there is no lead
    page = still(*explorers)
    press_in_each(page, "Train")
    shown = [read(root) for root in page.locator(".attn-explorer").all()]
    press_in_each(page, "separate")
    separate = [read(root)["granted"] for root in page.locator(".attn-explorer").all()]
    for explorer, found, of_separate in zip(explorers, shown, separate, strict=True):
        assert found["step"] == STEPS
        for mode, granted in (("shared", found["granted"]), ("separate", of_separate)):
            run = Run(explorer, mode)
            assert found[f"loss-{mode}"] == pytest.approx(run.last, abs=1e-4), explorer.state()
            assert granted == run.granted(), explorer.state()
            assert found[f"granted-{mode}"] == len(granted)
            bound = most_granted(explorer.target(), mode, mask_diagonal=not explorer.see_self)
            assert len(granted) <= bound
            if objective == "cross-entropy":
                floor = loss_floor(explorer.target(), mode, mask_diagonal=not explorer.see_self)
                assert found[f"loss-{mode}"] >= floor - 1e-9


@pytest.mark.browser
def test_the_map_shows_the_weights_and_frames_the_wishes(still: Callable[..., Page]) -> None:
    explorer = Wishes(RPS, see_self=True, seed=11)
    page = still(explorer)
    page.get_by_role("button", name="Train").click()
    for mode in ("shared", "separate"):
        weights = Run(explorer, mode).scores.softmax(1)
        figure = page.locator(f".of-{mode}")
        numbers = figure.locator(".number").all_inner_texts()
        assert [float(each) for each in numbers] == pytest.approx(
            weights.flatten().tolist(), abs=0.0051
        )
        names = figure.locator("svg").get_attribute("aria-label") or ""
        assert re.findall(r"(\w+) gives (\w+)", names) == list(RPS.items())
        cells = [each.bounding_box() for each in figure.locator(".weight").all()]
        frames = [each.bounding_box() for each in figure.locator(".frame").all()]
        assert [cells.index(frame) for frame in frames] == [2, 3, 7]


# The drawings that the figure offers: each is trained on what does not hedge, from its own start.
OFFERED = ("Rock, paper", "A couple", "A chain", "A family tree", "Two circles", "All at the first")


@pytest.mark.browser
@pytest.mark.parametrize("see_self", [True, False])
def test_the_margin_reaches_the_bound_in_each_drawing_that_is_offered(
    see_self: bool, still: Callable[..., Page]
) -> None:
    explorer = Wishes(RPS, see_self=see_self, objective="margin")
    page = still(explorer)
    root = page.locator(".attn-explorer")
    for name in OFFERED:
        root.get_by_text(name).click()
        root.get_by_role("button", name="Train").click()
        found = read(root)
        for mode in ("shared", "separate"):
            assert found[f"granted-{mode}"] == found[f"bound-{mode}"], (name, mode)


# ---------------------------------------------------------------- the theorem


@pytest.mark.browser
def test_the_theorem_speaks_as_in_python_and_lights_up_the_circles(show: Callable) -> None:
    explorers = [Wishes(RPS), Wishes(RPS, see_self=True), Wishes({"a": "b", "b": "a"}), *drawings()]
    page = show(*explorers)
    for root, explorer in zip(page.locator(".attn-explorer").all(), explorers, strict=True):
        found, target, masked = read(root), explorer.target(), not explorer.see_self
        for mode in ("raw", "shared", "separate"):
            assert found[f"bound-{mode}"] == most_granted(target, mode, mask_diagonal=masked)
        circles = circles_in_the_way(target, mask_diagonal=masked)
        assert found["lit"] == sorted(set().union(*circles))
        assert found["arrows"] == [[i, wish] for i, wish in enumerate(target) if wish >= 0]
        says = root.locator(".says").inner_text()
        names = list(explorer.wishes)
        rings = re.findall(r"\w+(?: [→⇄] \w+)+", says)
        found_rings = {
            frozenset(names.index(each) for each in re.findall(r"\w+", r)) for r in rings
        }
        assert found_rings == circles
        few = explorer.d_k is not None and explorer.d_k < len(names)
        texts = [root.locator(f".bound-{mode}").inner_text() for mode in ("shared", "separate")]
        assert [text.startswith("at most") for text in texts] == [few, few and explorer.d_k < 2]
        assert ("At most" in says) == few
        floor = loss_floor(target, "shared", mask_diagonal=masked)
        said = root.locator(".floor-text").inner_text()
        assert said == (
            "no floor but 0" if floor == 0
            else f"dotted: one shared matrix loses {'' if masked and not few else 'at least '}{floor:.3f}"
        )  # fmt: skip


@pytest.mark.browser
def test_before_the_theorem_is_asked_nothing_is_given_away(show: Callable) -> None:
    root = show(Wishes(RPS, theorem=False)).locator(".attn-explorer")
    found = read(root)
    assert [found[f"bound-{mode}"] for mode in ("raw", "shared", "separate")] == ["", "", ""]
    assert found["lit"] == []
    assert root.locator(".floor").evaluate("each => each.checkVisibility()") is False
    assert "2" not in root.locator(".bounds").inner_text()
    root.get_by_text("let the theorem speak").click()
    assert read(root)["bound-shared"] == 2
    assert read(root)["lit"] == [0, 1, 2]
    root.get_by_text("separate", exact=True).click()  # nothing is in the way of two matrices
    assert read(root)["lit"] == []


# ---------------------------------------------------------------- drawing


def centre(root: Locator, name: str) -> tuple[float, float]:
    box = root.locator(".token", has_text=name).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def wishes_of(root: Locator) -> dict[str, str]:
    labels = root.locator(".token").evaluate_all("all => all.map(each => each.ariaLabel)")
    return dict(
        re.fullmatch(r"(\w+), wishes for (\w+)(?:, granted)?", each).groups() for each in labels
    )


@pytest.mark.browser
def test_a_wish_is_drawn_by_two_presses_or_a_drag_and_taken_away_by_the_same_again(
    show: Callable,
) -> None:
    page = show(Wishes(RPS))
    root = page.locator(".attn-explorer")

    def press(name: str) -> None:
        page.mouse.click(*centre(root, name))

    def drag(start: str, end: tuple[float, float]) -> None:
        page.mouse.move(*centre(root, start))
        page.mouse.down()
        page.mouse.move(end[0] + 4, end[1], steps=4)
        page.mouse.up()

    press("rock")
    expect(root.locator(".hint")).to_have_text("Now press the one that rock is to look at.")
    expect(root.locator(".taken")).to_have_text("rock")
    press("paper")
    assert wishes_of(root) == RPS | {"rock": "paper"}
    expect(root.locator(".taken")).to_have_count(0)
    press("rock")
    press("rock")  # no wish for itself
    assert wishes_of(root) == RPS | {"rock": "paper"}
    expect(root.locator(".taken")).to_have_count(0)
    drag("rock", centre(root, "scissors"))
    assert wishes_of(root) == RPS
    drag("rock", centre(root, "scissors"))
    assert wishes_of(root) == RPS | {"rock": "nobody"}
    drag("paper", (centre(root, "paper")[0], centre(root, "paper")[1] + 60))  # onto nothing
    assert wishes_of(root) == RPS | {"rock": "nobody"}
    expect(root.locator(".taken")).to_have_text("paper")
    press("scissors")
    assert wishes_of(root) == {"rock": "nobody", "paper": "scissors", "scissors": "paper"}
    page.mouse.move(*centre(root, "rock"))
    page.mouse.down(button="right")
    page.mouse.up(button="right")
    expect(root.locator(".taken")).to_have_count(0)
    expect(root.locator(".rubber")).not_to_have_attribute("d", re.compile("."))


@pytest.mark.browser
def test_a_finger_draws_by_taps_and_by_a_drag(show: Callable) -> None:
    page = show(Wishes(RPS), width=390)
    root = page.locator(".attn-explorer")
    finger = Finger(page)
    middle(root.locator(".tokens-and-wishes"))  # in sight
    finger.tap(centre(root, "rock"))
    finger.tap(centre(root, "paper"))
    assert wishes_of(root) == RPS | {"rock": "paper"}
    (x, y), (u, v) = centre(root, "scissors"), centre(root, "rock")
    assert finger.swipe((x, y), right=u - x, down=v - y) == 0
    assert wishes_of(root) == {"rock": "paper", "paper": "rock", "scissors": "rock"}


@pytest.mark.browser
def test_where_the_page_is_scaled_the_tokens_are_where_they_are_seen(show: Callable) -> None:
    page = show(Wishes(RPS))
    page.add_style_tag(content="main { scale: 0.6; rotate: 8deg; transform-origin: 0 0 }")
    root = page.locator(".attn-explorer")
    page.mouse.move(*centre(root, "rock"))
    page.mouse.down()
    page.mouse.move(*centre(root, "paper"), steps=3)
    page.mouse.up()
    assert wishes_of(root) == RPS | {"rock": "paper"}


@pytest.mark.browser
def test_a_wish_is_drawn_by_keys_alone(show: Callable) -> None:
    page = show(Wishes(RPS))
    root = page.locator(".attn-explorer")
    root.get_by_label("Rock, paper, scissors").focus()
    for keys, wishes in [
        (["Tab", "Enter", "ArrowRight", " "], {"rock": "paper"}),
        (["Delete"], {"rock": "paper", "paper": "nobody"}),
        (["ArrowLeft", "ArrowLeft", "Enter", "Escape"], {"rock": "paper", "paper": "nobody"}),
        (["Enter", "ArrowDown", "Enter"],
         {"rock": "paper", "paper": "nobody", "scissors": "rock"}),
        (["Backspace"], {"rock": "nobody", "paper": "nobody", "scissors": "rock"}),
        (["Control+Enter"], {"rock": "nobody", "paper": "nobody", "scissors": "rock"}),
    ]:  # fmt: skip
        for key in keys:
            page.keyboard.press(key)
        assert wishes_of(root) == RPS | wishes
    expect(root.locator(".token", has_text="rock")).to_be_focused()
    expect(root.locator(".taken")).to_have_count(0)
    page.keyboard.press("Tab")
    expect(root.get_by_role("button", name="Train")).to_be_focused()
    # A screen reader presses without a key or a pointer.
    root.locator(".token").first.dispatch_event("click")
    root.locator(".token").last.dispatch_event("click")
    assert wishes_of(root)["rock"] == "scissors"


@pytest.mark.browser
def test_tokens_come_and_go_between_two_and_eight_and_wishes_for_those_who_go_with_them(
    show: Callable,
) -> None:
    root = show(Wishes(RPS, d_k=2)).locator(".attn-explorer")
    more, fewer = (
        root.get_by_role("button", name=name) for name in ("One token more", "One fewer")
    )
    fewer.click()
    assert wishes_of(root) == {"rock": "nobody", "paper": "rock"}
    expect(fewer).to_be_disabled()
    for _ in range(6):
        more.click()
    assert list(wishes_of(root)) == ["rock", "paper", *NAMES[:6]]
    expect(more).to_be_disabled()
    slider = root.get_by_role("slider", name="d_k")
    assert (slider.input_value(), slider.get_attribute("max")) == ("2", "8")
    slider.press("End")
    fewer.click()
    assert (slider.input_value(), slider.get_attribute("max")) == ("7", "7")  # as many as tokens
    root.get_by_text("A chain").click()
    assert wishes_of(root)["Eve"] == "Dan"
    root.get_by_role("button", name="Reset").click()
    assert wishes_of(root) == RPS
    assert slider.input_value() == "2"


# ---------------------------------------------------------------- training as it is seen


@pytest.mark.browser
def test_training_can_be_stopped_goes_on_and_ends_where_it_would_have_ended(show: Callable) -> None:
    explorer = Wishes(RPS, see_self=True)
    page = show(explorer)
    root = page.locator(".attn-explorer")
    train, step = root.locator(".train"), root.locator("data.step")
    train.click()
    expect(train).to_have_text("Stop")
    page.wait_for_function("Number(document.querySelector('data.step').value) > 20")
    train.click()
    expect(train).to_have_text("Go on")
    at = read(root)["step"]
    assert 20 < at < STEPS
    assert read(root)["loss-separate"] == pytest.approx(
        Run(explorer, "separate", at).last, abs=1e-9
    )
    expect(root.get_by_role("status")).to_contain_text(f"Step {at} of {STEPS}")
    train.click()
    expect(step).to_have_text(f"step {STEPS}")
    expect(train).to_have_text("Train again")
    assert read(root)["loss-shared"] == pytest.approx(Run(explorer, "shared").last, abs=1e-9)
    expect(root.get_by_role("status")).to_contain_text("separate matrices: granted 3 of 3")
    lines = root.locator(".curves polyline").evaluate_all(
        "all => all.map(each => each.points.length)"
    )
    assert lines == [STEPS + 1] * 2


@pytest.mark.browser
def test_whatever_changes_what_was_trained_takes_it_away(still: Callable[..., Page]) -> None:
    page = still(Wishes(RPS))
    root = page.locator(".attn-explorer")
    for change in ("a token may look at itself", "margin", "One token more", "A couple"):
        root.get_by_role("button", name="Train").click()
        assert read(root)["step"] == STEPS
        root.get_by_text(change, exact=True).click()
        assert read(root)["step"] == 0, change
        assert read(root)["loss-shared"] == ""
    root.get_by_role("button", name="Train").click()
    before = read(root)["loss-shared"]
    for kept in ("separate", "let the theorem speak"):
        root.get_by_text(kept, exact=True).click()
        assert read(root)["loss-shared"] == before
    root.get_by_role("button", name="Another start").click()  # trains at once
    assert read(root)["step"] == STEPS
    assert read(root)["loss-shared"] != before


@pytest.mark.browser
def test_without_a_wish_there_is_nothing_to_train(still: Callable[..., Page]) -> None:
    root = still(Wishes(dict.fromkeys(NAMES[:3]))).locator(".attn-explorer")
    root.get_by_role("button", name="Train").click()
    expect(root.get_by_role("status")).to_have_text("Draw a wish first.")
    assert read(root)["step"] == 0


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, axe: str, still: Callable[..., Page]
) -> None:
    eight = {name: NAMES[(i + 1) % 8] for i, name in enumerate(NAMES)}
    page = still(
        Wishes(RPS, theorem=False),
        Wishes(
            dict(zip(["scissors", *NAMES[1:]], ["Ben", *NAMES[2:], "scissors"], strict=True)), d_k=3
        ),
        Wishes(eight, see_self=True, objective="margin"),
        width=width,
    )
    press_in_each(page, "Train")
    assert_fits_and_is_accessible(page, width, axe)
