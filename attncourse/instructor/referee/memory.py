"""How much memory a worker and all that it has started use, as its guardian sees it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path


def memory_of(first: int, most: int) -> int:
    """Bytes of memory of a process and all that it has started; exact where more than `most`."""
    family = list(_family(first))
    resident = sum(_resident(process) for process in family)
    # Quick, but it counts what processes share once for each of them.
    return resident if resident <= most else sum(map(_proportional, family))


def _family(first: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _read(f"/proc/{entry}/stat")
            if stat:
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    waiting = [first]
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process, [])


def _resident(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * resource.getpagesize() if fields else 0


def _proportional(process: int) -> int:
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
