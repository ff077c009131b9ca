"""The photographs: real ones, of the size that was asked for, without a network."""

from __future__ import annotations

import pytest
import torch

from attncourse.visuals.photographs import photograph


@pytest.mark.parametrize("name", ["china", "flower"])
def test_a_photograph_is_colours_from_0_to_1_of_the_size_asked_for(name):
    pixels = photograph(name, 32, 48)
    assert pixels.shape == (3, 32, 48)
    assert pixels.dtype == torch.float32
    assert 0 <= pixels.min() < 0.1
    assert 0.9 < pixels.max() <= 1


def test_a_small_one_is_the_average_of_the_large_one():
    large, small = photograph("china", 426, 640), photograph("china", 213, 320)
    torch.testing.assert_close(
        small.mean((1, 2)), large.mean((1, 2)), atol=1e-3, rtol=0
    )  # 427 rows do not divide evenly
    assert small.std() < large.std()


@pytest.mark.parametrize("size", [(0, 48), (428, 48), (32, 641)])
def test_a_size_outside_the_original_is_refused(size):
    with pytest.raises(ValueError, match="427 × 640"):
        photograph("china", *size)


def test_an_unknown_photograph_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match="china, flower; got 'cat'"):
        photograph("cat", 32, 48)
