"""The items of problem set 4 prove themselves."""

from problem_sets.item_proofs import *  # noqa: F403

SET = "ps4"
