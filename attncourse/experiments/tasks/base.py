"""What a task is: samples, a chance level, and what one head with tied scores can fetch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from attncourse.cycles import closed_cycles

IGNORED = -100  #: the target of a token that is asked nothing; torch's cross-entropy skips it

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The size of the models of a task, and how long they are trained.

    Attributes:
        steps: gradient steps at most.
        seeds: how many runs differ in nothing but the seed: 0, 1, 2, ...
        batch_size: samples for one gradient step.
        learning_rate: Adam's, at its highest; it rises for a tenth of the steps, then falls to 0.
        encoder_learning_rate: that of what turns the input into tokens; the same when None. With 0
            it stays as it is.
        d_model: features of a token.
        d_k: features of a query, a key and a value, per head, in the mode ``separate``.
        num_heads, num_layers: of the attention; no layer at all leaves encoder and readout.
        mlp_width: hidden units in multiples of d_model. Positive: each layer is a Transformer
            block (residual, LayerNorm, attention, MLP). 0: each layer is bare attention.
        match_parameters: choose d_k of the other modes so that their projections have as many
            parameters as those of ``separate``; else every mode gets the same d_k.
        evaluate_every: steps between two evaluations on the validation samples.
        validation_size, test_size: number of samples.
        solved_loss: stop when the validation loss is below this, in bits for each answer.
        patience: stop after this many evaluations without a better validation loss; never when
            None.
    """

    steps: int
    seeds: int = 3
    batch_size: int = 64
    learning_rate: float = 5e-3
    encoder_learning_rate: float | None = None
    d_model: int = 32
    d_k: int = 12
    num_heads: int = 1
    num_layers: int = 1
    mlp_width: int = 0
    match_parameters: bool = True
    evaluate_every: int = 50
    validation_size: int = 250
    test_size: int = 500
    solved_loss: float = 0.01
    patience: int | None = None


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """Samples of tokens, each of which is asked for one answer out of ``num_answers``.

    A task is all that defines an experiment but the mode and the seed: two equal tasks give equal
    runs, and a record of the task is kept with every run.

    Attributes:
        name: its name on the command line; what stands before "/" is its group.
        question: what every token is asked, in one sentence.
        settings: how its models are made and trained.
    """

    name: str
    question: str
    settings: Settings

    @property
    @abstractmethod
    def num_answers(self) -> int:
        """Among how many answers a token has to choose."""

    @property
    def chance(self) -> float:
        """Accuracy of the best answer that does not depend on the input."""
        return 1 / self.num_answers

    @property
    def is_causal(self) -> bool:
        """Whether a token may attend to nothing behind it."""
        return False

    @property
    def pretraining(self) -> Task | None:
        """The task on which the encoder is trained first, if there is one."""
        return None

    def fetch_bound(self, *, mask_diagonal: bool) -> float | None:
        """What one head with tied scores reaches at most by fetching one token; None: it reaches 1.

        See :func:`fetch_bound` for what it rests on, and for how a softmax exceeds it.
        """
        return None

    @property
    def data(self) -> str | None:
        """Which data these are, where they come from outside and may differ between machines."""
        return None

    @abstractmethod
    def sample(
        self, count: int, generator: torch.Generator, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """Draw samples.

        Args:
            count: how many, B.
            generator: a CPU generator; equal states give equal samples.
            split: which part of the data to draw from, where it is finite.

        Returns:
            The input of the encoder, ``[B, ...]``, and the targets ``[B, T]``: the index of the
            right answer for each token, or ``IGNORED``.
        """

    @abstractmethod
    def encoder(self) -> nn.Module:
        """A fresh module that turns the input into tokens ``[B, T, d_model]``."""


class Embeddings(nn.Module):
    """Tokens given as whole numbers: the sum of one learned vector for each of their features.

    Args:
        vocabularies: number of values of each feature.
        d_model: length of the vectors.
        num_positions: number of positions, each with a learned vector of its own; with 0 the
            tokens are a set.
    """

    def __init__(
        self, vocabularies: Sequence[int], d_model: int, *, num_positions: int = 0
    ) -> None:
        super().__init__()
        self.features = nn.ModuleList(nn.Embedding(size, d_model) for size in vocabularies)
        self.positions = nn.Embedding(num_positions, d_model) if num_positions else None
        for embedding in self.modules():
            if isinstance(embedding, nn.Embedding):
                # With torch's standard deviation of 1, a tied head starts with all its attention
                # on the token itself, and some seeds never leave that.
                nn.init.normal_(embedding.weight, std=0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """``[B, T, number of features]``, whole numbers -> ``[B, T, d_model]``."""
        x = torch.stack([embed(tokens[..., i]) for i, embed in enumerate(self.features)]).sum(0)
        if self.positions is not None:
            x = x + self.positions.weight[: x.shape[1]]
        return x


def fetch_bound(target: Sequence[int], num_answers: int, *, mask_diagonal: bool) -> float | None:
    """What one head with tied scores reaches at most if every token fetches exactly one token.

    Token i is asked for the answer that token ``target[i]`` carries; answers are independent and
    uniform. The scores are those of one matrix for query and key, and see no answers. Say that
    token i *hits* if its score with ``target[i]`` is larger than its score with every other token
    that it may see; otherwise it fetches the answer of another token, which is right with
    probability ``1 / num_answers``.

    Follow the targets, i → t(i) → t(t(i)) → ..., round a closed cycle. If all of its tokens hit,
    each score beats the one before it: the token t(i) prefers t(t(i)) to i, so

        s(t(i), t(t(i))) > s(t(i), i) = s(i, t(i)),    by symmetry,

    and after one turn a number would be larger than itself. So a cycle of three or more loses at
    least one token. A cycle of two is free of this, because t(t(i)) is i; but where the diagonal is
    visible, two tokens that prefer each other to themselves need

        s(i, i) + s(j, j) < 2 s(i, j),    against    s(i, i) + s(j, j) − 2 s(i, j) = ‖q_i − q_j‖².

    A cycle of one, a token that is asked for its own answer, is lost where the diagonal is masked.

    Losing one token of each such cycle is also enough, for what is left are open chains. One head
    serves them with queries that grow along the chain, each sharing a direction with the next:
    q_i = 3^i (e_i + e_{i+1}). So the bound is the share of hits, plus what the lost tokens guess.

    Where this stops being true: the count of hits holds for all scores of this kind, the accuracy
    only for a head that fetches one token. A softmax may mix several, and the readout takes a vote
    among them. On four cycles of three, 0.78 can be built where this bound is 0.71: each lost token
    looks almost equally at its target, at the token it prefers and at the three other lost ones,
    and the readout follows the answer that two of these five share. Scores that look at the answers
    can lose the token for which it matters least, and a second head or an MLP can subtract the
    wrong answer.

    Args:
        target: for each token the index of its target; negative for a token that is asked nothing.
        num_answers: among how many answers it chooses.
        mask_diagonal: whether a token is forbidden to see itself.

    Returns:
        The largest accuracy, or None where that is 1.

    Raises:
        TypeError: a target is not a whole number.
        ValueError: a target is not the index of a token.
    """
    asked = sum(t >= 0 for t in target)
    without_loss = 2 if mask_diagonal else 1  # the length of a cycle whose tokens can all hit
    lost = sum(len(cycle) != without_loss for cycle in closed_cycles(target))
    return (asked - lost + lost / num_answers) / asked if lost else None
