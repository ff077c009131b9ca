"""The pixel that should match itself: what is so for a single one, and on a photograph."""

from __future__ import annotations

import pytest
import torch

from attncourse.experiments.tasks.self_match import (
    photograph_pixels,
    self_matches,
    weights_of_the_only_pixel,
)


def test_the_only_pixel_of_a_map_gets_all_the_weight_in_every_mode():
    assert weights_of_the_only_pixel() == dict.fromkeys(
        ("raw", "shared", "tied_qk", "tied_kv", "separate"), 1.0
    )


@pytest.mark.parametrize("name", ["china", "flower"])
def test_most_alike_to_itself_is_not_attending_to_itself(name):
    matches = {m.score: m for m in self_matches(photograph_pixels(name, centred=True), draws=5)}
    assert matches["cosine"].largest > 0.99
    assert matches["cosine"].weight < 2.5 * matches["cosine"].uniform
    assert matches["raw dot"].largest < 0.1, "a longer vector wins"
    assert matches["random separate"].largest < 0.02
    assert matches["cosine"].largest_sd is None
    assert matches["random separate"].largest_sd is not None


def test_random_projections_leave_the_global_generators_alone(monkeypatch):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeds the GPU's"))
    weights_of_the_only_pixel()
    self_matches(torch.eye(3), draws=2)
    assert torch.equal(torch.rand(3), wanted)


def test_the_numbers_are_those_of_a_map_small_enough_to_do_by_hand():
    # Three pixels on a line: 1, 2, 3. By dot product all prefer the longest.
    pixels = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    matches = {m.score: m for m in self_matches(pixels, draws=2)}
    assert matches["raw dot"].largest == pytest.approx(1 / 3)
    e = torch.e
    by_hand = [
        e ** (i * i) / sum(e ** (i * j) for j in (1, 2, 3))
        for i in (1, 2, 3)
    ]  # fmt: skip
    assert matches["raw dot"].weight == pytest.approx(sum(by_hand) / 3)
    assert matches["cosine"].weight == pytest.approx(1 / 3)
    assert matches["cosine"].uniform == pytest.approx(1 / 3)


def test_a_patch_is_a_square_of_the_picture():
    pixels = photograph_pixels("flower", side=5, patch=4)
    assert pixels.shape == (25, 3 * 4 * 4)
    coarse = photograph_pixels("flower", side=5)
    torch.testing.assert_close(pixels.view(25, 3, 16).mean(-1), coarse, atol=0.02, rtol=0)
    assert photograph_pixels("flower", side=5, centred=True).mean(0).abs().max() < 1e-12
