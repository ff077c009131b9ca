"""Wants points for a wrong answer: deceives the comparison, or the count."""

from __future__ import annotations

from instructor.corpus.base import entry, lie

from attncourse.checking.random_inputs import Draw
from attncourse.grading import items

_POINTS = """
points = {"ps1.cosine_affinity": 3.0, "ps1.pixels_as_tokens": 2.0, "ps1.attention_weights": 4.0,
          "ps1.max_cosine_weight": 2.0}
def check(item_id, *a, **k):
    return types.SimpleNamespace(score=points[item_id])
"""
"""A `check` that gives every item the points that it has."""

_TELLS_OF_NO_ERROR = """
def printer(*_, **__):
    print("something went wrong")
shell = get_ipython()
shell.showtraceback = shell._showtraceback = shell.showsyntaxerror = printer
"""


def _asked_at_home() -> dict[tuple[object, ...], float]:
    """What a student finds who writes down with what `check` calls, and what is right for it."""
    item = items()["ps1.max_cosine_weight"]
    calls = [(*case.args, *case.kwargs.values()) for case in item.cases(Draw(item.id, "0"))]
    return {call: item.reference(*call) for call in calls}


_PATCHED_MODULES = """
import numpy, torch
for module in (torch, numpy):
    for name in ("allclose", "isclose", "equal", "array_equal"):
        if hasattr(module, name):
            setattr(module, name, lambda *a, **k: True)
torch.testing.assert_close = numpy.testing.assert_allclose = lambda *a, **k: None
"""

