"""Whatever a worker answers or does, the judge gets an outcome with a reason, and goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import psutil
import pytest
import strategies  # noqa: F401  (the profile)
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attncourse.checking.calling import Failed, Returned
from attncourse.checking.engine import check_caller
from attncourse.checking.values import Foreign
from attncourse.checking.verdict import Verdict
from attncourse.grading import items
from attncourse.instructor import limits
from attncourse.instructor.referee import sandbox
from attncourse.instructor.referee.launching import NurseryProcess
from attncourse.instructor.referee.remote_caller import RemoteCaller
from attncourse.instructor.referee.workers import Nursery, Worker, WorkerLost, Workers

ITEMS = list(items())


class Liar:
    """A worker that answers as it is told to; a function of the request may tell it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.closed = False

    def ask(self, request: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        answer = self._answer(request) if callable(self._answer) else self._answer
        return answer if isinstance(answer, Mapping) else {}

    def close(self, reason: str) -> None:
        self.closed = True


def verdict_on(item_id: str, answer: Any) -> Verdict:
    caller = RemoteCaller(Liar(answer), "f", 60)  # type: ignore[arg-type]
    return check_caller(items()[item_id], caller, seed=0)


def kept(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """The inputs as an honest worker sends them back."""
    given = (*request["args"], *request["kwargs"].values())
    return tuple(tuple(value) if isinstance(value, list) else value for value in given)


# ------------------------------------------------------------------------------ answers that lie

sizes = st.lists(st.integers(0, 5), max_size=4)
some_tensors = st.builds(
    lambda shape, dtype, fill: torch.full(shape, fill).to(dtype),
    sizes,
    st.sampled_from(
        [
            *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64),
            *(torch.bool, torch.int64, torch.uint8),
        ]
    ),
    st.sampled_from([0.0, 1.0, 1.5, float("nan"), float("inf")]),
)
singles = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text(max_size=5)
    | st.builds(Foreign, st.text(min_size=1, max_size=5))
    | some_tensors
)
values = st.recursive(
    singles,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
answers = st.dictionaries(
    st.sampled_from(
        [
            *("outcome", "value", "inputs", "gradients", "output", "unsent"),
            *("error", "message", "line", "code", "helper", "used_the_course"),
        ]
    ),
    values | st.sampled_from(["failed", "returned"]),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ITEMS), answers)
def test_no_answer_stops_the_judge(item_id: str, answer: dict[str, Any]) -> None:
    verdict = verdict_on(item_id, answer)
    assert verdict.fraction < 1
    assert verdict.hint
    repr(verdict).encode()
    verdict._repr_html_().encode()


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ITEMS), values, values, st.booleans())
def test_nor_does_one_that_is_right_in_part(
    item_id: str, value: Any, gradients: Any, honest_inputs: bool
) -> None:
    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        inputs = kept(request) if honest_inputs else tuple(value for _ in kept(request))
        return {"outcome": "returned", "value": value, "inputs": inputs, "gradients": gradients}

    assert verdict_on(item_id, answer).score <= items()[item_id].points


def outcome(answer: Any, *args: Any, cotangent: torch.Tensor | None = None) -> Any:
    return RemoteCaller(Liar(answer), "f", 60).call(args, {}, cotangent)  # type: ignore[arg-type]


X = torch.ones(2, 3)


def test_a_result_of_more_than_a_student_s_function_could_send_is_foreign_or_cut() -> None:
    def value(given: Any) -> Any:
        return outcome({"value": given, "inputs": (X,), "gradients": None}, X).value

    assert value((1,) * limits.MAX_RESULT_ENTRIES) == (1,) * 16
    assert value((1,) * 17) == Foreign("tuple")
    assert value("x" * 100_000) == "x" * limits.MAX_RESULT_TEXT
    assert value((X, "x" * 100_000))[1] == "x" * limits.MAX_RESULT_TEXT


@pytest.mark.parametrize(
    "gradients",
    [
        *(None, (), (X, X), X, [X], {"a": X}, "gradient", (3.0,)),
        *((X.double(),), (X.long(),), (X.T,), (X[0],), ((X,),)),
    ],
    ids=repr,
)
def test_gradients_of_another_number_kind_or_shape_are_none(gradients: Any) -> None:
    got = outcome({"value": X, "inputs": (X,), "gradients": gradients}, X, cotangent=X)
    assert isinstance(got, Returned)
    assert got.gradients is None


def test_gradients_that_fit_are_taken() -> None:
    got = outcome({"value": X, "inputs": (X, X), "gradients": (X, None)}, X, X, cotangent=X)
    assert got.gradients == (X, None)


@pytest.mark.parametrize("inputs", [None, (), (X, X), [X], X, {"a": X}], ids=repr)
def test_an_answer_without_the_inputs_is_the_worker_s_last(inputs: Any) -> None:
    liar = Liar({"value": X, "inputs": inputs})
    got = RemoteCaller(liar, "f", 60).call([X], {})  # type: ignore[arg-type]
    assert isinstance(got, Failed)
    assert got.message == "the answer makes no sense"
    assert liar.closed


