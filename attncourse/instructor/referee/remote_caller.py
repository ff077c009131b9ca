"""Call a student's function in its worker, and make of the answer an outcome that can be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from attncourse.checking.calling import Failed, Outcome, Returned
from attncourse.checking.values import Foreign, Value
from attncourse.instructor import limits
from attncourse.instructor.notes import STOPPED
from attncourse.instructor.referee.allowance import Allowance
from attncourse.instructor.referee.wire import WireError
from attncourse.instructor.referee.workers import Worker, WorkerKilled, WorkerLost

_NO_SENSE = "the answer makes no sense"


class RemoteCaller:
    """Calls a student's function in its worker; a `Caller`.

    Args:
        seconds: for all calls together. After that, each of them fails at once.
    """

    def __init__(self, worker: Worker, name: str, seconds: float) -> None:
        self._worker, self._name = worker, name
        self.allowance = Allowance(seconds)
        """What the calls may use, and have used."""
        self.stopped = ""
        """Why the worker was lost in a call, if it was."""
        self.killed: WorkerKilled | None = None
        """That the machine has ended it, if it has: then nothing can be said of the function."""

    def look(self) -> Mapping[str, Any]:
        """What the name stands for: `missing`, `callable`, `kind`.

        Raises:
            WorkerLost: as the worker says.
        """
        found = self._worker.ask({"do": "look", "name": self._name}, self.allowance)
        if not isinstance(found.get("missing"), bool) or not isinstance(
            found.get("callable"), bool
        ):
            self._worker.close(_NO_SENSE)
            raise WorkerLost(_NO_SENSE)
        return found

    def call(
        self, args: Sequence[Value], kwargs: Mapping[str, Value], cotangent: Tensor | None = None
    ) -> Outcome:
        request = {
            "do": "call",
            "name": self._name,
            "args": list(args),
            "kwargs": dict(kwargs),
            "cotangent": cotangent,
        }
        try:
            answer = self._worker.ask(request, self.allowance)
            return _outcome(answer, [*args, *kwargs.values()], cotangent is not None)
        except (WorkerLost, WireError) as lost:
            self._worker.close(str(lost))  # if it made no sense, nothing that follows would
            if isinstance(lost, WorkerKilled):
                self.killed = lost
            late = self.allowance.left <= 0
            reason = f"no answer within {self.allowance.seconds:g} seconds" if late else str(lost)
            self.stopped = self.stopped or reason
            return Failed(STOPPED, reason, None, "", "", "", False)


def _outcome(answer: Mapping[str, Any], given: Sequence[Value], graded: bool) -> Outcome:
    """The answer to a call as an outcome, if it has the form of one; what it says may be a lie.

    Raises:
        WireError: it does not have the form.
    """
    output = _text(answer.get("output"), limits.MAX_CALL_OUTPUT)
    if answer.get("outcome") == "failed":
        line = answer.get("line")
        return Failed(
            error=_text(answer.get("error"), limits.MAX_CALL_NAME),
            message=_text(answer.get("message"), limits.MAX_CALL_MESSAGE),
            line=line if type(line) is int else None,
            code=_text(answer.get("code"), limits.MAX_CALL_CODE),
            helper=_text(answer.get("helper"), limits.MAX_CALL_NAME),
            output=output,
            used_the_course=answer.get("used_the_course") is True,
        )
    inputs, gradients = answer.get("inputs"), answer.get("gradients")
    if "unsent" in answer:
        return Returned(Foreign("result too large to be looked at"), _as_given(given), None, output)
    if not isinstance(inputs, tuple) or len(inputs) != len(given):
        raise WireError(_NO_SENSE)
    wanted = [v for v in given if isinstance(v, Tensor) and v.is_floating_point()]
    fits = (
        isinstance(gradients, tuple)
        and len(gradients) == len(wanted)
        and all(
            got is None
            or (isinstance(got, Tensor) and (got.dtype, got.shape) == (v.dtype, v.shape))
            for got, v in zip(gradients, wanted, strict=True)
        )
    )
    taken = gradients if graded and fits else None
    return Returned(_flat(answer.get("value")), tuple(map(_flat, inputs)), taken, output)


def _as_given(given: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in given)


def _flat(value: Value) -> Value:
    """A value, or a tuple of a few; anything deeper or longer is foreign."""
    if isinstance(value, tuple) and len(value) <= limits.MAX_RESULT_ENTRIES:
        return tuple(map(_single, value))
    return _single(value)


def _single(value: Value) -> Value:
    if isinstance(value, str):
        return value[: limits.MAX_RESULT_TEXT]
    if value is None or isinstance(value, (Tensor, bool, int, float, Foreign)):
        return value
    return Foreign(type(value).__name__)


def _text(value: Value, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""
