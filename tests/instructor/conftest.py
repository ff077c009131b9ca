"""A warm nursery, for every test that runs students' code where students' code runs; and a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Nursery, Worker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips where students' code cannot be confined, and fails where it has to be."""
    try:
        sandboxing.check()
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


@pytest.fixture
def tests_of_an_ordinary_user() -> Iterator[Callable[..., str]]:
    """``tests_of_an_ordinary_user(file, **environment)``: run them all; what pytest says."""
    if os.geteuid() != 0:
        pytest.skip("these tests are run by an ordinary user already")
    if not (shutil.which("bwrap") and shutil.which("setpriv")):
        pytest.skip("bubblewrap and setpriv (util-linux) are needed to become an ordinary user")
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o777)
        command = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/"]
        # The interpreter may be in a home folder that is closed to others.
        interpreter = Path(sys.base_prefix)
        closed = [p for p in reversed(interpreter.parents) if p.stat().st_mode & 0o005 != 0o005]
        if closed:
            command += ["--perms", "0755", "--tmpfs", str(closed[0])]
            for folder in reversed(interpreter.parents):
                if folder.is_relative_to(closed[0]) and folder != closed[0]:
                    command += ["--perms", "0755", "--dir", str(folder)]
            command += ["--ro-bind", str(interpreter), str(interpreter)]
        command += ["--setenv", "HOME", home, "--cap-add", "ALL", "--chdir", str(ROOT)]
        user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
        as_user = [*command, "--", *user]

        def run(file: str, **environment: str) -> str:
            program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
            ran = subprocess.run(
                [*as_user, *program],
                env={
                    **os.environ,
                    "ATTNCOURSE_REQUIRE_SANDBOX": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **environment,
                },
                capture_output=True,
                text=True,
                timeout=1200,
            )
            assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]
            return ran.stdout

        yield run
