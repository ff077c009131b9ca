"""How a graded item is written down: `@item`, `case`, `wrong`."""

from __future__ import annotations

import hashlib
import importlib
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
    withheld: Any


def case(
    name: str,
    *args: Any,
    core: bool = False,
    weight: float = 1.0,
    gradient: bool = False,
    withheld: Any = None,
    **kwargs: Any,
) -> Case:
    """A case named for what it isolates.

    `core` cases are the ordinary use: whoever fails one has not solved the item, and scores 0.
    `weight` is its share of the points among all cases.
    `gradient` also compares the gradients of a random weighted sum of the result.
    `withheld` is for the item's judge alone: fresh data, for instance.
    """
    return Case(name, args, kwargs, core, weight, gradient, withheld)


@dataclass(frozen=True)
class Finding:
    """What an item's judge looked at in a result, and what was wrong with it."""

    name: str
    problem: str | None
    core: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Misconception:
    """A wrong program that people really write, and the sentence that helps."""

    name: str
    programs: tuple[Program, ...]
    sentence: str
    shows: Callable[[Any, Case], bool] | None


def wrong(
    name: str,
    program: Program,
    sentence: str,
    *,
    also: Sequence[Program] = (),
    shows: Callable[[Any, Case], bool] | None = None,
) -> Misconception:
    """A misconception; `also` are other programs with the same mistake and another result.

    A judged item has no result to compare with that of the program: there `shows` says of a
    failed result and its case whether this is the mistake. If it raises, it is not.
    """
    return Misconception(name, (program, *also), sentence, shows)


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
    """A graded item. Its reference, its cases and its misconceptions stand in one place.

    A result is right if it equals the reference's. Where equivalent answers differ, `reading`
    says what they have in common: it is given a result and the case's arguments, and the tensor
    that it returns is compared. Where no two right answers agree in anything that is known
    beforehand, as after training, `judge` looks at a result and its case, and yields findings.
    """

    id: str
    task: str
    points: float
    minutes: int
    difficulty: str
    reference: Program
    cases: Callable[[Draw], Iterator[Case]]
    misconceptions: tuple[Misconception, ...]
    returns: tuple[str, ...]
    """Names of the tensors, where a tuple of them is wanted."""
    reading: Callable[..., Tensor] | None
    judge: Callable[[Any, Case], Iterator[Finding]] | None

    @property
    def function_name(self) -> str:
        """The name that the student's function has in the notebook."""
        return self.id.partition(".")[2]


_items: dict[str, Item] = {}


class Declaration(Protocol):
    """What a class below `@item` has, beside a docstring that says the task.

    It may also have `returns`, and `reading` or `judge`: see `Item`.
    """

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
            returns=getattr(declaration, "returns", ()),
            reading=getattr(declaration, "reading", None),
            judge=getattr(declaration, "judge", None),
        )
        if not made.task:
            raise ValueError(f"item {id!r} needs a docstring that says the task in a sentence")
        if made.reading is not None and not inspect.getdoc(made.reading):
            raise ValueError(f"the reading of item {id!r} needs a docstring: what it reads")
        for misconception in made.misconceptions:
            if (misconception.shows is None) != (made.judge is None):
                raise ValueError(
                    f"item {id!r}, misconception {misconception.name!r}: `shows` goes with a "
                    "judge, and only with one"
                )
        if id in _items:
            raise ValueError(f"there are two items {id!r}")
        _items[id] = made
        return made

    return register


def items() -> dict[str, Item]:
    """Every graded item of the course by its id, in the order of the problem sets."""
    # Not at the top: the items are declared with this module, and a process that runs students'
    # code imports this module and has no items.
    importlib.import_module("attncourse.grading.problem_sets")
    return declared()


def declared() -> dict[str, Item]:
    """Those declared so far: none in a process where nobody has asked for the items."""
    return dict(_items)
