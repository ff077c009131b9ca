"""What one head can grant when every token wishes to look at one other.

Token i wishes for token w(i), another one, or for none. A head *grants* the wish if the score
s(i, w(i)) is larger than all others in row i: s(i, i) counts where the diagonal is visible, and
does not where it is masked. The features say who is who and no more: they are orthonormal, and
matrices may make of each token whatever vectors they like. There are three heads:

- ``"raw"`` scores by the cosine of the features: 1 on the diagonal, 0 elsewhere;
- ``"shared"`` by q_i · q_j, a table that is symmetric and positive semi-definite, and any such;
- ``"separate"`` by q_i · k_j: any table at all.

**Circles cost, and nothing else.** Whoever follows wishes ends at a token without one, or in a
circle. With one shared matrix exactly one wish has to fail for each circle of three or more where
the diagonal is masked, for each circle of two or more where it is visible.

*At least one.* Suppose that all wishes round a circle i → j → k → ... are granted. By symmetry
each score beats the one before it, s(j, k) > s(j, i) = s(i, j), and once round a number would
exceed itself. In a couple the two scores are one, and this says nothing. But where the diagonal
is visible, s(i, j) > s(i, i) makes q_j longer than q_i, and each of the two would be longer than
the other. No token is on two circles, so each costs a wish of its own.

*No more.* Give up one wish in each of these circles. From any token that still has one, t steps
lead to a token that has none or, under a mask, into a couple (t = 0 within it).

- Visible: let q_i = 4^-t (e_i + e_w(i)), and e_i where no wish is left. The wish scores 4^-(2t -
  1), the token itself half of that, those with the same wish a quarter, those who wish for i a
  sixteenth, and all others 0.
- Masked: let s(i, w(i)) = s(w(i), i) = 2^-t, and 0 for all other pairs. Those who wish for i
  score half of the wish. A large number on the diagonal, which is masked, makes the table
  positive semi-definite.

**Two heads with a shared matrix each grant everything between them**, since the wish that one gives
up in a circle may be another than the wish that the other gives up.

**The loss has a floor**: the mean of -log weight over the wishes.

*Masked*, it is log 2 for each token on a circle of three or more, 0 for the others. Let a_i be
the lead of the wish of i over the token before i. Round the circle every score occurs once with
each sign, so the a_i add up to 0. The loss of i is at least log(1 + exp(-a_i)), which is convex;
by Jensen's inequality its mean round the circle is at least log(1 + exp(0)). The scores of the
proof above, with no wish given up and 1 round each circle, times a number that grows, come as
close to all this as one likes.

*Visible*, log 3 for each token on a circle of three or more and log 2 for each of a couple is a
lower bound. Let d_i = s(i, i) - s(i, w(i)). Round a circle the d_i add up to half the sum of the
squared distances between q_i and q_w(i), so at least to 0. The loss of i is at least log(1 +
exp(-a_i) + exp(d_i)), in a couple log(1 + exp(d_i)): convex, and rising in d_i. A circle of four or
more stays above: near the bound all a_i and d_i, and with them all distances round the circle, are
near 0, and then those further round tie too, since s(i, i) + s(j, j) - 2 s(i, j) is the squared
distance of q_i and q_j. With circles of two and three alone it comes as close as one likes. Let the
members of a circle be 3b u + ε e_i, with a unit vector u for each circle, so that they nearly tie
at 9b². Who wishes for one of them is b u + b e_w(i) + F e_i: it scores 3b² + bε with its wish, 3b²
with the rest of the circle, and with all others, itself too, at most 2b² + F². All others are 4^-t
F (e_i + e_w(i)) as above, counted from a token without a wish or from those who wish for a circle.
Let F, b / F and bε grow, and ε go to 0.

**How many numbers a query needs.** All of this is exact if d_k is at least the number of tokens.
With fewer, what fails still fails, but the scores that grant the rest may need a higher rank than
d_k: the counts are then upper bounds, the floors lower bounds. Two separate matrices grant
everything from d_k = 2 on: put the keys round a unit circle, and let each query be the key that
it looks for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from attncourse.cycles import closed_cycles

Mode = Literal["raw", "shared", "separate"]


def circles_in_the_way(target: Sequence[int], *, mask_diagonal: bool) -> set[frozenset[int]]:
    """The circles of wishes each of which costs one shared matrix a wish.

    Args:
        target: for each token the index of the one that it wishes for; negative for none.
        mask_diagonal: whether a token is forbidden to look at itself.

    Raises:
        TypeError: a target is not a whole number.
        ValueError: a target is not the index of a token, or a token wishes for itself.
    """
    for token, wish in enumerate(target):
        if wish == token:
            raise ValueError(f"token {token} wishes for itself; a wish is for another token")
    shortest = 3 if mask_diagonal else 2
    return {circle for circle in closed_cycles(target) if len(circle) >= shortest}


def most_granted(target: Sequence[int], mode: Mode, *, mask_diagonal: bool, heads: int = 1) -> int:
    """The most wishes that heads can grant, exactly if d_k is at least the number of tokens.

    Raw cosine finds each token most like itself, and all others equally unlike, which is a tie:
    it grants none, but for two tokens under a mask, where there is nobody else to look at.

    Args:
        target, mask_diagonal: as in :func:`circles_in_the_way`.
        mode: where the scores come from, see the top of this module.
        heads: how many there are; a wish is granted if one of them grants it.

    Raises:
        TypeError: as :func:`circles_in_the_way`.
        ValueError: as :func:`circles_in_the_way`, there is no such mode, or no head.
    """
    if heads < 1:
        raise ValueError(f"there must be a head, got heads={heads}")
    lost = len(circles_in_the_way(target, mask_diagonal=mask_diagonal)) if heads == 1 else 0
    wishes = sum(wish >= 0 for wish in target)
    match mode:
        case "raw":
            return wishes if mask_diagonal and len(target) == 2 else 0
        case "shared":
            return wishes - lost
        case "separate":
            return wishes
    raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")


def loss_floor(
    target: Sequence[int], mode: Literal["shared", "separate"], *, mask_diagonal: bool
) -> float:
    """What the mean of -log weight on the wish cannot fall below, in nats.

    It comes as close as one likes if d_k is at least the number of tokens, unless the diagonal is
    visible and one shared matrix meets a circle of four or more: then it stays above.

    Args:
        target, mask_diagonal: as in :func:`circles_in_the_way`.
        mode: as in :func:`most_granted`; raw scores are what they are.

    Raises:
        TypeError: as :func:`circles_in_the_way`.
        ValueError: as :func:`circles_in_the_way`, nobody has a wish, or there is no such mode.
    """
    circles = circles_in_the_way(target, mask_diagonal=mask_diagonal)
    wishes = sum(wish >= 0 for wish in target)
    if not wishes:
        raise ValueError("nobody has a wish, so there is no loss")
    if mode == "separate":
        return 0.0
    if mode != "shared":
        raise ValueError(f"mode must be shared or separate, got {mode!r}")
    rivals = 1 if mask_diagonal else 2  # on a circle: the one before, and the token itself
    return sum(len(ring) * math.log(min(len(ring), 1 + rivals)) for ring in circles) / wishes
