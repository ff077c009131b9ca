"""Which device is chosen, what seeding fixes, and what the line under a page says."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from attncourse.device import describe, one_thread, pick_device, ran_on, seed_everything


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_there_is_gets_picked(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device().type == expected


def test_one_seed_fixes_every_generator():
    def draws():
        own = seed_everything(7)
        return (
            random.random(),
            float(np.random.rand()),
            float(torch.rand(())),
            float(torch.rand((), generator=own)),
        )

    assert draws() == draws()


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**32, ValueError), (1.5, TypeError)]
)
def test_an_impossible_seed_is_refused_by_name(seed, error):
    with pytest.raises(error, match=r"seed .*whole number|seed .*\[0, 2"):
        seed_everything(seed)


def test_the_line_names_the_device_and_the_versions_in_words_and_in_html():
    line = ran_on("cpu")
    for text in (repr(line), line._repr_html_()):
        assert "This page ran on: CPU" in text
        assert f"torch {torch.__version__}" in text
    assert 'class="attn-ran-on"' in line._repr_html_()


def test_without_an_argument_it_is_the_picked_device():
    assert describe() == describe(pick_device())


def test_one_thread_is_used_within_and_the_number_before_comes_back_even_after_an_error():
    @one_thread()
    def fails():
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        raise ZeroDivisionError

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ZeroDivisionError):
            fails()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
