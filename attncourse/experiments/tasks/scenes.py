"""Scenes of handwritten digits: the same questions asked of a feature map ``[B, C, H, W]``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from attncourse.experiments.tasks.base import IGNORED, Settings, Split, Task, fetch_bound
from attncourse.feature_maps import pixels_as_tokens

SIDE = 3  #: a scene has 3 × 3 cells
PIXELS = 8  #: a digit of scikit-learn has 8 × 8 pixels
DIGITS = tuple(range(1, 10))
COLOURS = (  # red, green, blue; none is so dark that its digit vanishes
    (1.0, 0.1, 0.1),
    (0.1, 1.0, 0.1),
    (0.1, 0.1, 1.0),
    (1.0, 1.0, 0.1),
    (1.0, 0.1, 1.0),
    (0.1, 1.0, 1.0),
)


@lru_cache
def _pools(split: Split) -> list[Tensor]:
    """For each digit 0 to 9 its images in this split, ``[number, 8, 8]``, from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    pictures = torch.tensor(images, dtype=torch.float32).view(-1, PIXELS, PIXELS) / 16
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    part = {"train": slice(0, 1200), "validation": slice(1200, 1450), "test": slice(1450, None)}
    chosen = order[part[split]]
    digits = torch.tensor(labels)[chosen]
    return [pictures[chosen[digits == digit]] for digit in range(10)]


def paint(
    digits: Tensor,
    colours: Tensor,
    generator: torch.Generator,
    split: Split,
    *,
    columns: int = SIDE,
) -> Tensor:
    """Draw a handwritten image for each cell and colour it.

    Args:
        digits, colours: ``[B, rows · columns]``, row by row; a colour is an index into
            :data:`COLOURS`.
        generator: chooses among the images of a digit.
        split: which images may be used.
        columns: how many cells stand side by side.

    Returns:
        ``[B, 3, 8 rows, 8 columns]``: red, green and blue, from 0 to 1.
    """
    choice = torch.rand(digits.shape, generator=generator)
    images = torch.empty(*digits.shape, PIXELS, PIXELS)
    for digit, pool in enumerate(_pools(split)):
        here = digits == digit
        images[here] = pool[(choice[here] * len(pool)).long()]
    painted = images[:, :, None] * torch.tensor(COLOURS)[colours][..., None, None]
    grid = painted.unflatten(1, (-1, columns))  # [B, row, column, 3, 8, 8]
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


class CellEncoder(nn.Module):
    """A convolutional network from scene to tokens: ``[B, 3, 24, 24]`` -> ``[B, 9, d_model]``.

    Scenes of other heights and widths have a token for each cell as well.

    Kernels as wide as their stride: a token sees its own cell and no other. With overlapping
    kernels a little of the neighbour leaks in, and a token knows it without attending.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=2, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 128, kernel_size=4, stride=4),
            nn.ReLU(),
            nn.Conv2d(128, d_model, kernel_size=1),
        )

    def forward(self, scenes: Tensor) -> Tensor:
        return pixels_as_tokens(self.layers(scenes))


@dataclass(frozen=True, kw_only=True)
class _Scenes(Task):
    """What the tasks on scenes share."""

    def encoder(self) -> CellEncoder:
        return CellEncoder(self.settings.d_model)


@dataclass(frozen=True, kw_only=True)
class NameCell(_Scenes):
    """A cell is asked for its digit or for its colour: this trains the encoder, without attention.

    An encoder trained from scratch through the attention did not learn to read digits. A coin
    decides which of the two is asked, and the cell is not told: half right is the most there is.
    Asked for both in one answer, the encoder mixes them, and no projection gets them apart again.
    """

    name: str = "cells"
    question: str = "Which digit, or which colour, are you?"

    @property
    def num_answers(self) -> int:
        return len(DIGITS) + len(COLOURS)

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Scenes ``[B, 3, 24, 24]``; targets ``[B, 9]``: first the digits, then the colours."""
        digits = torch.randint(len(DIGITS), (count, SIDE * SIDE), generator=generator)
        colours = torch.randint(len(COLOURS), digits.shape, generator=generator)
        asks_colour = torch.rand(digits.shape, generator=generator) < 0.5
        scenes = paint(digits + DIGITS[0], colours, generator, split)
        return scenes, (colours + len(DIGITS)).where(asks_colour, digits)


@dataclass(frozen=True, kw_only=True)
class DigitScene(_Scenes):
    """Nine coloured digits; a cell is asked for the colour of the cell that it is related to.

    Attributes:
        target: for each of nine items the index of the one it asks for; -1: asked nothing.
        pairs: False: the items are the digits 1 to 9, in this order. True: items i and i + 4
            (i = 0 … 3) show the same digit, drawn anew for each scene, and the last another one.
        pretraining_steps: gradient steps of the encoder on ``NameCell``.
    """

    target: tuple[int, ...]
    pairs: bool
    pretraining_steps: int

    @property
    def num_answers(self) -> int:
        return len(COLOURS)

    @property
    def pretraining(self) -> NameCell:
        # Only what concerns the encoder, so that all tasks and modes share one for each seed.
        settings = Settings(
            steps=self.pretraining_steps,
            d_model=self.settings.d_model,
            num_layers=0,
            evaluate_every=self.pretraining_steps,
            solved_loss=0,
        )
        return NameCell(settings=settings)

    def fetch_bound(self, *, mask_diagonal: bool) -> float | None:
        return fetch_bound(self.target, self.num_answers, mask_diagonal=mask_diagonal)

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Scenes ``[B, 3, 24, 24]``; targets ``[B, 9]``, cells row by row."""
        digits = torch.tensor(DIGITS).expand(count, -1)
        if self.pairs:
            digits = digits.gather(1, torch.rand(digits.shape, generator=generator).argsort(-1))
            digits = torch.cat([digits[:, :4], digits[:, :4], digits[:, 4:5]], dim=1)
        colours = torch.randint(len(COLOURS), digits.shape, generator=generator)
        target = torch.tensor(self.target)
        answers = colours[:, target.clamp(min=0)].where(target >= 0, IGNORED)
        order = torch.rand(digits.shape, generator=generator).argsort(-1)
        digits, colours, answers = (x.gather(1, order) for x in (digits, colours, answers))
        return paint(digits, colours, generator, split), answers
