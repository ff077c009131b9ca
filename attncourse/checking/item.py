"""How a graded item is written down: `@item`, `case`, `wrong`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from attncourse.checking.random_inputs import Draw

Program = Callable[..., object]


@dataclass(frozen=True)
class Case:
    """One call of the student's function: what it isolates, and what it is given."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    basic: bool
    weight: float
    gradient: bool
    withheld: Any


def case(
    name: str,
    *args: Any,
    basic: bool = False,
    weight: float = 1.0,
    gradient: bool = False,
    withheld: Any = None,
    **kwargs: Any,
) -> Case:
    """A case named for what it isolates.

    `basic` cases are the ordinary use: a function that fails one of them scores 0.
    `weight` is its share of the points among all cases.
    `gradient` also compares the gradients of a random weighted sum of the result; where that is a
    tuple, of its first tensor: what else is handed over may be meant for a person to look at.
    `withheld` is for the item's `examine` alone: fresh data, for instance.
    """
    return Case(name, args, kwargs, basic, weight, gradient, withheld)


@dataclass(frozen=True)
class Finding:
    """One thing that an item's `examine` looked at in a result, and what was wrong with it."""

    name: str
    problem: str | None
    basic: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Misconception:
    """A wrong program that people really write, and the sentence that helps."""

    name: str
    programs: tuple[Program, ...]
    sentence: str
    matches: Callable[[Any, Case], bool] | None


def wrong(
    name: str,
    program: Program,
    sentence: str,
    *,
    variants: Sequence[Program] = (),
    matches: Callable[[Any, Case], bool] | None = None,
) -> Misconception:
    """A misconception; `variants` are programs with the same mistake and another result.

    An item with `examine` has no reference result that the program's could be compared with.
    There `matches` says of a failed result and its case whether this is the mistake; if it
    raises an error, it is not.
    """
    return Misconception(name, (program, *variants), sentence, matches)


@dataclass(frozen=True)
class Item:
    """A graded item. Its reference, its cases and its misconceptions stand in one place.

    A result is right if it equals the reference's. Where equivalent answers differ, `invariant`
    says what they have in common: it is given a result and the case's arguments, and the tensor
    that it returns is compared. Where no two right answers agree in anything that is known
    beforehand, as after training, `examine` looks at a result and its case, and yields findings.
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
    invariant: Callable[..., Tensor] | None
    examine: Callable[[Any, Case], Iterator[Finding]] | None

    @property
    def function_name(self) -> str:
        """The name that the student's function has in the notebook."""
        return self.id.partition(".")[2]


class Declaration(Protocol):
    """What a class below `@item` has, beside a docstring that says the task.

    It may also have `returns`, and `invariant` or `examine`: see `Item`.
    """

    reference: Program
    cases: Callable[[Draw], Iterator[Case]]
    misconceptions: Sequence[Misconception]


def item(id: str, *, points: float, minutes: int, difficulty: str) -> Callable[[Any], Item]:
    """Make a graded item of the `Declaration` that follows."""

    def make(declaration: Declaration) -> Item:
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
            invariant=getattr(declaration, "invariant", None),
            examine=getattr(declaration, "examine", None),
        )
        if not made.task:
            raise ValueError(f"item {id!r} needs a docstring that says the task in a sentence")
        if made.invariant is not None and not inspect.getdoc(made.invariant):
            raise ValueError(f"the invariant of item {id!r} needs a docstring that names it")
        for misconception in made.misconceptions:
            if (misconception.matches is None) != (made.examine is None):
                raise ValueError(
                    f"item {id!r}, misconception {misconception.name!r}: `matches` goes with "
                    "`examine`, and only with it"
                )
        return made

    return make
