"""What `make` says and does before a package is installed: on this machine, and on others."""

from __future__ import annotations

import ast
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import environment
from environment import Environment, Refusal

PROJECT = Path(environment.__file__).parent


# ---------------------------------------------------------------- the machine


def version_info(major, minor, micro=0):
    return namedtuple("version_info", "major minor micro releaselevel serial")(
        major, minor, micro, "final", 0
    )


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 16)])
def test_a_python_outside_of_the_pins_is_told_and_another_one_named(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version_info(*version))
    monkeypatch.setattr(environment, "starts", lambda name: name == "python3.12")
    with pytest.raises(
        Refusal, match=rf"3\.11 to 3\.15.*is {version[0]}\.{version[1]}.*PYTHON=python3\.12"
    ):
        environment.check_python("book")


@pytest.mark.parametrize("minor", range(11, 16))
def test_every_python_from_the_oldest_to_the_newest_is_taken(monkeypatch, minor):
    monkeypatch.setattr(sys, "version_info", version_info(3, minor))
    environment.check_python("book")


def test_the_bounds_on_python_are_those_of_the_package():
    (oldest, newest), text = (
        (environment.OLDEST, environment.NEWEST),
        (PROJECT / "pyproject.toml").read_text(),
    )
    assert f'requires-python = ">=3.{oldest[1]},<3.{newest[1] + 1}"' in text


