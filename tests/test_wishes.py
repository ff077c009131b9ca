"""What one head can grant, against searches that know no circles: orders, linear programs, descent."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import torch
from refusals import assert_refused
from scipy.optimize import linprog
from torch import Tensor

from attncourse.cycles import cycle_from
from attncourse.wishes import circles_in_the_way, loss_floor, most_granted

both_masks = pytest.mark.parametrize("masked", [True, False])


def all_drawings(n: int) -> Iterator[tuple[int, ...]]:
    """Every way in which n tokens can wish for another or for none."""
    choices = [[j for j in range(-1, n) if j != i] for i in range(n)]
    return itertools.product(*choices)


def random_drawings(n: int, count: int) -> list[list[int]]:
    draw = random.Random(n)
    return [[draw.choice([j for j in range(n) if j != i]) for i in range(n)] for _ in range(count)]


def leads(scores: Tensor, target: Tensor, masked: bool) -> Tensor:
    """``[..., n]``: by how much each wish scores above all others that are allowed in its row."""
    n = target.shape[-1]
    wished = torch.nn.functional.one_hot(target, n).bool()
    rivals = scores.masked_fill(wished, -torch.inf)
    if masked:
        rivals = rivals.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    return scores.gather(-1, target[..., None])[..., 0] - rivals.amax(-1)


def losses(scores: Tensor, target: Tensor, masked: bool) -> Tensor:
    """``[..., n]``: -log weight of each wish."""
    if masked:
        scores = scores.masked_fill(torch.eye(scores.shape[-1], dtype=torch.bool), -torch.inf)
    return -scores.log_softmax(-1).gather(-1, target[..., None])[..., 0]


# ---------------------------------------------------------------- four tokens: all that there is


def most_by_order(target: tuple[int, ...]) -> int:
    """Masked: which wishes are granted depends on the order of the six scores alone. Try all."""
    pairs = list(itertools.combinations(range(4), 2))
    orders = np.array(list(itertools.permutations(range(6))))  # [720, 6]
    scores = np.full((720, 4, 4), -1)
    for number, (i, j) in enumerate(pairs):
        scores[:, i, j] = scores[:, j, i] = orders[:, number]
    first = scores.argmax(2)
    return int((first == np.array(target)).sum(1).max())


LENGTHS = np.array(list(itertools.product([0, 1, 4, 16, 64], repeat=4)))[1:]  # [624, 4]


def can_be_granted(target: tuple[int, ...], wishes: tuple[int, ...], generators: bool) -> bool:
    """Visible: whether linear programming finds scores that grant these wishes.

    With ``generators`` among sums of some outer products, each of which is positive semi-definite:
    what it finds exists. Without, among all tables with s_ii + s_jj >= 2 s_ij, which holds for
    positive semi-definite ones and for others: what it does not find does not exist.
    """
    entry = {pair: k for k, pair in enumerate(itertools.combinations_with_replacement(range(4), 2))}

    def row(plus: tuple[int, int], minus: tuple[int, int]) -> np.ndarray:
        return one(*plus) - one(*minus)

    def one(i: int, j: int) -> np.ndarray:
        if generators:
            return LENGTHS[:, i] * LENGTHS[:, j]
        return np.eye(10)[entry[min(i, j), max(i, j)]]

    at_least = [
        (row((i, target[i]), (i, j)), 1) for i in wishes for j in range(4) if j != target[i]
    ]
    if not generators:
        at_least += [
            (one(i, i) + one(j, j) - 2 * one(i, j), 0)
            for i, j in itertools.combinations(range(4), 2)
        ]
    if not at_least:
        return True
    left, right = (np.array(side, dtype=float) for side in zip(*at_least, strict=True))
    bounds = (0, None) if generators else (None, None)
    found = linprog(np.zeros(left.shape[1]), A_ub=-left, b_ub=-right, bounds=bounds)
    assert found.status in (0, 2), found.message  # solved, or infeasible
    return found.status == 0


def most_by_programs(target: tuple[int, ...]) -> int:
    wishing = [i for i in range(4) if target[i] >= 0]
    for size in range(len(wishing), -1, -1):
        possible = [
            wishes
            for wishes in itertools.combinations(wishing, size)
            if can_be_granted(target, wishes, generators=False)
        ]
        if possible:
            assert any(can_be_granted(target, wishes, generators=True) for wishes in possible)
            return size
    raise AssertionError("no wishes at all can always be granted")


def test_under_a_mask_the_count_is_what_the_best_order_of_the_scores_grants() -> None:
    for target in all_drawings(4):
        counted = most_granted(target, "shared", mask_diagonal=True)
        assert counted == most_by_order(target), target


def test_where_the_diagonal_is_visible_the_count_is_what_linear_programs_find() -> None:
    for target in all_drawings(4):
        counted = most_granted(target, "shared", mask_diagonal=False)
        assert counted == most_by_programs(target), target


# ---------------------------------------------------------------- the proof's scores


def kept_wishes(
    target: tuple[int, ...], masked: bool, give_up: Callable[[Iterable[int]], int] = min
) -> list[int]:
    """The wishes without one of each circle in the way."""
    given_up = {give_up(circle) for circle in circles_in_the_way(target, mask_diagonal=masked)}
    return [-1 if i in given_up else wish for i, wish in enumerate(target)]


def steps_to_the_end(target: list[int], start: int) -> int:
    """To a token without a wish, or onto a circle."""
    end = cycle_from(target, start)
    token, steps = start, 0
    while token not in end and target[token] >= 0:
        token, steps = target[token], steps + 1
    return steps


def scores_of_the_proof(target: list[int], masked: bool) -> Tensor:
    """``[n, n]``: symmetric; with a visible diagonal those of one matrix."""
    n = len(target)
    scores, queries = torch.zeros(n, n).double(), torch.eye(n).double()
    for i, wish in enumerate(target):
        if wish >= 0:
            steps = steps_to_the_end(target, i)
            scores[i, wish] = scores[wish, i] = 2.0**-steps
            queries[i, wish] = 1
            queries[i] *= 4.0**-steps
    return scores if masked else queries @ queries.T


@both_masks
def test_the_scores_of_the_proof_grant_as_many_as_the_count_says(masked: bool) -> None:
    drawings = [*all_drawings(4), *map(tuple, random_drawings(8, 100))]
    for target in drawings:
        kept = kept_wishes(target, masked)
        scores = scores_of_the_proof(kept, masked)
        wishing = [i for i, wish in enumerate(kept) if wish >= 0]
        lead = leads(scores, torch.tensor(kept).clamp(min=0), masked)[wishing]
        assert len(wishing) == most_granted(target, "shared", mask_diagonal=masked)
        assert (lead > 0).all(), target


@both_masks
def test_two_heads_that_give_up_different_wishes_grant_them_all(masked: bool) -> None:
    for target in [*all_drawings(4), *map(tuple, random_drawings(8, 100))]:
        granted = set()
        for give_up in (min, max):
            kept = kept_wishes(target, masked, give_up)
            lead = leads(
                scores_of_the_proof(kept, masked), torch.tensor(target).clamp(min=0), masked
            )
            granted |= {i for i, wish in enumerate(target) if wish >= 0 and lead[i] > 0}
        most = most_granted(target, "shared", mask_diagonal=masked, heads=2)
        assert len(granted) == most == sum(wish >= 0 for wish in target)


def almost_at_the_floor(target: tuple[int, ...]) -> Tensor:
    """``[n, n]``: scores of the proof for a visible diagonal and circles of two and three alone."""
    n, eps, F = len(target), 0.003, 4.0 ** len(target)
    b = max(20 / eps, 2 * F)
    circles = sorted(map(sorted, circles_in_the_way(target, mask_diagonal=False)))
    u = {i: n + k for k, circle in enumerate(circles) for i in circle}  # the place of its u
    queries = torch.zeros(n, n + len(circles)).double()
    for i, wish in enumerate(target):
        queries[i, i] = eps if i in u else F
        if i in u:
            queries[i, u[i]] = 3 * b
        elif wish in u:
            queries[i, wish] = queries[i, u[wish]] = b
        elif wish >= 0:
            end, steps = wish, 1
            while target[end] >= 0 and target[end] not in u:
                end, steps = target[end], steps + 1
            queries[i, [i, wish]] = F * 4.0**-steps
    return queries @ queries.T


def test_small_circles_come_close_to_their_floor_whoever_wishes_for_them() -> None:
    for n in (2, 3, 4, 5):
        for target in all_drawings(n) if n < 5 else map(tuple, random_drawings(5, 200)):
            circles = circles_in_the_way(target, mask_diagonal=False)
            if max(map(len, circles), default=2) > 3 or max(target) < 0:
                continue
            wishing = [i for i, wish in enumerate(target) if wish >= 0]
            wants = torch.tensor(target).clamp(min=0)
            loss = losses(almost_at_the_floor(target), wants, False)[wishing].mean()
            floor = loss_floor(target, "shared", mask_diagonal=False)
            assert floor <= loss < floor + 1e-3, target


def test_keys_round_a_circle_let_two_numbers_grant_everything() -> None:
    angles = torch.arange(8).double() * (2 * math.pi / 8)
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)  # [8, d_k] = [8, 2]
    for target in random_drawings(8, 50):
        wants = torch.tensor(target)
        assert (leads(keys[wants] @ keys.T, wants, masked=False) > 0.2).all()
        assert most_granted(target, "separate", mask_diagonal=False) == 8


@both_masks
def test_a_cosine_of_features_that_only_tell_apart_grants_none(masked: bool) -> None:
    for n in (2, 3, 4):
        for target in all_drawings(n):
            wishing = [i for i, wish in enumerate(target) if wish >= 0]
            lead = leads(torch.eye(n), torch.tensor(target).clamp(min=0), masked)[wishing]
            counted = most_granted(target, "raw", mask_diagonal=masked)
            assert counted == (lead > 0).sum(), (target, lead)


# ---------------------------------------------------------------- descent


@both_masks
def test_descent_on_the_margin_reaches_the_count_and_never_passes_it(masked: bool) -> None:
    drawings = random_drawings(6, 100)
    bounds = torch.tensor([most_granted(d, "shared", mask_diagonal=masked) for d in drawings])
    target, best = torch.tensor(drawings), torch.zeros(100, dtype=torch.long)
    generator = torch.Generator().manual_seed(0)
    for attempt in range(10):
        left = best < bounds
        if not left.any():
            break
        wants = target[left].expand(8, -1, -1)  # eight starts of each
        W = torch.empty(*wants.shape, 6).uniform_(-1, 1, generator=generator).requires_grad_()
        optimiser = torch.optim.Adam([W], lr=0.05)
        for _ in range(200):
            margins = leads(W @ W.mT / 6**0.5, wants, masked)
            optimiser.zero_grad()
            # The flat slope leaves a circle of many, the steep one a couple that shares evenly.
            torch.sigmoid(-(10 if attempt % 2 else 3) * margins).sum().backward()
            optimiser.step()
        with torch.no_grad():
            granted = (leads(W @ W.mT, wants, masked) > 1e-3).sum(-1)
        assert (granted <= bounds[left]).all()
        best[left] = torch.maximum(best[left], granted.amax(0))
    assert best.equal(bounds)


def test_under_a_mask_descent_on_the_loss_ends_at_its_floor() -> None:
    drawings = random_drawings(5, 20)
    floors = torch.tensor([loss_floor(d, "shared", mask_diagonal=True) for d in drawings])
    assert len(floors.unique()) > 2
    W = torch.empty(20, 5, 5).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    W.requires_grad_()
    optimiser = torch.optim.Adam([W], lr=0.05)
    for _ in range(1500):
        loss = losses(W @ W.mT, torch.tensor(drawings), masked=True).mean(1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    assert (loss >= floors - 1e-6).all()
    assert (loss - floors).max() < 5e-4


def test_under_a_mask_the_scores_of_the_proof_come_as_close_to_the_floor_as_one_likes() -> None:
    for target in all_drawings(4):
        wishing = [i for i, wish in enumerate(target) if wish >= 0]
        if wishing:
            scores = 200 * scores_of_the_proof(list(target), masked=True)
            loss = losses(scores, torch.tensor(target).clamp(min=0), masked=True)[wishing].mean()
            floor = loss_floor(target, "shared", mask_diagonal=True)
            assert loss.item() == pytest.approx(floor, abs=1e-9), target


@both_masks
def test_no_shared_matrix_goes_below_the_floor(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(4000, 4, 4, generator=generator, dtype=torch.float64)
    scores = W @ W.mT * torch.rand(4000, 1, 1, generator=generator, dtype=torch.float64) * 4
    for target in all_drawings(4):
        wishing = [i for i, wish in enumerate(target) if wish >= 0]
        if wishing:
            wants = torch.tensor(target).clamp(min=0).expand(4000, 4)
            least = losses(scores, wants, masked)[:, wishing].mean(1).min()
            assert least >= loss_floor(target, "shared", mask_diagonal=masked) - 1e-12, target


@pytest.mark.parametrize(
    ("target", "masked", "floor"),
    [
        ([2, 0, 1], True, math.log(2)),
        ([2, 0, 1], False, math.log(3)),
        ([1, 0], True, 0),
        ([1, 0], False, math.log(2)),
        ([1, 2, 3, 0], False, math.log(3)),
        ([1, 2, 0, 0, 3], True, 3 / 5 * math.log(2)),
        ([1, 0, 3, 4, 2, -1], False, (2 * math.log(2) + 3 * math.log(3)) / 5),  # five wish
        ([-1, 0, 1], False, 0),
    ],
)
def test_floors_that_can_be_read_off(target: list[int], masked: bool, floor: float) -> None:
    assert loss_floor(target, "shared", mask_diagonal=masked) == pytest.approx(floor)
    assert loss_floor(target, "separate", mask_diagonal=masked) == 0


@pytest.mark.parametrize("target", [[2, 0, 1], [1, 0]])
def test_equal_scores_reach_the_visible_floor_of_a_lone_couple_and_a_lone_three(
    target: list[int],
) -> None:
    loss = losses(torch.zeros(len(target), len(target)), torch.tensor(target), masked=False).mean()
    assert loss.item() == pytest.approx(loss_floor(target, "shared", mask_diagonal=False))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: most_granted([1, 1], "shared", mask_diagonal=True), ["token 1", "itself"]),
        (ValueError, lambda: circles_in_the_way([0], mask_diagonal=False), ["token 0", "itself"]),
        (ValueError, lambda: most_granted([1, 2], "shared", mask_diagonal=True), ["below 2", "got 2"]),
        (TypeError, lambda: most_granted([1, 0.0], "shared", mask_diagonal=True), ["target[1]", "0.0"]),
        (ValueError, lambda: most_granted([1, 0], "raw", mask_diagonal=True, heads=0), ["heads=0"]),
        (ValueError, lambda: most_granted([1, 0], "cosine", mask_diagonal=True), ["raw, shared, separate", "'cosine'"]),
        (ValueError, lambda: loss_floor([1, 0], "raw", mask_diagonal=True), ["shared or separate", "'raw'"]),
        (ValueError, lambda: loss_floor([-1, -1], "shared", mask_diagonal=True), ["nobody", "wish"]),
    ],
)  # fmt: skip
def test_what_is_no_drawing_is_refused_by_name(error, call, words) -> None:
    assert_refused(error, call, words)
