"""A worker and all that it has started, as its guardian sees them in `/proc`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

KILLED_FROM_OUTSIDE = "it was killed from outside, as when the machine's memory runs out"
"""How a worker has ended that neither we nor what ran in it has ended."""
_EXITING = 0x4  # PF_EXITING, <linux/sched.h>


@dataclass(frozen=True)
class Process:
    """One of them."""

    number: int
    ticks: int
    """Of the processor, used by it and by the children that it has waited for."""
    busy: bool
    """Whether one of its threads runs, or would if it had a core, or waits for the disk."""


def family(first: int) -> list[Process]:
    """The process of that number, and all that descend from it."""
    found: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(f"/proc/{entry}")):
            found[int(entry)] = fields
            children.setdefault(int(fields[1]), []).append(int(entry))
    waiting, members = [first], []
    while waiting:
        number = waiting.pop()
        waiting += children.get(number, [])
        if fields := found.get(number, []):
            ticks = sum(map(int, fields[11:15]))
            members.append(Process(number, ticks, _is_busy(number, fields)))
    return members


def is_ending(number: int) -> bool:
    """Whether a process has begun to end, if it is still there."""
    fields = _stat(f"/proc/{number}")
    return not fields or bool(int(fields[6]) & _EXITING)


def read(path: str) -> str:
    """The text of a file in `/proc`; empty where the process is gone, or does not let us."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _stat(folder: str) -> list[str]:
    """The fields from the third on: the second is a name, which may hold anything."""
    return read(f"{folder}/stat").rpartition(")")[2].split()


def _is_busy(number: int, fields: list[str]) -> bool:
    if fields[0] in "RD" or int(fields[17]) == 1:
        return fields[0] in "RD"
    try:
        threads = os.listdir(f"/proc/{number}/task")
    except OSError:
        return False
    return any(_stat(f"/proc/{number}/task/{each}")[:1] in (["R"], ["D"]) for each in threads)
