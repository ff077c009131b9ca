"""What a folder's mode forbids, it does not forbid to root: tests go on as somebody else."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

_NOBODY = 65534


@pytest.fixture
def open_folder():
    """A folder that an ordinary user can reach too; pytest's own are for one user alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def ordinary_user(folder):
    """For a while we are one, and everything in the folder is ours."""
    if os.geteuid() != 0:
        yield
        return
    for place, _, files in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in files)):
            os.chown(path, _NOBODY, -1, follow_symlinks=False)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
