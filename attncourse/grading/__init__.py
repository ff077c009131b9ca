"""Graded items: `check("ps1.cosine_affinity", function)` says what a function earns and why."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attncourse.grading.checking import check
    from attncourse.grading.declaring import Item, items
    from attncourse.grading.verdict import Verdict

__all__ = ["Item", "Verdict", "check", "items"]

_HOMES = {"Item": "declaring", "Verdict": "verdict", "check": "checking", "items": "declaring"}


def __getattr__(name: str) -> object:
    # When first asked for, since they load torch: to write down a class's scores takes none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
