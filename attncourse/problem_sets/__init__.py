"""The items of every problem set: a folder for each set, a file for each item.

A lambda per misconception keeps the wrong program beside the sentence that it earns. In every batch
all sizes differ where they may, so that a swapped axis shows.

Nothing here may be seen by a process that runs a student's code: the sandbox hides this folder.
"""

from collections.abc import Iterable
from typing import Any

from attncourse.checking.item import Item
from attncourse.problem_sets import (
    ps1_similarity,
    ps2_shared,
    ps3_query_key_value,
    ps4_heads,
    ps5_feature_maps,
)


def catalogue(*sets: Iterable[Any]) -> dict[str, Item]:
    """The items by their id, in the order of the sets.

    Args:
        sets: `Item`s; mypy takes a class below `@item` for what it was before.

    Raises:
        ValueError: two items have the same id.
    """
    found: dict[str, Item] = {}
    for item in (item for items in sets for item in items):
        if item.id in found:
            raise ValueError(f"there are two items {item.id!r}")
        found[item.id] = item
    return found


ITEMS = catalogue(
    ps1_similarity.ITEMS,
    ps2_shared.ITEMS,
    ps3_query_key_value.ITEMS,
    ps4_heads.ITEMS,
    ps5_feature_maps.ITEMS,
)
"""Every graded item of the course by its id, in the order of the problem sets."""
