"""The tasks of the ablation, by name: quick on a laptop, full on a GPU."""

from __future__ import annotations

from dataclasses import replace

from attncourse.experiments.tasks.base import IGNORED, Settings, Split, Task, fetch_bound
from attncourse.experiments.tasks.language import NextCharacter
from attncourse.experiments.tasks.scenes import DigitScene
from attncourse.experiments.tasks.symbols import MatchColour, PreviousToken, Relation

__all__ = [
    "FULL",
    "IGNORED",
    "ON_REQUEST",
    "QUICK",
    "DigitScene",
    "MatchColour",
    "NextCharacter",
    "PreviousToken",
    "Relation",
    "Settings",
    "Split",
    "Task",
    "fetch_bound",
    "find_tasks",
]

# 4,000 samples: where a tied head can only guess, the share of lucky guesses is known to 0.001.
_SYMBOLS = Settings(steps=400, test_size=4000)
_RESCUE = replace(_SYMBOLS, steps=600, learning_rate=3e-3, mlp_width=2)
_SCENES = Settings(
    steps=200, batch_size=48, encoder_learning_rate=1.5e-3, d_model=64, d_k=15, evaluate_every=100
)
_LANGUAGE = Settings(
    steps=600, batch_size=8, learning_rate=1.5e-2, d_model=32, d_k=12, num_heads=2, num_layers=2,
    mlp_width=4, evaluate_every=200, validation_size=50, test_size=200,
)  # fmt: skip

_TWELVE = tuple(range(12))
_THREE_CYCLES = tuple(i // 3 * 3 + (i + 1) % 3 for i in range(12))

_TASKS: tuple[Task, ...] = (
    Relation(
        name="relation/cycle",
        question="Four circles A → B → C → A: what does the one you point to carry?",
        classes=_TWELVE,
        target=_THREE_CYCLES,
        settings=_SYMBOLS,
    ),
    Relation(
        name="relation/mutual",
        question="Six couples of different classes: what does your partner carry?",
        classes=_TWELVE,
        target=tuple(i ^ 1 for i in range(12)),
        settings=_SYMBOLS,
    ),
    Relation(
        name="relation/same-class",
        question="Six couples of one class each: what does the other one carry?",
        classes=tuple(i // 2 for i in range(12)),
        target=tuple(i ^ 1 for i in range(12)),
        settings=_SYMBOLS,
    ),
    Relation(
        name="relation/chain",
        question="One open chain A → B → … → L: what does the next one carry?",
        classes=_TWELVE,
        target=(*range(1, 12), -1),
        settings=_SYMBOLS,
    ),
    Relation(
        name="rescue/one-head",
        question="The circles again, in a Transformer block with one head.",
        classes=_TWELVE,
        target=_THREE_CYCLES,
        settings=_RESCUE,
    ),
    Relation(
        name="rescue/two-heads",
        question="The circles again, in a Transformer block with two heads.",
        classes=_TWELVE,
        target=_THREE_CYCLES,
        settings=replace(_RESCUE, num_heads=2),
    ),
    PreviousToken(
        name="previous/causal",
        question="Which symbol came before you, if you see nothing behind you?",
        causal=True,
        settings=_SYMBOLS,
    ),
    PreviousToken(
        name="previous/bidirectional",
        question="Which symbol came before you, if you see all of them?",
        causal=False,
        settings=_SYMBOLS,
    ),
    Relation(
        name="agreement",
        question="Verb → subject → determiner, in free word order: what does it agree with?",
        # verb, subject, object, oblique noun, the subject's determiner, the object's, adverb
        classes=tuple(range(7)),
        target=(1, 4, -1, -1, -1, -1, -1),
        settings=_SYMBOLS,
    ),
    *(
        MatchColour(
            name=f"match/{d_k}",
            question=f"Which shape has the item of your colour? All modes with d_k = d_v = {d_k}.",
            settings=replace(_SYMBOLS, steps=600, d_k=d_k, match_parameters=False),
        )
        for d_k in (4, 8, 16)
    ),
    DigitScene(
        name="scenes/directed",
        question="Digits 1 → 2 → 3 → 1, and so on: which colour has the digit you point to?",
        target=tuple(i // 3 * 3 + (i + 1) % 3 for i in range(9)),
        pairs=False,
        pretraining_steps=400,
        settings=_SCENES,
    ),
    DigitScene(
        name="scenes/same-digit",
        question="Which colour has the other image of your digit?",
        target=(4, 5, 6, 7, 0, 1, 2, 3, -1),
        pairs=True,
        pretraining_steps=400,
        settings=_SCENES,
    ),
    NextCharacter(
        name="language",
        question="Which character comes next?",
        context=32,
        settings=_LANGUAGE,
    ),
)


def _full(task: Task) -> Task:
    """The same task for a GPU: more seeds, larger models, longer training."""
    if isinstance(task, NextCharacter):
        settings = replace(
            task.settings, steps=20_000, seeds=5, batch_size=128, learning_rate=1e-3, d_model=192,
            d_k=30, num_heads=6, num_layers=4, evaluate_every=250, validation_size=500,
            test_size=1000, patience=8,
        )  # fmt: skip
        return replace(task, context=128, settings=settings)
    settings = replace(
        task.settings, steps=8 * task.settings.steps, seeds=10, batch_size=256,
        d_model=2 * task.settings.d_model, validation_size=1000, test_size=4000,
    )  # fmt: skip
    if isinstance(task, DigitScene):
        return replace(task, pretraining_steps=8 * task.pretraining_steps, settings=settings)
    return replace(task, settings=settings)


#: every task by name, in the order in which the course needs them
QUICK: dict[str, Task] = {task.name: task for task in _TASKS}
FULL: dict[str, Task] = {name: _full(task) for name, task in QUICK.items()}
#: done only when named; the scenes, with an encoder that stays as it is
ON_REQUEST: dict[str, Task] = {
    f"frozen/{name}": replace(
        QUICK[f"scenes/{name}"],
        name=f"frozen/{name}",
        settings=replace(_SCENES, encoder_learning_rate=0),
    )
    for name in ("directed", "same-digit")
}


def find_tasks(*names: str, full: bool = False) -> list[Task]:
    """The tasks of these names or groups; when none is given, all but :data:`ON_REQUEST`.

    Args:
        names: such as ``"relation/cycle"``, or ``"relation"`` for its whole group.
        full: with the settings for a GPU.

    Raises:
        ValueError: a name that is neither a task nor a group.
    """
    tasks = FULL if full else QUICK
    if names and not full:
        tasks = QUICK | ON_REQUEST
    groups = {name.partition("/")[0] for name in tasks}
    if unknown := [name for name in names if name not in tasks and name not in groups]:
        raise ValueError(
            f"no task is called {', '.join(map(repr, unknown))}; "
            f"there are {', '.join(tasks)}, and the groups before the slash"
        )
    return [
        task
        for name, task in tasks.items()
        if not names or name in names or name.partition("/")[0] in names
    ]
