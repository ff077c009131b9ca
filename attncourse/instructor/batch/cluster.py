"""A Dask cluster: hand submissions to its workers, and lose nobody, whatever happens to one.

What is sent is the submission, as it was read here, and the seeds of this student's items; the
course's secret stays where it is, and the cluster needs no part of the course's file system. What
comes back is unpickled: the cluster's machines are trusted like this one. Students' code is not.
It runs in the referee's sandbox, which has no network.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from attncourse.instructor.batch.fingerprint import installed
from attncourse.instructor.batch.grading import (
    MAX_ATTEMPTS,
    AttemptFailed,
    CannotGrade,
    Graded,
    failed,
    in_short,
)
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.assignment import require_gradable
from attncourse.instructor.course.configuration import GradeError
from attncourse.instructor.course.secret import course_seed
from attncourse.instructor.course.submissions import Submission, read

if TYPE_CHECKING:
    from distributed import Client, Future

_PER_WORKER = 2  # submissions at a time: one is graded, the next is there already
_CONNECT_TIMEOUT = 10.0  # seconds that a scheduler has to answer
_FETCH_TIMEOUT = 60.0  # seconds that what has been graded may take to come here
_WORKERS_TIMEOUT = 30.0  # seconds that the last worker has to come back, or the first to come
_POLL_INTERVAL = 5.0  # seconds between two looks at the cluster
_GOES_ON = "once that is mended, the same command goes on where it stopped"


class Cluster:
    """The Dask workers that a scheduler knows. A context manager.

    Students' code is always confined there: without the sandbox it could reach the scheduler, and
    by it every machine.
    """

    sandboxed = True

    def __init__(self, address: str) -> None:
        """Connect to the scheduler.

        Raises:
            GradeError: Dask is not installed, or no scheduler answers.
        """
        if find_spec("distributed") is None:
            raise GradeError(
                "--scheduler needs Dask, which is not installed: pip install 'attncourse[cluster]'"
            )
        from distributed import Client  # here and below: it is in an extra

        self._address = address
        # What Dask logs when a connection ends, we say ourselves, once and with what to do.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._client: Client = Client(address, timeout=_CONNECT_TIMEOUT, name="attncourse")
        except (OSError, ValueError, TypeError, ImportError) as error:  # as Dask has them
            raise GradeError(
                f"no Dask scheduler answers at {address} ({in_short(error)}); {_GOES_ON}"
            ) from None

    def grade_all(
        self, waiting: list[Submission], settings: BatchSettings
    ) -> Iterator[tuple[Submission, Graded]]:
        """As `running.Backend` says."""
        try:
            yield from self._grade_all(waiting, settings)
        except (CancelledError, OSError):
            raise GradeError(
                f"the Dask scheduler at {self._address} has ended, was started anew, or cannot be "
                f"reached any more; {_GOES_ON}"
            ) from None

    def _grade_all(
        self, waiting: list[Submission], settings: BatchSettings
    ) -> Iterator[tuple[Submission, Graded]]:
        send = _Sender(self._client, settings)
        if waiting:
            self._workers()  # there is one
            self._note_idle_threads()
        queue = deque((submission, 1) for submission in waiting)
        running: dict[Future[Any], tuple[Submission, int]] = {}
        while queue or running:
            room = _PER_WORKER * self._workers() - len(running)
            for _ in range(min(room, len(queue))):
                submission, attempt = queue.popleft()
                running[send(submission)] = submission, attempt
            for future in self._ended(list(running)):
                submission, attempt = running.pop(future)
                answer = _answer(future)
                if isinstance(answer, CannotGrade):
                    raise GradeError(answer.reason)
                if isinstance(answer, Graded):
                    yield submission, answer
                elif attempt < MAX_ATTEMPTS:
                    queue.append((submission, attempt + 1))
                else:
                    why = f"Grading it failed twice: {answer.reason}."
                    yield submission, failed(submission, settings, why)

    def _note_idle_threads(self) -> None:
        threads = self._client.nthreads().values()
        if any(count > 1 for count in threads):
            tqdm.write(
                f"attncourse grade: of {sum(threads)} threads on the Dask workers {len(threads)} "
                "will grade, one on each. To use all cores of a machine, start `dask worker` with "
                "--nthreads 1 and as many --nworkers",
                file=sys.stderr,
            )

    def _workers(self) -> int:
        """How many there are; waits for the first, or the last to come back."""
        end = time.monotonic() + _WORKERS_TIMEOUT
        while not (count := len(self._client.nthreads())):
            if time.monotonic() > end:
                raise GradeError(
                    f"the Dask scheduler at {self._address} has no workers: start some, by "
                    f"`dask worker {self._address} --nthreads 1`; {_GOES_ON}"
                )
            time.sleep(0.5)
        return count

    def _ended(self, running: list[Future[Any]]) -> Iterable[Future[Any]]:
        from distributed import wait

        try:
            return wait(running, timeout=_POLL_INTERVAL, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        from attncourse.instructor.batch.cluster_task import close_nursery

        with contextlib.suppress(OSError):  # it is gone, and the workers will end with it
            self._client.run(close_nursery, on_error="ignore")
        self._client.close()


class _Sender:
    """Sends submissions of an assignment to a Dask worker that is free."""

    def __init__(self, client: Client, settings: BatchSettings) -> None:
        """See first that the assignment can be graded at all.

        Raises:
            GradeError: the referee cannot run it, or has a check that it cannot make.
        """
        # Here, since this loads torch and the items.
        from attncourse.instructor.referee.graded_cell import (
            CheckError,
            find_check,
            require_valid_checks,
        )

        require_gradable(settings.assignment)
        checks = [(place, cell.source) for place, cell in settings.assignment.checks]
        try:
            require_valid_checks(checks)
        except CheckError as error:
            raise GradeError(str(error)) from None
        self._items = [found[0] for _, source in checks if (found := find_check(source))]
        self._client, self._settings = client, settings
        self._installed = installed()
        self._seed = course_seed(settings.root)

    def __call__(self, submission: Submission) -> Future[Any]:
        from attncourse.instructor.batch.cluster_task import grade_here, packed

        handed_in = read(submission, self._settings.assignment.names)
        seeds = {item: self._seed(submission.student, item) for item in self._items}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # a notebook with pictures
            parcel = packed(handed_in, self._settings, seeds, self._installed)
            return self._client.submit(grade_here, parcel, pure=False)


def _answer(future: Future[Any]) -> Graded | CannotGrade | AttemptFailed:
    from distributed import KilledWorker

    try:
        return future.result(timeout=_FETCH_TIMEOUT)
    except CancelledError:  # of all that were sent: there is no scheduler any more
        raise
    except KilledWorker:
        return AttemptFailed("the Dask workers that it was sent to ended")
    except TimeoutError:
        return AttemptFailed("the Dask worker that had graded it ended")
    except Exception as error:
        return AttemptFailed(in_short(error))
