"""The one place where the grader touches a student's object.

Everything else in this package sees only what a `Caller` returns: tensors and plain data.
A referee in another process replaces `InProcess` and nothing more.
"""

from __future__ import annotations

import contextlib
import functools
import io
import linecache
import logging
import os
import random
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from attncourse.checking.out_of_reach import course_out_of_reach
from attncourse.checking.values import Value, copied, plain

# Bound here: a notebook that assigns to one of these does not change how a result is read.
_without_overrides = torch._C.DisableTorchFunctionSubclass
_as_subclass = torch.Tensor.as_subclass
_gradients = torch.autograd.grad
_generator = torch.default_generator

_LIBRARIES = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_OUR_CODE = os.path.realpath(os.path.dirname(os.path.dirname(__file__))) + os.sep
_MAX_TEXT = 2_000  # characters that are kept of what a function printed
_MAX_MESSAGE = 300  # and of an error's message


@dataclass(frozen=True)
class Returned:
    """The call came back."""

    value: Value
    inputs: tuple[Value, ...]  # the positional arguments and then the keyword ones, after the call
    gradients: tuple[Tensor | None, ...] | None  # of each floating-point input; None: not asked for
    output: str  # what was printed and warned


@dataclass(frozen=True)
class Failed:
    """The call did not come back with a value."""

    error: str  # name of the exception's type
    message: str
    line: int | None  # where in the student's own code, and what stands there
    code: str
    helper: str  # name of the function in which that line is, if the item's function called it
    output: str
    used_the_course: bool  # it reached for the course's own answer


Outcome: TypeAlias = Returned | Failed


class Caller(Protocol):
    """Calls one student object with tensors and plain data, and never raises on its account."""

    def call(
        self, args: Sequence[Value], kwargs: Mapping[str, Value], cotangent: Tensor | None = None
    ) -> Outcome:
        """The value for these arguments.

        With a cotangent of the value's shape also the gradients of `(value * cotangent).sum()` for
        the floating-point tensors among them; of a tuple it is the first tensor that counts.
        """
        ...


class InProcess:
    """Calls the student's object in this very process, so it protects against slips, not against
    someone who sets out to deceive it.

    `KeyboardInterrupt` passes through: the interrupt button of a notebook must go on working.
    """

    def __init__(self, function: Callable[..., object], *, may_use_course: bool = False) -> None:
        self._function = function
        self._reach = _whole_course if may_use_course else course_out_of_reach

    def call(
        self, args: Sequence[Value], kwargs: Mapping[str, Value], cotangent: Tensor | None = None
    ) -> Outcome:
        given = [copied(value) for value in args]
        named = {name: copied(value) for name, value in kwargs.items()}
        inputs = [*given, *named.values()]
        wanted = [v for v in inputs if isinstance(v, Tensor) and v.is_floating_point()]
        gradients: tuple[Tensor | None, ...] | None = None
        with (
            _recorded() as output,
            _repeatable(),
            self._reach() as used,
            torch.enable_grad(),
        ):
            try:
                for tensor in wanted if cotangent is not None else ():
                    tensor.requires_grad_()
                value = self._function(*given, **named)
                if cotangent is not None:
                    gradients = _backward(value, wanted, cotangent)
                result = plain(value)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit too: `exit()` must not end the grading
                return _failure(error, output(), bool(used))
        if used:  # the student's own code caught the exception and went on
            return Failed("CourseFunctionCalled", "", None, "", "", output(), True)
        return Returned(result, tuple(map(plain, inputs)), gradients, output())


@contextlib.contextmanager
def _whole_course() -> Iterator[list[bool]]:
    yield []


def _backward(
    value: object, inputs: list[Tensor], cotangent: Tensor
) -> tuple[Tensor | None, ...] | None:
    for sequence in (tuple, list):
        # Not next(iter(value)): a subclass may lie there.
        if issubclass(type(value), sequence):
            value = next(sequence.__iter__(value), None)  # type: ignore[arg-type]
            break
    if not issubclass(type(value), Tensor):
        return None  # the value itself is wrong, and that is what will be reported
    with _without_overrides():
        result = _as_subclass(cast(Tensor, value), Tensor)
        if result.shape != cotangent.shape:
            return None
        if not result.requires_grad:
            return (None,) * len(inputs)
        # Not grad_outputs=cotangent: that imports sympy, 0.3 s on the first check of a notebook.
        total = (result * cotangent.to(result.dtype)).sum()
        found = _gradients(total, inputs, allow_unused=True)
        return tuple(None if gradient is None else plain(gradient) for gradient in found)


def _failure(error: BaseException, output: str, used_the_course: bool) -> Failed:
    line, code, helper = None, "", ""
    own = [
        (frame.f_code, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if not _is_library(frame.f_code.co_filename)
    ]
    if own:
        where, line = own[-1]
        code = _text(linecache.getline(where.co_filename, line).strip())
        helper = where.co_name if where is not own[0][0] else ""
    return Failed(type(error).__name__, _text(error), line, code, helper, output, used_the_course)


def _text(thing: object) -> str:
    """The beginning of `str(thing)`, which for an exception is the student's code too."""
    try:
        text = str(thing)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ""
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


@functools.cache
def _is_library(filename: str) -> bool:
    if filename.startswith("<frozen"):
        return True
    return os.path.realpath(filename).startswith((*_LIBRARIES, _OUR_CODE))


class _Cut(io.StringIO):
    """Keeps the beginning of what is written."""

    def write(self, text: str) -> int:
        room = _MAX_TEXT - self.tell()
        if room > 0:
            super().write(text[:room] + ("…" if len(text) > room else ""))
        return len(text)

    def close(self) -> None:
        """Stay open: `sys.stdout.close()` in a student's function must not lose anything."""


def _call_no_handler(self: logging.Logger, record: logging.LogRecord) -> None:
    """What a logger does while a student's function is called."""


@contextlib.contextmanager
def _recorded() -> Iterator[Callable[[], str]]:
    """Keep printing and warnings out of the cell: nbgrader gives 0 for anything on stderr."""
    text = _Cut()
    # A logging handler made earlier holds on to the cell's stderr and cannot be redirected. Not
    # logging.disable, which goes through every logger there is: a sixth of a check's time.
    call_handlers = logging.Logger.callHandlers
    logging.Logger.callHandlers = _call_no_handler  # type: ignore[method-assign]
    try:
        with (
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            yield lambda: (
                text.getvalue()
                + "".join(f"{w.category.__name__}: {_text(w.message)}\n" for w in warned[:3])
            ).strip()
    finally:
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """The same random numbers at every call, and the notebook's own generators as they were."""
    # Not torch.manual_seed, which looks through the call stack for the sake of GPUs: 0.2 ms.
    ours, python, numpy = _generator.get_state(), random.getstate(), np.random.get_state()
    try:
        _generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        yield
    finally:
        _generator.set_state(ours)
        random.setstate(python)
        np.random.set_state(numpy)
