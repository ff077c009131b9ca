"""A warm nursery, for every test that runs students' code where students' code runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from attncourse.grading.referee import confinement
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.judge import Nursery, Worker


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips where students' code cannot be confined, and fails where it has to be."""
    try:
        confinement.check()
    except NoSandbox as reason:
        if os.environ.get("ATTNCOURSE_REQUIRE_SANDBOX") == "1":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def nursery(sandbox: None) -> Iterator[Nursery]:
    """One nursery in its sandbox for all tests; each starts workers of its own."""
    with Nursery() as started:
        yield started


@pytest.fixture
def worker(nursery: Nursery) -> Iterator[Worker]:
    """A worker that has run nothing."""
    with nursery.start() as started:
        yield started
