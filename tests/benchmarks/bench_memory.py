"""What attention costs in memory as T grows: T × T numbers with the weights, T without them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from attncourse.attention import attend

LENGTHS = (1024, 2048, 4096)
SELF = Path("/proc/self")


def peak_bytes(device, function):
    """The most memory that a call takes beyond what is there before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    if not (SELF / "clear_refs").exists():
        pytest.skip("the peak of a CPU process is read from Linux' /proc")
    (SELF / "clear_refs").write_text("5")  # forget the highest memory use so far
    before = _kilobytes("VmRSS")
    function()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(name):
    return int(re.search(rf"{name}:\s+(\d+) kB", (SELF / "status").read_text())[1])


@pytest.mark.parametrize("return_weights", [False, True], ids=["fused", "with weights"])
def bench_peak_memory_of_attend(report, device, return_weights):
    peaks = []
    for T in LENGTHS:
        query, key, value = (torch.randn(1, 8, T, 64, device=device) for _ in range(3))

        def call(query=query, key=key, value=value):
            return attend(query, key, value, return_weights=return_weights)

        call()
        peaks.append(max(peak_bytes(device, call) for _ in range(3)))
    name = "with weights" if return_weights else "fused"
    # A fused call may fit into memory that the process has and does not use: that shows as 0.
    steps = ", ".join(f"T={T}: {p / 2**20:.0f} MiB" for T, p in zip(LENGTHS, peaks, strict=True))
    report(f"        peak memory of attend beyond its input, {name}: {steps}")
