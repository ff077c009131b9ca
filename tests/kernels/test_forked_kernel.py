"""A forked kernel is the kernel that would have been started: to its cells and to its manager."""

import contextlib
import json
import os
import signal

import psutil
import pytest
from kernels.running import COLD, WARM, kernel, wait_until

# What a cell can learn about where it runs; each in a kernel of its own, before anything else.
SURROUNDINGS = """
import json, logging, os, resource, signal, sys, threading

import numpy, torch
import matplotlib
import matplotlib.pyplot as plt

print(json.dumps({
    "arguments": [sys.argv[0], *sys.argv[1::2]],
    "original arguments": [*sys.orig_argv[:3], *sys.orig_argv[3::2]],
    "path": sys.path,
    "flags": str(sys.flags),
    "executable": sys.executable,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "main": [__name__, globals().get("__file__"), sys.modules["__main__"] is get_ipython().user_module],
    "names": sorted(vars(sys.modules["__main__"])),
    "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "signals": {each.name: str(signal.getsignal(each)) for each in signal.Signals
                if not hasattr(signal.getsignal(each), "__self__")},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "main thread": threading.current_thread() is threading.main_thread(),
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "limits": [resource.getrlimit(each) for each in range(10)],
    "log": str(logging.root.handlers),
    "recursion": sys.getrecursionlimit(),
    "standard streams": [[stream.encoding, stream.errors, stream.line_buffering]
                         for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
    "stdin": os.read(0, 1).decode(),
    "importers": [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path],
    "course": sorted(name for name in sys.modules if name.startswith("attncourse")),
    "torch": [torch.get_num_threads(), torch.get_num_interop_threads(), torch.is_grad_enabled(),
              str(torch.get_default_dtype()), torch.cuda.is_initialized(),
              torch.cuda._is_in_bad_fork()],
    "numpy": [str(numpy.geterr()), str(numpy.get_printoptions())],
    "backend": [matplotlib.get_backend(), matplotlib.is_interactive()],
    "style": str({name: value for name, value in matplotlib.rcParams.items()}),
}))
"""


