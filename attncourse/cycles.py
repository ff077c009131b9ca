"""The closed cycles of a relation in which every token has one target, or none.

Follow the targets from any token, i → t(i) → t(t(i)) → ...: the path ends at a token without a
target, or it enters a closed cycle and never leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence


def closed_cycles(target: Sequence[int]) -> set[frozenset[int]]:
    """The closed cycles of the map i -> target[i], each as the set of its tokens.

    No token is on two of them. The tokens that only lead into a cycle are not part of it, and a
    token that is its own target is a cycle of one.

    Args:
        target: for each of n tokens the index of its target, below n; negative for none.

    Raises:
        TypeError: a target is not a whole number.
        ValueError: a target is not the index of a token.
    """
    _check_targets(target)
    return {_cycle_from(target, token) for token in range(len(target))} - {frozenset()}


def cycle_from(target: Sequence[int], start: int) -> frozenset[int]:
    """The closed cycle into which the targets lead from ``start``; empty where the path ends.

    Args:
        target: as in :func:`closed_cycles`.
        start: the index of a token, from 0 to n - 1.

    Raises:
        TypeError: as :func:`closed_cycles`.
        ValueError: as :func:`closed_cycles`, or ``start`` is not the index of a token.
    """
    _check_targets(target)
    if start not in range(len(target)):
        raise ValueError(f"start must be from 0 to {len(target) - 1}, got {start!r}")
    return _cycle_from(target, start)


def _cycle_from(target: Sequence[int], start: int) -> frozenset[int]:
    step_of: dict[int, int] = {}  # each visited token, and the step at which it was reached
    token = start
    while token >= 0 and token not in step_of:
        step_of[token] = len(step_of)
        token = target[token]
    entry = step_of.get(token, len(step_of))  # past the last step where the path has an end
    return frozenset(visited for visited, step in step_of.items() if step >= entry)


def _check_targets(target: Sequence[int]) -> None:
    for token, t in enumerate(target):
        if isinstance(t, bool) or not isinstance(t, int):
            raise TypeError(
                f"target[{token}] must be a whole number (int), got {t!r} of type "
                f"{type(t).__name__}"
            )
        if t >= len(target):
            raise ValueError(
                f"a target must be below {len(target)}, the number of tokens, or negative for "
                f"none; got {t} for token {token}"
            )
