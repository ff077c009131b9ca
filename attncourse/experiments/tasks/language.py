"""A language model of characters, on the reference text that ships with Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import torch
from torch import Tensor

from attncourse.experiments.tasks.base import Embeddings, Split, Task


@lru_cache
def reference_text() -> str:
    """``pydoc_data.topics``, what ``help()`` shows: each paragraph once, ASCII.

    The text differs a little from one version of Python to the next, so numbers of one version
    are not exactly those of another. A character outside ASCII becomes "~".
    """
    from pydoc_data.topics import topics  # half a megabyte: read it only where it is wanted

    # Topics repeat one another; a paragraph of the training text must not come up in the test.
    paragraphs: dict[str, str] = {}
    for _, text in sorted(topics.items()):
        for paragraph in text.split("\n\n"):
            paragraphs.setdefault(" ".join(paragraph.split()), paragraph)
    paragraphs.pop("", None)
    text = "\n\n".join(paragraphs.values())
    return "".join(c if c == "\n" or " " <= c <= "~" else "~" for c in text)


@lru_cache
def _encoded() -> tuple[Tensor, int]:
    """The text as whole numbers ``[characters]``, and the size of its alphabet."""
    text = reference_text()
    alphabet = {character: i for i, character in enumerate(sorted(set(text)))}
    return torch.tensor([alphabet[character] for character in text]), len(alphabet)


@dataclass(frozen=True, kw_only=True)
class NextCharacter(Task):
    """Windows of the text; each character is asked for the one that follows.

    Training, validation and test windows come from the first 80 %, the next and the last 10 %.

    Attributes:
        context: characters in a window.
    """

    context: int

    @property
    def num_answers(self) -> int:
        return _encoded()[1]

    @property
    def chance(self) -> float:
        """Share of the most frequent character in the test text."""
        text = self._part("test")
        return text.bincount().max().item() / len(text)

    @property
    def data(self) -> str:
        text = reference_text()
        return f"{len(text)} characters, SHA-256 {sha256(text.encode()).hexdigest()}"

    @property
    def is_causal(self) -> bool:
        return True

    def _part(self, split: Split) -> Tensor:
        text, _ = _encoded()
        first, second = int(0.8 * len(text)), int(0.9 * len(text))
        return {"train": text[:first], "validation": text[first:second], "test": text[second:]}[
            split
        ]

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``[B, T, 1]``; targets ``[B, T]``."""
        text = self._part(split)
        starts = torch.randint(len(text) - self.context, (count, 1), generator=generator)
        windows = text[starts + torch.arange(self.context + 1)]
        return windows[:, :-1, None], windows[:, 1:]

    def encoder(self) -> Embeddings:
        return Embeddings((self.num_answers,), self.settings.d_model, num_positions=self.context)
