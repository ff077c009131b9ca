"""`ps2.cycle_bound`: the most wishes that one table of symmetric scores can grant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attncourse.checking.item import Case, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.cycles import closed_cycles, cycle_from


@item("ps2.cycle_bound", points=3, minutes=25, difficulty="hard")
class CycleBound:
    """How many of the wishes i -> wants[i] one table of symmetric scores can grant at most."""

    @staticmethod
    def reference(wants: Sequence[int]) -> int:
        return len(wants) - sum(len(ring) > 2 for ring in closed_cycles(wants))

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        # Rings, chains and their lengths are drawn, and the order of the basic cases too: with
        # constants, renamed or not, a table of ten numbers would have every answer. The task
        # promises that n is 12 at most.
        even, odd = 2 * draw.whole(2, 4), 2 * draw.whole(2, 5) + 1
        two, three = ([draw.whole(3, 12 // rings) for _ in range(rings)] for rings in (2, 3))
        everything = [2, 2 * draw.whole(1, 2) + 1, 4]
        yield from draw.shuffled(
            [
                case("rock, paper, scissors", [1, 2, 0], basic=True),
                case(
                    "a ring of even length, and others who look at it",
                    _wishes(draw, [even], others=draw.whole(2, 12 - even)),
                    basic=True,
                ),
                case(
                    "two rings", _wishes(draw, two, others=draw.whole(0, 12 - sum(two))), basic=True
                ),
                case("three rings", _wishes(draw, three), basic=True),
            ]
        )
        yield case("mutual pairs: all", _wishes(draw, [2] * draw.whole(1, 6)))
        yield case("a ring of odd length", _wishes(draw, [odd]))
        yield case(
            "a chain that ends in a ring: 0 is not on it",
            _chain(draw, draw.whole(2, 5), ring=draw.whole(3, 7)),
        )
        beside = _wishes(draw, [draw.whole(3, 6)], others=draw.whole(1, 4))
        yield case("a ring that 0 does not lead to", [1, 0, *(wanted + 2 for wanted in beside)])
        yield case("a chain that ends in a mutual pair", _chain(draw, draw.whole(2, 9), ring=2))
        yield case("all want the same one", _wishes(draw, [2], others=draw.whole(3, 10), same=True))
        yield case(
            "everything at once",
            _wishes(draw, everything, others=draw.whole(1, 12 - sum(everything))),
            weight=3,
        )

    misconceptions = (
        wrong(
            "the input is changed",
            lambda wants: _crossed_out(wants),
            "Your function changes the list that it was given, with `wants[i] = …`, pop or sort, "
            "and the caller still needs it. Work on a copy: `wants = list(wants)`.",
        ),
        wrong(
            "a mutual pair costs one too",
            lambda wants: len(wants) - len(closed_cycles(wants)),
            "You take one wish from every ring, also from two who want each other (and every "
            "connected group of tokens contains one ring). For two, symmetric scores are no "
            "obstacle: s(a, b) = s(b, a) may be the largest of both rows. Only rings of three or "
            "more lose one.",
        ),
        wrong(
            "all tokens on a ring are lost",
            lambda wants: (
                len(wants) - sum(len(ring) for ring in closed_cycles(wants) if len(ring) > 2)
            ),
            "You take away every wish on a ring. It is enough to give up one of them: what is left "
            "is a chain, and scores that grow along the chain grant all of it. (Or you count each "
            "ring once for every token that it is found from.)",
            variants=[lambda wants: len(wants) - sum(map(len, closed_cycles(wants)))],
        ),
        wrong(
            "a ring is counted from every start",
            lambda wants: (
                len(wants) - sum(len(cycle_from(wants, i)) > 2 for i in range(len(wants)))
            ),
            "You count a ring again for every token whose path ends in it. Remember the rings that "
            "you have seen, for instance by their smallest token, and count each once.",
        ),
        wrong(
            "one for all rings together",
            lambda wants: len(wants) - any(len(ring) > 2 for ring in closed_cycles(wants)),
            "You take away one wish if there is any ring. Rings do not share a token, so each of "
            "them loses a wish of its own.",
        ),
        wrong(
            "always one",
            lambda wants: len(wants) - 1,
            "You always take away one wish. Without a ring of three or more nothing is lost, and "
            "with two rings two wishes are.",
        ),
        wrong(
            "two thirds of all",
            lambda wants: 2 * len(wants) // 3,
            "Two of three is what one ring of three keeps. A longer ring loses one wish too, so it "
            "keeps a larger share, and tokens that are on no ring lose none.",
            variants=[
                lambda wants: 2 * len(wants) / 3,
                lambda wants: (
                    sum(
                        2 * len(ring) // 3 if len(ring) > 2 else len(ring)
                        for ring in closed_cycles(wants)
                    )
                    + len(wants)
                    - sum(map(len, closed_cycles(wants)))
                ),
            ],
        ),
        wrong(
            "rings of three only",
            lambda wants: len(wants) - sum(len(ring) == 3 for ring in closed_cycles(wants)),
            "You look for rings of three only. The same chain of inequalities closes round a ring "
            "of any length from three on.",
        ),
        wrong(
            "odd rings only",
            lambda wants: len(wants) - sum(len(ring) % 2 for ring in closed_cycles(wants)),
            "You let rings of even length go free, as in a colouring. Write the wishes of a ring "
            "of four as inequalities between scores: they contradict each other as well.",
        ),
        wrong(
            "only the ring that 0 leads to",
            lambda wants: len(wants) - (len(cycle_from(wants, 0)) > 2),
            "You follow the wishes from token 0 alone. Other rings may be out of its reach: start "
            "from every token, and count each ring once.",
        ),
        wrong(
            "only mutual wishes",
            lambda wants: sum(wants[wanted] == i for i, wanted in enumerate(wants)),
            "You grant a wish only if it is mutual. Symmetric scores do not ask for that: a may "
            "have b as its largest score while b has a larger one with c.",
        ),
        wrong(
            "how many are wanted",
            lambda wants: len(set(wants)),
            "You count the tokens that somebody wants. Many may want the same one, and all of them "
            "can have their wish: each has a row of its own.",
        ),
        wrong(
            "what is lost instead of what is granted",
            lambda wants: sum(len(ring) > 2 for ring in closed_cycles(wants)),
            "This is how many wishes are lost. Asked is how many are granted: n minus that.",
            variants=[lambda wants: len(closed_cycles(wants))],
        ),
        wrong(
            "a share instead of a number",
            lambda wants: 1 - sum(len(ring) > 2 for ring in closed_cycles(wants)) / len(wants),
            "You return a share. Asked is how many wishes are granted, a whole number.",
        ),
        wrong(
            "all of them",
            lambda wants: len(wants),
            "You grant every wish. Write those of a ring of three as inequalities between scores, "
            "with s(a, b) = s(b, a): they contradict each other.",
        ),
    )


def _wishes(draw: Draw, rings: Sequence[int], *, others: int = 0, same: bool = False) -> list[int]:
    """The wishes of tokens on rings of these lengths, and of others that lead into them.

    Args:
        same: all of the others want one and the same token of the first ring.
    """
    wants: list[int] = []
    for length in rings:
        first = len(wants)
        wants += [*range(first + 1, first + length), first]
    for _ in range(others):
        wants.append(0 if same else draw.whole(0, len(wants) - 1))
    return _relabelled(wants, draw.shuffled(range(len(wants))))


def _chain(draw: Draw, length: int, *, ring: int) -> list[int]:
    """A chain that begins with token 0 and ends in a ring."""
    wants = [*range(1, length + ring), length]
    return _relabelled(wants, [0, *draw.shuffled(range(1, length + ring))])


def _relabelled(wants: Sequence[int], number: Sequence[int]) -> list[int]:
    """The same wishes among tokens that have been given these numbers."""
    renamed = [0] * len(wants)
    for token, wanted in enumerate(wants):
        renamed[number[token]] = number[wanted]
    return renamed


def _crossed_out(wants: list[int]) -> int:
    """The right bound; tokens that have been visited are crossed out in the list itself."""
    seen: dict[int, int] = {}
    rings = 0
    for start in range(len(wants)):
        i = start
        steps = 0
        while wants[i] >= 0:
            seen[i] = start * len(wants) + steps
            wants[i], i, steps = -1, wants[i], steps + 1
        first = seen[i] - start * len(wants)
        rings += steps > 0 and first >= 0 and steps - first > 2
    return len(wants) - rings
