"""A busy machine, and one whose memory runs out, cost nobody points."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from instructor.referee.test_confinement import said, tried
from instructor.referee.test_notebook import RIGHT, check_of, graded, record, refereed, score, told

from attncourse.checking.calling import Failed, Returned
from attncourse.instructor.course.scoring import scores_in
from attncourse.instructor.limits import Limits
from attncourse.instructor.referee import family as families
from attncourse.instructor.referee import memory, notebook
from attncourse.instructor.referee.allowance import Allowance, Patience
from attncourse.instructor.referee.family import Process, family
from attncourse.instructor.referee.own_time import OwnTime
from attncourse.instructor.referee.remote_caller import RemoteCaller
from attncourse.instructor.referee.workers import Nursery, Worker, WorkerKilled, WorkerLost

MIB = 1 << 20

# ---------------------------------------------------------------------------------------- time

CROWD = """
    import os
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()  # to the scheduler a group of its own
            while True:
                pass
"""
WORK = """
import time

def works(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
    return seconds
"""


@pytest.fixture
def crowded(nursery: Nursery) -> Iterator[Worker]:
    """A worker on whose core there are six others that compute."""
    with nursery.start() as neighbour, nursery.start() as worker:
        said(worker, WORK)
        said(neighbour, CROWD)
        yield worker


def test_time_in_which_a_worker_waits_for_a_core_is_not_its_own(crowded: Worker) -> None:
    begun = time.monotonic()
    allowance = Allowance(3)
    crowded.run("works(1)", allowance)
    assert time.monotonic() - begun > 3, "nobody was in its way"
    assert 0.9 < allowance.used < 2
    caller = RemoteCaller(crowded, "works", 3)
    for _ in range(2):
        assert isinstance(caller.call([1.0], {}), Returned)
    assert isinstance(caller.call([3.0], {}), Failed)  # it has had its time, all calls together
    assert caller.stopped == "no answer within 3 seconds"


@pytest.mark.parametrize(
    "source", ["import time; time.sleep(600)", "import threading; threading.Event().wait()"]
)
def test_a_worker_that_waits_for_nothing_has_no_more_time_than_the_clock_gives(
    worker: Worker, source: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkerLost, match="it took too long"):
        worker.run(source, 2)
    assert time.monotonic() - begun < 15


def test_the_time_of_processes_that_a_cell_starts_is_its_own(worker: Worker) -> None:
    burn = """
        import os
        for _ in range(3):
            child = os.fork()
            if child == 0:
                start = os.times()
                while os.times().user - start.user < 0.5:
                    pass
                os._exit(0)
            os.waitpid(child, 0)
    """
    allowance = Allowance(30)
    worker.run(textwrap.dedent(burn), allowance)
    assert 1.4 < allowance.used < 10


def looked(*looks: tuple[float, float, bool]) -> Callable[[pytest.MonkeyPatch], OwnTime]:
    def made(monkeypatch: pytest.MonkeyPatch) -> OwnTime:
        clock = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        found = OwnTime()
        for now, used, busy in looks:
            clock[0] = now
            found.look([Process(1, round(used * os.sysconf("SC_CLK_TCK")), busy)])
        return found

    return made


@pytest.mark.parametrize(
    ("looks", "since", "own"),
    [
        ([(0.25, 0.25, True), (0.5, 0.5, True)], 0.0, 0.5),  # it has a core to itself
        ([(0.25, 0.1, True), (0.5, 0.2, True)], 0.0, 0.2),  # it has to share it
        ([(0.25, 0.0, False), (0.5, 0.0, False)], 0.0, 0.5),  # it sleeps
        ([(0.25, 0.1, False)], 0.0, 0.25),  # it slept after it had computed
        ([(0.25, 0.25, True), (0.5, 0.5, True)], 0.25, 0.25),
        ([(0.25, 0.25, True), (0.5, 0.5, True)], 0.3, 0.2),
        ([(0.25, 0.25, True), (0.5, 0.0, True), (0.75, 0.25, True)], 0.0, 0.5),  # a child is gone
        ([(60.0, 0.0, False)], 0.0, 1.0),  # who looks has to wait for a core as well
    ],
)
def test_own_time(
    monkeypatch: pytest.MonkeyPatch,
    looks: list[tuple[float, float, bool]],
    since: float,
    own: float,
) -> None:
    assert looked(*looks)(monkeypatch).since(since) == pytest.approx(own, abs=0.02)


@pytest.mark.parametrize(
    ("own", "most"), [(lambda passed: 0.0, 20.0), (lambda passed: passed, 2.0), (None, 2.0)]
)
def test_patience_ends_with_the_workers_own_time_and_at_the_latest_with_ten_times_as_much(
    monkeypatch: pytest.MonkeyPatch, own: Callable[[float], float] | None, most: float
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    allowance = Allowance(2)
    patience = Patience(allowance, lambda since: own(clock[0] - since) if own else None)
    with contextlib.suppress(TimeoutError):
        while True:
            clock[0] += patience.wait()
    assert clock[0] == pytest.approx(100 + most, abs=0.2)
    patience.end()
    assert allowance.used == pytest.approx(0 if most > 2 else 2, abs=0.2)


# ---------------------------------------------------------------------------------------- kills


def processes_named(name: str) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == name:
                    yield int(entry.name)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def killing(name: str, times: int, target: Callable[[int], int] = int) -> Iterator[list[int]]:
    """Kill the first workers that take this name, as the system does when memory runs out."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while len(killed) < times and not over.wait(0.02):
            for process in set(processes_named(name)) - set(killed):
                os.kill(target(process), signal.SIGKILL)
                killed.append(process)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def marked(name: str, seconds: float) -> str:
    return f"open('/proc/self/comm', 'w').write({name!r}); import time; time.sleep({seconds})\n"


@pytest.mark.parametrize("target", [int, parent_of], ids=["the worker", "its guardian"])
def test_a_worker_that_the_machine_kills_costs_nobody_points(
    nursery: Nursery, target: Callable[[int], int]
) -> None:
    name = f"cell-{os.getpid()}"
    with killing(name, 2, target) as killed:
        book = refereed(nursery, "x = 3", marked(name, 2) + RIGHT, check_of("max_cosine_weight"))
    assert len(killed) == 2
    assert score(book.cells[-1]) == 2
    assert "Stopped" not in told(book.cells[1])
    assert record(book).stopped == ()
    assert not any(each.needs_a_person for each in scores_in(book).values())


LONG_TO_END = """
import os
ready, tell = os.pipe()
if os.fork() == 0:
    os.closerange(3, tell)  # the wire too: the judge learns of the end before this has ended
    kept = b"x" * (600 << 20)
    os.write(tell, b"x")
    __import__("time").sleep(60)
os.read(ready, 1)
"""


def test_so_it_is_where_the_system_is_long_about_it(nursery: Nursery) -> None:
    name = f"long-{os.getpid()}"
    with killing(name, 1) as killed:
        source = LONG_TO_END + marked(name, 2) + RIGHT
        book = refereed(nursery, source, check_of("max_cosine_weight"))
    assert len(killed) == 1
    assert score(book.cells[-1]) == 2


def test_so_it_is_where_the_function_is_called(nursery: Nursery) -> None:
    name = f"call-{os.getpid()}"
    answer = f"def max_cosine_weight(n, temperature=1.0):\n    {marked(name, 1)}    return best(n, "
    answer = RIGHT.replace("max_cosine_weight", "best") + answer + "temperature)"
    with killing(name, 2) as killed:
        book = refereed(nursery, answer, check_of("max_cosine_weight"), seconds=60)
    assert len(killed) == 2
    assert score(book.cells[-1]) == 2
    with killing(name, 3) as killed:
        book = refereed(nursery, answer, check_of("max_cosine_weight"), RIGHT, "x = 5\nprint(x)")
    assert len(killed) == 3
    assert score(book.cells[1]) == 0
    [found] = scores_in(book).values()
    assert found.needs_a_person
    assert "killed from outside" in (record(book).items[0].needs_a_person or "")
    assert "5" in told(book.cells[-1])


class Machine:
    """Workers on a machine whose clock they alone move, and which ends the first few of them.

    A cell says how many seconds it takes, and whether it is one that the machine ends.
    """

    sandboxed = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
        self.now, self.kills, self.lost = 0.0, kills, False
        self.value = None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def start(self) -> Machine:
        self.lost = False
        return self

    def run(self, source: str, allowance: Allowance) -> list[dict[str, Any]]:
        kind, seconds = source.split()
        took = min(float(seconds), allowance.left)
        self.now += took
        allowance.used += took
        if kind == "killed" and self.kills:
            self.kills -= 1
            self.lost = True
            raise WorkerKilled("killed from outside")
        if took < float(seconds):
            self.lost = True
            raise WorkerLost("it took too long")
        return []

    def close(self) -> None:
        pass


def test_what_the_machine_ends_and_brings_back_takes_none_of_the_notebooks_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, kills=2)
    book = refereed(machine, "takes 4", "killed 3", "takes 2", "takes 2", total_seconds=10)
    assert ["Stopped" in told(cell) for cell in book.cells] == [False, False, False, True]


