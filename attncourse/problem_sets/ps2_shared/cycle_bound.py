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
        everything = [1, 2, 0, 4, 5, 6, 3, 8, 7, 0, 9, 7]
        yield case("rock, paper, scissors", [1, 2, 0], basic=True)
        yield case("a ring of four, and two who look at it", [1, 2, 3, 0, 0, 4], basic=True)
        yield case("a mutual pair: both", [1, 0])
        yield case("a ring of five", _relabelled(draw, [1, 2, 3, 4, 0]))
        yield case("two rings of three", _relabelled(draw, [1, 2, 0, 4, 5, 3]), basic=True)
        yield case("a chain that ends in a ring: 0 is not on it", [1, 2, 3, 4, 2])
        yield case("a ring that 0 does not lead to", [1, 0, 3, 4, 2, 0])
        yield case("a chain that ends in a mutual pair", _relabelled(draw, [1, 2, 3, 4, 3]))
        yield case("all want the same one", [1, 0, 0, 0, 0])
        yield case("everything at once, n = 12", _relabelled(draw, everything), weight=2)

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


def _relabelled(draw: Draw, wants: Sequence[int]) -> list[int]:
    """The same wishes among tokens that have been given other numbers."""
    number = draw(len(wants)).argsort().tolist()
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
