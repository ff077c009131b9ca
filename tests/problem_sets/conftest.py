"""Runs the proofs of an item for each item of the set that a test file names."""

import pytest

pytest.register_assert_rewrite("problem_sets.item_proofs")  # before it is imported

from problem_sets.item_proofs import parameters  # noqa: E402


def pytest_generate_tests(metafunc):
    """In a file that says which `SET` it is about."""
    problem_set = getattr(metafunc.module, "SET", None)
    if problem_set is not None and "item_id" in metafunc.fixturenames:
        metafunc.parametrize(*parameters(problem_set, metafunc.fixturenames))
