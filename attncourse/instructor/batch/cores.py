"""How many cores this process may use: not those of the machine, of which it may have a share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_PROCESS = Path("/proc/self")


def allowed_cores() -> int:
    """By the affinity that it was given, and by the quotas of its control groups; at least 1."""
    return max(1, math.floor(min([len(os.sched_getaffinity(0)), *_quotas(_PROCESS)])))


def _quotas(process: Path) -> Iterator[float]:
    """Cores' worth of time, of each control group that the process is in and that has a limit."""
    groups = [line.split(":", 2) for line in _lines(process / "cgroup")]
    for line in _lines(process / "mountinfo"):
        mount, _, system = line.partition(" - ")
        kind, *_, options = system.split()
        if kind not in ("cgroup", "cgroup2"):
            continue
        for _, controllers, path in groups:
            ours = "cpu" in controllers.split(",") and "cpu" in options.split(",")
            if not controllers if kind == "cgroup2" else ours:
                root, place = mount.split()[3:5]
                yield from _quotas_in(Path(place), path, root)


def _quotas_in(mounted: Path, path: str, root: str) -> Iterator[float]:
    """Of a group and those that it is in, as far as they are to be seen from here."""
    parts = path.removeprefix(root).split("/") if path.startswith(root) else []
    below = Path(*(part for part in parts if part not in ("", "..")))
    for folder in (mounted / below, *(mounted / each for each in below.parents)):
        fields = " ".join(_lines(folder / "cpu.max")).split() or [
            *_lines(folder / "cpu.cfs_quota_us"),
            *_lines(folder / "cpu.cfs_period_us"),
        ]
        if len(fields) == 2 and fields[0].isdecimal():  # else "max", or -1: none
            yield int(fields[0]) / int(fields[1])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # no such control group, or none at all
        return []
