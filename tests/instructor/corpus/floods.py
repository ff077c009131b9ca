"""Uses up what there is: memory, disk, processes, descriptors, output. Each is bounded by itself
too, at more than the sandbox allows and less than a machine has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
from instructor.corpus.base import entry, text
from instructor.corpus.files import Content, changed
from instructor.corpus.stops import COSINE

from attncourse.instructor import limits


def _large_pictures(content: dict[str, Any]) -> None:
    source = (
        "from IPython.display import display\ndisplay({'image/png': 'A' * 6_000_000}, raw=True)"
    )
    cell = nbformat.v4.new_code_cell(source)
    content["cells"][1:1] = [cell | {"id": f"picture-{number}"} for number in range(20)]


def _in_each_of(cells: int, source: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        cell = nbformat.v4.new_code_cell(source)
        content["cells"][1:1] = [cell | {"id": f"more-{number}"} for number in range(cells)]

    return change


ENTRIES = [
    entry(
        "a memory bomb in a function",
        "Up to 12 GiB that are written to.",
        loses=("cosine_affinity",),
        cosine_affinity="""
def cosine_affinity(x, y=None):
    return [bytearray(b"x" * (64 << 20)) for _ in range(192)]
""",
    ),
    entry(
        "a memory bomb in a cell",
        "The function below it is never defined.",
        loses=("cosine_affinity",),
        cosine_affinity='held = [bytearray(b"x" * (64 << 20)) for _ in range(192)]\ndel held\n'
        + COSINE,
    ),
    entry(
        "memory by many processes",
        "16 children with 512 MiB each: no limit of a single process is reached.",
        loses=(),
        first="""
import os, time
children = []
for _ in range(16):
    child = os.fork()
    if child == 0:
        held = bytearray(b"x" * (512 << 20))
        time.sleep(2)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
""",
    ),
    entry(
        "a fork bomb",
        "500 children, each of which sleeps.",
        first="""
import os, time
try:
    for _ in range(500):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
except OSError as error:
    print(error)
""",
    ),
    entry(
        "sixty busy processes",
        "Each a group of its own to the scheduler, for two seconds. A neighbour's time is theirs.",
        first="""
import os, signal, time
children = []
for _ in range(60):
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.sched_setaffinity(0, range(1024))
        except OSError:
            pass
        while True:
            pass
    children.append(child)
time.sleep(2)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
""",
    ),
    entry(
        "a full disk",
        "2 GiB in files of 32 MiB, wherever something can be written.",
        first="""
import os
for folder in (os.getcwd(), "/tmp", "/dev/shm", "/var/tmp", "COURSE_ROOT"):
    try:
        for number in range(64):
            with open(f"{folder}/filling-{number}", "wb") as file:
                file.write(bytes(32 << 20))
    except OSError as error:
        print(folder, error)
""",
    ),
    entry(
        "a file without end",
        "One file of 8 GiB, truncated to that length and mapped.",
        first="""
import mmap
try:
    with open("large", "w+b") as file:
        file.truncate(8 << 30)
        mmap.mmap(file.fileno(), 0)[:1]
except (OSError, ValueError) as error:
    print(error)
""",
    ),
    entry(
        "descriptors left open",
        "As many as there may be.",
        first="""
held = []
try:
    for _ in range(5000):
        held.append(open("/dev/null"))
except OSError as error:
    print(error)
""",
    ),
    entry(
        "limits of its own",
        "Lowers and raises what it may use.",
        first="""
import resource
for what in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU):
    try:
        resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError) as error:
        print(error)
for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
    resource.setrlimit(what, (0, resource.getrlimit(what)[1]))
""",
    ),
    entry(
        "100 MB printed in a cell",
        "A notebook of 100 MB, if nobody cuts it.",
        first='for _ in range(100):\n    print("x" * 999_999)',
    ),
    entry(
        "100 MB printed in a function",
        "The answer is right.",
        cosine_affinity=COSINE.replace(
            "    y = x", '    for _ in range(10):\n        print("x" * 10_000_000)\n    y = x'
        ),
    ),
    entry(
        "100 MB written past Python",
        "To the descriptors 1 and 2, as C libraries do.",
        first="""
import os
try:
    for _ in range(100):
        os.write(1, b"x" * 1_000_000)
        os.write(2, b"x" * 1_000_000)
except OSError as error:
    print(error)
