"""Three tokens in the plane whose queries and keys come from two matrices that can be turned."""

from __future__ import annotations

import math

import traitlets

from attncourse.visuals.explorers.base import Explorer, module_source

SIZES = (0.5, 2.0)  # the slider's ends


class TwoProjections(Explorer):
    """Rock, scissors and paper, each of which wants to attend to the one it beats.

    The tokens are unit vectors 120° apart, and ``W_q`` and ``W_k`` turn them by ``turn_q`` and
    ``turn_k`` and stretch them by ``size``. So the score of token i with token j is
    ``size² cos(φ_i + turn_q − φ_j − turn_k)``; nothing else scales it. A wish is granted where
    the wanted token's weight is larger than each other; a tie grants none.

    With the diagonal masked all three wishes are granted if and only if
    ``sin(turn_q − turn_k) > 0``, with a visible diagonal if the difference lies between 60° and
    180°. The proof stands in the chapter "query-and-key" of the book.

    Args:
        angle: degrees by which ``W_q`` is turned further than ``W_k``, from -180 to 180, in the
            sense from rock to scissors; 0 is one shared matrix.

    Raises:
        TypeError: the angle is not a number.
        ValueError: the angle is NaN or lies outside of its range.

    ``turn_q`` and ``turn_k`` (degrees), ``size`` (0.5 to 2) and ``see_self`` (whether a token may
    attend to itself) follow the reader's hand and may be set later.
    """

    explorer = "two_projections"
    _esm = module_source("two_projections")

    turn_q = traitlets.Float(0.0, min=-180.0, max=180.0).tag(sync=True)
    turn_k = traitlets.Float(0.0, min=-180.0, max=180.0).tag(sync=True)
    size = traitlets.Float(1.5, min=SIZES[0], max=SIZES[1]).tag(sync=True)
    see_self = traitlets.Bool(False).tag(sync=True)

    def __init__(self, angle: float = 0.0) -> None:
        if isinstance(angle, bool) or not isinstance(angle, int | float):
            raise TypeError(f"angle must be a number of degrees, got {angle!r}")
        if math.isnan(angle) or not -180 <= angle <= 180:
            raise ValueError(f"angle must lie between -180 and 180 degrees, got {angle}")
        super().__init__(turn_q=float(angle))

    def description(self) -> str:
        return (
            "Interactive figure: turn the matrices W_q and W_k of rock, scissors and paper apart, "
            "and see how many of them attend to the one it beats. It needs JavaScript."
        )
