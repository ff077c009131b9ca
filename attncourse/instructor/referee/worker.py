"""The student's side: runs the cells of one notebook in an IPython shell, calls what they define.

It judges nothing and is believed in nothing: whatever it says is data to the judge.
"""

from __future__ import annotations

import contextlib
import decimal
import fcntl
import io
import math
import numbers
import os
import socket
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import attncourse
from attncourse.checking.calling import Failed, InProcess, Outcome
from attncourse.checking.item import Item
from attncourse.checking.settings import neutral_settings
from attncourse.checking.values import copied
from attncourse.checking.verdict import Verdict
from attncourse.instructor import limits
from attncourse.instructor.referee.wire import Channel, WireError

SHOWN = ("text/plain", "text/latex", "image/png", "image/jpeg")
"""What an output may be. HTML, SVG and JavaScript would run in the instructor's browser."""


class _Outputs:
    """The outputs of one cell, in the order in which they came, within limits."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.value: float | None = None
        """The number in which the cell ended, whatever it looks like."""
        self.has_ended = False
        """Whether there was a result; as nbgrader has it, the first one counts."""
        self.failure: BaseException | None = None
        """The error that ended it, or a cell within it, however that was shown."""
        self._text, self._pictures = limits.MAX_TEXT, limits.MAX_PICTURES

    def write(self, stream: str, text: str) -> None:
        """What goes to stdout or stderr."""
        kept = self._kept(text)
        last = self.found[-1] if self.found else {}
        if kept and last.get("output_type") == "stream" and last["name"] == stream:
            last["text"] += kept
        elif kept:
            self._add({"output_type": "stream", "name": stream, "text": kept})

    def show(self, kind: str, bundle: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """A result or what `display` was given."""
        data = {mime: bundle[mime] for mime in SHOWN if isinstance(bundle.get(mime), str)}
        pictures = {mime: text for mime, text in data.items() if mime.startswith("image/")}
        self._pictures -= sum(map(len, pictures.values()))
        if self._pictures < 0:
            data = {"text/plain": "… a picture was left out: the cell's pictures are too large"}
        for mime in data.keys() - pictures.keys():
            data[mime] = self._kept(data[mime])
        if any(data.values()):
            alt = metadata.get("image/png", {}) if isinstance(metadata, Mapping) else {}
            alt = alt.get("alt") if isinstance(alt, Mapping) else None
            kept = {"image/png": {"alt": alt[: limits.MAX_ALT]}} if isinstance(alt, str) else {}
            self._add({"output_type": kind, "data": data, "metadata": kept})

    def fail(self, name: str, message: str, lines: list[str]) -> None:
        """An error."""
        self._text = max(
            self._text, limits.MAX_ERROR_TEXT
        )  # it is what matters most, whatever came before
        traceback = [
            self._kept(line[: limits.MAX_TRACEBACK_LINE])
            for line in lines[-limits.MAX_TRACEBACK_LINES :]
        ]
        self._add(
            {
                "output_type": "error",
                "ename": name[: limits.MAX_ERROR_NAME],
                "evalue": message[: limits.MAX_ERROR_MESSAGE],
                "traceback": traceback,
            }
        )

    def _kept(self, text: str) -> str:
        """As much of a text as there is room for; where it is cut, it says so."""
        if self._text <= 0:
            return ""
        kept = text[: self._text]
        self._text -= len(text)
        if self._text <= 0:
            kept += f"\n… cut: more than {limits.MAX_TEXT:,} characters\n"
        return kept

    def _add(self, output: dict[str, Any]) -> None:
        is_error = output["output_type"] == "error"  # which matters most, and often comes last
        if len(self.found) < limits.MAX_OUTPUTS + (2 if is_error else 0):
            self.found.append(output)
        elif len(self.found) == limits.MAX_OUTPUTS:
            notice = f"… cut: more than {limits.MAX_OUTPUTS} outputs\n"
            self.found.append({"output_type": "stream", "name": "stdout", "text": notice})


_outputs = _Outputs()
_source = ""  # of the cell that runs


class _Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a student's cell."""

    encoding, errors = "UTF-8", "replace"

    def __init__(self, name: str, descriptor: int) -> None:
        self._name, self._descriptor = name, descriptor

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        _outputs.write(self._name, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """For programs that a cell starts."""
        return self._descriptor

    def close(self) -> None:
        """Stay open: a cell that closes its stdout silences no later one."""


class _Publisher(DisplayPublisher):
    def publish(self, data: Any, metadata: Any = None, **_: Any) -> None:  # type: ignore[override]
        _outputs.show("display_data", data, metadata or {})

    def clear_output(self, wait: bool = False) -> None:
        _outputs.found.clear()


class _Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        """No prompt: the notebook has its own."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        _outputs.show("execute_result", format_dict, md_dict or {})

    def fill_exec_result(self, result: Any) -> None:
        super().fill_exec_result(result)  # type: ignore[no-untyped-call]
        if not _outputs.has_ended:
            _outputs.has_ended, _outputs.value = True, _as_number(result)

    def quiet(self) -> bool:
        """Whether the cell ends in a semicolon. No history is kept in which to look it up."""
        assert _shell is not None
        # Transformed, because a magic need not be Python.
        python = _shell.transform_cell(_source)  # type: ignore[no-untyped-call]
        return bool(self.semicolon_at_end_of_expression(python))  # type: ignore[no-untyped-call]

    def finish_displayhook(self) -> None:
        self._is_active = False


def _as_number(value: Any) -> float | None:
    """The number that a value is, also as NumPy, torch or the standard library have it."""
    try:
        if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, decimal.Decimal)):
            return None
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf
    except Exception:  # the value may be of the notebook's own making
        return None


class _Shell(InteractiveShell):
    """A shell whose outputs stay here."""

    def run_cell(self, *args: Any, **kwargs: Any) -> Any:
        # Of a cell within a cell, as `%%capture` has one, nobody else asks how it ended.
        result = super().run_cell(*args, **kwargs)  # type: ignore[no-untyped-call]
        for error in (result.error_before_exec, result.error_in_exec):
            if _outputs.failure is None:
                _outputs.failure = error
        return result

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        _outputs.fail(getattr(etype, "__name__", "Error"), str(evalue), list(stb))

    def system(self, cmd: str) -> None:
        """`!command`. IPython's own would open a terminal, and there is none here."""
        command = self.var_expand(cmd, depth=1)  # type: ignore[no-untyped-call]
        with subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            while text := process.stdout.read(1 << 16):
                sys.stdout.write(text)
        self.user_ns["_exit_code"] = process.returncode

    def enable_gui(self, gui: Any = None) -> None:
        """No window: figures become pictures in the notebook."""

    def ask_exit(self) -> None:
        """`exit` in a notebook ends nothing here."""


_shell: InteractiveShell | None = None


def warm() -> None:
    """Load what notebooks load, and make the shell; once, before workers are forked."""
    global _shell
    import matplotlib.pyplot
    import sklearn.datasets  # noqa: F401

    torch.set_num_threads(1)
    # A worker keeps to one core, of which the student knows nothing.
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.display_pub_class.default_value = _Publisher
    _shell = _Shell.instance(config=config, displayhook_class=_Hook)
    _shell.enable_matplotlib("inline")  # type: ignore[no-untyped-call]
    # The first call, the first backward pass and the first figure load more.
    InProcess(torch.neg).call([torch.ones(2)], {}, torch.ones(2))
    with neutral_settings():
        pass
    matplotlib.pyplot.figure().savefig(io.BytesIO())
    matplotlib.pyplot.close("all")
    _stand_in_for_grading()


def _stand_in_for_grading() -> None:
    """Let students import `attncourse.grading` where there are no items."""
    stand_in = types.ModuleType("attncourse.grading", "Graded items; here there are none.")
    contents = {"Item": Item, "Verdict": Verdict, "check": _checked_elsewhere, "items": dict}
    vars(stand_in).update(contents, __all__=list(contents))
    sys.modules[stand_in.__name__] = stand_in
    attncourse.grading = stand_in  # type: ignore[attr-defined]


def _checked_elsewhere(item_id: str, function: object, *, seed: object = 0) -> Verdict:
    """What `check` is in a student's own cell: the record is made in the graded cells."""
    hint = "This check belongs to a cell of yours. For the record, the referee makes its own."
    return Verdict(str(item_id), 0, 0.0, hint, None, (), "")


def main(end: socket.socket) -> None:
    """Serve one notebook until the judge is gone."""
    channel = Channel(end)
    _close_what_is_inherited(end.fileno())
    written = _catch_what_c_writes()
    _place_on_path()
    process = os.getpid()
    while True:
        try:
            request = channel.receive()
        except WireError:
            return
        if request["do"] == "run":
            answer = _run(request["source"], written)
        elif request["do"] == "lay":
            answer = _lay_out(request)
        else:
            answer = _look(request["name"]) if request["do"] == "look" else _call(request)
        if os.getpid() != process:
            os._exit(0)  # a student's cell has forked, and this is the copy: only one may answer
        number = {"number": request["number"]}
        try:
            channel.send(answer | number)
        except Exception as error:  # too large, or of a kind that torch does not give the bytes of
            channel.send({"unsent": str(error)[: limits.MAX_CALL_MESSAGE]} | number)


def _close_what_is_inherited(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, 1 << 16)


def _place_on_path() -> None:
    os.environ["HOME"] = os.getcwd()
    sys.path.insert(0, os.getcwd())
    os.environ["NBGRADER_EXECUTION"] = "autograde"  # as nbgrader sets it where it grades


def _lay_out(request: Mapping[str, Any]) -> dict[str, Any]:
    """Put a file of the instructor's beside the notebook, read only; before any cell runs."""
    if request["folder"] is not None and os.getcwd() != request["folder"]:
        os.chdir(request["folder"])
        _place_on_path()
    path = os.path.join(os.getcwd(), request["path"])
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # outside of the sandbox an earlier worker has left it
        with open(path, "xb") as file:
            file.write(request["content"].numpy().tobytes())
        os.chmod(path, 0o444)
    except OSError as error:
        return {"laid": str(error)}
    return {"laid": True}


def _catch_what_c_writes() -> int:
    """A nameless file in the place of the process's own stdout and stderr, and no stdin."""
    with tempfile.TemporaryFile() as file:
        # Appended to, so that it goes on at its new end after it has been emptied.
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return 1


def _run(source: str, written: int) -> dict[str, Any]:
    global _outputs, _source
    _outputs, _source = _Outputs(), source
    # Anew for each cell: an earlier one may have put anything in their place, or None.
    sys.stdout, sys.stderr = _Stream("stdout", 1), _Stream("stderr", 2)
    assert _shell is not None
    with contextlib.suppress(SystemExit):
        _shell.run_cell(source, store_history=False)  # type: ignore[no-untyped-call]
    _show_failure(_outputs)
    with contextlib.suppress(OSError):
        bypassed = os.pread(written, limits.MAX_TEXT, 0)
        os.ftruncate(written, 0)
        _outputs.write("stderr", bypassed.decode(errors="replace"))
    return {"outputs": _outputs.found, "value": _outputs.value}


def _show_failure(outputs: _Outputs) -> None:
    """An error that ended the cell is one, also where the notebook has a printer of its own."""
    error = outputs.failure
    if error is None or any(each.get("output_type") == "error" for each in outputs.found):
        return
    try:
        message = str(error)
    except Exception:  # it may be of the notebook's own making
        message = ""
    name = type(error).__name__
    outputs.fail(name, message, [f"{name}: {message}"])


def _look(name: str) -> dict[str, Any]:
    """What a name stands for in the notebook: a function, something else, or nothing."""
    assert _shell is not None
    missing = name not in _shell.user_ns
    thing = _shell.user_ns.get(name)
    return {"missing": missing, "callable": callable(thing), "kind": type(thing).__name__}


def _call(request: Mapping[str, Any]) -> dict[str, Any]:
    assert _shell is not None
    caller = InProcess(_shell.user_ns.get(request["name"]))
    with neutral_settings():  # as `check` does in the student's own kernel
        cotangent = copied(request["cotangent"])  # a cell may have left inference_mode on
        try:
            outcome = caller.call(request["args"], request["kwargs"], cotangent)
        except KeyboardInterrupt:  # nobody interrupts here but the student's own code
            outcome = Failed("KeyboardInterrupt", "", None, "", "", "", False)
    return _as_message(outcome)


def _as_message(outcome: Outcome) -> dict[str, Any]:
    kind = "failed" if isinstance(outcome, Failed) else "returned"
    return {"outcome": kind, **vars(outcome)}
