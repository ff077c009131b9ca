"""The items of problem set 5 prove themselves."""

from problem_sets.item_proofs import *  # noqa: F403

SET = "ps5"
