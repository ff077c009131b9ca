"""The ablation: every way of tying query, key and value, on every task, over several seeds."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from tqdm import tqdm

from attncourse.experiments.models import MODES, Mode
from attncourse.experiments.tasks import Task, find_tasks
from attncourse.experiments.training import Run, check_mode, design_of, provenance, train

_FORMAT = "runs of attncourse tying"


class RunsFileError(ValueError):
    """The file for the runs cannot be used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The runs that differ in nothing but the seed: means and standard deviations.

    A standard deviation is that of the sample (n − 1); None for a single run. For the other
    attributes see :class:`attncourse.experiments.training.Run`.
    """

    task: str
    mode: str
    mask_diagonal: bool
    seeds: int
    accuracy: float
    accuracy_sd: float | None
    loss: float
    loss_sd: float | None
    chance: float
    fetch_bound: float | None
    projection_parameters: int
    parameters: int


@dataclass(frozen=True)
class Sweep:
    """What :func:`tying` returns; printed, it is a table.

    Attributes:
        runs: those that came to an end.
        failures: for each of the others which one it was, and why it did not.
    """

    runs: tuple[Run, ...]
    failures: tuple[str, ...] = ()

    def rows(self) -> list[Row]:
        """One row for each task, mode and mask, in the order in which they were asked for."""
        groups: dict[tuple[str, str, bool], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((run.task, run.mode, run.mask_diagonal), []).append(run)
        return [_row(runs) for runs in groups.values()]

    def __str__(self) -> str:
        lines = [_table(self.rows()), *(f"failed: {failure}" for failure in self.failures)]
        return "\n".join(line for line in lines if line)


def tying(
    tasks: Sequence[str | Task] | str = (),
    *,
    modes: Sequence[Mode] = MODES,
    masks: Sequence[bool] = (False, True),
    seeds: int | None = None,
    full: bool = False,
    out: str | Path | None = None,
    device: torch.device | str | None = None,
    command: str | None = None,
    progress: bool = True,
) -> Sweep:
    """Train every task in every mode, with and without the diagonal, for several seeds.

    Args:
        tasks: names of tasks or groups, or tasks of your own; all that there are when empty.
        modes: which of :data:`attncourse.experiments.models.MODES`.
        masks: values of ``mask_diagonal``: whether a token is forbidden to see itself.
        seeds: number of seeds 0, 1, 2, ...; as many as the task's settings say when None.
        full: for named tasks, the settings for a GPU in place of the quick ones.
        out: JSON file for the runs, replaced as a whole after each. Runs that it already holds are
            not done again; runs of other tasks or settings in it are kept. A run that fails is not
            kept, and is tried again the next time.
        device: where to train; the fastest device when None.
        command: what is recorded as the way to do it again; this call when None.
        progress: show on stderr what runs, how far it is and how long it will take.

    Returns:
        The runs that were asked for, those found in ``out`` included, and the failures: a run
        whose loss or scores are no longer finite does not stop the others.

    Raises:
        ValueError: an unknown task or mode, or fewer than one seed.
        RunsFileError: ``out`` cannot be written, holds something else, or holds some of the runs
            from another device or other versions than here; it is left as it is.
    """
    chosen = _chosen_tasks(tasks, full)
    for mode in modes:
        check_mode(mode)
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    if command is None:
        names = [task.name for task in chosen]
        command = (
            f"tying({names}, modes={list(modes)}, masks={list(masks)}, seeds={seeds}, full={full}, "
            f"device={None if device is None else str(device)!r})"
        )
    path = None if out is None else Path(out)
    known = [] if path is None else _read(path)
    done = {_key(run.design, run.mode, run.mask_diagonal, run.seed): run for run in known}
    # The seeds come first: stopped early, a sweep has compared all modes on a few seeds.
    wanted = [
        (task, seed, mask_diagonal, mode)
        for task in chosen
        for seed in range(task.settings.seeds if seeds is None else seeds)
        for mask_diagonal in masks
        for mode in modes
    ]
    keys = [_key(design_of(task), mode, mask, seed) for task, seed, mask, mode in wanted]
    if path is not None:
        _check_one_origin(path, [done.get(key) for key in keys], device)
    runs: dict[str, Run] = {}
    failures: list[str] = []
    with _Progress(wanted, enabled=progress) as bar:
        for key, (task, seed, mask_diagonal, mode) in zip(keys, wanted, strict=True):
            which = f"{mode}{' masked' * mask_diagonal}, seed {seed}"
            bar.start(task, which)
            if key not in done:
                try:
                    _, done[key] = train(
                        task,
                        mode,
                        mask_diagonal=mask_diagonal,
                        seed=seed,
                        device=device,
                        command=command,
                        on_step=bar.step,
                    )
                except (FloatingPointError, ValueError) as error:
                    failures.append(f"{task.name} {which}: {error}")
                    bar.finish()
                    continue
                if path is not None:
                    _write(path, done.values())
                bar.finish()
            else:
                bar.skip()
            runs[key] = done[key]
    in_order = sorted(runs.values(), key=lambda run: _position(run, chosen, modes))
    return Sweep(tuple(in_order), tuple(failures))


def _chosen_tasks(tasks: Sequence[str | Task] | str, full: bool) -> list[Task]:
    given = [tasks] if isinstance(tasks, str) else list(tasks)
    if not given:
        return find_tasks(full=full)
    chosen: dict[str, Task] = {}
    for item in given:
        for task in [item] if isinstance(item, Task) else find_tasks(item, full=full):
            if chosen.setdefault(task.name, task) != task:
                raise ValueError(f"two different tasks are called {task.name!r}; rename one")
    return list(chosen.values())


def _position(run: Run, tasks: Sequence[Task], modes: Sequence[Mode]) -> tuple[int, int, bool, int]:
    names = [task.name for task in tasks]
    return names.index(run.task), list(modes).index(run.mode), run.mask_diagonal, run.seed  # type: ignore[arg-type]


def _key(design: dict[str, Any], mode: str, mask_diagonal: bool, seed: int) -> str:
    """Equal for two runs exactly when the second would repeat the first."""
    return json.dumps([design, mode, mask_diagonal, seed], sort_keys=True)


# ---------------------------------------------------------------- the file of the runs


def _read(path: Path) -> list[Run]:
    """The runs in the file; none if there is no file yet."""
    if not path.parent.is_dir():
        raise RunsFileError(f"{path} cannot be written: there is no folder {path.parent}")
    if not path.exists():
        return []
    advice = "Name another file, or move this one away; it was not touched."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunsFileError(f"{path} cannot be read: {error.strerror}. {advice}") from error
    except ValueError as error:
        raise RunsFileError(f"{path} is not a JSON file ({error}). {advice}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise RunsFileError(f"{path} holds no {_FORMAT}. {advice}")
    wanted = {field.name for field in fields(Run)}
    runs = content.get("runs")
    if not isinstance(runs, list) or any(
        not isinstance(run, dict) or run.keys() != wanted for run in runs
    ):
        raise RunsFileError(f"{path} holds runs of another version of attncourse. {advice}")
    return [Run(**run) for run in runs]


def _check_one_origin(
    path: Path, found: Sequence[Run | None], device: torch.device | str | None
) -> None:
    """Raise unless all runs of the sweep, found or still to be done, share device and versions."""
    here = provenance(device)
    origins = set()
    for run in found:
        where, versions = here if run is None else (run.device, run.versions)
        origins.add(", ".join([where, *(f"{name} {v}" for name, v in sorted(versions.items()))]))
    if len(origins) > 1:
        raise RunsFileError(
            f"{path} holds runs from elsewhere, and one mean over both would hide that: "
            f"{'; against '.join(sorted(origins))}. Name another file, or train them all in one "
            "place; it was not touched."
        )


def _write(path: Path, runs: Iterable[Run]) -> None:
    """Replace the file in one step, so that it is whole at every moment."""
    content = {"format": _FORMAT, "runs": [asdict(run) for run in runs]}
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


# ---------------------------------------------------------------- progress and table


class _Progress:
    """One bar over all gradient steps of a sweep; an early stop counts as all of its steps."""

    def __init__(self, wanted: Sequence[tuple[Task, int, bool, Mode]], *, enabled: bool) -> None:
        self._runs = len(wanted)
        self._run = 0
        self._task: Task | None = None
        self._steps = 0
        self._bar = tqdm(
            total=sum(task.settings.steps for task, *_ in wanted),
            bar_format=(
                "{desc}: {percentage:.0f} %, {n_fmt}/{total_fmt} steps, {remaining} left{postfix}"
            ),
            disable=not enabled,
            dynamic_ncols=True,
            # A terminal's line is rewritten; in a log each update stays.
            mininterval=0.2 if sys.stderr.isatty() else 15,
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def start(self, task: Task, which: str) -> None:
        self._run, self._task, self._steps = self._run + 1, task, 0
        self._bar.set_description_str(
            f"{self._run}/{self._runs} {task.name} {which}", refresh=False
        )

    def step(self, task: Task, step: int) -> None:
        if task is self._task:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.update()
            self._steps += 1
        elif step % 20 == 1:
            self._bar.set_postfix_str(f"training the encoder, step {step}")

    def finish(self) -> None:
        assert self._task is not None
        self._bar.update(self._task.settings.steps - self._steps)

    def skip(self) -> None:
        """The run was found in the file: its steps are neither to be done nor a sign of speed."""
        assert self._task is not None
        self._bar.total -= self._task.settings.steps
        self._bar.leave = self._bar.total > 0  # a line that says "0 of 0" says nothing


def _row(runs: Sequence[Run]) -> Row:
    accuracies, losses = [run.accuracy for run in runs], [run.loss for run in runs]
    first = runs[0]
    return Row(
        task=first.task,
        mode=first.mode,
        mask_diagonal=first.mask_diagonal,
        seeds=len(runs),
        accuracy=fmean(accuracies),
        accuracy_sd=stdev(accuracies) if len(runs) > 1 else None,
        loss=fmean(losses),
        loss_sd=stdev(losses) if len(runs) > 1 else None,
        chance=first.chance,
        fetch_bound=first.fetch_bound,
        projection_parameters=first.projection_parameters,
        parameters=first.parameters,
    )


def _table(rows: Sequence[Row]) -> str:
    """For each task a block: a line for each mode and mask."""
    lines: list[str] = []
    task = None
    for row in rows:
        if row.task != task:
            task = row.task
            seeds = max(other.seeds for other in rows if other.task == task)
            plural = "s" * (seeds != 1)
            lines += [
                "",
                f"{task}    chance {row.chance:.3f}, {seeds} seed{plural}, mean ± sd",
                f"  {'mode':9} {'own token':9} {'accuracy':15} {'loss in bits':15}"
                f" {'fetch bound':11} {'projections':>11} {'parameters':>10}",
            ]
        lines.append(
            f"  {row.mode:9} {'masked' if row.mask_diagonal else 'visible':9}"
            f" {_spread(row.accuracy, row.accuracy_sd):15} {_spread(row.loss, row.loss_sd):15}"
            f" {'' if row.fetch_bound is None else f'{row.fetch_bound:.3f}':11}"
            f" {row.projection_parameters:11,} {row.parameters:10,}"
            f"{'' if row.seeds == seeds else f'  of {row.seeds}'}"
        )
    return "\n".join(lines[1:])


def _spread(mean: float, sd: float | None) -> str:
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"
