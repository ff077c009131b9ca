"""A Dask scheduler and workers, each a process of its own, as somebody starts them in a shell."""

import contextlib
import json
import os
import subprocess
import time

import psutil
from instructor.batch.course_of_a_class import PROGRAMS


class DaskCluster:
    """What `dask scheduler` and `dask worker` have started. A context manager."""

    def __init__(self, folder, **settings):
        folder.mkdir()
        self._folder, self._settings = folder, settings
        self._started = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        file = folder / "scheduler.json"
        end = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start_worker(self, *options, **environment):
        """`dask worker`, which starts the process that grades and looks after it."""
        settings = ["--nthreads", "1", "--local-directory", str(self._folder), *options]
        return self._start("worker", *settings, **environment)

    def _start(self, what, *options, **environment):
        with (self._folder / f"{len(self._started)}.log").open("w") as log:
            command = [PROGRAMS / "dask", what, "--no-dashboard", *options]
            process = psutil.Popen(
                [*map(str, command), "--scheduler-file", str(self._folder / "scheduler.json")],
                env=os.environ | self._settings | environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def said(self):
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # All of them at once, and what they started: a nursery ends when its Dask worker does.
        started = set(self._started)
        for process in self._started:
            with contextlib.suppress(psutil.NoSuchProcess):
                started |= set(process.children(recursive=True))
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(started, timeout=20)


def grading_process(worker):
    """The process below `dask worker` that grades."""
    found = [child for child in worker.children() if "spawn_main" in " ".join(child.cmdline())]
    return found[0] if found else None
