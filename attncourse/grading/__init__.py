"""Graded items: `check("ps1.cosine_affinity", function)` says what a function earns and why."""

from attncourse.grading.checking import check
from attncourse.grading.declaring import Item, items
from attncourse.grading.verdict import Verdict

__all__ = ["Item", "Verdict", "check", "items"]
