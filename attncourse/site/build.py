"""`attncourse book`: everything between a fresh clone and a page to open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from attncourse.site import assets
from attncourse.site.freshness import execution_fingerprint, site_fingerprint

# Printed by every build, and nothing that its reader could act on.
NOISE = ("[IPKernelApp] WARNING | Kernel is running over TCP", "myst v", "myst-nb v")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class BookError(Exception):
    """The book cannot be built; the message says why and what to do."""


def build_book(root: Path) -> Path:
    """Build the course at ``root``; return the page to open.

    Nothing is done when nothing changed since the last build that succeeded. Otherwise every page
    is written anew, so no page of an earlier build survives, but only chapters whose cells changed
    are executed; when code or versions changed that the cells of any page use, all are.

    Raises BookError when there is no course at ``root`` or the build fails.
    """
    started = time.perf_counter()
    root = root.resolve()
    missing = [name for name in ("_config.yml", "_toc.yml", "book") if not (root / name).exists()]
    if missing:
        raise BookError(
            f"{root} holds no course: {', '.join(missing)} is missing. "
            "Run this in the root folder of a clone."
        )
    with _only_one_build(root):
        html = root / "_build" / "html"
        stamp = html / ".built-from"
        wanted = site_fingerprint(root)
        if stamp.is_file() and stamp.read_text() == wanted:
            outcome = "is up to date"
        else:
            assets.vendor(root)
            _remove_earlier_builds(root)
            _run_jupyter_book(root)
            # Last: a build that failed or was interrupted leaves no stamp, so it is done again.
            # Of what was there at the start: an edit made meanwhile is not in the pages.
            stamp.write_text(wanted)
            outcome = "was built"
    page = html / "index.html"
    print(f"\nThe book {outcome} in {time.perf_counter() - started:.1f} s. Open {page.as_uri()}")
    return page


def _only_one_build(root: Path) -> FileLock:
    folder = root / ".build"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "book.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another build of this book is running; waiting for it ...", flush=True)
    else:
        lock.release()
    return lock


def _remove_earlier_builds(root: Path) -> None:
    build = root / "_build"
    for name in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(build / name, ignore_errors=True)
    for outputs in (build / "executed").glob("*"):
        if outputs.name != execution_fingerprint(root):
            shutil.rmtree(outputs)


def _run_jupyter_book(root: Path) -> None:
    """Run it, its output passing through as it comes."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    with subprocess.Popen(
        [str(jupyter_book), "build", "-W", "-n", "--keep-going", str(root)],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            plain = ESCAPES.sub("", line)
            if not plain.startswith(NOISE):
                print(line if sys.stdout.isatty() else plain, end="", flush=True)
    if process.returncode:
        raise BookError(
            "the book was not built; the reason stands above, after WARNING or ERROR. "
            "Pages written meanwhile are not to be trusted."
        )
