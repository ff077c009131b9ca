"""Closed cycles, against another way of finding them: a token is on one if it leads to itself."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused

from attncourse.cycles import closed_cycles, cycle_from


def image(target, token, steps):
    """Where so many steps lead from a token; -1 where there is no such place."""
    for _ in range(steps):
        token = target[token] if token >= 0 else -1
    return token


def cycles_by_returning(target):
    """Tokens that lead back to themselves within n steps, put together with all they lead to."""
    n = len(target)
    returning = [i for i in range(n) if any(image(target, i, k) == i for k in range(1, n + 1))]
    return {frozenset(image(target, i, k) for k in range(n)) for i in returning}


@pytest.mark.parametrize("n", range(6))
def test_all_maps_of_up_to_five_tokens_have_the_cycles_that_returning_tokens_make(n):
    for target in itertools.product(range(-1, n), repeat=n):
        cycles = closed_cycles(target)
        assert cycles == cycles_by_returning(target), target
        for start in range(n):
            end = image(target, start, n)  # after n steps a path has ended or is on its cycle
            expected = next((cycle for cycle in cycles if end in cycle), frozenset())
            assert cycle_from(target, start) == expected, (target, start)


@pytest.mark.parametrize(
    ("target", "cycles"),
    [
        ((), []),
        ((-1, -1), []),
        ((0,), [{0}]),
        ((1, 0), [{0, 1}]),
        ((1, 2, 0), [{0, 1, 2}]),
        ((1, 2, 3, -1), []),  # a chain
        ((1, 2, 3, 1), [{1, 2, 3}]),  # a chain that ends in a cycle
        ((3, 3, 3, -1), []),  # a star
        ((1, 0, 3, 4, 2, 4), [{0, 1}, {2, 3, 4}]),
        ((-7, 2, 1), [{1, 2}]),  # any negative number stands for none
    ],
)
def test_cycles_that_can_be_read_off(target, cycles):
    assert closed_cycles(target) == set(map(frozenset, cycles))
    assert closed_cycles(list(target)) == closed_cycles(target)


@st.composite
def relations(draw):
    """Targets, some of them none, for up to 30 tokens."""
    n = draw(st.integers(1, 30))
    return draw(st.lists(st.integers(-2, n - 1), min_size=n, max_size=n))


@given(relations())
def test_cycles_are_disjoint_and_each_goes_round_once(target):
    cycles = closed_cycles(target)
    assert sum(map(len, cycles)) == len(frozenset().union(*cycles))
    for cycle in cycles:
        for token in cycle:
            assert {image(target, token, k) for k in range(len(cycle))} == cycle
            assert image(target, token, len(cycle)) == token


@given(relations(), st.data())
def test_new_numbers_for_the_tokens_renumber_the_cycles_and_change_nothing_else(target, data):
    number = data.draw(st.permutations(range(len(target))))
    renamed = [-1] * len(target)
    for token, t in enumerate(target):
        renamed[number[token]] = number[t] if t >= 0 else t
    expected = {frozenset(number[token] for token in cycle) for cycle in closed_cycles(target)}
    assert closed_cycles(renamed) == expected


@given(st.permutations(range(12)))
def test_every_token_of_a_permutation_is_on_a_cycle(target):
    assert frozenset().union(*closed_cycles(target)) == frozenset(range(12))


def test_a_long_chain_is_followed_without_recursion():
    n = 3000
    assert cycle_from([*range(1, n), n - 2], 0) == {n - 2, n - 1}


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: closed_cycles([1, 0, 5]), ["below 3", "negative", "got 5", "token 2"]),
        (ValueError, lambda: closed_cycles([1]), ["below 1", "got 1"]),
        (ValueError, lambda: cycle_from([1, 0, 3], 0), ["below 3", "got 3"]),
        (ValueError, lambda: cycle_from([1, 0], 2), ["start", "0 to 1", "got 2"]),
        (ValueError, lambda: cycle_from([1, 0], -1), ["start", "0 to 1", "got -1"]),
        (TypeError, lambda: closed_cycles([1, 0.0]), ["target[1]", "whole number", "0.0", "float"]),
        (TypeError, lambda: closed_cycles([True, 0]), ["target[0]", "True", "bool"]),
        (TypeError, lambda: closed_cycles([None]), ["target[0]", "None", "NoneType"]),
    ],
)  # fmt: skip
def test_bad_targets_are_refused_by_name(error, call, words):
    assert_refused(error, call, words)


def test_the_search_needs_no_torch():
    code = "import sys, attncourse.cycles; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
