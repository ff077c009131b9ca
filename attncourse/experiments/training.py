"""One training loop for every task, mode and seed, and the record of what it did."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncourse.device import describe, one_thread, pick_device
from attncourse.experiments.models import (
    MODES,
    TIED_SCORES,
    Mode,
    Reader,
    count_parameters,
    head_sizes,
)
from attncourse.experiments.tasks.base import IGNORED, Split, Task

#: called after every gradient step with the task at work and the number of the step, from 1
OnStep = Callable[[Task, int], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one training did: its result, and all that is needed to do it again.

    Attributes:
        task, mode, mask_diagonal, seed: which run it is.
        design: every field of the task, its settings among them, as :func:`design_of` gives it.
        accuracy: share of right answers on the test samples.
        loss: cross-entropy on the test samples, in bits for each answer.
        chance: accuracy of the best answer that does not depend on the input.
        fetch_bound: the most that tied scores reach by fetching one token each, see
            :func:`attncourse.experiments.tasks.fetch_bound`; a softmax that mixes several may
            exceed it. None where it is 1, and for modes whose scores are not tied.
        d_k, d_v: features of a head's query and key, and of its value.
        projection_parameters: in all attention layers; ``parameters``: in the whole model.
        steps: gradient steps taken; ``stopped``: what ended them: "solved" (validation loss below
            the task's), "no progress" (its patience ran out) or "all steps".
        seconds: wall-clock time of the training, without that of the encoder before it.
        device, versions, command, finished: where, with what, how and when (UTC) it was run.
    """

    task: str
    mode: str
    mask_diagonal: bool
    seed: int
    design: dict[str, Any]
    accuracy: float
    loss: float
    chance: float
    fetch_bound: float | None
    d_k: int
    d_v: int
    projection_parameters: int
    parameters: int
    steps: int
    stopped: str
    seconds: float
    device: str
    versions: dict[str, str]
    command: str
    finished: str


