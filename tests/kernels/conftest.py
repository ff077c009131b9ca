import pytest

from attncourse.kernels import forking


@pytest.fixture
def no_warm_process(monkeypatch):
    """As in a process that has not asked for a kernel yet; what it starts ends with the test."""
    monkeypatch.setattr(forking, "_warm", None)
    yield
    if forking._warm:
        forking._warm.end()
