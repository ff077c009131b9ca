"""Answers to every item: right ones, each in some student's style, and nameless wrong ones.

A file for each problem set, named like the one that declares its items.
"""

from problem_sets.answers import (
    ps1_similarity,
    ps2_shared,
    ps3_query_key_value,
    ps4_heads,
    ps5_feature_maps,
)

_SETS = [ps1_similarity, ps2_shared, ps3_query_key_value, ps4_heads, ps5_feature_maps]

RIGHT = {item_id: answers for each in _SETS for item_id, answers in each.RIGHT.items()}
WRONG = {item_id: programs for each in _SETS for item_id, programs in each.WRONG.items()}
