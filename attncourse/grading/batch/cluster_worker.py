"""What a Dask worker does: grade the submissions it is sent, with a nursery of its own.

One at a time, whatever the number of the Dask worker's threads: the judge sets torch and Python's
warnings as it needs them, and those belong to the whole process. And always in the same thread,
because the nursery ends with the thread that has started it.
"""

from __future__ import annotations

import functools
import pickle
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from distributed import get_worker
from distributed.threadpoolexecutor import ThreadPoolExecutor

from attncourse.grading.batch.grading import Graded, grade
from attncourse.grading.batch.messages import Unfit
from attncourse.grading.batch.terms import Terms, graders
from attncourse.grading.course.submissions import HandedIn
from attncourse.grading.referee.confinement import NoSandbox

if TYPE_CHECKING:
    from attncourse.grading.referee.judge import Nursery

# Dask's own: unlike the standard library's, it lets a process end while a submission is graded.
_one_thread = ThreadPoolExecutor(1, thread_name_prefix="referee")
_installed = functools.cache(graders)  # what this process has loaded, also if it is replaced
_nursery: Nursery | None = None


def packed(handed_in: HandedIn, terms: Terms, seeds: Mapping[str, str], installed: str) -> bytes:
    """What `grade_here` is sent.

    Small, since Dask's scheduler keeps the last thousand messages to each worker, and opaque to it.

    Args:
        seeds: by item, what this student's cases are drawn from.
        installed: what `graders` says where the submission comes from.
    """
    return zlib.compress(pickle.dumps((handed_in, terms, seeds, installed)))


def grade_here(parcel: bytes) -> Graded | Unfit:
    """Grade a submission that has been `packed`.

    Raises:
        Exception: grading failed. The next submission meets a fresh nursery.
    """
    answer = _one_thread.submit(_grade, *pickle.loads(zlib.decompress(parcel))).result()
    if isinstance(answer, Unfit):
        return Unfit(f"the Dask worker at {get_worker().address} cannot grade: {answer.reason}")
    return answer


def close_nursery() -> None:
    """End the nursery as soon as what is being graded is done; does not wait for that."""
    _one_thread.submit(_close)


def _grade(
    handed_in: HandedIn, terms: Terms, seeds: Mapping[str, str], installed: str
) -> Graded | Unfit:
    if _installed() != installed:
        return Unfit(
            "it has another version of attncourse or torch than is installed here. Install the "
            "same on both, with the same constraints.txt, and start the worker again"
        )
    try:
        try:
            nursery = _ready(sandboxed=terms.sandboxed)
        except (NoSandbox, RuntimeError) as error:
            _close()
            return Unfit(str(error))
        return grade(handed_in, terms, nursery, lambda _, item: seeds[item])
    except Exception:
        _close()
        raise


def _ready(*, sandboxed: bool) -> Nursery:
    global _nursery
    # Not above: the scheduler imports this module too, and has no need of torch.
    from attncourse.grading.referee.judge import Nursery

    if _nursery is None or _nursery.sandboxed != sandboxed:
        _close()
        _nursery = Nursery(sandboxed=sandboxed)
    _nursery.ready()
    return _nursery


def _close() -> None:
    global _nursery
    if _nursery is not None:
        _nursery.close()
    _nursery = None
