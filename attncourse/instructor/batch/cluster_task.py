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

from attncourse.instructor.batch.fingerprint import Installed, installed
from attncourse.instructor.batch.grading import CannotGrade, Graded, grade
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.submissions import HandedIn
from attncourse.instructor.limits import Limits
from attncourse.instructor.referee.sandbox import NoSandbox, require_hidden

if TYPE_CHECKING:
    from attncourse.instructor.referee.workers import Nursery

# Dask's own: unlike the standard library's, it lets a process end while a submission is graded.
_one_thread = ThreadPoolExecutor(1, thread_name_prefix="referee")
# As loaded by this process, also if the files are replaced later.
_installed = functools.cache(installed)
_nursery: Nursery | None = None


def packed(
    handed_in: HandedIn, settings: BatchSettings, seeds: Mapping[str, str], wanted: Installed
) -> bytes:
    """What `grade_here` is sent.

    Small, since Dask's scheduler keeps the last thousand messages to each worker, and opaque to it.

    Args:
        seeds: by item, what this student's cases are drawn from.
        wanted: what is installed where the submission comes from.
    """
    return zlib.compress(pickle.dumps((handed_in, settings, seeds, wanted)))


def grade_here(parcel: bytes) -> Graded | CannotGrade:
    """Grade a submission that has been `packed`.

    Raises:
        Exception: grading failed. The next submission meets a fresh nursery.
    """
    answer = _one_thread.submit(_grade, *pickle.loads(zlib.decompress(parcel))).result()
    if isinstance(answer, CannotGrade):
        return CannotGrade(
            f"the Dask worker at {get_worker().address} cannot grade: {answer.reason}"
        )
    return answer


def close_nursery() -> None:
    """End the nursery as soon as what is being graded is done; does not wait for that."""
    _one_thread.submit(_close)


def _grade(
    handed_in: HandedIn, settings: BatchSettings, seeds: Mapping[str, str], wanted: Installed
) -> Graded | CannotGrade:
    if unlike := wanted.unlike(_installed()):
        return CannotGrade(
            f"it has {unlike}. Install the same on both, with the same constraints.txt, and start "
            "the worker again"
        )
    try:
        try:
            require_hidden(settings.private if settings.sandboxed else ())
            nursery = _ready(settings.limits, sandboxed=settings.sandboxed)
        except (NoSandbox, RuntimeError) as error:
            _close()
            return CannotGrade(str(error))
        return grade(handed_in, settings, nursery, lambda _, item: seeds[item])
    except Exception:
        _close()
        raise


def _ready(limits: Limits, *, sandboxed: bool) -> Nursery:
    global _nursery
    # Not above: the scheduler imports this module too, and has no need of torch.
    from attncourse.instructor.referee.workers import Nursery

    if _nursery is None or (_nursery.limits, _nursery.sandboxed) != (limits, sandboxed):
        _close()
        _nursery = Nursery(limits, sandboxed=sandboxed)
    _nursery.ready()
    return _nursery


def _close() -> None:
    global _nursery
    if _nursery is not None:
        _nursery.close()
    _nursery = None
