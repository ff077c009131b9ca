"""Draw who wishes to look at whom; a theorem says how many one head grants, and training tries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source

MIN_TOKENS, MAX_TOKENS = 2, 8
OBJECTIVES = ("cross-entropy", "margin")
MAX_LETTERS = 8  # of a name, which has to fit beside seven others


class Wishes(Explorer):
    """Up to eight tokens, each of which wishes to look at one other, or at none.

    The reader draws the wishes. The figure says how many of them one head can grant, by raw cosine,
    with one shared matrix and with two (:mod:`attncourse.wishes` has the proofs), and lights up the
    circles in the way. *Train* runs two heads in the page, one with a shared matrix and one with
    separate ones: 300 steps of Adam at a rate of 0.05, from the same ``W_q``, on scores
    ``q_i · k_j / √d_k``. A wish counts as granted where it scores above all others by more than
    0.01.

    There may be two heads, of ``d_k`` numbers a query each. Then a wish is granted where one of
    them grants it, and its loss is the smaller of the two.

    Args:
        wishes: for each token, by name, the one that it wishes for; None for none. Names have at
            most 8 letters.
        see_self: whether a token may look at itself; else the diagonal is masked.
        d_k: how many numbers a query has; as many as there are tokens when left out.
        objective: what training lowers. ``"cross-entropy"``: the mean of −log weight on the wish.
            ``"margin"``: the mean of −sign(lead) log(1 + 100 abs(lead)), where ``lead`` is the
            score of the wish less that of its best rival; it does not hedge.
        seed: of the start, see :meth:`start`.
        heads: 1 or 2, which lets the reader change between them; one, and no choice, when left out.
        theorem: whether the figure says at once what can be granted; else the reader asks for it.

    Raises:
        TypeError: a name is not a string, or a number not a whole one.
        ValueError: a token wishes for itself or for nobody of that name, or an argument lies
            outside of its range.

    All of these follow the reader's hand and may be set later, as may ``mode``: whose granted
    wishes the drawing shows, ``"shared"`` or ``"separate"``.
    """

    explorer = "wishes"
    _esm = module_source("wishes")

    wishes = traitlets.Dict().tag(sync=True)
    see_self = traitlets.Bool(False).tag(sync=True)
    d_k = traitlets.Int(None, allow_none=True, min=1, max=MAX_TOKENS).tag(sync=True)
    objective = traitlets.Enum(OBJECTIVES, OBJECTIVES[0]).tag(sync=True)
    seed = traitlets.Int(1, min=0, max=2**32 - 1).tag(sync=True)
    mode = traitlets.Enum(["shared", "separate"], "shared").tag(sync=True)
    heads = traitlets.Int(None, allow_none=True, min=1, max=2).tag(sync=True)
    theorem = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        wishes: Mapping[str, str | None],
        *,
        see_self: bool = False,
        d_k: int | None = None,
        objective: str = "cross-entropy",
        seed: int = 1,
        heads: int | None = None,
        theorem: bool = True,
    ) -> None:
        for name, given, lowest, highest in (
            ("d_k", d_k, 1, len(wishes)),
            ("seed", seed, 0, 2**32 - 1),
            ("heads", heads, 1, 2),
        ):
            if given is None:
                continue
            if isinstance(given, bool) or not isinstance(given, int):
                raise TypeError(f"{name} must be a whole number, got {given!r}")
            if not lowest <= given <= highest:
                raise ValueError(f"{name} must be from {lowest} to {highest}, got {given}")
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be {' or '.join(OBJECTIVES)}, got {objective!r}")
        super().__init__(
            wishes=dict(wishes),
            see_self=see_self,
            d_k=d_k,
            objective=objective,
            seed=seed,
            heads=heads,
            theorem=theorem,
        )

    @traitlets.validate("wishes")
    def _are_wishes_for_others(self, proposal: Any) -> dict[str, str | None]:
        wishes: dict[str, str | None] = proposal["value"]
        for name in wishes:
            if not isinstance(name, str):
                raise TypeError(f"the tokens of wishes must be words, got {name!r}")
            # A browser would put names that are numbers first.
            if not 1 <= len(name) <= MAX_LETTERS or name.isdecimal():
                raise ValueError(
                    f"a token's name must be a word of 1 to {MAX_LETTERS} letters, got {name!r}"
                )
        if not MIN_TOKENS <= len(wishes) <= MAX_TOKENS:
            raise ValueError(
                f"wishes must have {MIN_TOKENS} to {MAX_TOKENS} tokens, got {len(wishes)}"
            )
        for name, wish in wishes.items():
            if wish is None:
                continue
            if wish == name:
                raise ValueError(f"{name!r} wishes for itself; a wish is for another token")
            if wish not in wishes:
                raise ValueError(
                    f"{name!r} wishes for {wish!r}, which is none of {', '.join(wishes)}"
                )
        return wishes

    def target(self) -> list[int]:
        """The wishes as :mod:`attncourse.wishes` takes them: an index for each token, or -1."""
        names = list(self.wishes)
        return [-1 if wish is None else names.index(wish) for wish in self.wishes.values()]

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """``W_q`` and ``W_k``, each ``[heads, d_k, n]``, that training begins with.

        So a cell can repeat what the page does. Every number is uniform between -1 and 1; a head
        with one shared matrix begins with its ``W_q``.
        """
        n, heads = len(self.wishes), self.heads or 1
        draw = _uniform(self.seed)
        size = (heads, 2, n, min(self.d_k or n, n))
        drawn = np.array([next(draw) for _ in range(math.prod(size))]).reshape(size)
        W_q, W_k = drawn.transpose(1, 0, 3, 2)
        return W_q, W_k

    def description(self) -> str:
        return (
            f"Interactive figure: draw which of {', '.join(self.wishes)} wishes to look at which, "
            "see how many of the wishes one head can grant, and train it. It needs JavaScript."
        )


def _uniform(seed: int) -> Iterator[float]:
    """The same numbers between -1 and 1 as the module's own generator (mulberry32) draws."""
    word = 2**32 - 1
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & word
        mixed = state
        mixed = ((mixed ^ (mixed >> 15)) * (mixed | 1)) & word
        mixed ^= (mixed + ((mixed ^ (mixed >> 7)) * (mixed | 61))) & word
        yield 2 * ((mixed ^ (mixed >> 14)) & word) / 2**32 - 1
