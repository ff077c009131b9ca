"""The check in a graded cell: which item, and which of the student's functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable

from IPython.core.inputtransformer2 import TransformerManager

from attncourse.problem_sets import ITEMS


class CheckError(ValueError):
    """A graded cell has a check that the referee cannot make: the instructor's slip."""


@functools.lru_cache(maxsize=256)
def find_check(source: str) -> tuple[str, str] | None:
    """The item and the name of the function that a graded cell checks, if it has a check.

    Raises:
        CheckError: as it says.
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))  # type: ignore[no-untyped-call]
    except SyntaxError:
        return None
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "check"
    ]
    match calls:
        case []:
            return None
        case [ast.Call(args=[ast.Constant(value=str(item)), ast.Name(id=name)], keywords=[])]:
            if item in ITEMS:
                return item, name
    raise CheckError(
        'the referee makes one check in a graded cell, written check("ITEM", FUNCTION) with an '
        f"item of the course and the function's name; this cell has {ast.unparse(calls[0])}"
        + (f" and {len(calls) - 1} more" if len(calls) > 1 else "")
    )


def require_valid_checks(cells: Iterable[tuple[str, str]]) -> None:
    """Before the first submission: afterwards it would look like a student's fault.

    Args:
        cells: where each graded cell stands, and its source.

    Raises:
        CheckError: as it says.
    """
    for place, source in cells:
        try:
            find_check(source)
        except CheckError as error:
            raise CheckError(f"{place}: {error}") from None
