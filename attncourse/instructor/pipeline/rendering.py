"""Students' text as HTML, within limits: the filters of the pages that nbgrader shows.

The formgrader makes its pages in JupyterLab's own process, which does nothing else meanwhile, for
nobody. There are short texts on which a converter works for minutes. So it works in a child
process (`rendering_child`), and what is not done in time is shown as it was written.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert.filters import clean_html as stock_clean_html
from nbconvert.filters.ansi import ansi2html as coloured

from attncourse.instructor import limits
from attncourse.instructor.pipeline import markdown
from attncourse.instructor.pipeline.markdown import OWN_HOSTS, own_hosts, with_pictures_aside
from attncourse.instructor.referee.worker_outputs import in_control

_START_SECONDS = 60.0  # that the child has to load what it needs, on a slow disk
_NAME = "attncourse_page"  # of what is kept of a page, where a page keeps such things
_PACKAGES = str(Path(__file__).resolve().parents[3])
_PROGRAM = (
    # At the end, so that nothing beside the package stands before what Python comes with.
    f"import sys; sys.path.append({_PACKAGES!r}); "
    "from attncourse.instructor.pipeline.rendering_child import main; main()"
)


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """nbconvert's filter of that name, by way of `markdown.markdown2html`."""
    cell, resources = context.get("cell") or {}, context.get("resources") or {}
    place = resources.get("metadata", {}).get("path")
    request = {
        "do": "markdown",
        "source": source,
        "attachments": cell.get("attachments", {}),
        # What the child cannot know: it may be in another folder, and serves no page.
        "resources": {
            "metadata": {"path": os.path.abspath(place)} if place else {},
            OWN_HOSTS: own_hosts(),
        },
    }
    page = _page(context)
    written, _ = with_pictures_aside(source)
    html = page.converted(request) if len(written) <= limits.MAX_MARKDOWN else None
    return page.fitting(*([html] if html else []), *_plain(written))


@pass_context
def clean_html(context: Any, source: str) -> str:
    """nbconvert's filter of that name; a raw cell, which goes only through it, is shown as code."""
    if (context.get("cell") or {}).get("cell_type") == "raw":
        return _page(context).fitting(*_plain(source))
    return stock_clean_html(source)  # type: ignore[no-untyped-call]


@pass_context
def formula(context: Any, source: str) -> str:
    """In the place of Jinja's `e`, which nbconvert's templates have for formulas of an output."""
    shown = [markdown.formula(source)] if len(source) <= limits.MAX_SHOWN else []
    return _page(context).fitting(*shown, *_plain(source))


@pass_context
def highlight_code(context: Any, source: str, metadata: Mapping[str, Any] | None = None) -> str:
    """nbconvert's filter of that name: code in colours."""
    notebook = context.get("nb") or {}
    language = notebook.get("metadata", {}).get("language_info", {})
    request = {
        "do": "code",
        "source": source,
        "language": language.get("pygments_lexer", language.get("name")),
        "magic": (metadata or {}).get("magics_language"),
    }
    page = _page(context)
    html = page.converted(request) if len(source) <= limits.MAX_CODE else None
    plain = [f'<div class="highlight">{version}</div>' for version in _plain(source)]
    return page.fitting(*([html] if html else []), *plain)


@pass_context
def ansi2html(context: Any, text: str) -> str:
    """nbconvert's filter of that name: what a cell has shown, in its colours."""
    plain, found = in_control(text, limits.MAX_CONTROLS)
    shown = [_written(text), _written(text, limits.MAX_SHOWN_WITHOUT_ROOM)]
    if len(text) <= limits.MAX_SHOWN and found <= limits.MAX_CONTROLS:
        shown.insert(0, coloured(plain))  # type: ignore[no-untyped-call]
    return _page(context).fitting(*shown)


@dataclass
class _Page:
    """What the texts of a page may still take up."""

    seconds: float = limits.PAGE_SECONDS
    marks: int = limits.MAX_PAGE_MARKS
    characters: int = limits.MAX_PAGE_CHARACTERS

    def converted(self, request: dict[str, Any]) -> str | None:
        """The HTML that a converter makes of a text; None if it does not, or not in time."""
        if self.seconds <= 0:
            return None
        html, used = _converter().convert(request, self.seconds)
        self.seconds -= used
        return html

    def fitting(self, *versions: str) -> str:
        """The first version for which there is room; if it is none, what says so."""
        for html in versions:
            left = self.marks - _marks(html), self.characters - len(html)
            if min(left) >= 0:
                self.marks, self.characters = left
                return html
        return "… more is in the autograded notebook: this page has no room for it"


def _page(context: Any) -> _Page:
    """The page that is being made: all of its texts come with the same resources."""
    resources = context.get("resources")
    if not isinstance(resources, dict):
        return _Page()
    if not isinstance(resources.get(_NAME), _Page):
        resources[_NAME] = _Page()
    page: _Page = resources[_NAME]
    return page


def _marks(html: str) -> int:
    """What there is to go through: a tag is as much work as four characters with a name."""
    return html.count("<") + html.count("&") // 4


def _plain(source: str) -> list[str]:
    return [
        f"<pre>{_written(source, most)}</pre>"
        for most in (limits.MAX_SHOWN, limits.MAX_SHOWN_WITHOUT_ROOM)
    ]


def _written(source: str, most: int = limits.MAX_SHOWN) -> str:
    """A text as it was written; its beginning if it is long."""
    if len(source) <= most:
        return escape(source)
    more = f"… {len(source) - most:,} more characters are in the autograded notebook"
    return f"{escape(source[:most])}\n{more}"


class _Converter:
    """The child process, started anew whenever it has ended. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_run = False

    def convert(self, request: Mapping[str, Any], seconds: float) -> tuple[str | None, float]:
        """The HTML, None if it cannot be had; and the seconds it took, but for the first start."""
        line = json.dumps(request, default=str, skipkeys=True).encode()
        with self._lock:
            begun = time.monotonic()
            if self._process is not None and self._process.poll() is not None:
                self.close()
            if self._process is None and not self._start():
                return None, time.monotonic() - begun
            if not self._has_run:
                self._has_run, begun = True, time.monotonic()
            answer = self._exchange(line + b"\n", seconds)
            return (json.loads(answer) if answer else None), time.monotonic() - begun

    def _start(self) -> bool:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=1 << 20,
        )
        if self._exchange(b"", _START_SECONDS):
            return True
        logging.getLogger(__name__).warning(
            "What students wrote is shown as source: the process that makes HTML of it did not "
            "start (%s)",
            _PROGRAM,
        )
        return False

    def _exchange(self, line: bytes, seconds: float) -> bytes:
        """The line that the child answers; nothing, and the child is ended, if it answers none."""
        process, answer = self._process, [b""]
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def exchange() -> None:
            with contextlib.suppress(OSError, ValueError):  # it is ended, or has ended
                stdin.write(line)
                stdin.flush()
                answer[0] = stdout.readline()

        thread = threading.Thread(target=exchange, daemon=True)
        thread.start()
        thread.join(seconds)
        if answer[0].endswith(b"\n"):
            return answer[0]
        process.kill()
        thread.join()
        self.close()
        return b""

    def close(self) -> None:
        """End the child, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()


@functools.cache
def _converter() -> _Converter:
    converter = _Converter()
    atexit.register(converter.close)
    return converter
