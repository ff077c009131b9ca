"""How much memory a worker and all that it has started use, as its guardian sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attncourse.instructor.referee.family import Process, read

# Shared by processes and in no file: it stays while one of them has it mapped, whether or not any
# of them has it in its own tables, so no number of a process counts it.
_SHARED = re.compile(r"^(\w+)-(\w+) \S\S\Ss \w+ \S+ (\d+) +/dev/zero \(deleted\)$", re.MULTILINE)


def memory_of(family: Sequence[Process], most: int) -> int:
    """Bytes of memory of some processes; exact where more than `most`."""
    stated = [_fields(f"/proc/{process.number}/status") for process in family]
    # Quick, but it counts what processes have in common once for each of them, and nothing that
    # only stands in a mapping: there can be more of that only where more is mapped.
    total = sum(each.get("VmRSS", 0) + each.get("VmSwap", 0) for each in stated)
    shared = _shared(family) if sum(each.get("VmSize", 0) for each in stated) > most else 0
    if total + shared <= most:
        return total + shared
    own, in_files = 0, 0
    for process in family:
        rollup = _fields(f"/proc/{process.number}/smaps_rollup")
        if not rollup:  # it keeps its memory from being looked at, or has ended and has none now
            own += _fields(f"/proc/{process.number}/status").get("VmSize", 0)
        own += rollup.get("Pss", 0) - rollup.get("Pss_Shmem", 0) + rollup.get("SwapPss", 0)
        in_files += rollup.get("Pss_Shmem", 0)
    return own + max(in_files, shared)


def _shared(family: Sequence[Process]) -> int:
    sizes: dict[str, int] = {}
    for process in family:
        for begin, end, file in _SHARED.findall(read(f"/proc/{process.number}/maps")):
            sizes[file] = max(sizes.get(file, 0), int(end, 16) - int(begin, 16))
    return sum(sizes.values())


def _fields(path: str) -> dict[str, int]:
    """Bytes by name, of a file that gives them in kB."""
    found = {}
    for line in read(path).splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value.split()[0]) << 10
    return found
