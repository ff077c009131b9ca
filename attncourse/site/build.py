"""`attncourse book`: everything between a fresh clone and a page to open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
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

    Where nothing can be written, a site that is up to date is still found.

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
        outcome = "is up to date" if _is_current(root) else _built(root)
    page = _html(root) / "index.html"
    print(f"\nThe book {outcome} in {time.perf_counter() - started:.1f} s. Open {page.as_uri()}")
    return page


def _html(root: Path) -> Path:
    return root / "_build" / "html"


def _stamp(root: Path) -> Path:
    return _html(root) / ".built-from"


def _is_current(root: Path) -> bool:
    return _stamp(root).is_file() and _stamp(root).read_text() == site_fingerprint(root)


def _built(root: Path) -> str:
    wanted = site_fingerprint(root)
    try:
        assets.vendor(root)
        _remove_earlier_builds(root)
        _run_jupyter_book(root)
        # Last: a build that failed or was interrupted leaves no stamp, so it is done again.
        # Of what was there at the start: an edit made meanwhile is not in the pages.
        _stamp(root).write_text(wanted)
    except OSError as error:
        raise BookError(f"the book was not built: {error}") from None
    return "was built"


def _only_one_build(root: Path) -> AbstractContextManager[object]:
    folder = root / ".build"
    try:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / "book.lock")
        lock.acquire(timeout=0)
    except Timeout:
        print("Another build of this book is running; waiting for it ...", flush=True)
    except OSError as error:
        # Read-only, or somebody else's: what has been built can be read all the same.
        if not _is_current(root):
            raise BookError(
                f"the book has to be built, and nothing can be written in {root} ({error}). Build "
                "it in a checkout of your own"
            ) from None
        return nullcontext()
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
        env=_environment(),
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


def _environment() -> dict[str, str]:
    """The reader's own, without what would make other pages of the same cells."""
    inherited = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    return inherited | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",  # as its output is read, whatever can be printed here
        "MATPLOTLIBRC": str(_shipped_matplotlibrc()),
        # scikit-learn's joblib says on stderr where it may not have processes that share memory,
        # as in a container without /dev/shm; no page wants any.
        "JOBLIB_MULTIPROCESSING": "0",
    }


def _shipped_matplotlibrc() -> Path:
    # Not by import: matplotlib would read the reader's own, and say on stderr what is wrong in it.
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("mpl-data") / "matplotlibrc"