@pytest.mark.parametrize(
    "more",
    [{"MPLBACKEND": ""}, {"MPLBACKEND": "agg", "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}],
    ids=["as it is", "with settings"],
)
def test_it_sees_what_a_cold_kernel_sees(more, tmp_path, no_warm_process):
    seen = {}
    given = {**os.environ, "ATTN_BYTES": "a \udcff b", **more}
    for provisioner in (COLD, WARM):
        with kernel(provisioner, cwd=str(tmp_path), env=given) as started:
            seen[provisioner] = json.loads(started.says(SURROUNDINGS))
    cold, warm = seen[COLD], seen[WARM]
    assert cold["folder"] == str(tmp_path)
    assert cold["environment"]["ATTN_BYTES"] == "a \udcff b"
    assert cold["environment"]["JPY_PARENT_PID"] == str(os.getpid())
    assert warm == cold


@pytest.mark.parametrize("library", ["torch", "numpy", "matplotlib.pyplot", "sklearn.datasets"])
def test_the_libraries_are_loaded_and_a_figure_is_shown(library):
    with kernel() as started:
        assert started.computes(f"[{library!r} in __import__('sys').modules]") == [True]
        # Loaded before there was a shell, it would show nothing.
        assert (
            started.computes("'matplotlib_inline.backend_inline' in __import__('sys').modules")
            is False
        )
        assert "image/png" in started.says("import matplotlib.pyplot as plt; plt.plot([1, 2]);")


@pytest.mark.parametrize("provisioner", [COLD, WARM])
@pytest.mark.parametrize(
    "draw",
    [
        "random.random()",
        "numpy.random.rand()",
        "torch.rand(1, dtype=torch.float64).item()",
        "torch.initial_seed()",
        "str(uuid.uuid4())",
    ],
)
def test_no_two_kernels_draw_the_same(draw, provisioner):
    drawn = []
    for _ in range(2):
        with kernel(provisioner) as started:
            started.says("import random, uuid, numpy, torch")
            drawn.append(started.computes(draw))
    assert drawn[0] != drawn[1]


def test_it_computes_with_several_threads_and_gradients():
    with kernel() as started:
        started.says("import numpy, torch; torch.manual_seed(0)")
        assert started.computes("(lambda x: bool(torch.equal(x @ x, x @ x)))(torch.rand(700, 700))")
        assert (
            started.computes("float(numpy.ones((600, 600)).dot(numpy.ones((600, 5)))[3, 4])") == 600
        )
        started.says("w = torch.ones(500, 300, requires_grad=True)")
        started.says("(torch.ones(7, 500) @ w).sum().backward()")
        assert started.computes("w.grad.unique().tolist()") == [7.0]


@pytest.mark.parametrize("provisioner", [COLD, WARM])
def test_what_it_writes_beside_its_cells_goes_where_this_process_writes_now(provisioner, tmp_path):
    with kernel():  # there is a warm process, which writes where this process wrote before
        before = os.dup(2)
        with (tmp_path / "said").open("w") as said:
            os.dup2(said.fileno(), 2)
        try:
            with kernel(provisioner) as started:
                started.says("import sys; print('beside', file=sys.__stderr__, flush=True)")
        finally:
            os.dup2(before, 2)
            os.close(before)
    assert "beside" in (tmp_path / "said").read_text()


def test_all_kernels_of_a_process_come_from_one_warm_process():
    with kernel() as one, kernel() as two:
        assert one.process.ppid() == two.process.ppid()
        assert psutil.Process(one.process.ppid()).ppid() == os.getpid()
        one.says("import torch; torch.patched = 1")
        assert two.says("import torch; print(hasattr(torch, 'patched'))") == "False"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os._exit(7)", 7),
        ("os._exit(0)", 0),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_its_manager_hears_how_it_ended(end, status):
    for provisioner in (COLD, WARM):
        with kernel(provisioner) as started:
            process = started.process
            started.goes_on_with(f"import os, signal; {end}")
            wait_until(lambda: not started.manager.is_alive())
            answers = started.manager.provisioner.process
            assert (answers.poll(), answers.wait()) == (status, status), provisioner
            assert started.manager.has_kernel
            answers.send_signal(signal.SIGINT)  # as to a Popen: to nobody
            assert not psutil.wait_procs([process], timeout=20)[1]


def test_until_its_manager_has_heard_of_its_end_its_number_is_nobody_elses():
    with kernel() as started:
        process = started.process
        started.goes_on_with("import os; os._exit(3)")
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)
        wait_until(lambda: not started.manager.is_alive())
        wait_until(lambda: not process.is_running())


def test_an_interrupt_ends_the_cell_and_not_the_kernel():
    with kernel() as started:
        started.says("here = 3")
        asked = started.goes_on_with("print('looping', flush=True)\nwhile True: pass")
        while started.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
            pass
        started.manager.interrupt_kernel()
        reply = started.client.get_shell_msg(timeout=60)
        while reply["parent_header"]["msg_id"] != asked:
            reply = started.client.get_shell_msg(timeout=60)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert started.computes("here") == 3


@pytest.mark.parametrize("now", [True, False])
def test_a_loop_that_takes_no_interrupt_is_killed_with_what_it_started(now):
    with kernel() as started:
        started.says("import signal, subprocess, sys")
        number = int(started.says("print(subprocess.Popen(['sleep', '600']).pid)"))
        started.goes_on_with(
            "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\nwhile True: pass"
        )
        process = started.process
        started.manager.shutdown_wait_time = 1
        started.manager.shutdown_kernel(now=now)
        assert not started.manager.has_kernel
        assert not process.is_running()
        wait_until(lambda: not psutil.pid_exists(number))


def test_a_kernel_that_shuts_down_by_itself_runs_what_it_registered_for_its_end(tmp_path):
    with kernel(cwd=str(tmp_path)) as started:
        started.says("import atexit, pathlib; atexit.register(pathlib.Path('ended').touch);")
        started.manager.shutdown_kernel()
        assert (tmp_path / "ended").exists()


def test_a_restarted_kernel_is_a_new_one_from_the_same_warm_process():
    with kernel() as started:
        number, warm = started.manager.provisioner.pid, started.process.ppid()
        started.says("here = 3")
        for now in (True, False):
            started.manager.restart_kernel(now=now)
            started.client.wait_for_ready(timeout=60)
            assert started.says("print('here' in globals())") == "False"
            assert started.manager.provisioner.pid != number
            assert started.process.ppid() == warm
        assert started.process.cwd() == os.getcwd()


def test_it_holds_nothing_of_the_warm_process_or_of_another_kernel():
    with kernel() as one, kernel() as two:
        warm = one.process.ppid()
        for each in (one, two):
            assert not sockets(each.process.pid) & (sockets(warm) | sockets(os.getpid()))


def sockets(number):
    files = f"/proc/{number}/fd"
    links = set()
    for each in os.listdir(files):
        with contextlib.suppress(FileNotFoundError):  # the one with which they are listed
            links.add(os.readlink(f"{files}/{each}"))
    return {link for link in links if link.startswith("socket:")}
