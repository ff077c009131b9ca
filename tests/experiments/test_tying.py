"""The sweep: it runs what was asked, resumes where it was killed, and spoils no file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev

import pytest
from experiments.tiny import tiny

from attncourse.cli import main
from attncourse.experiments import tying as module
from attncourse.experiments.tasks import QUICK
from attncourse.experiments.tying import RunsFileError, tying

TASKS = (tiny("agreement"), tiny("previous/causal"))
MODES = ("raw", "tied_qk", "separate")


def sweep(**arguments):
    arguments = {"modes": MODES, "seeds": 2, "device": "cpu", "progress": False} | arguments
    return tying(arguments.pop("tasks", TASKS), **arguments)


def outcome(run):
    return {k: v for k, v in asdict(run).items() if k not in ("seconds", "finished", "command")}


@pytest.fixture
def trained(monkeypatch):
    """What is really trained, as (task, mode, mask, seed)."""
    calls = []

    def counted(task, mode, *, mask_diagonal, seed, **rest):
        calls.append((task.name, mode, mask_diagonal, seed))
        return train(task, mode, mask_diagonal=mask_diagonal, seed=seed, **rest)

    train = module.train
    monkeypatch.setattr(module, "train", counted)
    return calls


def test_a_sweep_runs_each_task_mode_mask_and_seed_once(trained):
    result = sweep()
    wanted = [
        (task.name, mode, mask, seed)
        for task in TASKS
        for mode in MODES
        for mask in (False, True)
        for seed in (0, 1)
    ]
    assert sorted(trained) == sorted(wanted)
    assert [(r.task, r.mode, r.mask_diagonal, r.seed) for r in result.runs] == wanted
    assert all("tying(" in run.command for run in result.runs)


def test_a_row_holds_mean_and_standard_deviation_over_the_seeds():
    result = sweep(tasks=TASKS[:1], modes=("raw",), masks=(True,), seeds=3)
    [row] = result.rows()
    accuracies, losses = zip(*[(run.accuracy, run.loss) for run in result.runs], strict=True)
    assert row.seeds == 3
    assert (row.accuracy, row.accuracy_sd) == pytest.approx((mean(accuracies), stdev(accuracies)))
    assert (row.loss, row.loss_sd) == pytest.approx((mean(losses), stdev(losses)))
    assert row.loss_sd > 0


def test_the_table_shows_accuracy_loss_chance_bound_and_sizes():
    text = str(sweep(tasks=[tiny("relation/cycle")], modes=("tied_qk", "separate"), masks=(True,)))
    head, titles, tied, separate = text.splitlines()
    assert head.startswith("relation/cycle")
    assert "chance 0.125, 2 seeds, mean ± sd" in head
    assert titles.split()[:1] == ["mode"]
    assert tied.split()[:2] == ["tied_qk", "masked"]
    assert "0.708" in tied
    assert "0.708" not in separate
    assert tied.count("±") == separate.count("±") == 2
    assert "1,536" in separate


def test_one_seed_has_no_spread_to_show():
    text = str(sweep(tasks=TASKS[:1], seeds=1))
    assert "±" not in "".join(text.splitlines()[1:])


def test_what_a_file_holds_is_not_done_again(tmp_path, trained):
    out = tmp_path / "runs.json"
    sweep(out=out, modes=("raw",), seeds=1)
    before = len(trained)
    assert before == 4
    result = sweep(out=out)
    assert len(trained) == len(set(trained)) == len(result.runs) == 24
    everything = sweep(out=out)
    assert len(trained) == 24
    assert everything == result


DIVERGING = tiny("agreement", learning_rate=1e30)


def test_a_run_that_diverges_stops_no_other_and_is_named_at_the_end(tmp_path, trained):
    out = tmp_path / "runs.json"
    for _ in range(2):  # the second time what failed is tried again, and nothing else
        result = sweep(out=out, tasks=[DIVERGING, TASKS[1]], modes=("raw",), seeds=1)
        assert [run.task for run in result.runs] == ["previous/causal"] * 2
        assert len(result.failures) == 2
        assert str(result).startswith("previous/causal")
        last = str(result).splitlines()[-1]
        assert last.startswith("failed: agreement raw masked, seed 0: the loss is ")
    assert len(trained) == 4 + 2
    assert len(json.loads(out.read_text())["runs"]) == 2


def test_a_row_that_lacks_a_seed_says_of_how_many_it_is(monkeypatch):
    def fails_once(task, mode, *, seed, **rest):
        if (mode, seed) == ("raw", 1):
            raise FloatingPointError("the loss is nan")
        return train(task, mode, seed=seed, **rest)

    train = module.train
    monkeypatch.setattr(module, "train", fails_once)
    head, _, raw, separate, failed = str(
        sweep(tasks=TASKS[:1], modes=("raw", "separate"), masks=(True,))
    ).splitlines()
    assert "2 seeds" in head
    assert raw.endswith("  of 1")
    assert "of" not in separate
    assert failed == "failed: agreement raw masked, seed 1: the loss is nan"


@pytest.mark.parametrize(
    ("elsewhere", "message"),
    [
        ({"device": "NVIDIA H200 (CUDA)"}, r"CPU .*; against NVIDIA H200 \(CUDA\), attncourse"),
        ({"versions": {"torch": "1.0"}}, r"torch 1\.0; against CPU .* torch 2"),
    ],
)
def test_runs_of_two_machines_do_not_make_one_mean(tmp_path, trained, elsewhere, message):
    out = tmp_path / "runs.json"
    sweep(out=out, modes=("raw",))
    content = json.loads(out.read_text())
    for run in content["runs"]:
        run |= elsewhere | {"versions": run["versions"] | elsewhere.get("versions", {})}
    out.write_text(json.dumps(content))
    before, count = out.read_text(), len(trained)
    with pytest.raises(RunsFileError, match=rf"runs\.json holds runs from elsewhere.*{message}"):
        sweep(out=out, modes=("raw",), seeds=3)
    assert out.read_text() == before
    assert len(trained) == count
    # What needs no training can be read on any machine; what shares no task can share the file.
    assert len(sweep(out=out, modes=("raw",)).runs) == 8
    assert len(sweep(out=out, modes=("separate",)).runs) == 8


def test_the_recorded_call_is_the_whole_call(monkeypatch):
    monkeypatch.setitem(QUICK, "relation/chain", tiny("relation/chain"))
    [run] = sweep(tasks=["relation/chain"], modes=("raw",), masks=(True,), seeds=1).runs
    assert run.command == (
        "tying(['relation/chain'], modes=['raw'], masks=[True], seeds=1, full=False, device='cpu')"
    )


def test_a_changed_setting_is_another_run_and_the_old_ones_stay(tmp_path, trained):
    out = tmp_path / "runs.json"
    sweep(out=out, tasks=TASKS[:1], modes=("raw",), seeds=1, masks=(False,))
    longer = tiny("agreement", steps=4)
    result = sweep(out=out, tasks=[longer], modes=("raw",), seeds=1, masks=(False,))
    assert len(trained) == 2
    assert [run.steps for run in result.runs] == [4]
    kept = json.loads(out.read_text())["runs"]
    assert [run["steps"] for run in kept] == [3, 4]


def test_more_seeds_of_the_same_task_repeat_none(tmp_path, trained):
    out = tmp_path / "runs.json"
    for seeds in (1, 3):
        task = replace(TASKS[0], settings=replace(TASKS[0].settings, seeds=seeds))
        result = sweep(out=out, tasks=[task], modes=("raw",), masks=(False,), seeds=None)
        assert len(result.runs) == seeds
    assert [seed for *_, seed in trained] == [0, 1, 2]


def test_a_file_from_elsewhere_serves_a_task_that_was_made_anew(tmp_path, trained):
    # Tuples come back from JSON as lists: the key of a run must not depend on that.
    out = tmp_path / "runs.json"
    for task in (tiny("agreement"), tiny("agreement")):
        sweep(out=out, tasks=[task], modes=("raw",), masks=(False,), seeds=1)
    assert len(trained) == 1


def test_interrupted_and_continued_gives_what_an_uninterrupted_sweep_gives(tmp_path, monkeypatch):
    out = tmp_path / "runs.json"
    train, calls = module.train, []

    def interrupted(*arguments, **rest):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return train(*arguments, **rest)

    monkeypatch.setattr(module, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(out=out)
    assert len(json.loads(out.read_text())["runs"]) == 5
    continued = sweep(out=out)
    assert len(calls) == 24 + 1
    monkeypatch.setattr(module, "train", train)
    assert [outcome(r) for r in continued.runs] == [outcome(r) for r in sweep().runs]


KILLED = """
import sys
sys.path.insert(0, {folder!r})
from experiments.tiny import tiny
from attncourse.experiments.tying import tying
tying([tiny("agreement", steps=20)], seeds=1000, out={out!r}, device="cpu", progress=False)
"""


def test_a_killed_sweep_leaves_a_whole_file_and_is_continued(tmp_path, trained):
    out = tmp_path / "runs.json"
    script = KILLED.format(folder=str(Path(__file__).parents[1]), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        while process.poll() is None and (not out.exists() or out.stat().st_size < 10_000):
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    kept = json.loads(out.read_text())["runs"]
    seeds = 1 + kept[-1]["seed"]
    wanted = 12 * seeds  # six modes, two masks
    result = tying(
        [tiny("agreement", steps=20)], seeds=seeds, out=out, device="cpu", progress=False
    )
    assert len(kept) >= 4
    assert len(trained) == wanted - len(kept)
    assert len(result.runs) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["runs.json"]


def test_an_interruption_while_the_file_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    out = tmp_path / "runs.json"
    sweep(out=out, seeds=1)
    before, dump = out.read_text(), json.dump

    def half(content, file, **options):
        dump({"format": content["format"]}, file, **options)
        file.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dump", half)
    with pytest.raises(KeyboardInterrupt):
        sweep(out=out)
    assert out.read_text() == before
    monkeypatch.setattr(json, "dump", dump)
    assert len(sweep(out=out).runs) == 24
    assert [path.name for path in tmp_path.iterdir()] == ["runs.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not JSON", "is not a JSON file"),
        ("", "is not a JSON file"),
        ('{"format": "runs of attncourse tying", "runs": [', "is not a JSON file"),
        ("[1, 2]", "holds no runs of attncourse tying"),
        ('{"grades": {}}', "holds no runs of attncourse tying"),
        ('{"format": "runs of attncourse tying", "runs": 3}', "holds runs of another version"),
        (
            '{"format": "runs of attncourse tying", "runs": [{"task": "x"}]}',
            "holds runs of another version",
        ),
    ],
)
def test_a_foreign_file_is_refused_before_any_training_and_left_alone(
    tmp_path, trained, content, message
):
    out = tmp_path / "mine.json"
    out.write_text(content)
    with pytest.raises(RunsFileError, match=f"mine.json {message}.*not touched"):
        sweep(out=out)
    assert out.read_text() == content
    assert not trained


def test_a_missing_folder_is_an_error_before_any_training(tmp_path, trained):
    with pytest.raises(RunsFileError, match=r"there is no folder .*nowhere"):
        sweep(out=tmp_path / "nowhere" / "runs.json")
    assert not trained


def test_a_folder_is_no_file_of_runs(tmp_path, trained):
    with pytest.raises(RunsFileError, match="cannot be read"):
        sweep(out=tmp_path)
    assert not trained


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["relation/circle"]}, "no task is called 'relation/circle'; there are relation"),
        ({"modes": ["tied_kq"]}, "got 'tied_kq'"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"tasks": [tiny("agreement"), tiny("agreement", steps=4)]}, "two different tasks"),
    ],
)
def test_wrong_arguments_are_named_before_any_training(trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        sweep(**arguments)
    assert not trained


def test_progress_says_what_runs_and_how_far_it_is(capsys):
    sweep(progress=True)
    captured = capsys.readouterr()
    assert "24/24 previous/causal separate masked, seed 1" in captured.err
    assert "72/72" in captured.err, "gradient steps"
    assert captured.out == ""


def test_steps_spared_by_an_early_stop_count_as_done(capsys):
    easy = tiny("agreement", steps=400, batch_size=64, evaluate_every=25, validation_size=100)
    result = sweep(tasks=[easy], modes=("separate",), masks=(True,), seeds=1, progress=True)
    assert result.runs[0].steps < 400
    assert "400/400" in capsys.readouterr().err


def test_without_progress_nothing_is_printed(capsys):
    sweep()
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- the command


def test_the_command_prints_the_table_and_keeps_the_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(QUICK, "agreement", tiny("agreement"))
    out = tmp_path / "runs.json"
    assert main(["tying", "--task", "agreement", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("agreement")
    runs = json.loads(out.read_text())["runs"]
    assert len(runs) == 6 * 2 * 3
    assert {run["command"] for run in runs} == {"attncourse tying --task agreement"}


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert main(["tying", "--task", "relations"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("attncourse tying: no task is called 'relations'; there are")
    foreign = tmp_path / "grades.json"
    foreign.write_text("{}")
    assert main(["tying", "--task", "agreement", "--out", str(foreign)]) == 1
    assert "holds no runs of attncourse tying" in capsys.readouterr().err
    assert foreign.read_text() == "{}"


def test_the_command_reports_what_failed_in_its_exit_status(monkeypatch, capsys):
    monkeypatch.setitem(QUICK, "agreement", DIVERGING)
    assert main(["tying", "--task", "agreement"]) == 1
    failed = capsys.readouterr().out.splitlines()
    assert len(failed) == 6 * 2 * 3
    assert failed[0].startswith("failed: agreement cosine, seed 0: scores must not contain NaN")
    assert failed[-1].startswith("failed: agreement separate masked, seed 2: ")


def test_the_interrupted_command_says_where_its_runs_are(tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train", interrupt)
    out = tmp_path / "runs.json"
    assert main(["tying", "--task", "agreement", "--out", str(out)]) == 130
    assert f"interrupted; what was done is in {out}" in capsys.readouterr().err
