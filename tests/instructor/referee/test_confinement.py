"""What a student's code cannot do, tried from where it runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attncourse.instructor import limits
from attncourse.instructor.limits import Limits
from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.launching import NurseryProcess
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Nursery, Worker, WorkerLost, Workers

ROOT = Path(__file__).resolve().parents[3]
SCRATCH = sandboxing.scratch()


def said(worker: Worker, source: str, seconds: float = 60) -> str:
    """What a cell prints; it may not fail."""
    outputs = worker.run(textwrap.dedent(source), seconds)
    errors = [output for output in outputs if output["output_type"] == "error"]
    assert not errors, "\n".join(errors[0]["traceback"])
    return "".join(output.get("text", "") for output in outputs).strip()


def tried(worker: Worker, expression: str) -> str:
    """The name of the error in which an expression ends, or `done` and what it gives."""
    return said(
        worker,
        f"""
        import ctypes, os, socket, subprocess, sys
        try:
            print("done", repr({expression}))
        except BaseException as error:
            print(type(error).__name__, getattr(error, "strerror", ""))
        """,
    )


def test_the_system_that_runs_out_of_memory_ends_a_worker_first(worker: Worker) -> None:
    assert said(worker, "print(open('/proc/self/oom_score_adj').read())") == "1000"


def called(worker: Worker, call: str) -> str:
    """What a system call answers, by way of the C library."""
    return said(
        worker,
        f"""
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.{call}
        print(errno.errorcode[ctypes.get_errno()] if result == -1 else result)
        """,
    )


# ------------------------------------------------------------------------------------- network


def test_there_is_no_network(worker: Worker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "done" not in tried(worker, f"socket.create_connection(('127.0.0.1', {port}), 5)")
    assert "done" not in tried(worker, "socket.create_connection(('1.1.1.1', 53), 5)")
    assert "done" not in tried(worker, "socket.getaddrinfo('example.org', 443)")
    interfaces = said(worker, "print(open('/proc/net/dev').read())").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_NETLINK", "AF_PACKET", "AF_ALG"])
def test_sockets_of_families_that_a_namespace_does_not_separate_are_refused(
    worker: Worker, family: str
) -> None:
    made = tried(worker, f"socket.socket(socket.{family}, socket.SOCK_RAW)")
    assert made == "OSError Address family not supported by protocol"


def test_a_unix_socket_of_the_host_is_not_reached(worker: Worker) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = f"{folder}/host"
        server.bind(path)
        server.listen()
        connect = "(lambda end: end.connect({}))(socket.socket(socket.AF_UNIX))".format
        assert tried(worker, connect(repr(path))).startswith("FileNotFoundError")
    name = f"\0attncourse-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:  # one that stands in no folder
        server.bind(name)
        server.listen()
        assert tried(worker, connect(repr(name))).startswith("ConnectionRefusedError")


@pytest.fixture
def neighbours(monkeypatch: pytest.MonkeyPatch, sandbox: None) -> Iterator[tuple[Worker, Worker]]:
    """Workers of two branches of a nursery, as two jobs have them, each with a core of its own."""
    cores = iter(sorted(os.sched_getaffinity(0)) * 2)
    monkeypatch.setattr(sandboxing, "claim_core", lambda: (next(cores), socket.socket()))
    with (
        NurseryProcess() as nursery,
        Workers(nursery.branch(), sandboxed=True) as one,
        Workers(nursery.branch(), sandboxed=True) as other,
        one.start() as first,
        other.start() as second,
    ):
        yield first, second


def test_workers_that_run_at_the_same_time_cannot_speak_to_each_other(
    neighbours: tuple[Worker, Worker],
) -> None:
    one, other = neighbours
    serve = """
        import socket
        local, tcp = socket.socket(socket.AF_UNIX), socket.socket()
        local.bind("\\0answers")
        tcp.bind(("127.0.0.1", 5555))
        for each in (local, tcp):
            each.listen()
    """
    said(one, serve)
    ask = ("(lambda end: end.connect('\\0answers'))(socket.socket(socket.AF_UNIX))", "tcp()")
    define = "import socket; tcp = lambda: socket.create_connection(('127.0.0.1', 5555), 5)"
    for each, answer in ((one, "done"), (other, "ConnectionRefusedError")):
        said(each, define)
        for expression in ask:
            assert tried(each, expression).startswith(answer), expression
    assert "answers" in said(one, "print(open('/proc/net/unix').read())")
    assert "answers" not in said(other, "print(open('/proc/net/unix').read())")


# --------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "path",
    [
        *("solutions", "exercises", "tests", "book", "pyproject.toml", "gradebook.db"),
        *("submitted", "autograded", "source", "release", ".git", "nbgrader_config.py"),
    ],
)
def test_nothing_of_the_course_around_the_package_is_there(worker: Worker, path: str) -> None:
    assert tried(worker, f"os.stat({str(ROOT / path)!r})").startswith("FileNotFoundError")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/home", "/var", "/run", "/sys"]
)
def test_nothing_of_the_machine_but_its_libraries_is_there(worker: Worker, path: str) -> None:
    assert tried(worker, f"os.stat({path!r})").startswith("FileNotFoundError")


def test_a_virtual_environment_in_the_root_folder_does_not_show_that_folder(
    monkeypatch: pytest.MonkeyPatch, sandbox: None
) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        Path(root, "bin").mkdir()
        Path(root, "gradebook.db").touch()
        monkeypatch.setattr(sys, "prefix", root)
        shown = sandboxing.command(["true"])
    assert f"{root}/bin" in shown
    assert not {root, f"{root}/gradebook.db"} & set(shown[shown.index("--ro-bind") :])


def test_a_python_where_workers_have_their_scratch_folder_moves_that_folder(
    monkeypatch: pytest.MonkeyPatch, sandbox: None
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as prefix:
        Path(prefix, "bin").mkdir()
        monkeypatch.setattr(sys, "prefix", prefix)
        shown = sandboxing.command(["true"])
    assert shown[shown.index("--chdir") + 1] == "/scratch"
    assert shown[shown.index("--ro-bind") :].count(f"{prefix}/bin") == 2


def test_the_items_can_be_neither_read_nor_imported(worker: Worker) -> None:
    folder = ROOT / "attncourse" / "problem_sets"
    assert list(folder.glob("ps*/*.py"))
    assert tried(worker, f"os.listdir({str(folder)!r})") == "done []"
    found = """
        import importlib, attncourse.grading as grading
        for name in ("ps1_similarity", "ps2_shared", "ps3_query_key_value", "ps4_heads", "ps5_feature_maps"):
            try:
                importlib.import_module(f"attncourse.problem_sets.{name}")
                print("imported")
            except ModuleNotFoundError:
                pass
        import gc
        from attncourse.checking.item import Item
        print(grading.items(), [thing for thing in gc.get_objects() if type(thing) is Item])
    """
    assert said(worker, found) == "{} []"


def test_what_was_compiled_of_items_that_have_moved_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, sandbox: None, tmp_path: Path
) -> None:
    package = tmp_path / "attncourse"
    for folder in ("grading", "problem_sets"):
        (package / folder / "__pycache__").mkdir(parents=True)
    left = package / "grading/__pycache__/ps1_similarity.cpython-311.pyc"
    used = package / "grading/__pycache__/caller.cpython-311.pyc"
    for path in (left, used, package / "grading/caller.py"):
        path.write_text("something to read")
    (package / "problem_sets/__pycache__/gone.cpython-311.pyc").write_text("hidden anyway")
    monkeypatch.setattr(sandboxing, "_PACKAGE", package)
    monkeypatch.setattr(sandboxing, "_HIDDEN", (package / "problem_sets",))
    done = subprocess.run(
        sandboxing.command(["cat", str(used), str(left)]), capture_output=True, text=True
    )
    assert done.stdout == "something to read", done.stderr


def test_only_the_scratch_folder_can_be_written_to(worker: Worker) -> None:
    refused = """
        import os, sys
        written = []
        for folder, below, files in os.walk("/", followlinks=False):
            if folder == "/proc":
                below.clear()
                continue
            for path in (folder, *(os.path.join(folder, name) for name in files[:20])):
                if os.access(path, os.W_OK, effective_ids=True):
                    written.append(path)
            if folder.count("/") > 4:
                below.clear()
        print(sorted(path for path in set(written) if not os.path.exists(path) or not
                     __import__("stat").S_ISCHR(os.stat(path).st_mode) and "/std" not in path))
    """
    assert said(worker, refused) == str(sorted(["/dev/shm", SCRATCH]))
    for path in ("/x", "/dev/x", "/usr/x", sys.prefix + "/x", str(ROOT / "attncourse" / "x")):
        assert "done" not in tried(worker, f"open({path!r}, 'w')")


def test_a_worker_sees_nothing_of_anothers_scratch_or_shared_memory(nursery: Nursery) -> None:
    with nursery.start() as one, nursery.start() as other:
        for folder in (SCRATCH, "/dev/shm"):
            said(one, f"open('{folder}/mine', 'w').write('x')")
            assert tried(other, f"os.listdir({folder!r})") == "done []"
    with nursery.start() as later:
        assert tried(later, f"os.listdir({SCRATCH!r})") == "done []"


def test_the_scratch_folder_has_a_size(worker: Worker) -> None:
    fill = """
        import os
        total = 0
        try:
            for n in range(100):
                with open(str(n), "wb") as file:
                    total += file.write(bytes(32 << 20))
        except OSError as error:
            print(error.strerror, total <= %d)
    """
    assert said(worker, fill % Limits().scratch_bytes) == "No space left on device True"


def test_a_file_has_a_size(worker: Worker) -> None:
    assert tried(worker, f"os.truncate(os.open('x', 66), {limits.FILE_BYTES + 1})").startswith(
        "OSError File too large"
    )


def test_the_number_of_files_is_limited(worker: Worker) -> None:
    fill = "[open(f'/dev/shm/{n}', 'w').close() for n in range(100_000)]"
    assert tried(worker, fill) == "OSError No space left on device"


# ----------------------------------------------------------------------------------- processes


def test_a_worker_sees_no_process_but_its_own(nursery: Nursery) -> None:
    with nursery.start() as one, nursery.start() as _other:
        listed = "[name for name in os.listdir('/proc') if name.isdigit()]"
        assert tried(one, listed) == "done ['1']"
        assert tried(one, "os.getpid()") == "done 1"


def test_no_process_outside_can_be_signalled(nursery: Nursery) -> None:
    with nursery.start() as one, nursery.start() as other:
        tried(one, "[os.kill(n, 9) for n in range(2, 5)]")
        said(
            one,
            """
            import os
            for number in range(2, 40_000):
                try:
                    os.kill(number, 9)
                    print("killed", number)
                except ProcessLookupError:
                    pass
            try:
                os.kill(-1, 9)
            except ProcessLookupError:
                pass
            """,
        )
        assert tried(other, "1 + 1") == "done 2"
    assert nursery._process.alive


def test_it_has_no_rights_of_a_superuser(worker: Worker) -> None:
    status = said(worker, "print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
        "0" * 16
    }
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert "0" not in fields["Uid"].split() + fields["Gid"].split()


@pytest.mark.parametrize(
    "call",
    [
        *("setuid(0)", "setgid(0)", "setresuid(0, 0, 0)", "chroot(b'/tmp')"),
        *("unshare(0x10000000)", "unshare(0x00020000)", "sethostname(b'x', 1)"),
        *("mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None)", "umount2(b'/tmp', 2)"),
        *("ptrace(0, 0, 0, 0)", "memfd_create(b'x', 0)", "shmget(0, 4096, 0o1600)"),
        *("setns(0, 0)", "reboot(0)", "swapon(b'/tmp/x', 0)", "syscall(425, 8, 0)"),
    ],
)
def test_system_calls_that_would_lead_out_are_refused(worker: Worker, call: str) -> None:
    assert called(worker, call) in ("EPERM", "EACCES", "ENOSYS", "EINVAL")


def test_a_fork_in_namespaces_of_its_own_is_refused(worker: Worker) -> None:
    clone, new_user = 56 if os.uname().machine == "x86_64" else 220, 0x10000000
    assert called(worker, f"syscall({clone}, {new_user | 17}, 0, 0, 0, 0)") in ("ENOSPC", "EPERM")


def test_programs_do_not_get_rights_from_their_files(worker: Worker) -> None:
    found = [name for name in ("su", "mount", "passwd", "newgrp") if shutil.which(name)]
    for name in found:
        assert "done 0" not in tried(
            worker, f"subprocess.run([{name!r}, '-c', 'true'], timeout=10).returncode"
        )


def test_it_cannot_raise_its_limits(worker: Worker) -> None:
    raised = "__import__('resource').setrlimit(__import__('resource').RLIMIT_NPROC, (-1, -1))"
    assert tried(worker, raised).startswith("ValueError")


def test_it_holds_no_descriptor_but_its_three_and_the_wire(worker: Worker) -> None:
    held = """
        import os
        print([number for number in range(1024) if os.path.lexists(f"/proc/self/fd/{number}")])
        print([os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in range(3, 1024)
               if os.path.lexists(f"/proc/self/fd/{number}")])
    """
    numbers, others = said(worker, held).splitlines()
    assert len(numbers.split(",")) == 4
    assert others == "['socket']"


def test_the_environment_tells_nothing_of_the_instructor(
    monkeypatch: pytest.MonkeyPatch, sandbox: None
) -> None:
    monkeypatch.setenv("ATTNCOURSE_SECRET", "hunter2")
    with Nursery() as nursery, nursery.start() as worker:
        seen = said(worker, "import os; print(dict(os.environ), open('/proc/self/environ').read())")
    assert "hunter2" not in seen
    assert "USER" not in seen


# ------------------------------------------------------------------------- what it may use up


def test_a_fork_bomb_stops_at_the_limit_and_leaves_others_alone(nursery: Nursery) -> None:
    bomb = """
        import os, time
        count = 0
        try:
            while count < 500:
                if os.fork() == 0:
                    time.sleep(600)
                count += 1
        except OSError as error:
            print(type(error).__name__, count < %d)
    """
    with nursery.start() as one, nursery.start() as other:
        assert said(one, bomb % Limits().processes) == "BlockingIOError True"
        assert said(other, "!echo works") == "works"
    with nursery.start() as next_one:
        assert tried(next_one, "1 + 1") == "done 2"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="they share the only core")
def test_sixty_busy_processes_take_no_time_from_a_neighbour(
    neighbours: tuple[Worker, Worker],
) -> None:
    one, other = neighbours
    burn = """
        import os
        start, go = os.pipe()
        for _ in range(60):
            if os.fork() == 0:
                os.setsid()  # to the scheduler a group of its own
                os.close(go)
                os.read(start, 1)  # until all are there
                try:
                    os.sched_setaffinity(0, range(1024))
                except OSError:
                    pass
                while True:
                    pass
        os.close(go)
    """
    said(one, burn)
    # A thirtieth of the machine's time would be too little for this by far.
    work = """
        import time
        start = time.process_time()
        while time.process_time() < start + 1:
            pass
        print("done")
    """
    assert said(other, work, 20) == "done"


def test_a_worker_keeps_to_one_core_and_so_does_all_that_it_starts(worker: Worker) -> None:
    its_own = said(worker, "import os; print(*os.sched_getaffinity(0))")
    assert int(its_own) in os.sched_getaffinity(0)
    assert called(worker, "sched_setaffinity(0, 8, b'\\xff' * 8)") == "EPERM"
    program = "import os, torch, numpy; print(*os.sched_getaffinity(0), os.nice(0))"
    assert said(worker, f"!{sys.executable} -c '{program}'") == f"{its_own} {os.nice(0) + 5}"


def test_cores_are_claimed_in_turn_and_free_again_when_the_claim_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1001, 1000})
    claims = [sandboxing.claim_core() for _ in range(3)]
    assert [core for core, _ in claims] == [1000, 1001, 1000]
    claims[1][1].close()
    claims.append(sandboxing.claim_core())
    assert claims[-1][0] == 1001
    for _, claim in claims:
        claim.close()


def test_a_branch_holds_its_core_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, sandbox: None
) -> None:
    core = min(os.sched_getaffinity(0))
    name = f"\0attncourse-core-test-{os.getpid()}"

    def claimed() -> tuple[int, socket.socket]:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(name)
        except OSError:
            claim.close()
            raise
        return core, claim

    monkeypatch.setattr(sandboxing, "claim_core", claimed)
    with NurseryProcess() as nursery:
        with (
            Workers(nursery.branch(), sandboxed=True) as workers,
            workers.start(),
            pytest.raises(OSError, match="Address already in use"),
        ):
            claimed()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                claimed()[1].close()
                return
            except OSError:
                time.sleep(0.05)
    pytest.fail("the claim has outlived the branch")


def test_a_process_has_a_limit_of_memory(worker: Worker) -> None:
    assert tried(worker, f"len(bytearray({Limits().address_space}))").startswith("MemoryError")
    assert tried(worker, "len(bytearray(1 << 20))") == f"done {1 << 20}"


def test_several_processes_share_a_limit_of_memory(nursery: Nursery) -> None:
    # Each takes what it may: 5 of 1 GiB.
    shared = """
        import os, time
        for _ in range(5):
            if os.fork() == 0:
                kept = bytearray(b"x") * (1 << 30)
                time.sleep(60)
        time.sleep(60)
    """
    with nursery.start() as one, nursery.start() as other:
        with pytest.raises(WorkerLost, match="more than 4 GiB of memory"):
            one.run(shared, 50)
        assert tried(other, "1 + 1") == "done 2"


def test_what_processes_share_counts_once(worker: Worker) -> None:
    shared = """
        import os, time
        kept = bytearray(b"x") * (700 << 20)
        children = []
        for _ in range(8):
            children.append(os.fork())
            if not children[-1]:
                time.sleep(1.5)
                os._exit(0)
        print(all(os.waitpid(child, 0)[1] == 0 for child in children))
    """
    assert said(worker, shared) == "True"


def test_a_daemon_ends_with_its_worker(nursery: Nursery) -> None:
    name = f"daemon-{os.getpid()}"
    daemon = f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("/proc/self/comm", "w").write({name[:15]!r})
                time.sleep(600)
            os._exit(0)
        time.sleep(0.5)
    """
    with nursery.start() as worker:
        said(worker, daemon)
        assert _running(name[:15])
    assert not _running(name[:15])


def test_nothing_stays_when_the_nursery_is_killed(sandbox: None) -> None:
    name = f"orphan-{os.getpid()}"[:15]
    with Nursery() as nursery, nursery.start() as worker:
        said(worker, f"open('/proc/self/comm', 'w').write({name!r})")
        assert _running(name)
        nursery._process._process.kill()
        nursery._process._process.wait()
        deadline = time.monotonic() + 20
        while _running(name) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _running(name)


def _running(name: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() == name:
                    return True
            except OSError:  # it has just ended
                pass
    return False


# ------------------------------------------------------------------- where it cannot be had


def test_without_bubblewrap_nothing_starts_and_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NoSandbox, match=r"bubblewrap is not installed.*--unsandboxed"):
        Nursery()


def test_where_bubblewrap_is_refused_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: No permissions to create >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused = pytest.raises(NoSandbox, match=r"No permissions to create.*--unsandboxed")
    with Nursery() as nursery, refused:
        nursery.ready()


# --------------------------------------------------------------------------- as another user


def test_an_ordinary_user_confines_students_code_just_as_well(
    tests_of_an_ordinary_user: Callable[..., str],
) -> None:
    assert "1 skipped" in tests_of_an_ordinary_user(__file__)  # this one
