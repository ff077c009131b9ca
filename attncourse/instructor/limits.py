"""The limits on a student's work: what a worker may use up, and what is kept of what it makes.

Those of time, memory, processes and disk are the course's to set, in `nbgrader_config.py`:
`c.Referee.memory = 8`. The others only keep a broken or hostile submission from being a burden.
What a verdict shows is cut in `checking`, which knows of no instructor.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from traitlets import Float, Int, TraitError, validate
from traitlets.config import Config, Configurable

_DAY = 86_400.0
_MIB, _GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a course may set."""

    seconds: float = 90.0
    """For a cell, and for all calls of a check together."""
    total_seconds: float = 900.0
    """For a notebook, with everything that had to be run again. See `CLOCK_MULTIPLE` on both."""
    memory: float = 4.0
    """GiB, of all processes of a worker together."""
    processes: int = 64
    """And threads, of a worker at a time."""
    scratch: int = 256
    """MiB, of all files that a worker keeps at a time."""

    @property
    def memory_bytes(self) -> int:
        return int(self.memory * _GIB)

    @property
    def address_space(self) -> int:
        """Bytes of each process: torch maps 2 GiB that it does not use."""
        return self.memory_bytes + 2 * _GIB

    @property
    def scratch_bytes(self) -> int:
        return self.scratch * _MIB

    @property
    def cpu_seconds(self) -> int:
        """Of each process; later than the judge's own deadline, which says why it ends a worker."""
        return math.ceil(max(self.seconds, self.total_seconds)) + 60

    def as_dict(self) -> dict[str, float]:
        """Plain data, for another process."""
        return asdict(self)


DEFAULT_LIMITS = Limits()
CLOCK_MULTIPLE = 10
"""How often the seconds above may pass by the clock. They are the worker's own: those in which it
waited for a busy machine do not count, up to this."""
MOST_KILLED = 2
"""Workers that the machine may end before a person has to look."""

# Of a worker, beside those above.
FILE_BYTES = 64 * _MIB  # of one file
OPEN_FILES = 256  # of each process
SHARED_MEMORY_BYTES = 64 * _MIB
FILES = 20_000  # and folders, in the scratch folder and in shared memory each

# Of what is handed in.
MAX_NOTEBOOK_BYTES = 64 * _MIB  # its pictures are in it, and are thrown away
MAX_STUDENT_NAME = 128  # characters; the gradebook's own limit
MAX_NOTEBOOK_VALUES = 1_000_000  # in its JSON; each may take up 250 bytes once it is read
MAX_NESTING = 100  # of lists in lists in JSON; Python reads up to a thousand
MAX_OLD_NOTEBOOK_BYTES = 4 * _MIB  # before format 4; to convert it takes a hundred times as much
MAX_OLD_NOTEBOOK_VALUES = 100_000  # and this many seconds for a million
MAX_LONGER = 1000  # characters beyond twice the text that was set; what is longer is not compared
MAX_TIMESTAMP_BYTES = 1000
MAX_FILES_BESIDE = 1000  # that are copied with the notebooks, and
MAX_BYTES_BESIDE = 256 * _MIB  # of all of them
MAX_CELLS = 2000  # each is made anew, before any limit of time
MAX_MARKDOWN = MAX_CODE = 50_000  # characters of a cell that become HTML, and
MAX_TAGS = 500  # of the student's own, any of which may stay open: bleach takes their square

# Of what a cell shows. The worker cuts, and says so; the judge cuts again what reaches it.
MAX_OUTPUTS = 200  # and a few more that say what was cut
MAX_TEXT = 100_000  # characters
MAX_CONTROLS = 2000  # characters and sequences, such as colours: each may become a tag
MAX_CONTROL_LENGTH = 48  # characters of a sequence; two colours have up to 33
MAX_PICTURES = 8 * _MIB  # characters of all pictures, in base64
MAX_ALT = 1000  # characters that describe a picture
MAX_ERROR_TEXT = 10_000  # characters of errors for which there is room after however much text
MAX_ERROR_NAME, MAX_ERROR_MESSAGE = 200, 2000  # characters
MAX_TRACEBACK_LINES, MAX_TRACEBACK_LINE = 60, 4000  # characters of a line
# And of what all cells show, but for the verdicts.
MAX_NOTEBOOK_OUTPUT = 32 * _MIB  # characters as JSON has them
MAX_NOTEBOOK_TEXT = 500_000  # characters of them that are in no picture
MAX_NOTEBOOK_OUTPUTS = 2000

