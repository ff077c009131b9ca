"""A head's scores as symmetric and antisymmetric part: what the figure says is so."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import traitlets
from browsing import in_both_schemes
from playwright.sync_api import Locator, expect
from visuals.driving import assert_fits_and_is_accessible, place, slide

from attncourse.attention import attention_weights
from attncourse.circuits import symmetry
from attncourse.visuals.explorers import CircuitSplit

WORDS = ["rock", "paper", "scissors"]
CYCLE = torch.tensor(
    [[-1.2, 4.1, -3.6], [-3.9, -0.8, 4.4], [4.0, -4.25, -1.5]], dtype=torch.float64
)


def random(n: int, seed: int = 0, size: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(n, n, generator=generator, dtype=torch.float64)


HEADS = {
    "cycle": (CYCLE, WORDS),
    "four": (random(4, size=20), ["verb", "subject", "object", "the"]),
    "six": (random(6, size=200), list("ABCDEF")),
    "tiny": (random(5, size=0.2), list("vwxyz")),
}

# ---------------------------------------------------------------- Python's side


@pytest.mark.parametrize(
    ("error", "message", "heads"),
    [
        (TypeError, r"heads must be a dict of name: \(M, labels\), got list", [(CYCLE, WORDS)]),
        (ValueError, r"heads must hold at least one head", {}),
        (TypeError, r"names that are strings, got 3", {3: (CYCLE, WORDS)}),
        (TypeError, r"heads\['a'\] must be a pair .*got Tensor", {"a": CYCLE}),
        (TypeError, r"heads\['a'\] must be a pair", {"a": (CYCLE, WORDS, 1)}),
        (TypeError, r"M of 'a' must be numbers", {"a": ([["1"] * 3] * 3, WORDS)}),
        (ValueError, r"M of 'a' must have shape \[n, n\], got \[3\]", {"a": (CYCLE[0], WORDS)}),
        (ValueError, r"M of 'a' .*\[n, n\].*3 to 6, got \[2, 3\]", {"a": (CYCLE[:2], WORDS)}),
        (ValueError, r"M of 'a' .*\[n, n\].*3 to 6, got \[2, 2\]", {"a": (random(2), ["x", "y"])}),
        (ValueError, r"M of 'a' .*\[n, n\].*3 to 6, got \[7, 7\]", {"a": (random(7), "abcdefg")}),
        (ValueError, r"M of 'a' .*finite", {"a": (CYCLE * torch.nan, WORDS)}),
        (ValueError, r"M of 'a' .*0\.1 to 1000.*got 0\.", {"a": (CYCLE * 0, WORDS)}),
        (ValueError, r"M of 'a' .*0\.1 to 1000.*Multiply M", {"a": (CYCLE * 1e-3, WORDS)}),
        (ValueError, r"M of 'a' .*0\.1 to 1000.*got 4\.4e\+05", {"a": (CYCLE * 1e5, WORDS)}),
        (ValueError, r"labels of 'a' .*2 labels, 3 classes", {"a": (CYCLE, WORDS[:2])}),
        (ValueError, r"labels of 'a' .*1 labels, 3 classes", {"a": (CYCLE, "rps")}),
        (TypeError, r"labels of 'a' must be strings", {"a": (CYCLE, [1, 2, 3])}),
        (ValueError, r"labels of 'a' must differ", {"a": (CYCLE, ["x", "y", "x"])}),
        (ValueError, r"labels of 'a' .*1 to 8 characters", {"a": (CYCLE, ["x", "y", ""])}),
        (ValueError, r"labels of 'b' .*1 to 8", {"a": (CYCLE, WORDS), "b": (CYCLE, ["x", "y", "determiner"])}),
    ],
)  # fmt: skip
def test_bad_heads_are_refused_by_name(error: type[Exception], message: str, heads: object) -> None:
    with pytest.raises(error, match=message):
        CircuitSplit(heads)


def test_a_head_that_is_not_there_and_a_t_beyond_the_slider_are_refused_later_too() -> None:
    explorer = CircuitSplit(HEADS)
    with pytest.raises(ValueError, match=r"head must be one of .*'cycle', .*got 'seven'"):
        explorer.head = "seven"
    with pytest.raises(traitlets.TraitError):
        explorer.t = 1.5
    assert (explorer.head, explorer.t) == ("cycle", 1.0)


def test_tensors_arrays_and_lists_make_the_same_explorer() -> None:
    wanted = CircuitSplit({"a": (CYCLE.tolist(), WORDS)}).state()
    assert CircuitSplit({"a": (CYCLE.clone().requires_grad_(), tuple(WORDS))}).state() == wanted
    assert CircuitSplit({"a": (np.asarray(CYCLE), WORDS)}).state() == wanted


# ---------------------------------------------------------------- a page without a kernel


def table(root: Locator, figure: str, n: int) -> torch.Tensor:
    """``[n, n]``: the exact numbers of a table, which it shows with up to two decimals."""
    cells = root.locator(f".{figure} td data")
    exact = cells.evaluate_all("all => all.map(data => Number(data.value))")
    for text, number in zip(cells.all_inner_texts(), exact, strict=True):
        decimals = len(text.partition(".")[2])
        assert float(text.replace("−", "-")) == pytest.approx(number, abs=0.501 * 10**-decimals)
        assert len(text) <= 5  # what fits into a sixth of a phone
    return torch.tensor(exact, dtype=torch.float64).view(n, n)


def assert_true(root: Locator, M: torch.Tensor, labels: list[str]) -> torch.Tensor:
    """All that the explorer shows of the head follows from its slider; the scores."""
    n = len(M)
    t = float(root.locator(".shown-t").get_attribute("value") or "nan")
    S, A = (M + M.mT) / 2, (M - M.mT) / 2
    scores = S + t * A
    for figure, true in (("sum", scores), ("symmetric", S), ("antisymmetric", A)):
        torch.testing.assert_close(table(root, figure, n), true, atol=1e-9, rtol=0)
        text = root.locator(f".{figure} td data").first.inner_text()
        assert 10.0 ** -len(text.partition(".")[2]) < 0.1 * M.abs().max()
        assert root.locator(f".{figure} tbody th").all_inner_texts() == labels
    for figure, part in (("symmetric", S), ("antisymmetric", A)):
        (share,) = re.findall(r"([\d.]+)\s%", root.locator(f".{figure} caption").inner_text())
        true = 100 * part.square().sum() / M.square().sum()
        assert float(share) == pytest.approx(true.item(), rel=6e-3, abs=1e-4)
    read = root.locator(".readouts .symmetry")
    exact = float(read.get_attribute("value") or "nan")
    true = symmetry(torch.eye(n, dtype=torch.float64), scores).item()
    assert exact == pytest.approx(true, abs=1e-9)
    assert float(read.inner_text().replace("−", "-")) == pytest.approx(true, abs=0.0051)

    weights = attention_weights(scores, ~torch.eye(n, dtype=torch.bool))
    drawn = root.locator(".looks g[data-from]").evaluate_all(
        "all => all.map(arrow => [Number(arrow.dataset.from), Number(arrow.dataset.to),"
        " Number(arrow.querySelector('path').getAttribute('stroke-width')) / 6])"
    )
    found = torch.zeros(n, n, dtype=torch.float64)
    for i, j, weight in drawn:
        found[i, j] = weight
    torch.testing.assert_close(
        found, torch.where(weights < 0.02, 0.0, weights).double(), atol=1e-9, rtol=0
    )
    heads, words = place(root, ".looks polygon"), place(root, ".looks text")
    for (i, j, _), head in zip(drawn, heads, strict=True):
        assert (head - words[j]).norm() < (head - words[i]).norm()
    description = root.locator(".looks").get_attribute("aria-label") or ""
    for i, label in enumerate(labels):
        others = [
            (labels[j], share) for j, share in enumerate((100 * weights[i]).tolist()) if j != i
        ]
        sentence = description.partition(f" {label}: ")[2].partition(". ")[0].removesuffix(".")
        for part, (other, share) in zip(sentence.split(", "), others, strict=True):
            assert part.startswith(f"{other} ")
            assert float(re.findall(r"[\d.]+", part)[0]) == pytest.approx(share, rel=6e-3, abs=1e-3)

    off = scores.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    first = off > off.amax(1, keepdim=True) - 1e-9
    chosen = [
        f"{labels[i]} → " + " or ".join(labels[j] for j in range(n) if first[i, j])
        for i in range(n)
    ]
    expect(root.locator(".choices")).to_have_text(", ".join(chosen))
    couples = [f"{labels[i]} and {labels[j]}" for i, j in (first & first.mT).triu().nonzero()]
    mutual = "mutual: " + ", ".join(couples) if couples else "none is mutual"
    expect(root.locator(".mutual")).to_have_text(mutual)
    return scores


@pytest.mark.browser
def test_sums_symmetry_energy_and_arrows_are_those_of_the_course(show: Callable) -> None:
    page = show(CircuitSplit(HEADS))
    root = page.locator(".attn-explorer")
    for name, (M, labels) in HEADS.items():
        root.get_by_text(name, exact=True).click()
        for t in (1, 0.35, -0.6):
            slide(root.get_by_role("slider"), t)
            assert_true(root, M, labels)


@pytest.mark.browser
def test_buttons_go_to_the_head_the_symmetric_scores_and_the_transpose(show: Callable) -> None:
    page = show(CircuitSplit(HEADS))
    root = page.locator(".attn-explorer")
    expect(root.locator(".choices")).to_have_text("rock → paper, paper → scissors, scissors → rock")
    for name, true, meaning in [
        ("Swapped", CYCLE.mT, "Query and key swapped"),
        ("Symmetric", (CYCLE + CYCLE.mT) / 2, "The nearest symmetric scores"),
        ("The head", CYCLE, "The head as it is"),
    ]:
        root.get_by_role("button", name=name).click()
        torch.testing.assert_close(assert_true(root, CYCLE, WORDS), true)
        expect(root.locator(".meaning")).to_have_text(meaning)
        expect(root.get_by_role("status")).to_contain_text(f"{meaning}. Symmetry")
    slide(root.get_by_role("slider"), -0.5)
    expect(root.locator(".meaning")).to_have_text("Between symmetric and swapped")
    slide(root.get_by_role("slider"), 0.5)
    expect(root.locator(".meaning")).to_have_text("Between the head and symmetric scores")


@pytest.mark.browser
def test_of_symmetric_scores_somebody_is_always_chosen_back(show: Callable) -> None:
    heads = {f"seed {i}": (random(3 + i % 4, i, 3), list("abcdef")[: 3 + i % 4]) for i in range(8)}
    page = show(CircuitSplit(heads))
    root = page.locator(".attn-explorer")
    root.get_by_role("button", name="Symmetric").click()
    for name, (M, labels) in heads.items():
        root.get_by_text(name, exact=True).click()
        assert_true(root, M, labels)
        expect(root.locator(".mutual")).to_have_text(re.compile("^mutual: "))


@pytest.mark.browser
def test_nothing_is_left_of_an_antisymmetric_head_at_0_and_all_choices_tie(show: Callable) -> None:
    M = CYCLE - CYCLE.mT
    page = show(CircuitSplit({"only": (M, WORDS)}))
    root = page.locator(".attn-explorer")
    expect(root.locator(".symmetric caption")).to_contain_text("0\u00a0%")
    expect(root.get_by_role("radio")).to_have_count(0)  # nothing to choose among one
    root.get_by_role("button", name="Symmetric").click()
    assert_true(root, M, WORDS)
    expect(root.locator(".symmetry")).to_have_text("0.00")
    expect(root.locator(".choices")).to_contain_text("rock → paper or scissors")


@pytest.mark.browser
def test_a_lead_in_the_last_digit_is_a_tie(show: Callable) -> None:
    M = [[0, 0.1 + 0.2, 0.3], [0.1 + 0.2, 0, 0.3], [0.3, 0.3, 0]]
    page = show(CircuitSplit({"ties": (M, WORDS)}))
    expect(page.locator(".choices")).to_contain_text("rock → paper or scissors")
    assert_true(page.locator(".attn-explorer"), torch.tensor(M, dtype=torch.float64), WORDS)


@pytest.mark.browser
def test_slider_and_heads_answer_to_drag_and_keys(show: Callable) -> None:
    page = show(CircuitSplit(HEADS))
    root = page.locator(".attn-explorer")
    slider = root.get_by_role("slider")
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], y, steps=4)
    page.mouse.up()
    assert float(slider.input_value()) == pytest.approx(-0.5, abs=0.06)
    assert_true(root, CYCLE, WORDS)
    for key, t in (("End", 1), ("ArrowLeft", 0.95), ("Home", -1)):
        page.keyboard.press(key)
        assert float(slider.input_value()) == t
        assert_true(root, CYCLE, WORDS)
    expect(slider).to_have_attribute("aria-valuetext", "−1.00")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert root.get_by_label("four").is_checked()
    assert_true(root, *HEADS["four"])
    expect(root.locator(".shown-t")).to_have_text("−1.00")  # the other head at the same t


@pytest.mark.browser
def test_labels_and_names_are_text_never_markup(show: Callable) -> None:
    words = ["<b>x</b>", "\"&'", "<i>"]
    page = show(CircuitSplit({"<u>1</u>": (CYCLE, words), "__proto__": (CYCLE, WORDS)}))
    root = page.locator(".attn-explorer")
    assert root.locator(".sum tbody th").all_inner_texts() == words
    assert root.locator(".looks text").all_text_contents() == words
    assert root.locator(".choice label").all_inner_texts() == ["<u>1</u>", "__proto__"]
    root.get_by_label("__proto__").press("Space")
    assert_true(root, CYCLE, WORDS)


@pytest.mark.browser
@in_both_schemes
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_overflows_is_too_small_or_hinders_access(
    width: int, axe: str, show: Callable
) -> None:
    longest = (
        random(6, size=-400),
        ["scissors", "verb", "subject", "the noun", "object", "adverb"],
    )
    heads = {f"a head with name {i}": longest for i in range(5)}
    page = show(CircuitSplit(heads), CircuitSplit(HEADS), width=width)
    assert_fits_and_is_accessible(page, width, axe)
    assert (  # a number stands in one line
        page.evaluate("""() => [...document.querySelectorAll(".numbers data")]
        .filter(e => e.getClientRects().length > 1).map(e => e.outerHTML)""")
        == []
    )
