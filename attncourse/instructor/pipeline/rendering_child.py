"""Makes HTML of what students wrote, in a process that may be ended: `rendering` starts it.

A request and its answer are a line of JSON each. The answer is null where there is no HTML.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbconvert.filters.highlight import Highlight2HTML

from attncourse.instructor import limits
from attncourse.instructor.pipeline.markdown import markdown2html


def main() -> None:
    """Answer until nobody asks any more."""
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    for convert in _CONVERTERS.values():  # the first time, each loads what it needs
        convert(_NOTHING)
    _limit_memory()
    answers.write(b"\n")
    answers.flush()
    for line in sys.stdin.buffer:
        try:
            with _limited_time():
                answer = json.dumps(_answer(json.loads(line))).encode()
        except Exception:  # of a converter, or there is not enough memory
            answer = b"null"
        answers.write(answer + b"\n")
        answers.flush()


def _answer(request: Mapping[str, Any]) -> str | None:
    html = _CONVERTERS[request["do"]](request)
    # Each mention of a picture puts all of it on the page.
    return html if len(html) <= limits.MAX_PAGE_CHARACTERS else None


def _markdown(request: Mapping[str, Any]) -> str:
    context = {
        "cell": {"attachments": request["attachments"]},
        "resources": request["resources"],
    }
    return str(markdown2html(context, request["source"]))


def _code(request: Mapping[str, Any]) -> str:
    convert = Highlight2HTML(pygments_lexer=request["language"])  # type: ignore[no-untyped-call]
    magic = {"magics_language": request["magic"]} if request["magic"] else {}
    return str(convert(request["source"], metadata=magic))


_CONVERTERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "markdown": _markdown,
    "code": _code,
}


_NOTHING: dict[str, Any] = {
    "source": "",
    "attachments": {},
    "resources": {},
    "language": None,
    "magic": None,
}


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows: there, only time is limited

        most = limits.CONVERTING_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """The system ends this process if it takes longer, also when nobody waits for it any more."""
    if not hasattr(signal, "setitimer"):  # on Windows: there, the parent's clock has to do
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, limits.CONVERTING_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