def test_by_the_clock_what_is_run_again_ends_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "CLOCK_MULTIPLE", 2)
    machine = Machine(monkeypatch, kills=2)
    book = refereed(machine, "takes 4", "takes 4", "killed 1", total_seconds=10)
    assert machine.now == 20
    assert "the notebook has had its 10 seconds" in told(book.cells[2])


def test_after_three_workers_a_person_has_to_look_at_what_the_cell_was_for(
    nursery: Nursery,
) -> None:
    name = f"thrice-{os.getpid()}"[:15]
    with killing(name, 3) as killed:
        book = refereed(
            nursery,
            marked(name, 2) + RIGHT,
            check_of("max_cosine_weight"),
            graded("assert max_cosine_weight", "by_hand", 3),
            graded("assert True", "in_full", 3),
        )
    assert len(killed) == 3
    assert "killed from outside" in told(book.cells[0])
    assert [score(cell) for cell in book.cells[1:]] == [0, 0, 3]
    waiting = {name: each.needs_a_person for name, each in scores_in(book).items()}
    assert waiting == {"max_cosine_weight_check": True, "by_hand": True, "in_full": False}


def test_what_a_worker_does_to_itself_is_not_the_machines_doing(nursery: Nursery) -> None:
    for source in (
        "import os; os._exit(9)",
        "import os, signal; os.kill(os.getpid(), signal.SIGABRT); os.abort()",
        "import os; os.closerange(3, 100)\nwhile True: pass",
        "while True: pass",
    ):
        with nursery.start() as worker, pytest.raises(WorkerLost) as lost:
            worker.run(source, 2)
        assert not isinstance(lost.value, WorkerKilled), source


