"""Where a fork would not be what a cold kernel is, or cannot be had, the kernel is a cold one."""

import asyncio
import os
import sys

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from kernels.running import kernel

from attncourse.kernels import forking

ARGUMENTS = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


def with_spec(**changed):
    spec = KernelSpec(argv=[sys.executable, *ARGUMENTS], language="python", display_name="other")
    for name, value in changed.items():
        setattr(spec, name, value)
    manager = KernelManager()
    manager._kernel_spec = spec
    return manager


@pytest.fixture(scope="module", autouse=True)
def there_is_a_warm_process():
    with kernel():
        yield


def test_this_kernelspec_is_served_by_the_warm_process():
    with kernel(manager=with_spec(), forked=True):
        pass


def test_a_kernel_with_another_python(tmp_path):
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    with kernel(manager=with_spec(argv=[str(other), *ARGUMENTS]), forked=False):
        pass


def test_a_kernel_that_something_else_starts():
    program = "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    spec = with_spec(argv=[sys.executable, "-c", program, *ARGUMENTS[2:]])
    with kernel(manager=spec, forked=False):
        pass


@pytest.mark.parametrize(("options", "read"), [(["-Xa=1"], {"a": "1"}), (["-X", "b"], {"b": True})])
def test_other_options_of_python_than_the_warm_process_has(options, read):
    spec = with_spec(argv=[sys.executable, *options, *ARGUMENTS])
    with kernel(manager=spec, forked=False) as started:
        assert started.computes("__import__('sys')._xoptions") == read


def test_the_warm_process_has_the_options_of_the_first_kernel(no_warm_process):
    spec = with_spec(argv=[sys.executable, "-Xa=1", *ARGUMENTS])
    with kernel(manager=spec, forked=True) as started:
        assert started.computes("__import__('sys')._xoptions") == {"a": "1"}


@pytest.mark.parametrize("name", ["torch.py", "numpy/__init__.py", "scipy/__init__.py"])
def test_a_folder_with_a_module_in_place_of_a_library(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine = True")
    module = name.partition("/")[0].removesuffix(".py")
    with kernel(cwd=str(tmp_path), forked=False) as started:
        assert started.computes(f"__import__({module!r}).mine") is True


def test_a_folder_with_settings_of_matplotlib(tmp_path):
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 7")
    with kernel(cwd=str(tmp_path), forked=False) as started:
        assert started.computes("__import__('matplotlib').rcParams['lines.linewidth']") == 7


def test_a_folder_with_work_of_its_own_is_no_reason(tmp_path):
    (tmp_path / "helper.py").write_text("mine = True")
    (tmp_path / "torch.md").write_text("notes")
    with kernel(cwd=str(tmp_path), forked=True) as started:
        assert started.computes("__import__('helper').mine") is True


def test_a_folder_that_is_not_there(tmp_path):
    manager = KernelManager()
    with pytest.raises(FileNotFoundError):
        manager.start_kernel(cwd=str(tmp_path / "gone"))
    manager.cleanup_resources()


def test_another_environment_than_the_warm_process_has():
    other = {**os.environ, "OMP_NUM_THREADS": "1"}
    with kernel(env=other, forked=False) as started:
        assert started.computes("__import__('torch').get_num_threads()") == 1


def test_a_folder_is_relative_to_that_of_this_process_and_no_reason(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    with kernel(cwd="below", forked=True) as started:
        assert started.computes("__import__('os').getcwd()") == str(tmp_path / "below")


def test_an_empty_path_for_modules_is_no_reason(no_warm_process):
    with kernel(env={**os.environ, "PYTHONPATH": ""}, forked=True):
        pass


def test_a_path_for_modules_that_depends_on_the_folder(no_warm_process):
    with kernel(env={**os.environ, "PYTHONPATH": "here"}, forked=False):
        pass


def test_what_only_popen_understands():
    with kernel(umask=0o77, forked=False) as started:
        assert started.computes("__import__('os').umask(0)") == 0o77


@pytest.mark.parametrize(
    "program", ["raise SystemExit(3)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_warm_process_that_does_not_start_is_tried_once_and_said_once(
    program, tmp_path, monkeypatch, no_warm_process, caplog
):
    (tmp_path / "broken.py").write_text(program)
    monkeypatch.setattr(forking, "_PROGRAM", tmp_path / "broken.py")
    for _ in range(2):
        with kernel(forked=False) as started:
            assert started.computes("2 + 2") == 4
    assert len([each for each in caplog.records if "started cold" in each.message]) == 1


def test_a_warm_process_that_never_answers(tmp_path, monkeypatch, no_warm_process):
    (tmp_path / "hangs.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(forking, "_PROGRAM", tmp_path / "hangs.py")
    monkeypatch.setattr(forking, "_PATIENCE", 0.2)
    with kernel(forked=False):
        assert not any("hangs" in str(each.cmdline()) for each in psutil.Process().children())


def test_an_environment_too_long_to_be_handed_on():
    long = {f"JPY_{name}": name * 100_000 for name in "abc"}
    with kernel(forked=True) as other:
        with kernel(env={**os.environ, **long}, forked=False) as started:
            assert started.computes("len(__import__('os').environ['JPY_a'])") == 100_000
        assert other.computes("2 + 2") == 4


def test_another_system_than_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    command = [sys.executable, *ARGUMENTS]
    with pytest.raises(forking.Unsuitable, match="Linux"):
        asyncio.run(forking.fork_kernel(command, os.environ, "/"))
