"""Two sentences, one of which asks the other: whose word makes a row, whose a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source, numbers

MIN_WORDS, MAX_WORDS = 2, 5  # of a sentence, while words move between the two
MAX_LETTERS = 8  # what a column holds on a phone
MASKS = ("none", "top left", "bottom right")


class TwoSequences(Explorer):
    """The weights with which the words of one sentence ask those of another, T_q × T_k of them.

    A word that asks makes a row, a word that is asked a column, and the reader moves words along a
    sentence and between the two. The score of a word i that asks with a word j that is asked is
    ``(W_q x_i) · (W_k x_j) / √d_k``, whichever sentence either came from. With ``same`` the
    first sentence asks itself, and the other one waits.

    A causal mask starts from the top left corner, j ≤ i, or from the bottom right one,
    j ≤ i + T_k − T_q. A row in which everything is masked has no weights at all.

    Args:
        asking, asked: the words of the two sentences, 2 to 5 each and 8 in both at most, each with
            its features: pairs ``(word, [d])``.
        W_q, W_k: ``[d_k, d]``.
        mask: "none", "top left" or "bottom right".
        same: whether the first sentence asks itself at first.

    Raises:
        TypeError: a word is not a string, or features or matrices are not numbers.
        ValueError: too few or too many words, a word empty or longer than 8 letters, sizes that do
            not fit one another, NaN or infinite numbers, or an unknown mask.

    ``rows`` and ``columns`` (numbers of words, those of ``asking`` first), ``mask`` and ``same``
    follow the reader's hand and may be set later; the rest is fixed.
    """

    explorer = "two_sequences"
    _esm = module_source("two_sequences")

    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_q = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    w_k = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    rows = traitlets.List(traitlets.Int()).tag(sync=True)
    columns = traitlets.List(traitlets.Int()).tag(sync=True)
    mask = traitlets.Unicode("none").tag(sync=True)
    same = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        asking: Sequence[tuple[str, Any]],
        asked: Sequence[tuple[str, Any]],
        *,
        W_q: Any,
        W_k: Any,
        mask: str = "none",
        same: bool = False,
    ) -> None:
        for name, sentence in (("asking", asking), ("asked", asked)):
            _check_words(name, [word for word, _ in sentence])
        both = [*asking, *asked]
        if len(both) > 8:
            raise ValueError(f"the two sentences must have at most 8 words, got {len(both)}")
        x = numbers("the features of the words", [features for _, features in both], "[T, d]", 2)
        matrices = {
            name: numbers(name, W, "[d_k, d]", 2) for name, W in (("W_q", W_q), ("W_k", W_k))
        }
        d, d_k = len(x[0]), len(matrices["W_q"])
        for name, W in matrices.items():
            if np.shape(W) != (d_k, d):
                raise ValueError(f"{name} must have shape {[d_k, d]}, got {list(np.shape(W))}")
        super().__init__(
            words=[word for word, _ in both],
            x=x,
            w_q=matrices["W_q"],
            w_k=matrices["W_k"],
            rows=list(range(len(asking))),
            columns=list(range(len(asking), len(both))),
            mask=mask,
            same=same,
        )

    @traitlets.validate("mask")
    def _is_a_mask(self, proposal: Any) -> str:
        if proposal["value"] not in MASKS:
            raise ValueError(f"mask must be one of {list(MASKS)}, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("rows", "columns")
    def _is_a_sentence(self, proposal: Any) -> list[int]:
        name, sentence = proposal["trait"].name, list(proposal["value"])
        if len(set(sentence)) != len(sentence) or not set(sentence) <= set(range(len(self.words))):
            raise ValueError(f"{name} must hold numbers of words, each once, got {sentence}")
        if not MIN_WORDS <= len(sentence) <= MAX_WORDS:
            raise ValueError(
                f"{name} must hold {MIN_WORDS} to {MAX_WORDS} words, got {len(sentence)}"
            )
        return sentence

    def description(self) -> str:
        asking, asked = (" ".join(self.words[i] for i in s) for s in (self.rows, self.columns))
        return (
            f"Interactive figure: the sentence “{asking}” asks the sentence “{asked}”. Move words "
            "along a sentence or between the two, and see the table of weights gain and lose rows "
            "and columns. It needs JavaScript."
        )


def _check_words(name: str, words: Sequence[Any]) -> None:
    if not all(isinstance(word, str) for word in words):
        raise TypeError(f"{name} must have words for names, got {words!r}")
    if not MIN_WORDS <= len(words) <= MAX_WORDS:
        raise ValueError(f"{name} must have {MIN_WORDS} to {MAX_WORDS} words, got {len(words)}")
    if misfits := [word for word in words if not 1 <= len(word) <= MAX_LETTERS]:
        raise ValueError(
            f"{name} must have words of 1 to {MAX_LETTERS} letters, got {misfits[0]!r}"
        )
