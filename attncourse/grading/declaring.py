"""How a graded item is written down: `@item`, `case`, `wrong`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Program = Callable[..., object]


@dataclass(frozen=True)
class Case:
    """One call of the student's function: what it isolates, and what it is given."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    core: bool
    weight: float
    gradient: bool


def case(
    name: str,
    *args: Any,
    core: bool = False,
    weight: float = 1.0,
    gradient: bool = False,
    **kwargs: Any,
) -> Case:
    """A case named for what it isolates.

    `core` cases are the ordinary use: whoever fails one has not solved the item, and scores 0.
    `weight` is its share of the points among all cases.
    `gradient` also compares the gradients of a random weighted sum of the result.
    """
    return Case(name, args, kwargs, core, weight, gradient)


@dataclass(frozen=True)
class Misconception:
    """A wrong program that people really write, and the sentence that helps."""

    name: str
    programs: tuple[Program, ...]
    sentence: str


def wrong(
    name: str, program: Program, sentence: str, *, also: Sequence[Program] = ()
) -> Misconception:
    """A misconception; `also` are other programs with the same mistake and another result."""
    return Misconception(name, (program, *also), sentence)


class Draw:
    """Random inputs that depend on nothing but the seed: `draw(2, 3, 4)` is a normal tensor."""

    def __init__(self, *seed: object) -> None:
        digest = hashlib.sha256(repr(seed).encode()).digest()
        self._generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def __call__(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        # Drawn on the CPU in float32, whatever the notebook set as its defaults.
        drawn = torch.randn(*shape, generator=self._generator, dtype=torch.float32, device="cpu")
        return drawn.to(dtype)

    def mask(self, *shape: int) -> Tensor:
        """Booleans, True = may attend, with at least one True and one False in every row."""
        order = torch.rand(*shape, generator=self._generator, dtype=torch.float32, device="cpu")
        ranks = order.argsort(-1).argsort(-1)  # each row is a permutation of 0 … T_k − 1
        return ranks < (shape[-1] + 1) // 2


@dataclass(frozen=True)
class Item:
    """A graded item. Its reference, its cases and its misconceptions stand in one place."""

    id: str
    task: str
    points: float
    minutes: int
    difficulty: str
    reference: Program
    cases: Callable[[Draw], Iterator[Case]]
    misconceptions: tuple[Misconception, ...]

    @property
    def function_name(self) -> str:
        """The name that the student's function has in the notebook."""
        return self.id.partition(".")[2]


_items: dict[str, Item] = {}


class Declaration(Protocol):
    """What a class below `@item` has, beside a docstring that says the task."""

    reference: Program
    cases: Callable[[Draw], Iterator[Case]]
    misconceptions: Sequence[Misconception]


def item(id: str, *, points: float, minutes: int, difficulty: str) -> Callable[[Any], Item]:
    """Register the `Declaration` that follows as a graded item."""

    def register(declaration: Declaration) -> Item:
        made = Item(
            id=id,
            task=inspect.getdoc(declaration) or "",
            points=points,
            minutes=minutes,
            difficulty=difficulty,
            reference=declaration.reference,
            cases=declaration.cases,
            misconceptions=tuple(declaration.misconceptions),
        )
        if not made.task:
            raise ValueError(f"item {id!r} needs a docstring that says the task in a sentence")
        if id in _items:
            raise ValueError(f"there are two items {id!r}")
        _items[id] = made
        return made

    return register


def items() -> dict[str, Item]:
    """Every graded item of the course by its id, in the order of the problem sets."""
    return dict(_items)