""",
    ),
    entry(
        "a million lines",
        "Each an output of its own.",
        first="""
import sys
for number in range(500_000):
    print(number, file=sys.stderr if number % 2 else sys.stdout)
""",
    ),
    entry(
        "much text in ten cells",
        "100,000 characters in each, which are none too many for one cell.",
        file=changed(_in_each_of(10, f"print('x' * {limits.MAX_TEXT})")),
    ),
    entry(
        "many outputs in twenty cells",
        "200 in each, which are none too many for one cell.",
        file=changed(
            _in_each_of(20, f"for number in range({limits.MAX_OUTPUTS}):\n    display(number)")
        ),
    ),
    entry(
        "a colour for every letter",
        "Some thousand: each becomes a tag of the page.",
        first=f"print('\\x1b[31ma\\x1b[32mb' * {limits.MAX_CONTROLS})",
    ),
    entry(
        "tags that are never closed",
        "In a written answer, just more than are cleaned: that takes their square.",
        written=(text("<div>" * (limits.MAX_TAGS + 1)),),
    ),
    entry(
        "a written answer of 50,005 characters",
        "Just more than become HTML.",
        written=(text("long " * (limits.MAX_MARKDOWN // 5 + 1)),),
    ),
    entry(
        "thousands of pictures",
        "The same picture again and again.",
        first="""
import base64, matplotlib.pyplot as plt, io
from IPython.display import Image, display
made = io.BytesIO()
plt.figure().savefig(made)
plt.close("all")
for _ in range(3000):
    display(Image(made.getvalue()))
""",
    ),
    entry(
        "large pictures in twenty cells",
        "6 MB in each, which is none too many for one cell.",
        file=changed(_large_pictures),
    ),
    entry(
        "a picture that unpacks to gigabytes",
        "A PNG of 30,000 by 30,000 pixels in 110 kB.",
        first="""
import struct, zlib
from IPython.display import Image, display
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
size = 30_000
packer = zlib.compressobj(9)
rows = b"".join(packer.compress(bytes(1 + size // 8)) for _ in range(size)) + packer.flush()
head = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
display(Image(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")))
""",
    ),
    entry(
        "a long traceback",
        "A message of 100 MB, from deep within.",
        first="""
def deep(n):
    if n:
        deep(n - 1)
    raise ValueError("x" * 100_000_000)
deep(500)
""",
    ),
    entry(
        "a message of 100 MB from a function",
        "The error is told to the student.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    raise ValueError('x' * 100_000_000)",
    ),
    entry(
        "a tensor of 4 TB in four bytes",
        "expand makes it of any shape.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    return torch.zeros(1).expand(10**6, 10**6)",
    ),
    entry(
        "a tensor too large to be sent",
        "512 MB, quick to make.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    return torch.zeros(128 << 20)",
    ),
    entry(
        "a tensor of many rows and no columns",
        "It takes no memory, and what is computed from its rows does.",
        loses=("cosine_affinity",),
        cosine_affinity=f"def cosine_affinity(x, y=None):\n    return torch.zeros({limits.MAX_TENSOR_ENTRIES} + 1, 0)",
    ),
    entry(
        "a number of a million digits",
        "Where a float is wanted.",
        loses=("max_cosine_weight",),
        max_cosine_weight="def max_cosine_weight(n, temperature=1.0):\n    return 10**1_000_000",
    ),
    entry(
        "lists in lists in lists",
        "100,000 deep.",
        loses=("cosine_affinity",),
        cosine_affinity="""
def cosine_affinity(x, y=None):
    nested = [x]
    for _ in range(100_000):
        nested = [nested]
    return nested
""",
    ),
    entry(
        "a list that holds itself",
        "It has no end.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    endless = []\n    endless.append(endless)\n    return endless",
    ),
    entry(
        "a string of 100 MB",
        "Where a tensor is wanted.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    return 'x' * 100_000_000",
    ),
    entry(
        "a type with a name of 100 MB",
        "What is foreign is told by its name.",
        loses=("cosine_affinity",),
        cosine_affinity="""
kind = type("x" * 100_000_000, (), {})
def cosine_affinity(x, y=None):
    return kind()
""",
    ),
    entry(
        "a cell of 5 MB",
        "A right answer, and a comment.",
        cosine_affinity=COSINE + "# " + "x" * 5_000_000,
    ),
]
