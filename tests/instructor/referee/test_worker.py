"""What a student's cells do where the referee runs them, and what the notebook shows of it."""

from __future__ import annotations

import base64
import json
import textwrap
from typing import Any

import pytest
import torch

from attncourse.checking.calling import Failed, Returned
from attncourse.checking.values import Foreign
from attncourse.instructor import limits
from attncourse.instructor.referee.remote_caller import RemoteCaller
from attncourse.instructor.referee.worker_outputs import NotebookRoom, readable
from attncourse.instructor.referee.workers import Worker, WorkerLost

SECONDS = 60


def outputs(worker: Worker, source: str) -> list[dict[str, Any]]:
    return worker.run(textwrap.dedent(source), SECONDS)


def streams(worker: Worker, source: str) -> dict[str, str]:
    """What goes to stdout and stderr."""
    found = {"stdout": "", "stderr": ""}
    for output in outputs(worker, source):
        if output["output_type"] == "stream":
            found[output["name"]] += output["text"]
    return found


def text(worker: Worker, source: str) -> str:
    """What a cell prints; it may not fail."""
    found = outputs(worker, source)
    assert [output for output in found if output["output_type"] == "error"] == []
    return "".join(o["text"] for o in found if o["output_type"] == "stream").strip()


def error(worker: Worker, source: str) -> tuple[str, str]:
    """The error in which a cell ends, and what it says."""
    last = outputs(worker, source)[-1]
    assert last["output_type"] == "error", last
    return last["ename"], last["evalue"]


def calls(worker: Worker, name: str) -> RemoteCaller:
    return RemoteCaller(worker, name, SECONDS)


# --------------------------------------------------------------------------- what is shown, how


def test_outputs_come_in_their_order(worker: Worker) -> None:
    found = outputs(
        worker,
        """
        import sys
        from IPython.display import display
        print("one")
        print("two", file=sys.stderr)
        display("three")
        print("four")
        5
        """,
    )
    shown = [
        (o.get("name") or o["output_type"], o.get("text") or o["data"]["text/plain"]) for o in found
    ]
    assert shown == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("display_data", "'three'"),
        ("stdout", "four\n"),
        ("execute_result", "5"),
    ]


def test_cells_share_their_names(worker: Worker) -> None:
    outputs(worker, "x = 3")
    assert text(worker, "print(x + 1)") == "4"


def test_a_semicolon_hides_a_result_and_none_is_not_shown(worker: Worker) -> None:
    assert outputs(worker, "3;") == []
    assert outputs(worker, "None") == []
    assert text(worker, "!echo 'it is' \"it's\"\n3") == "it is it's"


