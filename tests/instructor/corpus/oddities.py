"""Odd, and right: what an honest student may hand in, and should lose nothing by."""

from __future__ import annotations

import base64

from instructor.corpus.base import entry, text
from instructor.corpus.stops import COSINE

_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
# Beginnings of pictures, by which programs know them.
_JPEG, _GIF, _WEBP = "/9j/4AAQSkZJRg==", "R0lGODlhAQABAAAAADs=", "UklGRgAAAABXRUJQ"

ENTRIES = [
    entry("ordinary", "All four answers are right."),
    entry(
        "a warning on stderr",
        "In a cell and in a function.",
        first='import sys, warnings\nwarnings.warn("careful")\nprint("careful", file=sys.stderr)',
        cosine_affinity=COSINE.replace(
            "    y = x",
            '    import os, warnings\n    warnings.warn("again")\n    os.write(2, b"again")\n    y = x',
        ),
    ),
    entry(
        "prints",
        "In a function.",
        cosine_affinity=COSINE.replace("    y = x", "    print(x.shape)\n    y = x"),
    ),
    entry(
        "text that is no text",
        "A lone surrogate, control characters and colours.",
        first=r'print("\ud800 \x00 \x1b[31m \x1b]0;title\x07 \u202e")',
        cosine_affinity=COSINE.replace("    y = x", r'    print("\ud800\x00")' + "\n    y = x"),
    ),
    entry(
        "names in other scripts",
        "Python allows them, so a grader must.",
        cosine_affinity="""
def cosine_affinity(x, y=None):
    α = torch.nn.functional.normalize(x, dim=-1)
    größe = α if y is None else torch.nn.functional.normalize(y, dim=-1)
    return α @ größe.mT
""",
    ),
    entry(
        "lines that end as on Windows",
        "A carriage return before every line feed.",
        cosine_affinity=COSINE.strip().replace("\n", "\r\n"),
    ),
    entry(
        "a callable object",
        "An instance of a class with __call__.",
        cosine_affinity="""
class Cosine:
    def __call__(self, x, y=None):
        y = x if y is None else y
        return torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(y, dim=-1).mT
cosine_affinity = Cosine()
""",
    ),
    entry(
        "other defaults of torch",
        "float64, no gradients, all the threads.",
        first="""
import torch
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.set_num_threads(2)
""",
        cosine_affinity=COSINE.replace("    y = x", "    x = x * torch.ones(1)\n    y = x"),
    ),
    entry(
        "inference mode",
        "Entered, and never left.",
        first="import torch\nmode = torch.inference_mode()\nmode.__enter__()",
    ),
    entry(
        "a closed stdout",
        "sys.stdout and sys.stderr are closed, and then None; so are their descriptors.",
        first="""
import os, sys
sys.stdout.close()
sys.stderr.close()
sys.stdout = sys.stderr = None
os.close(1)
os.close(2)
""",
    ),
    entry(
        "no folder to be in",
        "The working folder is deleted.",
        first='import os\nos.mkdir("gone")\nos.chdir("gone")\nos.rmdir(os.getcwd())',
    ),
    entry(
        "magics",
        "Those that a notebook may well hold.",
        first='%matplotlib inline\n%timeit -n 1 -r 1 sum(range(10))\n!echo "from the shell"',
        after_cosine_affinity="%%time\ncosine_affinity(torch.randn(3, 4))",
    ),
    entry(
        "a cell that fails",
        "An experiment of the student's, before the answers.",
        first="1 / 0",
    ),
    entry(
        "an await in a cell",
        "Notebooks allow it at the top.",
        first="import asyncio\nawait asyncio.sleep(0)",
    ),
    entry(
        "no environment",
        "All variables are gone, and PATH points to nowhere.",
        first='import os\nos.environ.clear()\nos.environ["PATH"] = "/nowhere"',
    ),
    entry(
        "a library of the course",
        "Files of one's own beside the notebook, written in a cell.",
        cosine_affinity="""
with open("my_helpers.py", "w") as file:
    file.write("from torch.nn.functional import normalize\\n")
from my_helpers import normalize
def cosine_affinity(x, y=None):
    return normalize(x, dim=-1) @ normalize(x if y is None else y, dim=-1).mT
""",
    ),
    entry(
        "slow, and within the limit",
        "A fifth of a second for each call.",
        cosine_affinity=COSINE.replace(
            "    y = x", "    import time\n    time.sleep(0.2)\n    y = x"
        ),
    ),
    entry(
        "a pool of processes",
        "Started, used and closed in a cell.",
        first="""
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, 2, -3]))
""",
    ),
    entry(
        "a pool of threads",
        "Started in the answer.",
        cosine_affinity="""
from concurrent.futures import ThreadPoolExecutor
def cosine_affinity(x, y=None):
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(lambda t: torch.nn.functional.normalize(t, dim=-1), [x, x if y is None else y])
    return a @ b.mT
""",
    ),
    entry(
        "pictures and progress bars",
        "Figures, widgets and tqdm.",
        first="""
import matplotlib.pyplot as plt
from IPython.display import clear_output
from ipywidgets import IntSlider
from tqdm.auto import tqdm
for _ in tqdm(range(50)):
    pass
clear_output(wait=True)
plt.plot([1, 2, 3])
plt.show()
IntSlider()
""",
    ),
    entry(
        "tracebacks in colour",
        "rich prints errors in its own way, and a cell has one.",
        first="import rich.traceback\nrich.traceback.install()\n1 / 0",
    ),
    entry(
        "photographs in a written answer",
        "JPEG, GIF and WebP, attached as Jupyter does it.",
        written=(
            text(
                "![by hand](attachment:a.jpg) ![drawn](attachment:b.gif) ![w](attachment:c.webp)",
                {
                    "a.jpg": {"image/jpeg": _JPEG},
                    "b.gif": {"image/gif": _GIF},
                    "c.webp": {"image/webp": _WEBP},
                },
            ),
        ),
    ),
    entry(
        "a drawing beside the notebook",
        "A picture, data and a link to elsewhere: an answer of somebody who took trouble.",
        written=(text("![my drawing](drawing.png) after [a page](https://example.org/attention)"),),
        beside={"drawing.png": _PIXEL, "more/numbers.csv": b"1,2,3\n"},
    ),
]