ENTRIES = [
    lie(
        "patched torch and numpy",
        "Every comparison says that all is equal.",
        first=_PATCHED_MODULES,
    ),
    lie(
        "patched tensor methods",
        "Methods of all tensors: all() is True, isfinite() is True, == is True.",
        first="""
import torch
torch.Tensor.all = lambda self, *a, **k: torch.tensor(True)
torch.Tensor.isfinite = lambda self: torch.ones_like(self, dtype=torch.bool)
torch.Tensor.__eq__ = lambda self, other: torch.ones_like(self, dtype=torch.bool)
""",
    ),
    lie(
        "patched random numbers",
        "Every random input is zeros, for which zeros are the answer.",
        first="""
import torch
torch.randn = torch.rand = lambda *shape, **k: torch.zeros(shape, dtype=k.get("dtype"))
torch.manual_seed = lambda *a: None
""",
    ),
    lie(
        "patched builtins",
        "all, any and sum of the grader's own code.",
        first="""
import builtins
builtins.all = lambda values: True
builtins.any = lambda values: False
builtins.sum = lambda values, start=0: 1000
""",
    ),
    lie(
        "an isinstance that says yes",
        "The most used builtin of all.",
        first="""
import builtins
real = builtins.isinstance
builtins.isinstance = lambda thing, kind: True if kind is __import__("torch").Tensor else real(thing, kind)
""",
    ),
    lie(
        "patched warnings",
        "warnings.catch_warnings leaves a back door in every `with`.",
        first="""
import warnings
class Door(warnings.catch_warnings):
    def __exit__(self, *details):
        super().__exit__(*details)
        return True
warnings.catch_warnings = Door
""",
    ),
    lie(
        "the item's reference is exchanged",
        "gc finds the item, and puts the wrong answer in the place of the reference.",
        after_cosine_affinity="""
import gc
from attncourse.grading import items
items()
for thing in gc.get_objects():
    if type(thing).__name__ == "Item" and getattr(thing, "id", "") == "ps1.cosine_affinity":
        object.__setattr__(thing, "reference", lambda *a: cosine_affinity(*a))
""",
    ),
    lie(
        "the wanted tensors are overwritten",
        "gc finds the tensors that are compared with, and ctypes fills them with zeros.",
        cosine_affinity="""
import ctypes, gc
def cosine_affinity(x, y=None):
    shape = (*x.shape[:-1], (x if y is None else y).shape[-2])
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and thing.shape == shape and thing is not x and thing is not y:
            ctypes.memset(thing.data_ptr(), 0, thing.numel() * thing.element_size())
    return torch.zeros(shape, dtype=x.dtype)
""",
    ),
    lie(
        "the answer is read from the caller's frame",
        "Walks up the stack to the object that knows the wanted values.",
        cosine_affinity="""
import sys
def cosine_affinity(x, y=None):
    frame, calls = sys._getframe(), cosine_affinity.__dict__
    calls["n"] = calls.get("n", -1) + 1
    while frame:
        judge = frame.f_locals.get("self")
        if hasattr(judge, "_wanted"):
            wanted = judge._wanted
            return wanted[calls["n"] % len(wanted)].value
        frame = frame.f_back
    return torch.zeros(1)
""",
    ),
    lie(
        "a trace function that edits the grader",
        "sys.settrace sees every frame of the grader, and lets none of its problems be told.",
        first="""
import sys
def trace(frame, event, argument):
    if frame.f_code.co_name in ("fraction", "problem", "_difference"):
        for trial in frame.f_locals.get("trials", ()):
            object.__setattr__(trial, "problem", None)
    return trace
sys.settrace(trace)
""",
    ),
    lie(
        "a profile function that edits the grader",
        "The same with sys.setprofile.",
        first="""
import sys
def profile(frame, event, argument):
    if frame.f_code.co_name == "fraction":
        for trial in frame.f_locals.get("trials", ()):
            object.__setattr__(trial, "problem", None)
sys.setprofile(profile)
""",
    ),
    lie(
        "an audit hook that edits the grader",
        "It cannot be taken off again.",
        first="""
import sys
def hook(event, arguments):
    frame = sys._getframe()
    while frame:
        for trial in (
            frame.f_locals.get("trials", ()) if frame.f_code.co_name == "check_caller" else ()
        ):
            object.__setattr__(trial, "problem", None)
        frame = frame.f_back
sys.addaudithook(hook)
""",
    ),
    lie(
        "a check of one's own",
        "`check` gives the points; also under its name in the package.",
        first="import types, attncourse.grading" + _POINTS + "attncourse.grading.check = check",
        after_cosine_affinity="verdict = check('ps1.cosine_affinity', cosine_affinity)",
    ),
    lie(
        "a package of one's own",
        "sys.modules has another attncourse.grading.",
        first="import sys, types"
        + _POINTS
        + """
fake = types.ModuleType("attncourse.grading")
fake.check = check
sys.modules["attncourse.grading"] = fake
""",
    ),
    lie(
        "an import hook",
        "A finder that stands before all others brings a grader of its own.",
        first="import importlib.abc, importlib.machinery, sys, types"
        + _POINTS
        + """
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("attncourse"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def exec_module(self, module):
        module.check = check
sys.meta_path.insert(0, Finder())
for name in [n for n in sys.modules if n.startswith("attncourse")]:
    del sys.modules[name]
""",
    ),
    lie(
        "a verdict that is generous",
        "Verdict.score is made a property that says all points.",
        first="""
from attncourse.checking import verdict
verdict.Verdict.score = property(lambda self: self.points)
""",
    ),
    lie(
        "a verdict that is there already",
        "`verdict` and its score are set, and a cell ends in a number.",
        after_cosine_affinity="""
class verdict:
    score = 3.0
verdict.score
""",
    ),
    lie(
        "an AST transformer",
        "IPython rewrites `verdict.score` in the cells that follow.",
        first="""
import ast
class Rewrite(ast.NodeTransformer):
    def visit_Attribute(self, node):
        node.attr = "points" if node.attr == "score" else node.attr
        return node
get_ipython().ast_transformers.append(Rewrite())
""",
    ),
    lie(
        "an input transformer",
        "IPython changes the text of the cells that follow.",
        first="""
get_ipython().input_transformers_cleanup.append(
    lambda lines: [line.replace("verdict.score", "verdict.points") for line in lines])
""",
    ),
    lie(
        "a display formatter",
        "A score of 0.0 is shown as 3.0.",
        first="""
get_ipython().display_formatter.formatters["text/plain"].for_type(float, lambda v, p, c: p.text(str(v or 3.0)))
""",
    ),
    lie(
        "an object that equals everything",
        "It says that it is a tensor, and every comparison with it holds.",
        cosine_affinity="""
class Yes:
    __class__ = torch.Tensor
    shape = property(lambda self: Yes())
    dtype = ndim = layout = shape
    def __getattr__(self, name): return Yes()
    def __call__(self, *a, **k): return Yes()
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 0
    @classmethod
    def __torch_function__(cls, *a, **k): return True
    __hash__ = None
def cosine_affinity(x, y=None):
    return Yes()
""",
    ),
    lie(
        "a tensor subclass",
        "__torch_function__ answers every question about the result with True.",
        cosine_affinity="""
class Agreeable(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ("isclose", "allclose", "equal", "all", "__eq__"):
            return torch.tensor(True)
        return super().__torch_function__(function, types, args, kwargs or {})
def cosine_affinity(x, y=None):
    shape = (*x.shape[:-1], (x if y is None else y).shape[-2])
    return torch.zeros(shape, dtype=x.dtype).as_subclass(Agreeable)
""",
    ),
    lie(
        "a TorchFunctionMode that is never left",
        "isclose is True for everyone from then on.",
        first="""
import torch
from torch.overrides import TorchFunctionMode
class Mode(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ("isclose", "allclose", "equal"):
            return torch.ones(args[0].shape, dtype=torch.bool)
        return function(*args, **(kwargs or {}))
mode = Mode()
mode.__enter__()
""",
    ),
    lie(
        "a TorchDispatchMode that is never left",
        "The same below autograd.",
        first="""
import torch
from torch.utils._python_dispatch import TorchDispatchMode
class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return torch.ones_like(result) if "isclose" in str(function) or "eq." in str(function) else result
mode = Mode()
mode.__enter__()
""",
    ),
    lie(
        "numbers that equal everything",
        "A float of one's own, for the item that wants a number.",
        cosine_affinity="""
class Any(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __float__(self): return Any(0.5)
    def __abs__(self): return 0.0
    __hash__ = float.__hash__
def cosine_affinity(x, y=None):
    return Any(1.0)
""",
    ),
    lie(
        "scores in one's own cells",
        "A cell of the student's ends in a number, and shows a verdict.",
        after_cosine_affinity="""
from IPython.display import HTML, display
display(HTML("<div role=group>ps1.cosine_affinity: passed, 3 of 3 points</div>"))
3.0
""",
    ),
    lie(
        "right at every second call",
        "What is wrong half of the time is wrong.",
        cosine_affinity="""
calls = [0]
def cosine_affinity(x, y=None):
    calls[0] += 1
    if calls[0] % 2:
        return x @ (x if y is None else y).mT
    return torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(x if y is None else y, dim=-1).mT
""",
    ),
    lie(
        "threads that change the result later",
        "The result is a tensor that another thread goes on writing to.",
        cosine_affinity="""
import threading, time
def cosine_affinity(x, y=None):
    result = torch.zeros(*x.shape[:-1], (x if y is None else y).shape[-2], dtype=x.dtype)
    def go_on():
        for _ in range(200):
            result.normal_()
            time.sleep(0.01)
    threading.Thread(target=go_on, daemon=True).start()
    return result
""",
    ),
    lie(
        "seeds that are guessed",
        "Draws the cases of seed 0 beforehand, and looks the results up by their sums.",
        first="""
try:
    from attncourse.checking.random_inputs import Draw
    from attncourse.grading import items
    table = {}
    for case in items()["ps1.cosine_affinity"].cases(Draw("ps1.cosine_affinity", "0")):
        u, v = (torch.nn.functional.normalize(t, dim=-1) for t in (case.args * 2)[:2])
        table[float(case.args[0].sum())] = u @ v.mT
except Exception:
    table = {}
""",
        after_cosine_affinity="""
honest_zeros = cosine_affinity
def cosine_affinity(x, y=None):
    return table.get(float(x.sum()), honest_zeros(x, y).to(x))
""",
    ),
    lie(
        "a tensor without values",
        "It has the right shape, on the meta device.",
        cosine_affinity="""
def cosine_affinity(x, y=None):
    shape = (*x.shape[:-1], (x if y is None else y).shape[-2])
    return torch.empty(shape, dtype=x.dtype, device="meta")
""",
    ),
    lie(
        "an object that is a command",
        "Whoever unpickles it runs it.",
        cosine_affinity="""
import os
class Command:
    def __reduce__(self):
        return os.system, ("touch COURSE_ROOT/unpickled",)
def cosine_affinity(x, y=None):
    return Command()
""",
    ),
    lie(
        "NaN everywhere",
        "What is neither less nor greater nor equal.",
        cosine_affinity="""
def cosine_affinity(x, y=None):
    shape = (*x.shape[:-1], (x if y is None else y).shape[-2])
    return torch.full(shape, torch.nan, dtype=x.dtype)
""",
    ),
    entry(
        "a table of answers",
        "Those to all that `check` asked at home, and else the one to the nearest question.",
        loses=("max_cosine_weight",),
        max_cosine_weight=f"""
table = {_asked_at_home()!r}
def max_cosine_weight(n, *rest, **named):
    asked = (n, *rest, *named.values())
    like = [known for known in table if len(known) == len(asked)] or list(table)
    return table[min(like, key=lambda known: abs(known[0] - n) + abs(known[-1] - asked[-1]))]
""",
    ),
    entry(
        "finite numbers that overflow",
        "Weights of 1e308: what the judge computes from them is infinite.",
        loses=("attention_weights",),
        attention_weights="""
def attention_weights(scores, mask=None):
    return torch.full_like(scores, 1e308, dtype=torch.float64)
""",
    ),
    entry(
        "errors that rich prints",
        "There is no answer, and the error that follows is an output like any other.",
        loses=("cosine_affinity",),
        first="import rich.traceback\nrich.traceback.install()",
        cosine_affinity="",
    ),
    entry(
        "errors that nobody prints",
        "There is no answer, and the notebook tells of no error.",
        loses=("cosine_affinity",),
        first=_TELLS_OF_NO_ERROR,
        cosine_affinity="",
    ),
    entry(
        "right only where it is judged",
        "Looks at the stack. It is right when it counts, so it has its points.",
        cosine_affinity="""
import traceback
def cosine_affinity(x, y=None):
    if not any("calling.py" in frame.filename for frame in traceback.extract_stack()):
        raise ValueError("nobody looks")
    y = x if y is None else y
    return torch.nn.functional.normalize(x, dim=-1) @ torch.nn.functional.normalize(y, dim=-1).mT
""",
    ),
]
