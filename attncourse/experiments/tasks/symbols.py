"""Tasks on made-up symbols: small enough to say in one breath and to train in a second."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.experiments.tasks.base import IGNORED, Embeddings, Split, Task, fetch_bound


@dataclass(frozen=True, kw_only=True)
class Relation(Task):
    """A set of tokens in random order; each has a class and carries a random payload.

    A token is asked for the payload of the token that it is related to. It knows its own class
    and payload; there are no positions, so the class is all that tells where to look.

    Attributes:
        classes: the class of each token.
        target: for each token the index of the one it asks for; -1: it is asked nothing.
        num_payloads: number of payloads.
    """

    classes: tuple[int, ...]
    target: tuple[int, ...]
    num_payloads: int = 8

    @property
    def num_answers(self) -> int:
        return self.num_payloads

    def fetch_bound(self, *, mask_diagonal: bool) -> float | None:
        # A second head, or an MLP behind the attention, can correct what one head fetches.
        if self.settings.mlp_width or self.settings.num_heads > 1 or self.settings.num_layers > 1:
            return None
        return fetch_bound(self.target, self.num_payloads, mask_diagonal=mask_diagonal)

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``[B, T, 2]``, class and payload; targets ``[B, T]``."""
        num_tokens = len(self.classes)
        classes, target = torch.tensor(self.classes), torch.tensor(self.target)
        payloads = torch.randint(self.num_payloads, (count, num_tokens), generator=generator)
        answers = payloads[:, target.clamp(min=0)].where(target >= 0, IGNORED)
        order = torch.rand(count, num_tokens, generator=generator).argsort(-1)
        tokens = torch.stack([classes[order], payloads.gather(1, order)], dim=-1)
        return tokens, answers.gather(1, order)

    def encoder(self) -> Embeddings:
        return Embeddings((max(self.classes) + 1, self.num_payloads), self.settings.d_model)


@dataclass(frozen=True, kw_only=True)
class PreviousToken(Task):
    """A sequence of random symbols with learned positions; each token is asked for the one before.

    Attributes:
        causal: whether a token may attend to nothing behind it.
        length: tokens in a sequence.
        vocabulary: number of symbols.
    """

    causal: bool
    length: int = 16
    vocabulary: int = 16

    @property
    def num_answers(self) -> int:
        return self.vocabulary

    @property
    def is_causal(self) -> bool:
        return self.causal

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``[B, T, 1]``; targets ``[B, T]``, the first of which is ignored."""
        symbols = torch.randint(self.vocabulary, (count, self.length), generator=generator)
        answers = symbols.roll(1, dims=1)
        answers[:, 0] = IGNORED  # nothing comes before it; roll put the last symbol there
        return symbols[..., None], answers

    def encoder(self) -> Embeddings:
        return Embeddings((self.vocabulary,), self.settings.d_model, num_positions=self.length)


@dataclass(frozen=True, kw_only=True)
class MatchColour(Task):
    """Items of different colours, each with a shape, and one token that shows only a colour.

    That last token is asked for the shape of the item of its colour: what is matched (colour) and
    what is moved (shape) have nothing to do with each other.

    Attributes:
        num_items: items, all of different colours.
        num_colours, num_shapes: among how many each is drawn.
    """

    num_items: int = 8
    num_colours: int = 16
    num_shapes: int = 16

    @property
    def num_answers(self) -> int:
        return self.num_shapes

    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``[B, T, 2]``, colour and shape; targets ``[B, T]``, all ignored but the last.

        Shape number ``num_shapes`` means "not shown".
        """
        shuffled = torch.rand(count, self.num_colours, generator=generator).argsort(-1)
        colours = shuffled[:, : self.num_items]
        shapes = torch.randint(self.num_shapes, (count, self.num_items), generator=generator)
        wanted = torch.randint(self.num_items, (count, 1), generator=generator)
        hidden = torch.full((count, 1), self.num_shapes)
        items = torch.stack([colours, shapes], dim=-1)
        asking = torch.stack([colours.gather(1, wanted), hidden], dim=-1)
        answers = torch.full((count, self.num_items + 1), IGNORED)
        answers[:, -1:] = shapes.gather(1, wanted)
        return torch.cat([items, asking], dim=1), answers

    def encoder(self) -> Embeddings:
        return Embeddings((self.num_colours, self.num_shapes + 1), self.settings.d_model)
