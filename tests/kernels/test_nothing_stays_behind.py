"""Whatever is killed: the warm process and its kernels end with the process that asked for them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kernels.running import is_warm, kernel, wait_until

TESTS = Path(__file__).parents[1]

# Loops in C, holding the interpreter's lock: no thread of the kernel can see that its parent ended.
DEAF = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"
LOOPS = "while True: pass"
STARTS = "import subprocess; subprocess.Popen(['sleep', '600']).wait()"


@contextlib.contextmanager
def another_process(program):
    """It runs kernels and prints lines of JSON; all that it started is gone in the end."""
    started = []
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process, lambda: json.loads(process.stdout.readline()), started
        finally:
            process.kill()
            process.wait()
            assert_gone(started)


def assert_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=20)
    for left_over in alive:
        left_over.kill()
    assert not alive, alive


RUN = """
import json, os, time
from kernels.running import kernel
with kernel() as one, kernel() as two:
    for each in (one, two):
        each.says("2")
        each.goes_on_with({cell!r})
    time.sleep(1)
    print(json.dumps(one.process.ppid()), flush=True)
    {then}
"""


def family(number):
    warm = psutil.Process(number)
    assert is_warm(warm)
    return [warm, *warm.children(recursive=True)]


@pytest.mark.parametrize(
    ("how", "cell"),
    [
        (signal.SIGKILL, DEAF),
        (signal.SIGKILL, STARTS),
        (signal.SIGKILL, "pass"),
        (signal.SIGTERM, LOOPS),
    ],
    ids=["deaf", "starts", "idle", "loops"],
)
def test_when_the_process_that_asked_is_killed(how, cell):
    program = RUN.format(cell=cell, then="time.sleep(600)")
    with another_process(program) as (process, answer, started):
        started += family(answer())
        assert len(started) >= (5 if cell == STARTS else 3)
        process.send_signal(how)
        process.wait()
        assert_gone(started)


def test_when_it_is_killed_while_the_libraries_are_loading():
    program = """
import asyncio, json, os, sys, threading, psutil, time
from attncourse.kernels import forking
command = [sys.executable, "-m", "ipykernel_launcher", "-f", "/nowhere.json"]
asking = forking.fork_kernel(command, os.environ, "/")
threading.Thread(target=asyncio.run, args=[asking], daemon=True).start()
while not (children := psutil.Process().children()):
    time.sleep(0.001)
print(children[0].pid, flush=True)
time.sleep(600)
"""
    with another_process(program) as (process, answer, started):
        started.append(psutil.Process(answer()))
        process.kill()


@pytest.mark.parametrize("end", ["os._exit(5)", "import sys; sys.exit(5)"])
def test_when_it_ends_by_itself(end):
    with another_process(RUN.format(cell=LOOPS, then=f"time.sleep(2); {end}")) as (
        process,
        answer,
        started,
    ):
        started += family(answer())
        assert process.wait() == 5
        assert_gone(started)


def test_when_everybody_at_the_terminal_is_interrupted():
    with another_process(RUN.format(cell=LOOPS, then="time.sleep(600)")) as (
        process,
        answer,
        started,
    ):
        started += family(answer())
        os.killpg(process.pid, signal.SIGINT)
        process.wait()


def test_who_takes_that_interrupt_keeps_its_kernels():
    then = """
    import signal
    signal.signal(signal.SIGINT, lambda *_: None)
    os.killpg(0, signal.SIGINT)
    time.sleep(1)
    print(json.dumps([each.computes("2 + 2") for each in (one, two)]), flush=True)
"""
    with another_process(RUN.format(cell="pass", then=then)) as (_, answer, started):
        started += family(answer())
        assert answer() == [4, 4]


def test_when_it_has_forked_others_that_live_on():
    then = "time.sleep(600) if os.fork() else time.sleep(30)"
    with another_process(RUN.format(cell=LOOPS, then=then)) as (process, answer, started):
        expected = family(answer())
        parent = psutil.Process(process.pid)
        wait_until(lambda: len(parent.children()) == 2)
        (copy,) = (each for each in parent.children() if not is_warm(each))
        started += [*expected, copy]
        process.kill()
        process.wait()
        assert_gone(expected)
        assert copy.is_running()
        copy.kill()


def test_a_fork_of_the_process_gets_a_warm_process_of_its_own():
    then = """
    if not os.fork():
        try:
            with kernel() as three:
                print(json.dumps(three.process.ppid()), flush=True)
        finally:
            os._exit(0)
    os.wait()
    assert one.process.ppid() == two.process.ppid() and one.is_forked()
    print(json.dumps("still here"), flush=True)
"""
    with another_process(RUN.format(cell="pass", then=then)) as (_, answer, started):
        ours = answer()
        started += family(ours)
        assert answer() != ours
        assert answer() == "still here"


def test_when_the_warm_process_is_killed_its_kernels_end_and_the_next_one_has_a_new_one():
    with kernel() as one:
        warm = one.process.parent()
        one.goes_on_with(DEAF)
        warm.kill()
        wait_until(lambda: not one.manager.is_alive())
        assert one.manager.provisioner.process.wait() == -signal.SIGKILL
        wait_until(lambda: not psutil.pid_exists(one.manager.provisioner.pid))
        with kernel() as two:
            assert two.is_forked()
            assert two.process.parent() != warm
