"""What several items of the set use."""

from __future__ import annotations

import torch
from torch import Tensor

from attncourse.checking.random_inputs import Draw


def invertible(draw: Draw, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    # The exponential of a matrix is always invertible; that of half a normal one is tame as well.
    return torch.matrix_exp(draw(*shape, shape[-1], dtype=dtype) / 2)
