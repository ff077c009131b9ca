"""A Dask cluster: hand submissions to its workers, and lose nobody, whatever happens to one.

What is sent is the submission, as it was read here, and the seeds of this student's items; the
course's secret stays where it is, and the cluster needs no part of the course's file system. What
comes back is unpickled: whoever runs the scheduler and the workers is trusted like this machine.
Students' code is not. It runs in the worker's sandbox, which has no network.
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

from attncourse.grading.batch.grading import TURNS, Graded, failed
from attncourse.grading.batch.messages import Broken, Unfit, in_short
from attncourse.grading.batch.terms import Terms, graders
from attncourse.grading.course.configuration import GradeError
from attncourse.grading.course.secret import course_seed
from attncourse.grading.course.submissions import Submission, read

if TYPE_CHECKING:
    from distributed import Client, Future

_AHEAD = 2  # submissions at a time for each worker: one is graded, the next is there already
_CONNECT = 10.0  # seconds that a scheduler has to answer
_FETCH = 60.0  # seconds that what has been graded may take to come here
_NO_WORKERS = 30.0  # seconds that the last worker has to come back, or the first to come
_LOOKS = 5.0  # seconds between two looks at the cluster
_GOES_ON = "once that is mended, the same command goes on where it stopped"


class Cluster:
    """The Dask workers that a scheduler knows. A context manager."""

    def __init__(self, address: str, *, sandboxed: bool) -> None:
        """Connect to the scheduler.

        Raises:
            GradeError: Dask is not installed, or no scheduler answers.
        """
        if find_spec("distributed") is None:
            raise GradeError(
                "--scheduler needs Dask, which is not installed: pip install 'attncourse[cluster]'"
            )
        from distributed import Client  # here and below: it is in an extra

        self.sandboxed, self._address = sandboxed, address
        # What Dask logs when a connection ends, we say ourselves, once and with what to do.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._client: Client = Client(address, timeout=_CONNECT, name="attncourse")
        except (OSError, ValueError, TypeError, ImportError) as error:  # as Dask has them
            raise GradeError(
                f"no Dask scheduler answers at {address} ({in_short(error)}); {_GOES_ON}"
            ) from None

    def graded(
        self, waiting: list[Submission], terms: Terms
    ) -> Iterator[tuple[Submission, Graded]]:
        """As `running.Graders` says."""
        try:
            yield from self._graded(waiting, terms)
        except (CancelledError, OSError):
            raise GradeError(
                f"the Dask scheduler at {self._address} has ended, was started anew, or cannot be "
                f"reached any more; {_GOES_ON}"
            ) from None

    def _graded(
        self, waiting: list[Submission], terms: Terms
    ) -> Iterator[tuple[Submission, Graded]]:
        send = _Sender(self._client, terms)
        self._note_idle_threads()
        queue = deque((submission, 1) for submission in waiting)
        running: dict[Future[Any], tuple[Submission, int]] = {}
        while queue or running:
            room = _AHEAD * self._workers() - len(running)
            for _ in range(min(room, len(queue))):
                submission, turn = queue.popleft()
                running[send(submission)] = submission, turn
            for future in self._ended(list(running)):
                submission, turn = running.pop(future)
                answer = _answer(future)
                if isinstance(answer, Unfit):
                    raise GradeError(answer.reason)
                if isinstance(answer, Graded):
                    yield submission, answer
                elif turn < TURNS:
                    queue.append((submission, turn + 1))
                else:
                    why = f"Grading it failed twice: {answer.reason}."
                    yield submission, failed(submission, terms, why)

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
        end = time.monotonic() + _NO_WORKERS
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
            return wait(running, timeout=_LOOKS, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        from attncourse.grading.batch.cluster_worker import close_nursery

        with contextlib.suppress(OSError):  # it is gone, and the workers will end with it
            self._client.run(close_nursery, on_error="ignore")
        self._client.close()


class _Sender:
    """Sends submissions of a problem set to whoever is free."""

    def __init__(self, client: Client, terms: Terms) -> None:
        """See first that the problem set can be graded at all.

        Raises:
            GradeError: it has a check that the referee cannot make.
        """
        # Here, since this loads torch and the items.
        from attncourse.grading.referee.notebook import (
            CheckError,
            check_in,
            see_that_checks_can_be_made,
        )

        checks = [(place, cell.source) for place, cell in terms.problem_set.checks]
        try:
            see_that_checks_can_be_made(checks)
        except CheckError as error:
            raise GradeError(str(error)) from None
        self._items = [found[0] for _, source in checks if (found := check_in(source))]
        self._client, self._terms, self._installed = client, terms, graders()
        self._seed = course_seed(terms.root)

    def __call__(self, submission: Submission) -> Future[Any]:
        from attncourse.grading.batch.cluster_worker import grade_here, packed

        handed_in = read(submission, self._terms.problem_set.names)
        seeds = {item: self._seed(submission.student, item) for item in self._items}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # a notebook with pictures
            parcel = packed(handed_in, self._terms, seeds, self._installed)
            return self._client.submit(grade_here, parcel, pure=False)


def _answer(future: Future[Any]) -> Graded | Unfit | Broken:
    from distributed import KilledWorker

    try:
        return future.result(timeout=_FETCH)
    except CancelledError:  # of all that were sent: there is no scheduler any more
        raise
    except KilledWorker:
        return Broken("the Dask workers that it was sent to ended")
    except TimeoutError:
        return Broken("the Dask worker that had graded it ended")
    except Exception as error:
        return Broken(in_short(error))