def test_a_worker_ends_with_its_guardian(nursery: Nursery) -> None:
    name = f"ward-{os.getpid()}"
    with nursery.start() as worker:
        said(worker, f"open('/proc/self/comm', 'w').write({name!r})")
        [process] = processes_named(name)
        os.kill(parent_of(process), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while list(processes_named(name)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not list(processes_named(name))
        with pytest.raises(WorkerKilled):
            worker.run("3", 5)
    with nursery.start() as next_one:
        assert said(next_one, "print(3)") == "3"


# --------------------------------------------------------------------------------------- memory


def used(most: int) -> int:
    return memory.memory_of(family(os.getpid()), most)


def test_memory_that_is_shared_and_not_resident_counts_and_counts_once() -> None:
    size = 200 * MIB
    before = used(0)
    with mmap.mmap(-1, size) as shared:
        shared.write(b"x" * size)
        assert used(0) - before == pytest.approx(size, abs=20 * MIB)
        shared.madvise(mmap.MADV_DONTNEED)  # it is still there: the next look at it finds it
        assert used(0) - before == pytest.approx(size, abs=20 * MIB)
        assert used(before + size // 2) > before + size // 2
        ready, tell = os.pipe()
        if os.fork() == 0:
            os.read(ready, 1)
            os._exit(0)
        try:
            assert used(0) - before == pytest.approx(size, abs=60 * MIB)
        finally:
            os.write(tell, b"x")
            os.wait()
        assert shared[size - 1 :] == b"x"
    assert used(0) - before < 20 * MIB


def test_a_process_that_does_not_let_its_memory_be_looked_at_counts_with_all_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = families.read
    monkeypatch.setattr(memory, "read", lambda path: "" if "smaps" in path else read(path))
    size = next(
        int(line.split()[1]) << 10
        for line in read("/proc/self/status").splitlines()
        if line.startswith("VmSize:")
    )
    assert used(0) >= size


def test_a_worker_is_stopped_for_memory_that_is_shared_and_not_resident(sandbox: None) -> None:
    hidden = """
        import mmap, time
        kept = []
        for _ in range(5):
            kept.append(mmap.mmap(-1, 256 << 20))
            kept[-1].write(b"x" * (256 << 20))
            kept[-1].madvise(mmap.MADV_DONTNEED)
        time.sleep(60)
    """
    with (
        Nursery(Limits(memory=1.0)) as nursery,
        nursery.start() as worker,
        pytest.raises(WorkerLost, match="more than 1 GiB of memory"),
    ):
        worker.run(textwrap.dedent(hidden), 50)


# ---------------------------------------------------------------------------------------- users

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="one user cannot become another")


@as_root
def test_each_worker_is_a_user_of_its_own(nursery: Nursery) -> None:
    with nursery.start() as one, nursery.start() as other:
        users = {int(said(each, "import os; print(os.getuid())")) for each in (one, other)}
    assert len(users) == 2
    assert 0 not in users


@as_root
def test_descriptors_on_their_way_in_one_worker_leave_room_for_those_of_another(
    nursery: Nursery,
) -> None:
    send = """
        import socket
        kept = []
        def send(most):
            sent = 0
            try:
                for _ in range(most):
                    kept.append(socket.socketpair())
                    socket.send_fds(kept[-1][0], [b"x"], [0] * 50)
                    sent += 50
            except OSError:
                pass
            return sent
    """
    with nursery.start() as one, nursery.start() as other:
        for each in (one, other):
            said(each, send)
        assert tried(one, "send(20) > 100") == "done True"
        assert tried(other, "send(1)") == "done 50"
