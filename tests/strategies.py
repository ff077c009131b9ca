"""What hypothesis draws: tensors whose sizes all differ, so that a swapped axis shows."""

from __future__ import annotations

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

# The first use of an operator costs torch more than hypothesis' deadline for one example.
settings.register_profile("course", deadline=None)
settings.load_profile("course")

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

dtypes = st.sampled_from(list(TOLERANCE))
seeds = st.integers(0, 2**32 - 1)
leading_dimensions = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@st.composite
def distinct_sizes(draw: st.DrawFn, number: int, largest: int = 9) -> list[int]:
    """``number`` sizes from 1 to ``largest``, no two alike."""
    return draw(st.permutations(range(1, largest + 1)))[:number]


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers of their own seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def random_mask(seed: int, *shape: int) -> Tensor:
    """A mask that lets about two thirds through; some rows may see nothing."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.67