GLIBC, MUSL, OLD_GLIBC = ("glibc", "2.36"), ("", ""), ("glibc", "2.27")
SYSTEMS = {
    "Linux, x86-64": ("Linux", "x86_64", {"libc_ver": GLIBC}, None),
    "Linux, aarch64": ("Linux", "aarch64", {"libc_ver": GLIBC}, None),
    "Linux, oldest glibc": ("Linux", "x86_64", {"libc_ver": ("glibc", "2.28")}, None),
    "Windows": ("Windows", "AMD64", {}, None),
    "macOS 14": ("Darwin", "arm64", {"mac_ver": ("14.1", ("", "", ""), "arm64")}, None),
    "macOS seen by an old Python": ("Darwin", "arm64", {"mac_ver": ("10.16", ("", "", ""), "arm64")}, None),
    "musl": ("Linux", "x86_64", {"libc_ver": MUSL}, "glibc.*musl.*Alpine.*container"),
    "old glibc": ("Linux", "x86_64", {"libc_ver": OLD_GLIBC}, r"2\.28 or later.*2\.27"),
    "32-bit ARM": ("Linux", "armv7l", {"libc_ver": GLIBC}, "x86_64 and aarch64.*armv7l"),
    "macOS 13": ("Darwin", "arm64", {"mac_ver": ("13.6", ("", "", ""), "arm64")}, r"macOS 14.*13\.6"),
    "Intel Mac": ("Darwin", "x86_64", {"mac_ver": ("15.1", ("", "", ""), "x86_64")}, "Intel.*arm64"),
    "Windows on ARM": ("Windows", "ARM64", {}, "AMD64.*ARM64"),
    "FreeBSD": ("FreeBSD", "amd64", {}, "no build for FreeBSD"),
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_without_the_pinned_pytorch_is_told_why_before_the_download(monkeypatch, name):
    system, machine, answers, reason = SYSTEMS[name]
    for function, answer in answers.items():
        monkeypatch.setattr(platform, function, lambda answer=answer: answer)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    if reason is None:
        environment.check_python("book")
    else:
        with pytest.raises(Refusal, match=reason):
            environment.check_python("book")


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("ID=debian\n", "sudo apt install python3.13-venv"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt install python3.13-venv"),
        ("ID=fedora\n", "sudo dnf install python3-pip"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install python3-pip"),
        ("ID=arch\n", "install what your system calls"),
    ],
)
def test_a_python_without_ensurepip_is_told_the_line_to_type(monkeypatch, tmp_path, family, line):
    (tmp_path / "os-release").write_text(family)
    monkeypatch.setattr(sys, "version_info", version_info(3, 13))
    assert line in environment.how_to_get_venv(tmp_path / "os-release")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert environment.how_to_get_venv(tmp_path / "os-release") == "brew install python"


def test_a_python_without_ensurepip_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(Refusal, match=r"ensurepip.*To get it: "):
        environment.check_python("book")


def test_the_script_can_be_read_by_pythons_that_it_refuses():
    """Python 3.6 is asked by ast for its grammar, and by a look for what came later."""
    source = Path(environment.__file__).read_text()
    ast.parse(source, feature_version=(3, 6))
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    assert modules <= {
        "argparse", "contextlib", "ensurepip", "fcntl", "hashlib", "json", "os", "pathlib", "platform", "re",
        "shutil", "subprocess", "sys",
    }  # fmt: skip
    assert "capture_output" not in source  # 3.7
    assert "removeprefix" not in source  # 3.9


# ---------------------------------------------------------------- the environment


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A project with a .venv as `python -m venv` makes it, less pip, which takes seconds."""
    project = tmp_path_factory.mktemp("bare") / "the course"
    (project / "attncourse").mkdir(parents=True)
    (project / "attncourse" / "__init__.py").touch()
    (project / "pyproject.toml").write_text("[project]\n")
    (project / "constraints.txt").write_text("torch==2.13.0\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    (packages,) = project.glob(".venv/lib/python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    (packages / "attncourse.pth").write_text(f"{project}\n")
    torch = packages / "torch-2.13.0.dist-info"
    torch.mkdir()
    (torch / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n")
    return project


@pytest.fixture
def project(bare, tmp_path):
    """A fresh one at the same place: each test may spoil it."""
    kept = tmp_path / "kept"
    shutil.copytree(bare, kept, symlinks=True)
    yield bare
    for path in (bare, bare.with_name("copy")):
        subprocess.run(["chmod", "-R", "u+w", path], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(kept, bare, symlinks=True)


@pytest.fixture
def commands(monkeypatch):
    """What would have been run, in place of pip's minutes; a venv is made in truth, without pip."""
    ran = []

    def run(command, **settings):
        ran.append(" ".join(map(str, command[1:])))
        if command[1:3] == ["-m", "venv"]:
            subprocess.run([*command[:3], "--without-pip", *command[3:]], check=True)

    monkeypatch.setattr(environment, "run", run)
    return ran


def ready(project, extra="test"):
    Environment(project).write_note(**{extra: environment.fingerprint(project)})


def test_nothing_is_run_where_everything_is_there(project, commands):
    ready(project)
    environment.set_up(project, "test")
    environment.set_up(project, "book")  # which the extra for the tests holds
    assert commands == []


def test_times_of_files_decide_nothing_and_contents_all(project, commands):
    ready(project)
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(project / name, (2e9, 2e9))
    environment.set_up(project, "book")
    assert commands == []
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    environment.set_up(project, "book")
    assert (
        commands[-1]
        == "-m pip install --disable-pip-version-check -c constraints.txt --no-build-isolation -e .[book]"
    )
    environment.set_up(project, "book")
    assert len(commands) == 2  # the backend of the build and the course, once


def test_a_set_up_that_failed_is_not_taken_for_a_finished_one(project, monkeypatch):
    def fail(command, **settings):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environment, "run", fail)
    with pytest.raises(subprocess.CalledProcessError):
        environment.set_up(project, "book")
    assert not Environment(project).has("book", environment.fingerprint(project))


def copied(project):
    ready(project)
    copy = project.with_name("copy")
    shutil.copytree(project, copy, symlinks=True)
    return copy


def copied_without_its_note(project):
    copy = copied(project)
    (copy / ".venv" / "made-for.json").unlink()
    return copy


def moved(project):
    ready(project)
    return project.rename(project.with_name("copy"))


