"""Settings of torch and Python under which a check gives the same verdict everywhere."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch

from attncourse.device import one_thread


@contextlib.contextmanager
def neutral_settings() -> Iterator[None]:
    """The same verdict, and the notebook as it was, whatever the notebook or the function set."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            one_thread(),
            _on_the_cpu(),
            # What is computed here is kept for later checks, so it must not be made in bfloat16
            # or without gradients because the cell stands under autocast or inference_mode.
            torch.autocast("cpu", enabled=False),
            torch.inference_mode(False),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)


def _on_the_cpu() -> contextlib.AbstractContextManager[object]:
    # Only where it changes something: in such a context every call of torch passes through Python,
    # and a check takes a fifth longer.
    elsewhere = torch.get_default_device().type != "cpu"
    return torch.device("cpu") if elsewhere else contextlib.nullcontext()
