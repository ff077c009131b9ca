"""The command line where something is missing: a character that can be printed, a module of Unix."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import pytest
from experiments.tiny import tiny
from instructor.batch.test_summary import summary_of
from pretrained import tiny_models

from attncourse import cli
from attncourse.experiments.tasks import QUICK
from attncourse.instructor.batch import running
from attncourse.instructor.referee.launching import NurseryProcess
from attncourse.instructor.referee.sandbox import NoLinux

COMMANDS = ("book", "release", "grade", "survey", "tying")
ENCODINGS = ("ascii", "cp437", "cp949", "latin-1")  # each lacks something that we print
OF_UNIX = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")


@pytest.fixture
def terminal(monkeypatch):
    """``terminal(encoding, errors)``: put one in the place of stdout; what gives its text."""

    def put(encoding, errors="strict"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding, errors)
        monkeypatch.setattr(sys, "stdout", stream)

        def text():
            stream.flush()
            return stream.buffer.getvalue().decode(encoding)

        return text

    return put


class Broken(io.StringIO):
    """Where nothing at all can be printed."""

    def write(self, text):
        raise OSError("nobody reads this")


@pytest.fixture
def grade(tmp_path, monkeypatch):
    """The arguments of a batch of which all is graded, and the files that it leaves."""
    batch = summary_of("ada", reason="long " * 50)._batch
    monkeypatch.setattr(running, "grade_problem_set", lambda *_: batch)
    monkeypatch.setattr(cli, "_backend", lambda *_: contextlib.nullcontext())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    return ["grade", "ps1"], [tmp_path / f"grades/ps1-summary.{form}" for form in ("csv", "html")]


@pytest.fixture
def survey(tmp_path):
    """The arguments of a survey, and the files that it writes."""
    tiny_models.make("bert").save_pretrained(tmp_path / "bert")
    files = [tmp_path / "heads.csv", tmp_path / "heads.png"]
    return [
        "survey",
        str(tmp_path / "bert"),
        "--csv",
        str(files[0]),
        "--plot",
        str(files[1]),
    ], files


@pytest.fixture
def tying(tmp_path, monkeypatch):
    """The arguments of a sweep, and the file that it writes."""
    monkeypatch.setitem(QUICK, "agreement", tiny("agreement"))
    file = tmp_path / "runs.json"
    return ["tying", "--task", "agreement", "--out", str(file)], [file]


@pytest.mark.parametrize("command", ["grade", "survey", "tying"])
def test_what_cannot_be_printed_comes_out_as_a_question_mark(command, terminal, request):
    arguments, _ = request.getfixturevalue(command)
    printed = terminal("utf-8")
    assert cli.main(arguments) == 0
    whole = printed()
    assert not whole.isascii()
    for encoding in ENCODINGS:
        printed = terminal(encoding)
        assert cli.main(arguments) == 0
        assert printed() == whole.encode(encoding, "replace").decode(encoding)


@pytest.mark.parametrize("command", ["grade", "survey", "tying"])
def test_files_are_written_where_nothing_can_be_printed(command, monkeypatch, request):
    arguments, files = request.getfixturevalue(command)
    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(OSError, match="nobody reads this"):
        cli.main(arguments)
    assert all(file.is_file() for file in files)


def test_what_the_user_wants_printed_instead_stays(terminal, tying):
    printed = terminal("ascii", "xmlcharrefreplace")
    assert cli.main(tying[0]) == 0
    assert "&#177;" in printed()


def without(modules, arguments, folder):
    """The command in a Python that lacks some modules."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({modules})); "
        f"from attncourse.cli import main; sys.exit(main({arguments}))"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_module_of_unix(command, tmp_path):
    shown = without(OF_UNIX, [command, "--help"], tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"usage: attncourse {command}")


@pytest.mark.parametrize("options", [[], ["--unsandboxed"], ["--scheduler", "tcp://127.0.0.1:1"]])
@pytest.mark.parametrize("missing", [OF_UNIX, ["fcntl"], ["resource"]])
def test_grading_without_the_modules_of_unix_is_refused_in_a_sentence(missing, options, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    refused = without(missing, ["grade", "ps1", *options], tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("attncourse grade: students' code is run in a sandbox")
    assert "needs Linux with bubblewrap" in refused.stderr
    assert "WSL 2" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("sandboxed", [True, False])
def test_nbgrader_too_is_told_that_it_grades_on_linux_alone(sandboxed, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(NoLinux, match="has no fcntl"):
        NurseryProcess(sandboxed=sandboxed)


def test_a_survey_and_a_sweep_need_no_module_of_unix(survey, tmp_path):
    done = without(OF_UNIX, survey[0], tmp_path)
    assert done.returncode == 0, done.stderr
    refused = without(OF_UNIX, ["tying", "--task", "nothing"], tmp_path)
    assert "no task is called 'nothing'" in refused.stderr
