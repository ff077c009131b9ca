"""Grade one notebook: its cells run in a worker, its checks are made here, by the judge."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, TypeVar

import nbformat
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from attncourse.checking.engine import check_caller
from attncourse.checking.verdict import Verdict
from attncourse.instructor.limits import CLOCK_MULTIPLE, MOST_KILLED, Limits
from attncourse.instructor.notes import (
    Outputs,
    display_with_notes,
    judge_failed_outputs,
    killed_outputs,
    no_score_outputs,
    stopped_outputs,
)
from attncourse.instructor.referee.allowance import Allowance
from attncourse.instructor.referee.graded_cell import find_check
from attncourse.instructor.referee.remote_caller import RemoteCaller
from attncourse.instructor.referee.worker_outputs import NotebookRoom
from attncourse.instructor.referee.workers import Worker, WorkerKilled, WorkerLost, Workers
from attncourse.problem_sets import ITEMS

_T = TypeVar("_T")


class NoWorker(Exception):
    """The nursery starts no worker any more. That is not the student's doing: start it anew."""


def grade_notebook(
    notebook: NotebookNode,
    workers: Workers,
    *,
    seed: Callable[[str], object],
    limits: Limits,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Run the notebook's cells and put their outputs and the verdicts into it.

    Args:
        notebook: with the graded cells as they were released; earlier outputs are replaced.
        seed: of each item, what its cases are drawn from.
        limits: of time; those of memory and disk are the workers'.
        files: of the instructor's, which its cells find beside it, by path.

    Raises:
        NoWorker: as it says.
        CheckError: a graded cell has a check that cannot be made.
    """
    run = _Run(workers, limits, files)
    try:
        for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
            cell.outputs = [_node(output, count) for output in _outputs(cell, run, seed)]
            cell.execution_count = count
    finally:
        run.close()
    if not workers.sandboxed:
        _say_unsandboxed(notebook)


def _say_unsandboxed(notebook: NotebookNode) -> None:
    notice = (
        "**Graded without a sandbox.** This notebook ran with the rights of the user who graded "
        "it: it could read the solutions, the gradebook and other submissions, and write to them."
    )
    cell = new_markdown_cell(notice, id="graded-without-a-sandbox")  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, cell)


def _outputs(cell: NotebookNode, run: _Run, seed: Callable[[str], object]) -> Outputs:
    marks = cell.metadata.get("nbgrader", {})
    # A graded cell that is also a solution is the student's text, and scored by a person.
    if not marks.get("grade") or marks.get("solution"):
        return run.fitting(_merely_shown(run.cell(cell.source)[0]))
    if found := find_check(cell.source):
        return run.check(*found, seed(found[0]))
    outputs, ended = run.cell(cell.source)
    points = _points_of_its_end(outputs, ended, run.value, marks["points"])
    outputs = run.fitting(_merely_shown(outputs, quiet=True))
    if isinstance(points, str):
        reason = f"the graded cell {marks.get('grade_id')} {points}"
        return [*outputs, _NOT_PROTECTED, *no_score_outputs(reason), _score(0.0)]
    return run.with_what_was_killed([*outputs, _NOT_PROTECTED, _score(points)], marks["points"])


class _OutOfTime(Exception):
    """The notebook has had its time."""


class _Run:
    """The worker of a notebook, and what brings its successor to the same place."""

    def __init__(self, workers: Workers, limits: Limits, files: Mapping[str, bytes]) -> None:
        self._workers, self._limits, self._files = workers, limits, files
        # In the sandbox a worker has a folder of its own. Outside it would write into the course.
        has_none = files and not workers.sandboxed
        self._folder = TemporaryDirectory(prefix="attncourse-") if has_none else None
        self._time = Allowance(limits.total_seconds)
        self._end = time.monotonic() + CLOCK_MULTIPLE * limits.total_seconds
        self._worker: Worker | None = None
        self._done: list[str] = []
        self.value: float | None = None
        """The number in which the last cell ended."""
        self.fitting = NotebookRoom().fitting
        self._for_free = False
        """Whether cells run again on behalf of the machine."""
        self._killed = ""
        """That the machine has ended a cell, again and again."""

    def cell(self, source: str) -> tuple[Outputs, bool]:
        """Run a cell of the notebook; its outputs, and whether it came to an end."""
        try:
            outputs = self._again(lambda: self._run(self._ready(), source))
        except WorkerKilled as why:
            self._killed = f"A cell could not be run: {why}"
            return self._stopped(why), False
        except (WorkerLost, _OutOfTime) as why:
            return self._stopped(why), False
        self._done.append(source)
        return outputs, True

    def with_what_was_killed(self, outputs: Outputs, points: float) -> Outputs:
        """Less than full points need a person, if a cell was wanting that may have counted."""
        *shown, score = outputs
        if not self._killed or float(score["data"]["text/plain"]) >= points:
            return outputs
        return [*shown, *killed_outputs(self._killed), score]

    def check(self, item_id: str, name: str, seed: object) -> Outputs:
        """Judge the function of that name."""
        outputs = self._judged(item_id, name, seed)
        return self.with_what_was_killed(outputs, ITEMS[item_id].points)

    def _judged(self, item_id: str, name: str, seed: object) -> Outputs:
        try:
            verdict, cut_short = self._again(lambda: self._verdict(item_id, name, seed))
        except WorkerKilled as why:
            note = killed_outputs(f"This could not be checked: {why}")
            return [*self._stopped(why), *note, _score(0.0)]
        except (WorkerLost, _OutOfTime) as why:
            return [*self._stopped(why), _score(0.0)]
        except NoWorker:
            raise
        except Exception as error:  # a fault of ours, or an answer that we have not foreseen
            logging.getLogger(__name__).exception("the judge failed on %s", item_id)
            reason = f"The judge itself failed on this answer: it needs a person ({error!r:.300})"
            return [*judge_failed_outputs(reason), _score(0.0)]
        return [_verdict_output(verdict, cut_short), _score(verdict.score)]

    def _verdict(self, item_id: str, name: str, seed: object) -> tuple[Verdict, str]:
        """And why the calls were cut short, if they were."""
        caller = RemoteCaller(self._ready(), name, self._left())
        try:
            _require_function(caller, name)
            verdict = check_caller(ITEMS[item_id], caller, seed=seed)
        except _NoFunction as why:
            verdict = Verdict(item_id, ITEMS[item_id].points, 0.0, str(why), None, (), "")
        finally:
            self._time.used += caller.allowance.used
        if caller.killed:
            raise caller.killed
        return verdict, caller.stopped

    def _again(self, act: Callable[[], _T]) -> _T:
        """What `act` gives, in a fresh worker if the machine has ended the one that it had.

        What was lost costs the notebook nothing of its time, nor does what brings it back.
        """
        for _ in range(MOST_KILLED):
            used = self._time.used
            try:
                return act()
            except WorkerKilled:
                self._time.used, self._for_free = used, True
        return act()

    def _ready(self) -> Worker:
        """A worker in which all earlier cells have run that did not end one."""
        while self._worker is None or self._worker.lost:
            try:
                self._worker = self._workers.start()
            except WorkerLost as lost:
                raise NoWorker(str(lost)) from None
            self._lay_out(self._worker)
            for source in list(self._done):
                try:
                    self._run(self._worker, source)
                except WorkerKilled:
                    raise
                except WorkerLost:  # it ran before, so it is a matter of chance: do without it
                    self._done.remove(source)
                    break
        self._for_free = False
        return self._worker

    def _lay_out(self, worker: Worker) -> None:
        """Put the instructor's files beside the notebook."""
        for path, content in self._files.items():
            # torch takes no buffer that is empty.
            numbers = torch.frombuffer(bytearray(content + b"."), dtype=torch.uint8)[:-1]
            request = {
                "do": "lay",
                "path": path,
                "content": numbers,
                "folder": self._folder.name if self._folder else None,
            }
            try:
                answer = worker.ask(request, Allowance(self._limits.seconds))
            except WorkerKilled:
                raise
            except WorkerLost as lost:  # no student's cell has run yet
                raise NoWorker(str(lost)) from None
            if answer.get("laid") is not True:
                raise NoWorker(f"{path} cannot be laid beside the notebook: {answer.get('laid')}")

    def _run(self, worker: Worker, source: str) -> Outputs:
        allowance = Allowance(self._left())
        try:
            outputs = worker.run(source, allowance)
            self.value = worker.value
            return outputs
        finally:
            self._time.used += 0.0 if self._for_free else allowance.used

    def _left(self) -> float:
        """Seconds for the next thing that runs; by the clock, what runs for free ends as well."""
        left = self._end - time.monotonic()
        if not self._for_free:
            left = min(left, self._time.left)
        if left <= 0:
            raise _OutOfTime(f"the notebook has had its {self._limits.total_seconds:g} seconds")
        return min(self._limits.seconds, left)

    def _stopped(self, why: Exception) -> Outputs:
        line = f"Stopped: {why} (a cell has {self._limits.seconds:g} seconds)"
        return stopped_outputs(str(why), line)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        if self._folder is not None:
            self._folder.cleanup()


class _NoFunction(Exception):
    """There is nothing to be called under the name that the task gives."""


def _require_function(caller: RemoteCaller, name: str) -> None:
    found = caller.look()
    if found.get("missing") is True:
        raise _NoFunction(
            f"There is no function `{name}` when this cell is reached. Was it renamed or deleted, "
            "or did the cell that defines it stop with an error?"
        )
    if found.get("callable") is not True:
        raise _NoFunction(f"`{name}` is not a function.")


# A graded cell without `check` holds asserts that an instructor wrote. They have to run beside the
# student's functions, in the worker, so the student's process computes this score and can forge
# it: nothing that comes from there can be believed. What is done is what stock nbgrader does, full
# points for a cell that ends without an error, less where it ends in a smaller number; and the
# cell says so. A score that holds needs an item and a call of `check`.
#
# nbgrader reads the score in the text of the cell's outputs. There a number of NumPy's is none and
# has full marks, as NaN and what is negative have, and a failed assert is none where a notebook has
# another printer of tracebacks. Here it is how the cell ended that counts, and its last value.
_NOT_PROTECTED: dict[str, Any] = {
    "output_type": "display_data",
    "data": {
        "text/plain": "This score was computed in the student's own process, since the cell has "
        "no check(…). Someone who sets out to can forge it."
    },
    "metadata": {},
}


def _points_of_its_end(
    outputs: Outputs, ended: bool, value: float | None, points: float
) -> float | str:
    """The points of a cell that holds asserts, or what the cell did instead of giving any.

    Args:
        ended: whether it came to an end.
        value: the number in which it ended; None if that is none that the worker knows.
    """
    if not ended or any(output["output_type"] == "error" for output in outputs):
        return 0.0
    if value is None:
        # What looks like a number, to nbgrader. The first one, as there, and nothing that was only
        # displayed: after the result may come a figure, and before it what functions show.
        results = [each["data"] for each in outputs if each["output_type"] == "execute_result"]
        try:
            value = float(results[0].get("text/plain", "")) if results else None
        except ValueError:
            value = None
    if value is None:
        return float(points)
    if math.isclose(value, points):  # a sum of tenths, say
        return float(points)
    if 0 <= value <= points:
        return value
    what = "is not a number" if math.isnan(value) else "is negative" if value < 0 else "is too much"
    return f"ended in {value:g}, which {what}: its score is a number from 0 to {points:g}"


def _merely_shown(outputs: Outputs, *, quiet: bool = False) -> Outputs:
    """Without results, in which nbgrader looks for a score: a student's cell gives nobody one.

    Args:
        quiet: without stderr too, which is 0 points to nbgrader. Here a warning costs nothing.
    """
    instead = {"execute_result": {"output_type": "display_data"}}
    if quiet:
        instead["stream"] = {"name": "stdout"}
    return [{**output, **instead.get(output["output_type"], {})} for output in outputs]


def _verdict_output(verdict: Verdict, cut_short: str) -> dict[str, Any]:
    data = {"text/plain": repr(verdict), "text/html": verdict._repr_html_()}
    return display_with_notes(data, misconception=verdict.misconception, stopped=cut_short)


def _score(score: float) -> dict[str, Any]:
    """The output that nbgrader takes for the score."""
    return {"output_type": "execute_result", "data": {"text/plain": repr(score)}, "metadata": {}}


def _node(output: dict[str, Any], count: int) -> NotebookNode:
    if output["output_type"] == "execute_result":
        output = {**output, "execution_count": count}
    return nbformat.from_dict(output)  # type: ignore[no-untyped-call]
