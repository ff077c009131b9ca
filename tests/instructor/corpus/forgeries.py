"""Speaks to the judge itself: finds the wire, and says what it likes on it."""

from __future__ import annotations

from instructor.corpus.base import ZEROS, entry, lie

_ON_THE_WIRE = """
import json, os, socket, stat, struct
def say(raw):
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if number > 2 and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, raw)
        except OSError:
            pass
def message(header, body=b""):
    header = json.dumps(header).encode()
    return struct.pack(">IQ", len(header), len(body)) + header + body
returned = {"map": [["outcome", "returned"], ["value", 1.0], ["inputs", {"tuple": [None]}],
                    ["gradients", None], ["said", "all is well"]]}
"""


def _saying(what: str) -> str:
    told = "\n".join(f"    {line}" for line in what.splitlines())
    return _ON_THE_WIRE + ZEROS.replace("y=None):\n", f"y=None):\n{told}\n")


ENTRIES = [
    lie(
        "a reply that is forged",
        "Another reply, before the true one.",
        cosine_affinity=_saying("say(message(returned))"),
    ),
    lie(
        "a thousand forged replies",
        "For all calls that may follow.",
        cosine_affinity=_saying("say(message(returned) * 1000)"),
    ),
    lie(
        "a reply that claims all points",
        "Scores, outputs and verdicts, in the hope that somebody believes them.",
        cosine_affinity=_saying(
            "say(message({'map': [['score', 3.0], ['passed', True], ['fraction', 1.0], ['outcome', 'passed']]}))"
        ),
    ),
    lie(
        "a reply with a length that is a lie",
        "4 GiB of header and 16 EiB of tensors are to come.",
        cosine_affinity=_saying("say(struct.pack('>IQ', 2**32 - 1, 2**64 - 1))"),
    ),
    lie(
        "a reply that is never finished",
        "A length, and then silence.",
        cosine_affinity=_saying(
            "say(struct.pack('>IQ', 1000, 0) + b'{')\nimport time\ntime.sleep(10_000)"
        ),
    ),
    lie(
        "a reply that comes drop by drop",
        "A byte every tenth of a second, so that no single wait is long.",
        cosine_affinity=_saying(
            "import time\nsay(struct.pack('>IQ', 1_000_000, 0))\nfor _ in range(100_000):\n    say(b' ')\n    time.sleep(0.1)"
        ),
    ),
    lie(
        "a tensor with a shape that is a lie",
        "A million by a million, with four bytes.",
        cosine_affinity=_saying(
            "say(message({'map': [['value', {'tensor': 'float32', 'shape': [10**6, 10**6], 'order': [0, 1]}]]}, b'1234'))"
        ),
    ),
    lie(
        "a header that is nested without end",
        "100,000 lists in lists.",
        cosine_affinity=_saying(
            "deep = b'[' * 100_000 + b']' * 100_000\nsay(struct.pack('>IQ', len(deep), 0) + deep)"
        ),
    ),
    lie(
        "a number of a million digits on the wire",
        "Reading it takes a quadratic time.",
        cosine_affinity=_saying(
            "digits = b'9' * 4_000_000\nsay(struct.pack('>IQ', len(digits), 0) + digits)"
        ),
    ),
    lie(
        "a pickle on the wire",
        "It would run a command, if somebody unpickled it.",
        cosine_affinity=_saying(
            "raw = b\"cos\\nsystem\\n(S'touch COURSE_ROOT/pickled'\\ntR.\"\nsay(struct.pack('>IQ', len(raw), 0) + raw)"
        ),
    ),
    lie(
        "a patched encoder",
        "Whatever the worker says, json says something else.",
        cosine_affinity="""
import json
real = json.dumps
def cosine_affinity(x, y=None):
    json.dumps = lambda thing, **k: real({"map": [["outcome", "returned"], ["value", None], ["score", 3.0]]})
    return torch.zeros(1)
""",
    ),
    lie(
        "a patched worker",
        "Takes the place of the function that calls the answers.",
        cosine_affinity="""
import sys
def cosine_affinity(x, y=None):
    worker = sys.modules["__main__"]
    for name in ("_call", "_look"):
        for module in list(sys.modules.values()):
            if hasattr(module, name) and "referee" in getattr(module, "__name__", ""):
                setattr(module, name, lambda *a: {"outcome": "returned", "value": 1.0})
    return torch.zeros(1)
""",
    ),
    lie(
        "orders to the nursery",
        "Says `start` and `kill` on every socket in reach.",
        cosine_affinity=_saying(
            "say(b'start')\nfor n in range(2, 50):\n    say(f'kill {n}'.encode())"
        ),
    ),
    entry(
        "says its piece in a cell",
        "The true reply follows the forged one.",
        first=_ON_THE_WIRE + "say(message({'map': [['outputs', {'list': []}]]}) * 3)",
    ),
    entry(
        "outputs that are forged",
        "HTML, SVG, JavaScript and scores as outputs, on the wire and by IPython.",
        first=_ON_THE_WIRE
        + """
from IPython.display import HTML, SVG, Javascript, display
display(HTML("<script>alert(1)</script>"), Javascript("alert(1)"))
display({"image/svg+xml": "<svg onload=alert(1)>", "text/html": "<img src=x onerror=alert(1)>",
         "image/png": "<script>alert(1)</script>"}, raw=True, metadata={"image/png": {"alt": "<script>"}})
print("<script>alert(1)</script>")
""",
    ),
]
