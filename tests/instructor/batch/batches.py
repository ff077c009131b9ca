"""A batch that runs while a test does something to it."""

import contextlib
import time

import psutil
from instructor.batch.course_of_a_class import PROGRAMS, PS


@contextlib.contextmanager
def batch(course, *options):
    """A batch that runs; every process that it started has ended when this ends."""
    with (course.folder / "said").open("w") as said:
        process = psutil.Popen(
            [str(PROGRAMS / "attncourse"), "grade", PS, *options],
            cwd=course.folder,
            stdout=said,
            stderr=said,
        )
        started = set()
        try:
            yield process, started
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                started |= set(process.children(recursive=True))
                process.kill()
            process.wait()
            _, alive = psutil.wait_procs(started, timeout=20)
            for left_over in alive:
                left_over.kill()
            assert not alive, alive


def wait_until(true, process, seconds=120):
    """Wait for something to become true, or for the process to end."""
    end = time.monotonic() + seconds
    while not true() and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.005)


def autograded(course):
    return {path: path.read_bytes() for path in course.folder.glob(f"autograded/*/{PS}/*")}