def python_gone(project):
    ready(project)
    for link in (project / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/python3")
    return project


def python_upgraded(project):
    ready(project)
    configuration = project / ".venv" / "pyvenv.cfg"
    configuration.write_text(
        configuration.read_text().replace(f"version = 3.{sys.version_info[1]}", "version = 3.8")
    )
    return project


def made_by_an_older_python(project):
    ready(project)
    python = project / ".venv" / "bin" / "python"
    python.unlink()
    answer = {"version": [3, 10, 4], "base": "/usr", "pip": True, "torch": None, "course": None}
    python.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    python.chmod(0o755)
    configuration = project / ".venv" / "pyvenv.cfg"
    configuration.write_text("version = 3.10.4\n")
    return project


def a_link_to_nowhere(project):
    shutil.rmtree(project / ".venv")
    (project / ".venv").symlink_to("/nowhere")
    return project


def half_made(project):
    ready(project)
    (pip,) = project.glob(".venv/lib/python*/site-packages/pip")
    shutil.rmtree(pip)
    return project


FAULTS = {
    copied: "it was made for .*the course, and a copied",
    copied_without_its_note: "it runs the course that lies in .*the course",
    moved: "it was made for .*the course, and a copied",
    python_gone: "its Python is gone",
    python_upgraded: r"it was made by Python 3\.8, which has become 3\.",
    made_by_an_older_python: r"it was made by Python 3\.10\.4, which is outside",
    a_link_to_nowhere: "its Python is gone",
    half_made: "it has no pip",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_an_environment_that_does_not_fit_is_made_anew_and_the_reason_told(
    project, commands, capfd, spoil
):
    spoiled = spoil(project)
    environment.set_up(spoiled, "book")
    assert commands[0] == f"-m venv {spoiled / '.venv'}"
    assert commands[-1].endswith("-e .[book]")
    assert not (spoiled / ".venv-old").exists()
    assert re.search(f"The .venv that is here is replaced: {FAULTS[spoil]}", capfd.readouterr().out)
    (packages,) = spoiled.glob(".venv/lib/python*/site-packages")  # as pip would have left it
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    commands.clear()
    environment.set_up(spoiled, "book")
    assert commands == []


def test_what_was_there_is_put_back_where_its_replacement_fails(project, monkeypatch):
    spoiled = python_gone(project)
    before = sorted(path.name for path in (spoiled / ".venv").iterdir())

    def interrupted(command, **settings):
        (spoiled / ".venv").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.set_up(spoiled, "book")
    assert sorted(path.name for path in (spoiled / ".venv").iterdir()) == before
    assert not (spoiled / ".venv-old").exists()


def test_another_python_than_the_one_asked_for_is_replaced_and_an_unasked_one_kept(
    project, monkeypatch, commands
):
    ready(project)
    monkeypatch.setattr(sys, "base_prefix", "/opt/another")
    environment.set_up(project, "book")
    assert commands == []
    assert "is asked for" in Environment(project).fault(python_was_chosen=True)


def test_the_build_with_cuda_is_replaced_where_the_one_without_is_asked_for(project, commands):
    ready(project)
    assert Environment(project).fault() is None
    environment.set_up(project, "book", torch="cpu")
    assert commands[1].endswith("-c constraints.txt torch==2.13.0+cpu")
    assert commands[-1].endswith("-e .[book]")


def test_an_index_without_the_build_for_the_cpu_is_told_before_anything_else_is_loaded(
    project, monkeypatch
):
    ran = []

    def run(command, **settings):
        ran.append(command)
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environment, "run", run)
    with pytest.raises(Refusal, match=r"torch 2\.13\.0\+cpu.*Get Started.*PIP_EXTRA_INDEX_URL"):
        environment.install(Environment(project), "book", "cpu")
    assert len(ran) == 1


@pytest.mark.parametrize("name", ["torch", "numpy", "matplotlib"])
@pytest.mark.parametrize("minor", range(11, 16))
def test_a_pin_for_a_python_is_the_one_that_pip_takes(name, minor):
    lines = map(Requirement, (PROJECT / "constraints.txt").read_text().splitlines())
    (expected,) = [
        str(line.specifier).removeprefix("==")
        for line in lines
        if line.name == name
        and (line.marker is None or line.marker.evaluate({"python_version": f"3.{minor}"}))
    ]
    assert environment.pinned(PROJECT / "constraints.txt", name, (3, minor)) == expected


def test_two_set_ups_at_once_run_one_after_the_other(project, monkeypatch, capfd):
    ready(project)
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    inside, most, ran = [], [], []

    def run(command, **settings):
        inside.append(command)
        most.append(len(inside))
        ran.append(command)
        time.sleep(0.2)
        inside.pop()

    monkeypatch.setattr(environment, "run", run)
    threads = [
        threading.Thread(target=environment.set_up, args=(project, "book")) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(ran) == 2  # the second found that the first had done it
    assert "Another set-up is running" in capfd.readouterr().out


def test_a_checkout_that_nobody_may_write_into_is_used_as_it_is_and_else_refused(project):
    ready(project)
    shutil.copy(environment.__file__, project)
    command = [sys.executable, project / "environment.py", "book"]
    if os.geteuid() == 0:  # whom the rights of files do not bind, unless it gives that up
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    subprocess.run(["chmod", "-R", "a-w", project], check=True)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (project / "constraints.txt").chmod(0o644)
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("Copy the project to a folder of yours.\n")


# ---------------------------------------------------------------- make


def make(*arguments, cwd=PROJECT, **settings):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        **settings,
    )


def test_make_without_a_python_says_what_to_type():
    done = make("for-book", "PYTHON=no-such-python")
    assert done.returncode == 2
    assert (
        "There is no no-such-python here. Name the Python to take: make book PYTHON=" in done.stderr
    )


def test_make_names_what_it_takes_for_torch():
    done = make("for-book", "TORCH=gpu")
    assert done.returncode == 2
    assert "TORCH must be cpu or left out, got gpu" in done.stderr


@pytest.mark.parametrize("where", ["command line", "environment", "nowhere"])
def test_make_keeps_the_environment_unless_another_python_is_named(where):
    """Asked of make itself, which knows where a variable comes from."""
    arguments = ["PYTHON=python3"] if where == "command line" else []
    variables = {name: os.environ[name] for name in os.environ if name != "PYTHON"}
    if where == "environment":
        variables["PYTHON"] = "python3"
    done = make("--dry-run", "for-book", *arguments, env=variables)
    assert ("--chosen" in done.stdout) == (where != "nowhere")


def test_an_active_environment_can_be_replaced_by_the_python_that_it_came_from(
    project, monkeypatch, commands
):
    """As with `. .venv/bin/activate; make book TORCH=cpu`."""
    ready(project)
    ran = []
    monkeypatch.setattr(sys, "executable", str(project / ".venv" / "bin" / "python"))
    monkeypatch.setattr(environment, "run", lambda command, **settings: ran.append(command))
    with pytest.raises(FileNotFoundError):  # where venv, which is not run here, would make it
        environment.set_up(project, "book", torch="cpu")
    assert Path(ran[0][0]).exists()
    assert not Path(ran[0][0]).is_relative_to(project)


def test_the_build_without_cuda_is_asked_for_once(project, commands):
    environment.set_up(project, "book", torch="cpu")
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    (packages,) = project.glob(".venv/lib/python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    commands.clear()
    environment.set_up(project, "book")
    assert commands[0].endswith("torch==2.13.1+cpu")


def test_what_cannot_be_printed_is_printed_in_another_way(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    environment.say("made for /home/Ελλ")
    assert printed.buffer.getvalue() == b"made for /home/\\u0395\\u03bb\\u03bb\n"


def test_the_notes_of_an_environment_survive_one_another(project):
    Environment(project).write_note(book="1")
    Environment(project).write_note(test="2")
    note = json.loads((project / ".venv" / "made-for.json").read_text())
    assert note == {"project": str(project), "book": "1", "test": "2"}
