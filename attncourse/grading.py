"""Graded items: `check("ps1.cosine_affinity", function)` says what a function earns and why."""

from __future__ import annotations

import difflib

from attncourse.checking.engine import check_function
from attncourse.checking.item import Item
from attncourse.checking.verdict import Verdict
from attncourse.problem_sets import ITEMS

__all__ = ["Item", "Verdict", "check", "items"]


def check(item_id: str, function: object, *, seed: object = 0) -> Verdict:
    """Try `function` on the cases of an item; say what it earns and what is wrong with it.

    How it is scored: every case has a share of the points, and so have two habits, that the
    function leaves its input as it was and that it gives back the dtype it was given. Basic
    cases are the ordinary use. A function that fails a basic case scores 0, because the special
    cases that it passes, it passes by luck. All others earn the shares of what they pass.

    Args:
        item_id: such as `"ps1.cosine_affinity"`; `grading.items()` has them all.
        function: the student's function. It is called with tensors and plain data, and only
            that; it may not call the course's own functions.
        seed: the random inputs depend on this and on the item, so a check can be repeated.

    Raises:
        TypeError: `item_id` is not a string.
        ValueError: there is no such item.
    """
    return check_function(_find(item_id), function, seed=seed)


def items() -> dict[str, Item]:
    """Every graded item of the course by its id, in the order of the problem sets."""
    return dict(ITEMS)


def _find(item_id: object) -> Item:
    if not isinstance(item_id, str):
        raise TypeError(
            f"check() wants the item's name first, such as {next(iter(ITEMS))!r}, "
            f"and then your function; the first argument is a {type(item_id).__name__}"
        )
    if item_id not in ITEMS:
        near = difflib.get_close_matches(item_id, ITEMS, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]!r}?" if near else f"the items are {', '.join(ITEMS)}"
        raise ValueError(f"there is no item {item_id!r}; {meant}")
    return ITEMS[item_id]
