"""Wishes: what the figure says of a drawing is the theorem's, what it trains is what torch trains."""

from __future__ import annotations

import itertools
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
from torch.nn import functional as F
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
    """Fifty of 2 to 8 tokens, masked and visible, some with few numbers a query, some of two heads."""
    draw = random.Random(23)
    for number in range(50):
        n = 2 + number % 7
        yield Wishes(
            random_wishes(n, draw),
            see_self=n == 2 or draw.random() < 0.5,  # of two under a mask, nobody has a rival
            d_k=draw.choice([None, None, max(1, n - 2)]),
            seed=draw.randrange(2**32),
            heads=[None, None, 1, 2][number % 4],
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
        (ValueError, r"heads must be from 1 to 2, got 3", lambda: Wishes(RPS, heads=3)),
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
    assert W_q.shape == W_k.shape == (1, 5, 8)
    both = Wishes(dict.fromkeys(NAMES), d_k=5, seed=7, heads=2).start()
    assert [W.shape for W in both] == [(2, 5, 8)] * 2
    assert [W[:1].tolist() for W in both] == [W_q.tolist(), W_k.tolist()]
    numbers = [n for seed in range(60) for n in Wishes(RPS, seed=seed).start()[0].flat]
    assert -1 <= min(numbers) < -0.95
    assert 0.95 < max(numbers) < 1
    assert abs(sum(numbers) / len(numbers)) < 0.08


# ---------------------------------------------------------------- training, beside torch's


class Runs:
    """What torch makes of each figure's start, all at once: scores, leads and loss at the end.

    Every one has room for two heads, eight tokens and eight numbers. What it does not use is 0 or
    forbidden, gets no gradient, and stays as it is.
    """

    def __init__(self, explorers: list[Wishes], mode: Mode, steps: int = STEPS) -> None:
        starts = [[torch.tensor(W) for W in explorer.start()] for explorer in explorers]
        W_q, W_k = (  # [B, heads, d_k, n]
            torch.stack([pad_to(2, 8, 8, W) for W in matrices])
            for matrices in zip(*starts, strict=True)
        )
        heads, d_k, n = torch.tensor([W.shape for W, _ in starts]).T
        self.no_head = torch.arange(2) >= heads[:, None]  # [B, heads]
        target = [torch.tensor(each.target() + [-1] * 8)[:8] for each in explorers]
        self.target = torch.stack(target)
        self.wishing = self.target >= 0
        self.wished = F.one_hot(self.target.clamp(min=0), 8).bool()
        self.margin = torch.tensor([each.objective == "margin" for each in explorers])
        masked = torch.tensor([not each.see_self for each in explorers])
        absent = torch.arange(8) >= n[:, None]
        forbidden = (torch.eye(8, dtype=torch.bool) & masked[:, None, None]) | absent[:, None]
        forbidden &= ~absent[:, :, None]  # a row of none would have no softmax

        W_q.requires_grad_()
        W_k = W_q if mode == "shared" else W_k.requires_grad_()
        optimiser = torch.optim.Adam([W_q] if mode == "shared" else [W_q, W_k], lr=0.05)
        for step in range(steps + 1):
            # x is one-hot, so the rows of W.T are the queries and keys of the tokens.
            scores = W_q.mT @ W_k / d_k[:, None, None, None] ** 0.5
            self.scores = scores.masked_fill(forbidden[:, None], -torch.inf)  # [B, heads, n, n]
            self.losses = self.loss()
            if step < steps:
                optimiser.zero_grad()
                self.losses.sum().backward()
                optimiser.step()

    def leads(self) -> Tensor:
        wished = self.wished[:, None]
        rivals = self.scores.masked_fill(wished, -torch.inf).amax(3)
        return (self.scores * wished).nan_to_num(0).sum(3) - rivals

    def loss(self) -> Tensor:
        weights = self.scores.log_softmax(3).masked_fill(~self.wished[:, None], 0).sum(3)
        leads = self.leads()
        margins = leads.sign() * (100 * leads.abs()).log1p()
        losses = -torch.where(self.margin[:, None, None], margins, weights)
        least = losses.masked_fill(self.no_head[:, :, None], torch.inf).min(1).values
        return least.masked_fill(~self.wishing, 0).sum(1) / self.wishing.sum(1)

    def granted(self) -> list[list[int]]:
        by_each = (self.leads() > 0.01) & ~self.no_head[:, :, None]
        granted = by_each.any(1) & self.wishing
        return [row.nonzero()[:, 0].tolist() for row in granted]


def pad_to(heads: int, d_k: int, n: int, W: Tensor) -> Tensor:
    return F.pad(W, (0, n - W.shape[2], 0, d_k - W.shape[1], 0, heads - W.shape[0]))


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


def read_all(page: Page) -> list[dict[str, Any]]:
    """All that each figure shows: numbers and words by name, and arrows by how they look."""
    return page.locator(".attn-explorer").evaluate_all(
        """all => all.map((root) => {
            const arrows = (which) => [...root.querySelectorAll(which)]
                .map((arrow) => [Number(arrow.dataset.from), Number(arrow.dataset.to)]);
            const data = [...root.querySelectorAll("data[class]")];
            return {
                ...Object.fromEntries(data.map((each) =>
                    [each.className, each.value && Number(each.value)])),
                said: Object.fromEntries(data.map((each) => [each.className, each.textContent])),
                says: root.querySelector(".says").textContent,
                few: root.querySelector(".few").textContent,
                hint: root.querySelector(".hint").textContent,
                floor: root.querySelector(".floor-text").textContent,
                arrows: arrows(".arrow"),
                granted: arrows(".arrow.granted").map(([from]) => from),
                lit: arrows(".arrow:has(.lit)").map(([from]) => from),
            };
        })"""
    )


def read(root: Locator) -> dict[str, Any]:
    """What the only figure of a page shows."""
    (found,) = read_all(root.page)
    return found


def press_in_each(page: Page, words: str) -> None:
    page.evaluate(
        """words => {
            for (const each of document.querySelectorAll(".attn-explorer :is(button, label)"))
                if (each.textContent === words) each.click();
        }""",
        words,
    )


@pytest.mark.browser
def test_fifty_drawings_train_as_torch_trains_them(still: Callable[..., Page]) -> None:
    both = [*drawings(), *drawings()]
    for explorer in both[50:]:
        explorer.objective = "margin"
    page = still(*both[:50])
    shown: dict[str, list[dict[str, Any]]] = {"shared": [], "separate": []}
    for objective in ("cross-entropy", "margin"):
        press_in_each(page, objective)
        press_in_each(page, "Train")
        for mode, found in shown.items():
            press_in_each(page, mode)
            found += read_all(page)
    for mode in ("shared", "separate"):
        runs = Runs(both, mode)
        agree = 0
        for explorer, found, loss, granted in zip(
            both, shown[mode], runs.losses.tolist(), runs.granted(), strict=True
        ):
            assert found["step"] == STEPS
            assert found[f"granted-{mode}"] == len(found["granted"])
            if explorer.objective == "cross-entropy":
                assert found[f"loss-{mode}"] == pytest.approx(loss, abs=1e-4), explorer.state()
                assert found["granted"] == granted, explorer.state()
            else:
                close = found[f"loss-{mode}"] == pytest.approx(loss, abs=1e-2)
                agree += close and found["granted"] == granted
            masked = not explorer.see_self
            heads = explorer.heads or 1
            most = most_granted(explorer.target(), mode, mask_diagonal=masked, heads=heads)
            assert len(found["granted"]) <= most
            if explorer.objective == "cross-entropy" and heads == 1:
                floor = loss_floor(explorer.target(), mode, mask_diagonal=masked)
                assert found[f"loss-{mode}"] >= floor - 1e-9
        # Where two rivals tie the margin has a kink, which makes much of the last digit of a sum.
        assert agree >= 48


@pytest.mark.browser
def test_the_map_shows_the_weights_and_frames_the_wishes(still: Callable[..., Page]) -> None:
    explorer = Wishes(RPS, see_self=True, seed=11)
    page = still(explorer)
    page.get_by_role("button", name="Train").click()
    for mode in ("shared", "separate"):
        weights = Runs([explorer], mode).scores[0, 0, :3, :3].softmax(1)
        figure = page.locator(f".of-{mode}")
        numbers = figure.locator("svg").first.locator(".number").all_text_contents()
        assert [float(each) for each in numbers] == pytest.approx(
            weights.flatten().tolist(), abs=0.0051
        )
        names = figure.locator("svg").first.get_attribute("aria-label") or ""
        assert re.findall(r"(\w+) gives (\w+)", names) == list(RPS.items())
        places = "all => all.map(each => [each.x.baseVal.value, each.y.baseVal.value])"
        cells, frames = (
            figure.locator("svg").first.locator(each).evaluate_all(places)
            for each in (".weight", ".frame")
        )
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
    for found, explorer in zip(read_all(page), explorers, strict=True):
        target, masked = explorer.target(), not explorer.see_self
        heads = explorer.heads or 1
        for mode in ("raw", "shared", "separate"):
            most = most_granted(target, mode, mask_diagonal=masked, heads=heads)
            assert found[f"bound-{mode}"] == most
        circles = circles_in_the_way(target, mask_diagonal=masked)
        assert found["lit"] == (sorted(set().union(*circles)) if heads == 1 else [])
        assert found["arrows"] == [[i, wish] for i, wish in enumerate(target) if wish >= 0]
        names = list(explorer.wishes)
        rings = re.findall(r"\w+(?: [→⇄] \w+)+", found["says"])
        assert circles == {frozenset(map(names.index, re.findall(r"\w+", ring))) for ring in rings}
        few = explorer.d_k is not None and explorer.d_k < len(names)
        assert found["said"]["bound-shared"].startswith("\N{LESS-THAN OR EQUAL TO}") == few
        too_few = few and explorer.d_k < 2
        assert found["said"]["bound-separate"].startswith("\N{LESS-THAN OR EQUAL TO}") == too_few
        assert found["few"].endswith(f"; {len(names)} are enough.") == few
        assert bool(found["few"]) == few
        assert ("need not give up the same" in found["says"]) == (heads == 2 and bool(circles))
        if heads == 2:
            assert found["floor"].endswith("on the wish, by the head that gives it more")
            continue
        floor = loss_floor(target, "shared", mask_diagonal=masked)
        none = "no floor but 0 is known" if few else "no floor but 0"
        assert found["floor"] == (
            f"dotted: one shared matrix cannot fall below {floor:.3f}" if floor else none
        )


@pytest.mark.browser
def test_where_nobody_wishes_for_anybody_there_is_no_floor_to_name(show: Callable) -> None:
    found = read(show(Wishes(dict.fromkeys(RPS))).locator(".attn-explorer"))
    assert found["floor"] == "mean of \N{MINUS SIGN}log weight on the wish"
    assert found["bound-shared"] == 0


@pytest.mark.browser
def test_before_the_theorem_is_asked_nothing_is_given_away(still: Callable[..., Page]) -> None:
    root = still(Wishes(RPS, see_self=True, theorem=False)).locator(".attn-explorer")
    found = read(root)
    assert [found[f"bound-{mode}"] for mode in ("raw", "shared", "separate")] == ["", "", ""]
    assert found["lit"] == []
    assert root.locator(".floor").evaluate("each => each.checkVisibility()") is False
    assert "2" not in root.locator(".drawn").inner_text()
    root.get_by_role("button", name="Train").click()  # nor when it falls short of what it can
    expect(root.locator("data.step")).to_have_text(f"step {STEPS}")
    assert "2" not in root.locator(".hint").inner_text()
    root.get_by_role("button", name="Let the theorem speak").click()
    expect(root.get_by_role("button", name="Let the theorem speak")).to_have_count(0)
    expect(root.locator(".says")).to_be_focused()  # where a keyboard goes on from
    assert read(root)["bound-shared"] == 2
    assert read(root)["lit"] == [0, 1, 2]
    root.get_by_role("radio", name="separate").check(
        force=True
    )  # nothing is in the way of two matrices
    assert read(root)["lit"] == []


@pytest.mark.browser
def test_who_ends_below_the_bound_is_told_what_to_try_until_it_is_reached(
    still: Callable[..., Page],
) -> None:
    explorer = Wishes(RPS, see_self=True)
    page = still(explorer)
    root = page.locator(".attn-explorer")
    root.get_by_role("button", name="Train").click()
    found = read(root)
    assert (found["granted-shared"], found["bound-shared"]) == (0, 2)
    assert found["hint"] == (
        "One shared matrix could grant 2 here: cross-entropy hedges. Try the margin."
    )
    expect(root.get_by_role("status")).to_contain_text(found["hint"])
    root.locator("label", has_text="margin").click()
    root.get_by_role("button", name="Train").click()
    found = read(root)
    assert found["granted-shared"] == 2
    assert "could grant" not in found["hint"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("wishes", "objective", "advice"),
    [
        ({name: NAMES[(i + 1) % 8] for i, name in enumerate(NAMES)}, "margin", "try another start."),
        (dict(zip(NAMES, [None, *NAMES], strict=False)), "margin", "no wish has to fail, so "
         "cross-entropy need not hedge. Try that."),
    ],
)  # fmt: skip
def test_the_advice_is_what_helps_there(
    wishes: dict[str, str | None], objective: str, advice: str, still: Callable[..., Page]
) -> None:
    root = still(Wishes(wishes, objective=objective)).locator(".attn-explorer")
    root.get_by_role("button", name="Train").click()
    for _ in range(20):  # a start that falls short, as most do there
        found = read(root)
        if found["granted-shared"] < found["bound-shared"]:
            break
        root.get_by_role("button", name="Another start").click()
    assert found["hint"] == f"One shared matrix could grant 7 here: {advice}"
    if "cross-entropy" in advice:
        root.locator("label", has_text="cross-entropy").click()
        root.get_by_role("button", name="Train").click()
        assert read(root)["granted-shared"] == 7


@pytest.mark.browser
def test_training_the_drawing_and_the_counts_share_the_screen_of_a_phone(show: Callable) -> None:
    root = show(Wishes(RPS), width=390).locator(".attn-explorer")
    top = root.locator(".tokens-and-wishes").bounding_box()
    counts = root.locator(".tally").bounding_box()
    assert counts["y"] + counts["height"] - top["y"] < 600  # a screen's 844, less a browser's bars
    assert root.locator(".train").bounding_box()["y"] < counts["y"]


@pytest.mark.browser
def test_no_two_arrows_of_a_drawing_that_is_offered_cross(show: Callable) -> None:
    root = show(Wishes(RPS)).locator(".attn-explorer")
    for name in OFFERED:
        root.get_by_text(name).click()
        lines = root.locator(".arrow .line").evaluate_all(
            """all => all.map(line => Array.from({ length: 41 }, (_, i) => {
                const at = line.getPointAtLength(line.getTotalLength() * i / 40);
                return [at.x, at.y];
            }))"""
        )
        for one, other in itertools.combinations(lines, 2):
            assert not cross(one, other), name


def cross(one: list[list[float]], other: list[list[float]]) -> bool:
    """Whether two chains of points cross."""

    def side(a: list[float], b: list[float], c: list[float]) -> bool:
        return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])

    return any(
        side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b)
        for a, b in itertools.pairwise(one)
        for c, d in itertools.pairwise(other)
    )


