"""One explorer of each kind, as the book shows them, for tests of what all of them have to do."""

from __future__ import annotations

from collections.abc import Callable

import torch

from attncourse.visuals.explorers import (
    AttentionMaps,
    CircuitSplit,
    Explorer,
    KeyValue,
    LiveSoftmax,
    OneHead,
    OneProjection,
    PixelMatch,
    Question,
    TwoHeads,
    TwoProjections,
    TwoSequences,
    Wishes,
)

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "one_head": lambda: OneHead(
        ["Anna", "fed", "Rex", "he"],
        [[0, 1, 2], [1, 0, 0], [0, -1, 4], [1, -1, 0]],
        ["asks", "female", "legs"],
        W_q=[[1, 0, 0], [0, 2, 0]],
        W_k=[[-1, 0, 0.5], [0, 1, 0]],
        W_v=[[0, 0, 1]],
        W_o=[[-0.25], [0], [1]],
    ),
    "pixel_match": lambda: PixelMatch(
        torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)), start=(0, 6)
    ),
    "live_softmax": lambda: LiveSoftmax(
        [2.0, 0.5, -1.0, 1.2],
        ["river", "bank", "money", "the"],
        [[1.0, 0.0], [0.2, 2.5], [-1.5, 0.5], [-0.8, -0.9]],
    ),
    "one_projection": lambda: OneProjection(
        [[0.9, 0.6], [0.8, -0.7], [-0.7, 0.7], [0.4, 0.3]],
        ["tomato", "chilli", "pea", "plum"],
        features=("colour", "shape"),
    ),
    "two_projections": lambda: TwoProjections(30),
    "circuit_split": lambda: CircuitSplit(
        {
            name: (torch.randn(6, 6, generator=torch.Generator().manual_seed(seed)), list("ABCDEF"))
            for seed, name in enumerate(("circles", "couples"))
        }
    ),
    "key_value": lambda: KeyValue(
        [[-1.9, 0.7], [1.9, 0.7], [0.2, 2.1]],
        [[1.0, 1.3], [-1.0, -1.2], [-1.6, 1.9]],
        [("red", "square"), ("blue", "circle"), ("green", "star")],
        query=[-0.4, 0.9],
        wishes={0: ([-1.7, -0.3], [1.0, 1.3])},
    ),
    "wishes": lambda: Wishes(  # a drawing that the figure offers too
        {
            "Ann": None,
            "Ben": "Ann",
            "Dan": "Ben",
            "Eve": "Ben",
            "Finn": "Cleo",
            "Gina": "Cleo",
            "Cleo": "Ann",
        },
        see_self=True,
    ),
    "two_heads": lambda: TwoHeads(
        ["Anna", "Ben", "book", "gave"],
        [2.0, -1.5, 0.5, -2.5],
        [
            [[-1.4, 1.4], [1.4, 1.4], [1.4, -1.4], [-1.4, -1.4]],
            [[1.4, -1.4], [-1.4, -1.4], [-1.4, 1.4], [1.4, 1.4]],
        ],
        queries=[[0.3, -1.1], [0.4, 0.9]],
        wishes=[(0, 1), (1, 0), (2, 2)],
    ),
    "two_sequences": lambda: TwoSequences(
        [("the", [1, 0, 0, 0]), ("cat", [0, 1, 0, 0]), ("sleeps", [0, 0, 1, 0])],
        [
            ("heute", [0, 0, 0, 1]),
            ("schläft", [0, 0, 1, 0]),
            ("die", [1, 0, 0, 0]),
            ("Katze", [0, 1, 0, 0]),
        ],
        W_q=[[2.4, 0, 0, 0], [1.2, 2.4, 1.2, 0], [0, 0, 2.4, 0], [0, 0, 0, 2.4]],
        W_k=[[2.4, 0, 0, 0], [0, 2.4, 0, 0], [0, 0, 2.4, 0], [0, 0, 0, 2.4]],
    ),
    "attention_maps": lambda: AttentionMaps(
        torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0)),
        grid=(3, 4),
        labels=[f"a {colour} {digit}" for digit in range(1, 7) for colour in ("red", "yellow")],
        questions=[
            Question(text, [[(i + step) % 12] for i in range(12)], maps(seed), maps(seed + 1))
            for seed, (text, step) in enumerate((("the one it beats", 1), ("its twin", 6)))
        ],
        start=(1, 2),
    ),
}


def maps(seed: int) -> dict[str, torch.Tensor]:
    """Weights ``[12, 12]`` of four modes."""
    scores = torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(seed))
    names = ("raw cosine", "one shared matrix", "Q = K", "separate")
    return dict(zip(names, (3 * scores).softmax(-1), strict=True))
