"""The time that counts for a worker: its own, and not that of a busy machine.

The clock alone would take points from an honest student whose worker waits for a core. What counts
is the processor time that the worker's processes use, and the time in which none of them has
anything to do: a notebook that sleeps takes its time as one does that computes.
"""

from __future__ import annotations

import bisect
import os
import time
from collections import deque
from collections.abc import Sequence

from attncourse.instructor.referee.family import Process

_TICKS = os.sysconf("SC_CLK_TCK")  # in a second
_MOST_AT_ONCE = 1.0  # seconds of waiting for one look, where looking itself has to wait for a core
_REMEMBERED = 50_000  # looks


class OwnTime:
    """Adds up a worker's own time, by looking at its processes again and again."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._clock, self._own = deque([now], _REMEMBERED), deque([0.0], _REMEMBERED)
        self._ticks = 0

    def look(self, family: Sequence[Process]) -> None:
        """Count what has passed since the last look."""
        now = time.monotonic()
        ticks = sum(process.ticks for process in family)
        used = max(0, ticks - self._ticks) / _TICKS  # less where the system has forgotten some
        idle = not any(process.busy for process in family)
        waited = min(now - self._clock[-1], _MOST_AT_ONCE) if idle else 0.0
        self._ticks = ticks
        self._clock.append(now)
        self._own.append(self._own[-1] + max(used, waited))

    def since(self, clock: float) -> float:
        """The worker's own seconds from a time by `time.monotonic()` to the last look."""
        after = min(bisect.bisect_right(self._clock, clock), len(self._clock) - 1)
        before = max(0, after - 1)
        span = self._clock[after] - self._clock[before]
        part = min(1.0, max(0.0, (clock - self._clock[before]) / span)) if span else 1.0
        then = self._own[before] + part * (self._own[after] - self._own[before])
        return self._own[-1] - then