@pytest.mark.browser
def test_two_heads_with_a_shared_matrix_grant_between_them_what_one_cannot(
    still: Callable[..., Page],
) -> None:
    page = still(Wishes(RPS, objective="margin", heads=1))
    root = page.locator(".attn-explorer")
    maps = root.locator(".of-shared > svg")
    found = {}
    for count, word in ((1, "one"), (2, "two")):
        root.get_by_role("radio", name=word, exact=True).check(force=True)
        root.get_by_role("button", name="Train").click()
        found[count] = read(root)
        expect(maps).to_have_count(count)
    assert [(each["bound-shared"], each["granted-shared"]) for each in found.values()] == [
        (2, 2), (3, 3),
    ]  # fmt: skip
    root.get_by_role("button", name="Reset").click()
    assert read(root)["bound-shared"] == 2


@pytest.mark.browser
def test_who_was_given_no_number_of_heads_chooses_none(show: Callable) -> None:
    root = show(Wishes(RPS)).locator(".attn-explorer")
    expect(root.get_by_role("radiogroup", name="How many heads")).to_have_count(0)
    expect(root.locator(".of-shared > svg")).to_have_count(1)


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
    root.get_by_text("Two circles").click()
    assert wishes_of(root)["Eve"] == "Finn"
    fewer.click()
    more.click()  # Finn again, for whom nobody wishes now
    assert wishes_of(root) | {"Eve": "nobody", "Finn": "nobody"} == wishes_of(root)
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
        Runs([explorer], "separate", at).losses.item(), abs=1e-7
    )
    expect(root.get_by_role("status")).to_contain_text(f"Step {at} of {STEPS}")
    train.click()
    expect(step).to_have_text(f"step {STEPS}")
    expect(train).to_have_text("Train again")
    assert read(root)["loss-shared"] == pytest.approx(
        Runs([explorer], "shared").losses.item(), abs=1e-7
    )
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
        root.locator("label, button", has_text=change).click()
        assert read(root)["step"] == 0, change
        assert read(root)["loss-shared"] == ""
    root.get_by_role("button", name="Train").click()
    before = read(root)["loss-shared"]
    root.locator("label", has_text="separate").click()
    assert read(root)["loss-shared"] == before
    root.get_by_role("button", name="Another start").click()  # trains at once
    assert read(root)["step"] == STEPS
    assert read(root)["loss-shared"] != before
    root.get_by_role("button", name="Reset").click()
    root.get_by_role("button", name="Train").click()
    root.get_by_role("button", name="Reset").click()  # though all settings are the first ones
    assert read(root)["step"] == 0


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
        Wishes(eight, see_self=True, objective="margin", heads=2),
        width=width,
    )
    press_in_each(page, "Train")
    assert_fits_and_is_accessible(page, width, axe)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 600, 700, 800])
def test_maps_and_curve_keep_their_size_and_stay_in_their_place(width: int, show: Callable) -> None:
    page = show(Wishes(RPS), width=width)
    for figure in page.locator(".trained figure").all():
        place, picture = figure.bounding_box(), figure.locator("> svg").bounding_box()
        assert place
        assert picture
        assert picture["x"] + picture["width"] <= place["x"] + place["width"] + 1
        assert picture["height"] == 168
        assert place["x"] + place["width"] <= width