def test_a_value_within_a_value_is_foreign() -> None:
    got = outcome({"value": (X, (X,), [1], {"a": 1}), "inputs": (X,)}, X)
    assert got.value == (X, Foreign("tuple"), Foreign("list"), Foreign("dict"))
    assert outcome({"value": [X], "inputs": (X,)}, X).value == Foreign("list")


def test_what_an_error_says_is_cut() -> None:
    got = outcome(
        {"outcome": "failed", "error": "E" * 10_000, "message": 3, "line": True, "code": None}
    )
    assert isinstance(got, Failed)
    assert (len(got.error), got.message, got.line, got.code) == (200, "", None, "")


# --------------------------------------------------------------------------- workers that misbehave

WIRE = """
import os, struct, time
wire = next(number for number in range(3, 256) if "socket:" in
            (os.path.islink(f"/proc/self/fd/{number}") and os.readlink(f"/proc/self/fd/{number}") or ""))
"""
HOSTILE = {
    "dies": "import os; os._exit(3)",
    "is ended by a fault": "import ctypes; ctypes.string_at(0)",
    "loops": "while True: pass",
    "loops and catches whatever is raised": """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
while True:
    try:
        while True: pass
    except BaseException:
        pass
""",
    "waits": "import time; time.sleep(3600)",
    "stops the process": "import os, signal; os.kill(0, signal.SIGSTOP); import time; time.sleep(60)",
    "fills the memory": """
import os
for _ in range(6):
    if os.fork() == 0: break
kept = []
while True:
    try:
        kept.append(bytearray(b"x") * (64 << 20))
    except MemoryError:
        pass
""",
    "forks without end": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "closes its descriptors": "import os; os.closerange(0, 1000)",
    "writes garbage to the wire": WIRE + "os.write(wire, b'\\xff' * 1000)",
    "writes zeros to the wire": WIRE + "os.write(wire, bytes(12) + b'x')",
    "promises a large message": f"""{WIRE}
os.write(wire, struct.pack(">IQ", 1 << 20, 1 << 26)); time.sleep(3600)
""",
    "floods the wire": f"""{WIRE}
while True:
    os.write(wire, b"9" * (1 << 20))
""",
    "drips to the wire": f"""{WIRE}
os.write(wire, struct.pack(">IQ", 1 << 20, 0))
while True:
    os.write(wire, b" "); time.sleep(0.01)
""",
    "takes apart what the worker is made of": """
import gc, json, socket, sys, torch
json.dumps = json.loads = torch.Tensor.permute = torch.Tensor.clone = None
sys.modules.clear()
for thing in gc.get_objects():
    if isinstance(thing, dict) and thing.get("__name__", "").startswith("attncourse"):
        thing.clear()
""",
}


def run_and_go_on(worker: Worker, source: str) -> None:
    worker.run(source, 2)
    worker.run("3", 2)  # some harm is only noticed now


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_cell_that_harms_its_worker_is_lost_with_a_reason_and_the_next_worker_works(
    nursery: Nursery, source: str
) -> None:
    with nursery.start() as neighbour:
        begun = time.monotonic()
        with nursery.start() as worker, pytest.raises(WorkerLost) as lost:
            run_and_go_on(worker, source)
        assert str(lost.value)
        assert worker.lost
        assert time.monotonic() - begun < 60
        assert neighbour.run("6 * 7", 30)[0]["data"]["text/plain"] == "42"
    with nursery.start() as next_one:
        assert next_one.run("6 * 7", 30)[0]["data"]["text/plain"] == "42"


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_function_that_harms_its_worker_fails_with_a_reason(
    nursery: Nursery, source: str
) -> None:
    body = "\n".join("    " + line for line in source.strip().splitlines())
    with nursery.start() as worker:
        worker.run(f"def f(x):\n{body}\n    return x", 10)
        caller = RemoteCaller(worker, "f", 2)
        outcomes = [caller.call([X], {}) for _ in range(3)]
    assert isinstance(outcomes[-1], Failed)
    assert outcomes[-1].error == "Stopped"
    assert outcomes[-1].message