# Of what a call gives back, beside tensors.
MAX_RESULT_ENTRIES = 16  # of a tuple
MAX_RESULT_TEXT = 1000  # characters of a string
MAX_CALL_OUTPUT = 4000  # characters that are printed
MAX_CALL_MESSAGE, MAX_CALL_CODE, MAX_CALL_NAME = 1000, 400, 200  # characters, of an error
MAX_TYPE_NAME = 200  # characters, of what is no tensor and no plain data

# Of a page that nbgrader shows: JupyterLab waits for it. What is beyond is shown as it was written.
CONVERTING_SECONDS = 2  # of the processor, for the text of a cell to become HTML
PAGE_SECONDS = 10.0  # by the clock, for all of them
CONVERTING_MEMORY = 2 * _GIB  # bytes of the process that does it
MAX_SHOWN = 200_000  # characters of a cell that are shown, of its source or of an output, and
MAX_SHOWN_WITHOUT_ROOM = 1000  # of one for which the page has no room
MAX_PAGE_CHARACTERS = 64 * _MIB  # of HTML, with the pictures in it
MAX_PAGE_MARKS = 60_000  # tags; nbconvert goes through all of them once more

# Of a message between a worker and the judge.
MAX_HEADER = 16 * _MIB  # bytes of JSON
MAX_VALUES = 100_000  # in the JSON; each takes up some 70 bytes once it is read
MAX_TENSORS = 1000
MAX_TENSOR_BYTES = 64 * _MIB  # of all tensors of a message
MAX_TENSOR_ENTRIES = 1 << 24  # of all of them too, where a size of 0 counts as 1
MAX_DEPTH = 8  # of lists in lists
MAX_DIMENSIONS = 16
MAX_INTEGER = 1 << 64


class LimitSettings(Configurable):
    """The limits as nbgrader's configuration has them, in the section `Referee`."""

    seconds = Float(
        Limits.seconds,
        min=1.0,
        max=_DAY,
        help="The most that a cell may take, and the most that all calls of a check may take.",
    ).tag(config=True)

    total_seconds = Float(
        Limits.total_seconds,
        min=1.0,
        max=_DAY,
        help="The most that a notebook may take, with everything that had to be run again.",
    ).tag(config=True)

    memory = Float(
        Limits.memory,
        min=0.5,
        max=1024.0,
        help="GiB of memory that all processes of a student's notebook may use together.",
    ).tag(config=True)

    processes = Int(
        Limits.processes,
        min=8,
        max=10_000,
        help="Processes and threads that a student's notebook may have at a time.",
    ).tag(config=True)

    scratch = Int(
        Limits.scratch,
        min=16,
        max=1 << 20,
        help="MiB of files that a student's notebook may keep at a time. They are in memory.",
    ).tag(config=True)

    @validate("seconds", "total_seconds", "memory")
    def _is_a_number(self, proposal: dict[str, Any]) -> float:
        value = float(proposal["value"])
        if math.isnan(value):  # neither below the least nor above the most
            raise TraitError(f"{proposal['trait'].name} must be a number, not nan")
        return value

    def limits(self) -> Limits:
        """The limits that are set."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


def configured_limits(config: Config) -> Limits:
    """The limits that nbgrader's configuration sets, and the others as they are.

    Raises:
        TraitError: one of them is not a number, or out of range.
    """
    section = Config({LimitSettings.__name__: config.Referee})
    return LimitSettings(config=section).limits()
