"""Times as ratios: the peer runs right before each round, so both meet the same machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest
import torch

from attncourse.device import describe, pick_device

ROUNDS, WARM_UP = 40, 5
LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def device():
    return pick_device()


@pytest.fixture
def against(benchmark, device, report):
    """``against(name, peer, ours)`` times ours with pytest-benchmark, the peer in between."""

    def finished(function):
        function()
        if device.type == "cuda":  # there, a call returns before it is done
            torch.cuda.synchronize()

    def measure(name, peer, ours):
        peer_times = []

        def time_the_peer():
            start = perf_counter()
            finished(peer)
            peer_times.append(perf_counter() - start)

        benchmark.name = name
        benchmark.pedantic(
            finished, args=(ours,), setup=time_the_peer, rounds=ROUNDS, warmup_rounds=WARM_UP
        )
        ratio = benchmark.stats.stats.median / median(peer_times[WARM_UP:])

        report(f"{ratio:6.3f}  {name}")

    return measure


@pytest.fixture
def report(request):
    """Adds a line to what is said at the end of the run."""
    return request.config.stash[LINES].append


def pytest_configure(config):
    config.stash[LINES] = []


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[LINES]:
        terminalreporter.section("ratios, each within one run")
        terminalreporter.line(f"{describe()}, torch {torch.__version__}")
        for line in config.stash[LINES]:
            terminalreporter.line(line)