def test_an_error_is_shown_with_its_line(worker: Worker) -> None:
    last = outputs(worker, "def f():\n    return 1 / 0\nf()")[-1]
    assert (last["ename"], last["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert any("return 1 / 0" in line for line in last["traceback"])


@pytest.mark.parametrize("source", ["def f(:", "x = (1", "  x = 1\n y = 2", "print 'x'"])
def test_a_cell_that_is_no_python_is_an_error_and_not_the_end(worker: Worker, source: str) -> None:
    name, _ = error(worker, source)
    assert name in ("SyntaxError", "IndentationError")
    assert text(worker, "print('on')") == "on"


def test_warnings_are_shown(worker: Worker) -> None:
    found = streams(worker, "import warnings; warnings.warn('mind the gap')")
    assert "UserWarning: mind the gap" in found["stderr"]


def test_what_c_code_and_programs_write_is_shown(worker: Worker) -> None:
    assert streams(worker, "import os; os.write(1, b'one '); os.write(2, b'two');")["stderr"] == (
        "one two"
    )
    assert streams(worker, "import os; os.write(1, b'three');")["stderr"] == "three"
    run = "import subprocess, sys; subprocess.run(['echo', 'four'], stdout=sys.stdout);"
    assert streams(worker, run)["stderr"] == "four\n"


def test_a_thread_that_prints_later_prints_into_the_cell_that_runs_then(worker: Worker) -> None:
    outputs(
        worker,
        """
        import threading
        gate, done = threading.Event(), threading.Event()
        threading.Thread(target=lambda: (gate.wait(), print("late"), done.set())).start()
        """,
    )
    assert text(worker, "gate.set(); done.wait();") == "late"


def test_a_figure_becomes_a_picture(worker: Worker) -> None:
    (found,) = outputs(worker, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert base64.b64decode(found["data"]["image/png"]).startswith(b"\x89PNG")
    # Without plt.show() the figure comes after the value of the last line.
    kinds = [sorted(o["data"]) for o in outputs(worker, "plt.plot([1, 2])")]
    assert kinds == [["text/plain"], ["image/png", "text/plain"]]


def test_what_would_run_in_a_browser_is_left_out(worker: Worker) -> None:
    (found,) = outputs(
        worker,
        """
        from IPython.display import display, HTML
        display({"text/html": "<script>", "text/plain": "plain",
                 "application/javascript": "alert(1)", "image/svg+xml": "<svg/>"}, raw=True)
        """,
    )
    assert found["data"] == {"text/plain": "plain"}


def test_a_picture_that_is_none_is_left_out(worker: Worker) -> None:
    source = """
        from IPython.display import display
        display({"image/png": '"><script>', "text/plain": "plain"}, raw=True)
        """
    assert outputs(worker, source)[0]["data"] == {"text/plain": "plain"}


# ------------------------------------------------------------------------------------- in limits


def test_too_much_text_is_cut_with_a_note(worker: Worker) -> None:
    found = outputs(worker, "for _ in range(100): print('x' * 1_000_000)\n'value'")
    assert len(found) == 1
    assert len(found[0]["text"]) < limits.MAX_TEXT + 100
    assert found[0]["text"].endswith("… cut: more than 100,000 characters\n")


def test_a_hundred_megabytes_at_once_are_cut_with_a_note(worker: Worker) -> None:
    found = text(worker, "print('x' * 100_000_000)")
    assert found.endswith("… cut: more than 100,000 characters")
    assert text(worker, "!head -c 100000000 /dev/zero | tr '\\0' x").endswith("characters")


def test_a_hundred_megabytes_from_c_are_cut_with_a_note(worker: Worker) -> None:
    run = "import os\nfor _ in range(100): os.write(2, b'x' * 600_000)"
    assert text(worker, run).endswith("… cut: more than 100,000 characters")


def test_an_error_is_shown_after_however_much_text(worker: Worker) -> None:
    assert error(worker, "print('x' * 1_000_000)\n1 / 0")[0] == "ZeroDivisionError"
    assert error(worker, "for n in range(500): display(n)\n1 / 0")[0] == "ZeroDivisionError"


def test_too_many_outputs_are_cut_with_a_note(worker: Worker) -> None:
    found = outputs(worker, "for n in range(5000): display(n)")
    assert len(found) == limits.MAX_OUTPUTS + 1
    assert found[-1]["text"] == "… cut: more than 200 outputs\n"


def test_too_many_errors_are_cut(worker: Worker) -> None:
    source = """
        for _ in range(300):
            try:
                1 / 0
            except ZeroDivisionError:
                get_ipython().showtraceback()
        """
    assert 0 < len(outputs(worker, source)) <= limits.MAX_OUTPUTS + 2


def test_a_picture_that_is_too_large_is_left_out_with_a_note(worker: Worker) -> None:
    source = "display({'image/png': 'A' * 9_000_000, 'text/plain': 'x'}, raw=True)"
    (found,) = outputs(worker, source)
    assert "picture was left out" in found["data"]["text/plain"]


def test_pictures_up_to_the_limit_are_shown(worker: Worker) -> None:
    source = "display({'image/png': 'A' * 8_000_000}, raw=True)"
    assert len(outputs(worker, source)[0]["data"]["image/png"]) == 8_000_000


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"unsent": "too large"},
    ],
)
def test_outputs_that_did_not_come_are_not_passed_over(answer: dict[str, Any]) -> None:
    assert "too large" in readable(answer)[0]["text"]


