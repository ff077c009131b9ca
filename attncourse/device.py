"""Where a computation runs: choose the device, seed it, and say afterwards which one it was."""

from __future__ import annotations

import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import numpy as np
import torch


def pick_device() -> torch.device:
    """The fastest device that this machine has: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python's, NumPy's and torch's global generators; return a fresh CPU generator.

    Pass the generator on wherever a function takes one: draws from it are the same on every
    device, draws from the global generators are not.

    Args:
        seed: a whole number in ``[0, 2**32)``, the range NumPy accepts.

    Raises:
        TypeError: ``seed`` is not a whole number.
        ValueError: ``seed`` is outside that range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(
            f"seed must be a whole number (int), got {seed!r} of type {type(seed).__name__}"
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in [0, 2**32), got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # seeds CUDA and MPS too
    return torch.Generator().manual_seed(seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread within the ``with``, and as many as before after it, whatever happens there.

    For work on small tensors: threads wait for one another longer than they compute, most of all
    on a busy machine, and with one the order of sums does not depend on the machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def describe(device: torch.device | str | None = None) -> str:
    """The device in words, such as ``"NVIDIA H200 (CUDA)"`` or ``"CPU (x86_64, 2 threads)"``.

    Args:
        device: a torch device or its name; the one from :func:`pick_device` when left out.
    """
    device = pick_device() if device is None else torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA)"
    if device.type == "mps":
        return f"{platform.machine()} GPU (MPS)"
    threads = torch.get_num_threads()
    return f"{device.type.upper()} ({platform.machine()}, {threads} thread{'s' * (threads != 1)})"


class RanOn:
    """The line under a page that says which device computed it; see :func:`ran_on`."""

    def __init__(self, device: torch.device | str | None = None) -> None:
        self.device = describe(device)
        self.versions = f"torch {torch.__version__}, Python {platform.python_version()}"

    def __repr__(self) -> str:
        return f"This page ran on: {self.device}; {self.versions}."

    def _repr_html_(self) -> str:
        return f'<p class="attn-ran-on">{escape(repr(self))}</p>'


def ran_on(device: torch.device | str | None = None) -> RanOn:
    """The last line of a chapter: ``This page ran on: …``, in a terminal and in a page.

    It is made when the cell runs, so a page whose outputs come from a cache still names the
    machine that computed them.
    """
    return RanOn(device)
