"""Times as ratios: the peer runs right before each round, so both meet the same machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest
import torch

from attncourse.device import describe, pick_device

ROUNDS = 60


@pytest.fixture(scope="session")
def device():
    return pick_device()


@pytest.fixture
def against(benchmark, device):
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
            finished, args=(ours,), setup=time_the_peer, rounds=ROUNDS, warmup_rounds=5
        )
        benchmark.extra_info["ratio"] = benchmark.stats.stats.median / median(peer_times[5:])

    return measure


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    terminalreporter.section("ratios of medians")
    terminalreporter.line(f"{describe()}, torch {torch.__version__}")
    for one in session.benchmarks:
        terminalreporter.line(f"{one.extra_info['ratio']:6.3f}  {one.name}")