def shown(**changed: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": "x"}, **changed}


PICTURE = {"image/png": "A" * (3 << 20)}


@pytest.mark.parametrize(
    ("outputs", "kept"),
    [
        ([shown()] * 100_000, limits.MAX_OUTPUTS + 3),
        ([shown(data=PICTURE)] * 5, 2),
        ([{"output_type": "stream", "text": "x" * (3 << 20)}] * 5, 1),
        ([{"output_type": "stream", "text": "\0" * (1 << 20)}] * 5, 1),
    ],
)
def test_what_no_worker_of_ours_would_send_is_cut(outputs: list[dict[str, Any]], kept: int) -> None:
    assert len(readable({"outputs": outputs})) == kept


def test_a_picture_s_description_and_a_traceback_have_a_length() -> None:
    described = shown(metadata={"image/png": {"alt": "x" * 1_000_000}})
    error = {"output_type": "error", "traceback": ["x"] * 100_000}
    first, second = readable({"outputs": [described, error]})
    assert first["metadata"]["image/png"]["alt"] == "x" * limits.MAX_ALT
    assert len(second["traceback"]) == limits.MAX_TRACEBACK_LINES


def length(outputs: list[dict[str, Any]]) -> int:
    return sum(len(json.dumps(output, ensure_ascii=False)) for output in outputs)


LONG, LINES = "x" * 1_000_000, ["x" * 4000] * 60
CONTROLS = [
    "\x1b[31m",
    "\x1b[38;2;1;22;133;48;2;200;100;50m",
    "\b",
    "\0",
    "\x1b",
    "\x9b",
    "\x1b]8;",
]


@pytest.mark.parametrize(
    "sent",
    [
        [{"output_type": "stream", "text": LONG}],
        [{"output_type": "stream", "text": "x" * 1000}] * 200,
        [shown(data={"text/plain": LONG, "text/latex": LONG})],
        [shown(metadata={"image/png": {"alt": "x" * 1000}})] * 200,
        [{"output_type": "error", "ename": LONG, "evalue": LONG, "traceback": LINES}] * 200,
        [{"output_type": "stream", "text": LONG}, {"output_type": "error", "traceback": LINES}],
    ],
    ids=["a text", "texts", "results", "descriptions", "errors", "an error after a text"],
)
def test_text_is_cut_where_it_arrives_whatever_the_worker_has_kept(
    sent: list[dict[str, Any]],
) -> None:
    found = readable({"outputs": sent})
    names = limits.MAX_ERROR_NAME * sum(each["output_type"] == "error" for each in found)
    frames = 300 * len(found)  # what JSON puts around the texts
    assert length(found) < limits.MAX_TEXT + 2 * limits.MAX_ERROR_TEXT + names + frames


def test_what_is_cut_where_it_arrives_says_so_and_keeps_the_error() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "why", "traceback": LINES}
    text, last = readable({"outputs": [{"output_type": "stream", "text": LONG}, error]})
    assert text["text"].endswith("… cut: more than 100,000 characters\n")
    assert (last["ename"], last["evalue"]) == ("E", "why")
    assert last["traceback"][0] == LINES[0]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("kind", ["text", "texts", "result", "error"])
