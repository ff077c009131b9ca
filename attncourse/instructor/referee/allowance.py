"""How long the judge waits for a worker: by the worker's own time, and in the end by the clock."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attncourse.instructor.limits import CLOCK_MULTIPLE

_WORTH_ASKING = 0.25  # seconds by the clock; less counts as the worker's own without a question
_SHORTEST = 0.05  # seconds until the next question


@dataclass
class Allowance:
    """The time that a worker has for one request, or for several together."""

    seconds: float
    used: float = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self.seconds - self.used)


class Patience:
    """With one request to a worker: it ends when the worker has used up what is allowed.

    Args:
        own_time: the worker's own seconds since a time by `time.monotonic()`, or None where nobody
            knows. See `own_time.OwnTime`. It is asked only about requests that take a while.
    """

    def __init__(self, allowance: Allowance, own_time: Callable[[float], float | None]) -> None:
        self._allowance, self._own_time = allowance, own_time
        self._started = time.monotonic()
        self._seconds = self._until = allowance.left

    def wait(self) -> float:
        """Seconds to wait for the worker before this is called again.

        Raises:
            TimeoutError: there are none.
        """
        elapsed = time.monotonic() - self._started
        most = CLOCK_MULTIPLE * self._seconds
        if elapsed >= self._until:
            left = self._seconds - self._used(elapsed)
            if left <= 0 or elapsed >= most:
                raise TimeoutError
            self._until = min(elapsed + max(left, _SHORTEST), most)
        return self._until - elapsed

    def end(self) -> None:
        """Book what the worker has used."""
        self._allowance.used += self._used(time.monotonic() - self._started)

    def _used(self, elapsed: float) -> float:
        if elapsed < _WORTH_ASKING and elapsed < self._seconds:
            return elapsed
        own = self._own_time(self._started)
        return elapsed if own is None else min(own, elapsed)


class PatientSocket(socket.socket):
    """Waits for its other end as long as there is patience, whatever time limit is set."""

    patience: Patience

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As a socket's own.

        Raises:
            TimeoutError: patience has ended.
        """
        while True:
            self.settimeout(self.patience.wait())
            try:
                return super().recv(size, flags)
            except TimeoutError:
                continue

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As a socket's own.

        Raises:
            TimeoutError: patience has ended.
        """
        left = memoryview(data)
        while left:
            self.settimeout(self.patience.wait())
            try:
                left = left[self.send(left, flags) :]
            except TimeoutError:
                continue
