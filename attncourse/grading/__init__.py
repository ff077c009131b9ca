"""Graded items: `check("ps1.cosine_affinity", function)` says what a function earns and why."""

from attncourse.grading import ps1_similarity as _ps1_similarity  # noqa: F401  registers its items
from attncourse.grading import ps2_shared as _ps2_shared  # noqa: F401
from attncourse.grading import ps3_query_key_value as _ps3_query_key_value  # noqa: F401
from attncourse.grading.checking import check
from attncourse.grading.declaring import Item, items
from attncourse.grading.verdict import Verdict

__all__ = ["Item", "Verdict", "check", "items"]