def test_control_characters_and_sequences_are_counted_where_they_arrive(
    control: str, kind: str
) -> None:
    many = f"a{control}" * 3000
    sent: dict[str, list[dict[str, Any]]] = {
        "text": [{"output_type": "stream", "text": many}],
        "texts": [{"output_type": "stream", "text": many[: len(many) // 100]}] * 100,
        "result": [shown(data={"text/plain": many})],
        "error": [{"output_type": "error", "evalue": "", "traceback": [many[:4000]] * 20}],
    }
    found = json.dumps(readable({"outputs": sent[kind]}), ensure_ascii=False)
    shown_controls = found.count(json.dumps(control, ensure_ascii=False)[1:-1])
    assert shown_controls <= limits.MAX_CONTROLS
    assert found.count("colours and control characters") <= 1


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[1;31mred\x1b[0m\n" * 1000,
        "\r 50%|█████     | 1/2\r100%|██████████| 2/2\n\tdone\n",
        "\x1b[38;2;123;123;123;48;2;255;255;255mtrue colour\x1b[0m",
    ],
    ids=["colours", "a progress bar", "true colour"],
)
def test_colours_and_progress_bars_are_shown_as_they_are(text: str) -> None:
    assert readable({"outputs": [{"output_type": "stream", "text": text}]})[0]["text"] == text


@pytest.mark.parametrize("sequence", ["\x1b[" + "1;" * 100 + "m", "\x1b[" + "1" * 50, "\x1b]0;a"])
def test_a_sequence_without_an_end_is_none(sequence: str) -> None:
    (found,) = readable({"outputs": [{"output_type": "stream", "text": f"a{sequence}b"}]})
    assert found["text"] == f"a{sequence[1:]}b"


def test_a_cell_that_lifts_the_limits_of_its_worker_lifts_none(worker: Worker) -> None:
    source = f"""
        from attncourse.instructor import limits
        limits.MAX_TEXT = limits.MAX_OUTPUTS = limits.MAX_TRACEBACK_LINE = 10**8
        from attncourse.instructor.referee import worker
        worker._outputs._text = 10**8
        print("x" * 1_000_000)
        for n in range({2 * limits.MAX_OUTPUTS}): display(n)
        """
    found = outputs(worker, source)
    assert len(found) <= limits.MAX_OUTPUTS + 3
    assert length(found) < limits.MAX_TEXT + 300 * len(found)
    assert "… cut: more than 100,000 characters" in found[0]["text"]


def test_all_outputs_of_a_notebook_have_a_number_and_a_length() -> None:
    plain = {"output_type": "stream", "name": "stdout", "text": "x"}
    room, cells = NotebookRoom(), limits.MAX_NOTEBOOK_OUTPUTS // 100
    assert all(len(room.fitting([plain] * 100)) == 100 for _ in range(cells))
    assert "more was left out" in room.fitting([plain])[0]["data"]["text/plain"]
    noted = {**shown(), "metadata": {"attncourse": {"stopped": "x"}}}
    assert room.fitting([plain, noted])[0] is noted

    room, long = NotebookRoom(), {**plain, "text": "x" * 90_000}
    kept = [len(room.fitting([long])[0].get("text", "")) for _ in range(100)]
    assert 0 < sum(kept) <= limits.MAX_NOTEBOOK_TEXT
    picture = shown(data={"image/png": "A" * (1 << 20)})
    assert room.fitting([picture]) == [picture]


# --------------------------------------------------------------------------- what notebooks use


def test_magics_work(worker: Worker) -> None:
    assert "per loop" in text(worker, "%timeit -n1 -r1 1 + 1")
    assert "Wall time" in text(worker, "%%time\nx = 1 + 1")
    assert text(worker, "%%capture said\nprint('x')") == ""
    assert text(worker, "print(said.stdout)") == "x"
    assert text(worker, "%%bash\necho from bash") == "from bash"
    assert text(worker, "%%writefile mine.py\ny = 7") == "Writing mine.py"
    assert text(worker, "import mine; print(mine.y)") == "7"
    outputs(worker, "%matplotlib inline\n%load_ext autoreload\n%autoreload 2")
    unknown = outputs(worker, "%nonsense")  # an error, so that no graded cell passes by it
    assert "`%nonsense` not found" in str(unknown)
    assert unknown[-1]["output_type"] == "error"


def test_commands_run_and_a_failing_one_says_so(worker: Worker) -> None:
    assert text(worker, "!echo $((6 * 7)) {1 + 1}") == "42 2"
    assert text(worker, "x = !echo kept\nprint(x)") == "['kept']"
    assert "not found" in text(worker, "!nonsense")
    assert text(worker, "!cat\nprint(_exit_code)") == "0"
    assert text(worker, "!exit 3\nprint(_exit_code)") == "3"


def test_pip_fails_politely(worker: Worker) -> None:
    text(worker, "!pip install nothing-of-this-name --retries 0 --timeout 1 2>&1 | tail -1")
    assert text(worker, "print('on')") == "on"


def test_await_stands_at_the_top_of_a_cell(worker: Worker) -> None:
    assert text(worker, "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')") == "awaited"


def test_nobody_is_asked_for_input(worker: Worker) -> None:
    assert error(worker, "input('Name? ')")[0] == "EOFError"


@pytest.mark.parametrize("source", ["exit()", "quit", "exit", "raise SystemExit", "%exit_raise"])
def test_leaving_ends_nothing(worker: Worker, source: str) -> None:
    outputs(worker, source)
    assert text(worker, "print('on')") == "on"


def test_sys_exit_is_an_error_of_that_cell(worker: Worker) -> None:
    found = outputs(worker, "import sys; sys.exit(3)")
    assert ("SystemExit", "3") in [(o.get("ename"), o.get("evalue")) for o in found]
    assert text(worker, "print('on')") == "on"


def test_a_keyboard_interrupt_is_an_error_of_that_cell(worker: Worker) -> None:
    assert error(worker, "raise KeyboardInterrupt")[0] == "KeyboardInterrupt"
    outputs(worker, "def f(x):\n    raise KeyboardInterrupt")
    failed = calls(worker, "f").call([torch.ones(1)], {})
    assert isinstance(failed, Failed)
    assert failed.error == "KeyboardInterrupt"
    assert text(worker, "print('on')") == "on"


def test_os_exit_ends_the_worker_and_says_so(worker: Worker) -> None:
    with pytest.raises(WorkerLost, match="status 3"):
        worker.run("import os; os._exit(3)", SECONDS)


def test_stdout_may_be_closed_or_replaced(worker: Worker) -> None:
    outputs(worker, "import sys\nsys.stdout.close()\nsys.stderr.close()")
    assert text(worker, "print('on')") == "on"
    assert text(worker, "print(sys.stdout.encoding, sys.stdout.isatty())") == "UTF-8 False"
    assert error(worker, "sys.stdout.write(3)")[0] == "TypeError"


def test_the_scratch_folder_is_home_and_may_hold_files(worker: Worker) -> None:
    text(worker, "torch = __import__('torch'); torch.save(torch.ones(3), 'x.pt')")
    assert text(worker, "print(torch.load('x.pt').tolist())") == "[1.0, 1.0, 1.0]"


def test_training_with_processes_that_load_data_works(worker: Worker) -> None:
    source = """
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        data = DataLoader(TensorDataset(torch.arange(6.0)), batch_size=3, num_workers=2)
        print(sum(batch.sum().item() for batch, in data))
        """
    assert text(worker, source) == "15.0"


# ---------------------------------------------------------------------------- checks and answers


def test_a_check_of_a_students_own_does_no_harm(worker: Worker) -> None:
    source = """
        from attncourse.grading import check
        import attncourse.grading
        verdict = check("ps1.dot_scores", lambda q, k: q @ k.T)
        print(verdict)
        print(attncourse.grading.check("no such item", 3).score)
        """
    shown = text(worker, source)
    assert "the referee makes its own" in shown
    assert shown.endswith("\n0.0")


def test_the_courses_functions_can_be_used_and_are_no_answer(worker: Worker) -> None:
    outputs(
        worker,
        """
        import torch
        from attncourse.attention import attend
        x = torch.ones(2, 3)
        print(attend(x, x, x))
        def mine(x):
            return attend(x, x, x)
        def sly(x):
            try:
                return attend(x, x, x)
            except BaseException:
                return x
        def honest(x):
            return x
        """,
    )
    assert "1." in text(worker, "print(attend(x, x, x))")
    given = [torch.ones(2, 3)]
    for name in ("mine", "sly"):
        outcome = calls(worker, name).call(given, {})
        assert isinstance(outcome, Failed)
        assert outcome.used_the_course
    assert isinstance(calls(worker, "honest").call(given, {}), Returned)
    assert "1." in text(worker, "print(attend(x, x, x))")


def test_an_empty_result_of_ever_so_many_rows_is_too_large_to_be_looked_at(worker: Worker) -> None:
    worker.run(f"def f(x): return x.new_empty({limits.MAX_TENSOR_ENTRIES + 1}, 0)", SECONDS)
    outcome = calls(worker, "f").call([torch.ones(2)], {})
    assert isinstance(outcome, Returned)
    assert outcome.value == Foreign("result too large to be looked at")
    assert text(worker, "print('goes on')") == "goes on"


def test_a_call_gives_value_inputs_gradients_and_what_was_said(worker: Worker) -> None:
    outputs(worker, "def f(x, scale=1.0):\n    print('here')\n    return (x * x * scale)")
    x = torch.tensor([1.0, 2.0])
    outcome = calls(worker, "f").call([x], {"scale": 3.0}, torch.ones(2))
    assert isinstance(outcome, Returned)
    assert torch.equal(outcome.value, torch.tensor([3.0, 12.0]))
    assert outcome.gradients is not None
    assert torch.equal(outcome.gradients[0], torch.tensor([6.0, 12.0]))
    assert torch.equal(outcome.inputs[0], x)
    assert outcome.inputs[1] == 3.0
    assert outcome.output == "here"


def test_an_error_in_a_call_names_the_students_own_line(worker: Worker) -> None:
    outputs(worker, "import torch\ndef f(x):\n    y = x + 1\n    return y @ torch.ones(7)")
    failed = calls(worker, "f").call([torch.ones(2)], {})
    assert isinstance(failed, Failed)
    assert (failed.error, failed.line, failed.code) == (
        "RuntimeError",
        4,
        "return y @ torch.ones(7)",
    )


def test_a_name_is_looked_up(worker: Worker) -> None:
    outputs(worker, "def f(x): return x\ny = 3")
    found = {name: calls(worker, name).look() for name in ("f", "y", "z")}
    assert found["f"]["callable"] is True
    assert (found["y"]["missing"], found["y"]["callable"]) == (False, False)
    assert found["z"]["missing"] is True
