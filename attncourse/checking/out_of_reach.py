"""What a student's function may not call while it is checked: the course's own answers.

That is every function of the package, in whatever room, but for the machinery that is at work
while a function is checked and for tools that answer nothing. A room that is built tomorrow is
out of reach without being named here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import sys
import types
from collections.abc import Iterator, Sequence

from attncourse.checking.item import Item

_PACKAGE = __name__.partition(".")[0] + "."
_MACHINERY = ("checking", "grading", "instructor")
_DRAWING = ("figures", "notebook_colours", "photographs", "repeated", "tables")
_TOOLS = ("arguments", "device", "palette", *(f"visuals.{name}" for name in _DRAWING))
_WITHIN_REACH = tuple(f"{_PACKAGE}{room}." for room in (*_MACHINERY, *_TOOLS))
# Python imports the package that a tool stands in before the tool.
_ON_THE_WAY = frozenset(f"{_PACKAGE}{tool.rpartition('.')[0]}" for tool in _TOOLS if "." in tool)


class CourseFunctionCalled(BaseException):
    """The student's function called the course's own answer.

    Not an `Exception`, so that an `except Exception` in the student's code does not swallow it.
    """

    def __init__(self) -> None:
        _uses.append(True)  # a bare `except` may swallow it all the same


_uses: list[bool] = []


def is_out_of_reach(module: str) -> bool:
    """Whether a student's function may not call what the module of this name defines."""
    return module.startswith(_PACKAGE) and not f"{module}.".startswith(_WITHIN_REACH)


@contextlib.contextmanager
def course_out_of_reach() -> Iterator[list[bool]]:
    """Make the course's own functions raise `CourseFunctionCalled`, under whatever name they are
    held: a name imported earlier still points at the function, so it is the function that changes.
    A room that nobody has imported yet cannot be imported meanwhile.

    Yields:
        A list that stays empty as long as the course is left alone.
    """
    _uses.clear()
    kept = [
        (function, function.__code__, _blocking(function.__code__.co_freevars))
        for function in _course_functions(_loaded_modules())
    ]
    sys.meta_path.insert(0, _finder)
    try:
        for function, _, blocking in kept:
            function.__code__ = blocking
        yield _uses
    finally:
        for function, code, _ in kept:
            function.__code__ = code
        sys.meta_path.remove(_finder)


class _RefuseTheCourse(importlib.abc.MetaPathFinder):
    """Stands in front of Python's own finders."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> None:
        if is_out_of_reach(name) and name not in _ON_THE_WAY:
            raise CourseFunctionCalled


_finder = _RefuseTheCourse()


def _loaded_modules() -> tuple[str, ...]:
    return tuple(name for name in list(sys.modules) if is_out_of_reach(name))


@functools.lru_cache(maxsize=4)
def _course_functions(modules: tuple[str, ...]) -> list[types.FunctionType]:
    """Every function that the modules define; which ones does not change once they are loaded."""
    found: dict[int, types.FunctionType] = {}
    for name in modules:
        for thing in vars(sys.modules[name]).values():
            for member in _members(thing):
                function = _unwrapped(member)
                # Another module's function is found there, and may be within reach.
                if isinstance(function, types.FunctionType) and function.__module__ == name:
                    found[id(function)] = function
    return list(found.values())


def _members(thing: object) -> Iterator[object]:
    """What a name of a module leads to: itself, what a class defines, the parts of an item."""
    if isinstance(thing, type):
        for member in vars(thing).values():
            accessors = (member.fget, member.fset) if isinstance(member, property) else (member,)
            yield from accessors
    elif isinstance(thing, Item):
        # Not the programs of its misconceptions: they are wrong, and there are hundreds.
        yield from (thing.reference, thing.cases, thing.invariant, thing.examine)
    else:
        yield thing


def _unwrapped(member: object) -> object:
    while hasattr(member, "__wrapped__"):
        member = member.__wrapped__
    return member


def _raise(*_args: object, **_kwargs: object) -> None:
    # Imported here because this code runs with the globals of the function it stands in for.
    from attncourse.checking.out_of_reach import CourseFunctionCalled

    raise CourseFunctionCalled


@functools.cache
def _blocking(free_variables: tuple[str, ...]) -> types.CodeType:
    """Code that fits a function with these free variables; Python refuses any other."""
    return _raise.__code__.replace(co_freevars=free_variables)
