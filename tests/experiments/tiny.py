"""Tasks so small that a test can train them."""

from __future__ import annotations

from dataclasses import replace

from attncourse.experiments.tasks import FULL, QUICK


def tiny(name, full=False, **settings):
    """The task of this name, three steps long; its models are those of the task itself."""
    task = (FULL if full else QUICK)[name]
    small = {"steps": 3, "batch_size": 4, "validation_size": 5, "test_size": 6, "evaluate_every": 2}
    fields = {"pretraining_steps": 2} if hasattr(task, "pretraining_steps") else {}
    return replace(task, settings=replace(task.settings, **small | settings), **fields)