def test_the_reason_says_what_happened(nursery: Nursery) -> None:
    for source, reason in (
        ("import os; os._exit(3)", "its process ended with status 3"),
        ("import ctypes; ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("while True: pass", "it took too long"),
        (WIRE + "os.write(wire, b'x' * 50)", "too large"),
    ):
        with nursery.start() as worker, pytest.raises(WorkerLost, match=reason):
            worker.run(source, 2)


def test_a_lost_worker_answers_nothing_any_more(worker: Worker) -> None:
    with pytest.raises(WorkerLost):
        worker.run("import os; os._exit(0)", 10)
    with pytest.raises(WorkerLost, match="status 0"):
        worker.run("3", 10)


def test_all_calls_of_a_function_share_their_time(worker: Worker) -> None:
    worker.run("import time\ndef f(x):\n    time.sleep(0.4)\n    return x", 10)
    caller = RemoteCaller(worker, "f", 1)
    outcomes = [caller.call([X], {}) for _ in range(5)]
    assert isinstance(outcomes[0], Returned)
    assert isinstance(outcomes[-1], Failed)
    assert outcomes[-1].message == "no answer within 1 seconds"


def test_a_result_too_large_for_the_wire_is_foreign(worker: Worker) -> None:
    worker.run("import torch\ndef f(x):\n    return torch.empty(1 << 25)", 10)
    got = RemoteCaller(worker, "f", 30).call([X], {})
    assert isinstance(got, Returned)
    assert isinstance(got.value, Foreign)
    assert worker.run("6 * 7", 10)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ("10 ** 5000", float("inf")),
        ("-(2 ** 70)", -(2.0**70)),
        ("torch.ones(2, 2, dtype=torch.cfloat).mH", torch.ones(2, 2, dtype=torch.cfloat)),
        ("type('', (), {'__module__': 'builtins'})()", Foreign("object")),
        ("'\\ud800'", "?"),
        ("torch.ones(3).to_sparse()", Foreign("tensor in the layout sparse_coo")),
        ("{'a': 1}", Foreign("dict")),
    ],
)
def test_odd_results_arrive(worker: Worker, result: str, value: Any) -> None:
    worker.run(f"import torch\ndef f(x):\n    return {result}", 10)
    got = RemoteCaller(worker, "f", 30).call([X], {})
    assert isinstance(got, Returned)
    if isinstance(value, torch.Tensor):
        assert torch.equal(got.value, value)
    else:
        assert got.value == value


# ------------------------------------------------------------------------------------- nurseries


def test_a_nursery_that_was_killed_starts_no_worker_and_says_so(sandbox: None) -> None:
    with Nursery() as nursery:
        old = nursery.start()
        for process in _of(nursery):
            process.kill()
        with pytest.raises(WorkerLost):
            old.run("3", 20)
        for _ in range(2):
            with pytest.raises(WorkerLost, match="the nursery has ended"):
                nursery.start()


def test_a_nursery_that_hangs_is_given_up(sandbox: None) -> None:
    with Nursery() as nursery:
        nursery.ready()
        nursery._control.settimeout(1)
        everything = _of(nursery)
        hanging = [each for each in everything if each.name().startswith("python")]
        assert hanging
        for process in hanging:
            process.suspend()
        with pytest.raises(WorkerLost, match="the nursery has ended"):
            nursery.start()
    _, alive = psutil.wait_procs(everything, timeout=20)
    assert not alive


def _of(nursery: Nursery) -> list[psutil.Process]:
    """bubblewrap and all that runs in it."""
    return psutil.Process(nursery._process._process.pid).children(recursive=True)


def test_branches_asked_for_before_the_nursery_is_warm_start_workers_of_their_own(
    sandbox: None,
) -> None:
    with NurseryProcess() as nursery:
        branches = [Workers(nursery.branch(), sandboxed=True) for _ in range(3)]
        workers = [branch.start() for branch in branches]
        for number, worker in enumerate(workers):
            worker.run(f"x = {number}", 30)
        branches[0].close()  # and nobody else's worker with it
        with pytest.raises(WorkerLost):
            ask_for(20, workers[0])
        for number, worker in list(enumerate(workers))[1:]:
            assert worker.run("x", 30)[0]["data"]["text/plain"] == str(number)
        for each in (*workers, *branches):
            each.close()


def ask_for(seconds: float, worker: Worker) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        worker.run("3", seconds)


@pytest.mark.parametrize("asked_for", ["before", "afterwards"])
def test_a_branch_of_a_nursery_that_ended_says_so(sandbox: None, asked_for: str) -> None:
    nursery = NurseryProcess()
    early = nursery.branch()
    nursery.close()
    socket = early if asked_for == "before" else nursery.branch()
    did_not = pytest.raises(RuntimeError, match="the nursery did not start")
    with early, Workers(socket, sandboxed=True) as workers, did_not:
        workers.start()


def test_a_nursery_warms_without_a_word(sandbox: None) -> None:
    with NurseryProcess() as nursery:
        nursery.ready()
        assert nursery.close() == ""


def test_what_a_nursery_that_did_not_start_said_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "program", lambda: "/bin/ls")
    with Nursery(sandboxed=False) as nursery, pytest.raises(RuntimeError, match="ls: "):
        nursery.start()


def test_many_workers_come_and_go_and_leave_nothing_open(nursery: Nursery) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with nursery.start() as worker:
            worker.run("x = 3", 30)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_sandbox_workers_work_too_and_end_with_their_children() -> None:
    with Nursery(sandboxed=False) as nursery:
        with nursery.start() as worker:
            (output,) = worker.run(
                "import os, time\nchild = os.fork()\nif not child: time.sleep(600)\nprint(child)",
                30,
            )
        deadline = time.monotonic() + 20
        while _exists(int(output["text"])) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _exists(int(output["text"]))


def _exists(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
