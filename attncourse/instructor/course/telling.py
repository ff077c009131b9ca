"""What no student may be given: files by which a solution or a mark scheme would come along."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import PurePath

from traitlets.config import Config

LEFT_BEHIND = (".*", "*~", "#*#", "*.bak", "*.orig", "*.swp", "*.tmp", "__pycache__")
"""What editors and systems leave beside a file: often a copy of it, so of the solution."""

# A name by which they are known, whatever is in the file.
_NAME = re.compile(r"solution|mark[-_ ]?scheme", re.IGNORECASE)


def is_left_behind(path: PurePath) -> bool:
    """Whether the file or a folder above it, below the problem set's, is no part of the set."""
    return any(fnmatch(part, pattern) for part in path.parts for pattern in LEFT_BEHIND)


def tells(path: str, content: bytes, config: Config) -> bool:
    """Whether a file looks like a solution or a mark scheme, by its name or what is in it.

    Args:
        config: nbgrader's, in which a course may have chosen the words that mark the two.
    """
    return bool(_NAME.search(path)) or any(words in content for words in _words(config))


def _words(config: Config) -> tuple[bytes, ...]:
    # Not above: a page that shows a student's text has no need of nbgrader.
    from nbgrader.preprocessors import (  # type: ignore[import-untyped]
        ClearHiddenTests,
        ClearMarkScheme,
        ClearSolutions,
    )

    marks = (
        (ClearSolutions, "begin_solution_delimeter"),
        (ClearMarkScheme, "begin_mark_scheme_delimeter"),
        (ClearHiddenTests, "begin_test_delimeter"),
    )
    # Its own too: a file may come from another course.
    words = [getattr(each, name).default_value for each, name in marks]
    words += [config[each.__name__].get(name) for each, name in marks]
    return tuple(word.encode() for word in words if isinstance(word, str) and word)
