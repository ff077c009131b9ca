"""Ends, or never ends: loops, crashes, signals, exits, and notebooks that trip over themselves."""

from __future__ import annotations

from instructor.corpus.base import ZEROS, entry

COSINE = """
def cosine_affinity(x, y=None):
    y = x if y is None else y
    return torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(y, dim=-1).mT
"""

ENTRIES = [
    entry(
        "an endless loop in a cell",
        "The function below the loop is never defined.",
        loses=("cosine_affinity",),
        cosine_affinity=f"while True:\n    pass\n{COSINE}",
    ),
    entry(
        "an endless loop in a function",
        "It stops nobody before it is called.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    while True:\n        pass",
    ),
    entry(
        "a loop that catches everything",
        "KeyboardInterrupt too.",
        loses=("pixels_as_tokens",),
        pixels_as_tokens="""
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
    ),
    entry(
        "a loop that ignores signals",
        "SIGINT, SIGTERM, SIGALRM, SIGHUP and SIGXCPU are ignored.",
        loses=("attention_weights",),
        attention_weights="""
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGXCPU):
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
""",
    ),
    entry(
        "a sleep past the limit",
        "It uses no CPU time at all.",
        loses=("cosine_affinity",),
        cosine_affinity=f"import time\ntime.sleep(10_000)\n{COSINE}",
    ),
    entry(
        "slow only when it is judged",
        "Quick in the notebook, and ten thousand seconds a call for the grader.",
        loses=("cosine_affinity",),
        cosine_affinity="""
import time, traceback
def cosine_affinity(x, y=None):
    if any("calling.py" in frame.filename for frame in traceback.extract_stack()):
        time.sleep(10_000)
    y = x if y is None else y
    return torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(y, dim=-1).mT
""",
    ),
    entry(
        "a regular expression that never ends",
        "One call into C, which no signal handler of Python interrupts.",
        loses=("max_cosine_weight",),
        max_cosine_weight="""
import re
def max_cosine_weight(n, temperature=1.0):
    return bool(re.match(r"(a|aa)+$", "a" * 100 + "b"))
""",
    ),
    entry(
        "os._exit in a cell",
        "Ends the process at once.",
        loses=("cosine_affinity",),
        cosine_affinity=f"import os\nos._exit(0)\n{COSINE}",
    ),
    entry(
        "os._exit in a function",
        "Ends whoever judges it.",
        loses=("cosine_affinity",),
        cosine_affinity="import os\ndef cosine_affinity(x, y=None):\n    os._exit(0)",
    ),
    entry(
        "a segmentation fault",
        "Reads at the address 0.",
        loses=("pixels_as_tokens",),
        pixels_as_tokens="import ctypes\ndef pixels_as_tokens(x):\n    return ctypes.string_at(0)",
    ),
    entry(
        "abort",
        "A crash of the kind that a failed assertion in C++ gives.",
        loses=("attention_weights",),
        attention_weights="import os\ndef attention_weights(scores, mask=None):\n    os.abort()",
    ),
    entry(
        "killed as if from outside",
        "By SIGKILL, as by a machine whose memory runs out, in the hope that somebody is lenient.",
        loses=("cosine_affinity",),
        cosine_affinity="""
import os, signal
def cosine_affinity(x, y=None):
    os.kill(os.getpid(), signal.SIGKILL)
""",
    ),
    entry(
        "kills all that it can reach",
        "Its parent, its group, and everybody.",
        first="""
import os, signal
for target in (os.getppid(), os.getpid(), -1):
    try:
        if target:
            os.kill(target, signal.SIGKILL)
    except OSError:
        pass
""",
    ),
    entry(
        "exit() in a cell",
        "Asks the notebook to end, and goes on.",
        first="exit()\nquit()\nimport sys\nsys.exit(3)",
    ),
    entry(
        "exit() in a function",
        "SystemExit is no Exception.",
        loses=("cosine_affinity",),
        cosine_affinity="import sys\ndef cosine_affinity(x, y=None):\n    sys.exit('3.0')",
    ),
    entry(
        "a KeyboardInterrupt of one's own",
        "As if somebody had pressed the interrupt button.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None):\n    raise KeyboardInterrupt",
    ),
    entry(
        "deep recursion",
        "With a limit so high that the stack of C might give way first.",
        loses=("cosine_affinity",),
        cosine_affinity="""
import sys
sys.setrecursionlimit(2**31 - 1)
class Deep:
    def __repr__(self): return repr(self) + "."
def cosine_affinity(x, y=None):
    return repr(Deep())
""",
    ),
    entry(
        "recursion in __del__",
        "Objects that make another when they go.",
        first="""
class Phoenix:
    left = 100_000
    def __del__(self):
        Phoenix.left -= 1
        if Phoenix.left > 0:
            Phoenix()
        raise RuntimeError("reborn")
Phoenix()
""",
    ),
    entry(
        "an exception that cannot be shown",
        "Its __str__ ends the program, and its type has a hostile name.",
        loses=("cosine_affinity",),
        cosine_affinity="""
class Hostile(BaseException):
    def __str__(self): raise SystemExit
    __repr__ = __str__
Hostile.__name__ = "<script>alert(1)</script>" * 1000
def cosine_affinity(x, y=None):
    raise Hostile
""",
    ),
    entry(
        "an exception whose text never ends",
        "Looking at the error takes for ever.",
        loses=("cosine_affinity",),
        cosine_affinity="""
class Endless(Exception):
    def __str__(self):
        while True:
            pass
def cosine_affinity(x, y=None):
    raise Endless
""",
    ),
    entry(
        "an exception in a cell that cannot be shown",
        "The same, for whoever prints the traceback.",
        first="""
class Hostile(Exception):
    def __str__(self): raise SystemExit
    __repr__ = __str__
raise Hostile
""",
    ),
    entry(
        "input()",
        "Nobody is there to type.",
        first="""
import getpass
for ask in (input, getpass.getpass):
    try:
        ask("your name? ")
    except Exception as error:
        print(type(error).__name__)
""",
    ),
    entry(
        "%reset",
        "All names are gone, also that of the answer.",
        loses=("cosine_affinity",),
        after_cosine_affinity="%reset -f\nimport math\nimport torch",
    ),
    entry(
        "the answer is deleted",
        "del, after the cell that defines it.",
        loses=("cosine_affinity",),
        after_cosine_affinity="del cosine_affinity",
    ),
    entry(
        "a name in look-alike letters",
        "The a of affinity is Cyrillic.",
        loses=("cosine_affinity",),
        cosine_affinity=COSINE.replace("cosine_a", "cosine_\N{CYRILLIC SMALL LETTER A}"),
    ),
    entry(
        "the answer is a number",
        "A name is used twice.",
        loses=("cosine_affinity",),
        after_cosine_affinity="cosine_affinity = 3.0",
    ),
    entry(
        "a syntax error",
        "The cell does not even begin.",
        loses=("cosine_affinity",),
        cosine_affinity="def cosine_affinity(x, y=None)\n    return x @ y.mT",
    ),
    entry(
        "no answer",
        "As it was handed out.",
        loses=("cosine_affinity", "pixels_as_tokens"),
        cosine_affinity="def cosine_affinity(x, y=None):\n    raise NotImplementedError('write your answer here')",
        pixels_as_tokens="",
    ),
    entry(
        "a generator",
        "yield instead of return.",
        loses=("cosine_affinity",),
        cosine_affinity=COSINE.replace("return", "yield"),
    ),
    entry(
        "a coroutine",
        "async def instead of def.",
        loses=("cosine_affinity",),
        cosine_affinity=COSINE.replace("def", "async def"),
    ),
    entry(
        "None comes back",
        "print instead of return.",
        loses=("cosine_affinity",),
        cosine_affinity=COSINE.replace("return ", "result = "),
    ),
    entry(
        "one element that expand has made",
        "torch does not give its bytes, at which whoever sends it may end.",
        loses=("cosine_affinity", "max_cosine_weight"),
        cosine_affinity="def cosine_affinity(x, y=None):\n    return torch.ones(1).expand(1, 1)",
        max_cosine_weight="def max_cosine_weight(n, temperature=1.0):\n    return torch.as_strided(torch.ones(3), (1,), (0,))",
    ),
    entry(
        "the wire is closed",
        "The function closes every descriptor above 2.",
        loses=("cosine_affinity",),
        cosine_affinity="import os\ndef cosine_affinity(x, y=None):\n    os.closerange(3, 4096)",
    ),
    entry(
        "an alarm",
        "SIGALRM kills by default, half a second later; and a timer that fires for ever.",
        first="""
import signal
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
""",
    ),
    entry(
        "busy threads",
        "Two that never end, one of which the interpreter waits for.",
        first="""
import threading, time
def busy():
    while True:
        time.sleep(0.001)
for daemon in (True, False):
    threading.Thread(target=busy, daemon=daemon).start()
""",
    ),
    entry(
        "atexit",
        "Waits for the end, and then never ends.",
        first="""
import atexit, time
@atexit.register
def late():
    while True:
        time.sleep(1)
""",
    ),
    entry(
        "a daemon",
        "A process in a session of its own, which ignores signals and never ends.",
        first="""
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in range(4096):
            try:
                os.close(number)
            except OSError:
                pass
        time.sleep(600)
    os._exit(0)
os.wait()
""",
    ),
    entry(
        "a fork that goes on in the notebook",
        "Two processes answer to the same judge, one of them wrong.",
        loses=("cosine_affinity",),
        cosine_affinity="""
import os
child = os.fork() == 0
"""
        + ZEROS,
    ),
]