def train(
    task: Task,
    mode: Mode,
    *,
    mask_diagonal: bool = False,
    seed: int = 0,
    device: torch.device | str | None = None,
    command: str | None = None,
    on_step: OnStep | None = None,
) -> tuple[Reader, Run]:
    """Train one model; the same arguments give the same model, bit by bit, on a CPU.

    The weights with the best validation loss are kept, and measured on the test samples. Models of
    one seed see the same training samples in every mode; all runs see the same test samples.

    Args:
        task: what to learn, from :func:`attncourse.experiments.tasks.find_tasks` or your own.
        mode: one of :data:`attncourse.experiments.models.MODES`.
        mask_diagonal: forbid every token to attend to itself.
        seed: seeds the weights and the training samples; the global generators are left alone.
        device: the fastest one when left out.
        command: what is recorded as the way to do it again; this call when left out.
        on_step: called after every gradient step, for progress.

    Returns:
        The trained model, in evaluation mode, and the record.

    Raises:
        ValueError: an unknown mode, or scores that are no longer finite.
        FloatingPointError: the loss is no longer finite.
    """
    check_mode(mode)
    device = pick_device() if device is None else torch.device(device)
    with one_thread():
        model = _fresh_model(task, mode, mask_diagonal, seed, device, on_step)
        started = time.perf_counter()
        steps, stopped = _fit(model, task, seed, device, on_step)
        accuracy, loss = evaluate(model, *_fixed_samples(task, "test", device))
        _check_finite(loss, task, steps)
        seconds = time.perf_counter() - started
    d_k, d_v = head_sizes(mode, task.settings)
    where, versions = provenance(device)
    call = f"train({task.name!r}, {mode!r}, mask_diagonal={mask_diagonal}, seed={seed}, "
    call += f"device={str(device)!r})"
    run = Run(
        task=task.name,
        mode=mode,
        mask_diagonal=mask_diagonal,
        seed=seed,
        design=design_of(task),
        accuracy=accuracy,
        loss=loss,
        chance=task.chance,
        fetch_bound=task.fetch_bound(mask_diagonal=mask_diagonal) if mode in TIED_SCORES else None,
        d_k=d_k,
        d_v=d_v,
        projection_parameters=count_parameters(*model.attention),
        parameters=count_parameters(model),
        steps=steps,
        stopped=stopped,
        seconds=round(seconds, 3),
        device=where,
        versions=versions,
        command=call if command is None else command,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return model, run


def provenance(device: torch.device | str | None = None) -> tuple[str, dict[str, str]]:
    """The device and the versions that a run on ``device`` (the fastest when None) records."""
    versions = {
        "attncourse": version("attncourse"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": version("scikit-learn"),
    }
    with one_thread():
        return describe(device), versions


def design_of(task: Task) -> dict[str, Any]:
    """All that decides about a run of the task but mode, mask and seed, as JSON would hold it."""
    design: dict[str, Any] = json.loads(json.dumps(asdict(task)))
    del design["settings"]["seeds"]  # how many others there are is nothing to one run
    if task.data is not None:
        design["data"] = task.data
    return design


def evaluate(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Accuracy and loss in bits for each answer, over the tokens that are asked something.

    Args:
        model: inputs ``[B, ...]`` -> logits ``[B, T, answers]``.
        inputs, targets: as :meth:`attncourse.experiments.tasks.Task.sample` gives them.
    """
    right, nats, asked = 0, 0.0, 0
    with torch.no_grad():
        for part, wanted in zip(inputs.split(250), targets.split(250), strict=True):
            logits = model(part)
            right += int((logits.argmax(-1) == wanted).sum())  # which is never IGNORED
            nats += F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum").item()
            asked += int((wanted != IGNORED).sum())
    return right / asked, nats / asked / math.log(2)


def check_mode(mode: str) -> None:
    """Raise ValueError unless ``mode`` is one of the modes."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}; got {mode!r}")


def _fresh_model(
    task: Task,
    mode: Mode,
    mask_diagonal: bool,
    seed: int,
    device: torch.device,
    on_step: OnStep | None,
) -> Reader:
    """A model with the weights of this seed, its encoder trained where the task asks for that."""
    with torch.random.fork_rng(devices=[]):
        # The weights are drawn on the CPU; torch.manual_seed would seed the GPU's generator, too.
        torch.default_generator.manual_seed(seed)
        model = Reader(task, mode, mask_diagonal=mask_diagonal).to(device)
    if task.pretraining is not None:
        model.encoder.load_state_dict(_pretrained(task.pretraining, seed, device, on_step))
    return model


_encoders: dict[tuple[Task, int, torch.device], dict[str, Tensor]] = {}


def _pretrained(
    task: Task, seed: int, device: torch.device, on_step: OnStep | None
) -> dict[str, Tensor]:
    """The encoder trained on ``task``, once in a process for all modes that start from it."""
    key = (task, seed, device)
    if key not in _encoders:
        model = _fresh_model(task, "raw", False, seed, device, on_step)
        _fit(model, task, seed, device, on_step)
        _encoders[key] = model.encoder.state_dict()
    return _encoders[key]


def _fit(
    model: Reader, task: Task, seed: int, device: torch.device, on_step: OnStep | None
) -> tuple[int, str]:
    """Train in place, until solved, out of patience, or out of steps."""
    settings = task.settings
    generator = torch.Generator().manual_seed(seed)
    validation = _fixed_samples(task, "validation", device)
    optimizer, schedule = _optimizer(model, task)
    best_loss, best_weights, without_progress = math.inf, dict[str, Tensor](), 0
    stopped = "all steps"
    model.train()
    for step in range(1, settings.steps + 1):
        inputs, targets = task.sample(settings.batch_size, generator)
        logits = model(inputs.to(device))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.to(device).flatten())
        _check_finite(loss.item(), task, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(task, step)
        if step % settings.evaluate_every and step != settings.steps:
            continue
        _, validation_loss = evaluate(model, *validation)
        _check_finite(validation_loss, task, step)
        if validation_loss < best_loss:
            best_loss, without_progress = validation_loss, 0
            best_weights = {name: x.clone() for name, x in model.state_dict().items()}
        else:
            without_progress += 1  # evaluations since the best one
        if validation_loss < settings.solved_loss:
            stopped = "solved"
        elif without_progress == settings.patience:
            stopped = "no progress"
        if stopped != "all steps":
            break
    model.load_state_dict(best_weights)
    model.eval()
    return step, stopped


def _check_finite(loss: float, task: Task, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step} of {task.name}; "
            f"try a learning_rate below {task.settings.learning_rate}"
        )


def _optimizer(
    model: Reader, task: Task
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    settings = task.settings
    rest = [*model.layers.parameters(), *model.norm.parameters(), *model.readout.parameters()]
    rates, groups = [settings.learning_rate], [{"params": rest}]
    encoder_rate = settings.encoder_learning_rate
    if encoder_rate == 0:
        model.encoder.requires_grad_(False)
    else:
        rates.insert(0, settings.learning_rate if encoder_rate is None else encoder_rate)
        groups.insert(0, {"params": list(model.encoder.parameters())})
    optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=settings.steps, pct_start=0.1, cycle_momentum=False
    )
    return optimizer, schedule


def _fixed_samples(task: Task, split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """The samples that all runs of a task are measured on."""
    inputs, targets = _drawn_samples(task, split)
    return inputs.to(device), targets.to(device)


@lru_cache(maxsize=8)
def _drawn_samples(task: Task, split: Split) -> tuple[Tensor, Tensor]:
    # Far from the seeds 0, 1, 2, ... that draw training samples.
    generator = torch.Generator().manual_seed({"validation": 10**6, "test": 10**6 + 1}[split])
    sizes = {"validation": task.settings.validation_size, "test": task.settings.test_size}
    return task.sample(sizes[split], generator, split)
