"""Results as a table: aligned numbers, means with their spread, names that stay with the numbers.

    table(
        ("width", "K = V", "separate"),
        [(width, spread(tied[width]), spread(separate[width])) for width in widths],
        caption="Share of shapes right after 600 steps",
    )

The same object is an HTML table in a page and in a notebook, with its style sheet inside, and text
with columns in a terminal. pandas' Styler, which one would look at first, gives its headers no
scope and its cells no name that could stand beside them on a phone, escapes nothing unless asked,
draws its ids at random, and shows its own address in a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

from attncourse.palette import css_variable
from attncourse.visuals.notebook_colours import HOST, colours_of_the_host

STYLE_SHEET = Path(__file__).with_name("tables.css")
STACKS = ' class="stacks"'
# What there is room for on a phone, in pixels: a table that takes more stands there row by row.
ROOM, LETTER, GAP, LINES = 350, 8.4, 20, 3

_VARIABLE = re.compile(r"var\(--attn-(\w+)\)")
_SYMBOL = re.compile(r"\b([A-Za-z])_(\w+)")
_POWER = re.compile(r"(?<=\d)e([+-]\d+)")


@dataclass(frozen=True)
class Spread:
    """A mean and the standard deviation of the sample (n − 1) of ``n`` values."""

    mean: float
    sd: float
    n: int


Cell: TypeAlias = str | int | float | bool | Spread | None


def spread(values: Iterable[Any]) -> Spread:
    """Mean and standard deviation of the sample, for a cell of a :func:`table`.

    Args:
        values: one for each seed; numbers or tensors of one number.

    Raises:
        ValueError: fewer than two values.
    """
    numbers = [float(value) for value in values]
    if len(numbers) < 2:
        raise ValueError(f"a spread needs at least two values, got {len(numbers)}")
    return Spread(fmean(numbers), stdev(numbers), len(numbers))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str,
    formats: str | Mapping[str, str] = ".2f",
    over: str = "seeds",
) -> Table:
    """Results as a table.

    Args:
        header: the name of each column. A letter with a subscript is written ``d_k``, here and in
            a cell.
        rows: of each row its cells: text, whole numbers, other numbers, booleans, a
            :func:`spread`, tensors of one number, None for what there is not. The first names the
            row; where it names several, so do those after it, until each row has a name of its own.
        caption: what the table shows. What the spread is, and over how many values, is added.
        formats: how Python formats numbers that are not whole and spreads, for all columns or by
            the column's name; others have two decimals. ``".0e"`` becomes a power of ten.
        over: what the values of a spread differ in, as a plural.

    Raises:
        ValueError: no row, a row that is not as long as the header, a name that is there twice, a
            format for a column that there is not, no caption, or spreads over unequal numbers of
            values, which one caption cannot tell.
        TypeError: a cell of another kind.
    """
    return Table(header, rows, caption=caption, formats=formats, over=over)


class Table:
    """See :func:`table`."""

    def __init__(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        caption: str,
        formats: str | Mapping[str, str],
        over: str,
    ) -> None:
        self.header = tuple(header)
        self.cells = [tuple(_plain(cell) for cell in row) for row in rows]
        self._check(caption)
        given = dict.fromkeys(self.header, formats) if isinstance(formats, str) else formats
        if unknown := set(given) - set(self.header):
            raise ValueError(f"formats names {sorted(unknown)}, columns are {list(self.header)}")
        self._formats = [given.get(name, ".2f") for name in self.header]
        self._numbers = [
            all(not isinstance(cell, str | bool) for cell in column)
            for column in zip(*self.cells, strict=True)
        ]
        self.caption = " ".join([_sentence(caption), *self._what_is_spread(over)])

    def _check(self, caption: str) -> None:
        if not caption.strip():
            raise ValueError("caption must say what the table shows")
        if len(set(self.header)) < len(self.header):
            raise ValueError(f"header names a column twice: {list(self.header)}")
        if not self.cells:
            raise ValueError("rows must hold at least one row")
        for row in self.cells:
            if len(row) != len(self.header):
                raise ValueError(
                    f"a row must have {len(self.header)} cells, one for each of "
                    f"{list(self.header)}; got {len(row)}: {list(row)}"
                )

    def _what_is_spread(self, over: str) -> list[str]:
        counts = {cell.n for row in self.cells for cell in row if isinstance(cell, Spread)}
        if len(counts) > 1:
            raise ValueError(
                f"spreads over {sorted(counts)} {over} in one table: the caption says one number. "
                "Make a table of each"
            )
        return [f"Mean ± standard deviation of the sample over {n} {over}." for n in counts]

    def _texts(self) -> list[list[str]]:
        return [
            [_text(cell, spec) for cell, spec in zip(row, self._formats, strict=True)]
            for row in self.cells
        ]

    def _naming(self) -> int:
        """How many cells it takes, from the first, to tell each row from the others.

        What was measured is no name: 1 where only that would tell them apart.
        """
        for number in range(1, len(self.header)):
            names = {row[:number] for row in self.cells}
            if any(isinstance(row[number - 1], float | Spread) for row in self.cells):
                break
            if len(names) == len(self.cells):
                return number
        return 1

    def _narrowest(self) -> float:
        """About how many pixels it takes: numbers stay whole, a text has a few lines."""
        width = -float(GAP)
        for name, number, *texts in zip(self.header, self._numbers, *self._texts(), strict=True):
            words = [*name.split(), *(texts if number else " ".join(texts).split())]
            longest = max(map(len, words))
            if not number:
                longest = max(longest, max(map(len, texts)) // LINES)
            width += GAP + LETTER * longest
        return width

    def __str__(self) -> str:
        lines = [list(self.header), *self._texts()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        columns = list(zip(widths, self._numbers, strict=True))
        return "\n".join(
            [
                self.caption,
                "",
                *(
                    "   ".join(
                        cell.rjust(width) if number else cell.ljust(width)
                        for cell, (width, number) in zip(line, columns, strict=True)
                    ).rstrip()
                    for line in lines
                ),
            ]
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        stacks = self._narrowest() > ROOM
        kinds = [' class="number"' if number else "" for number in self._numbers]
        names = [_marked_up(name) for name in self.header]
        labels = [f'<span class="name" aria-hidden="true">{name}</span>' * stacks for name in names]
        # Stacked, it is laid out as no table, and some browsers take it for none without the roles.
        heads = "".join(
            f'<th scope="col" role="columnheader"{kind}>{name}</th>'
            for name, kind in zip(names, kinds, strict=True)
        )
        rows = []
        naming = self._naming()
        for texts in self._texts():
            cells = [
                f"{kind}>{label}<span>{_marked_up(text)}</span>"
                for text, kind, label in zip(texts, kinds, labels, strict=True)
            ]
            names_it, others = cells[:naming], cells[naming:]
            rows.append(
                '<tr role="row">'
                + "".join(f'<th scope="row" role="rowheader"{cell}</th>' for cell in names_it)
                + "".join(f'<td role="cell"{cell}</td>' for cell in others)
                + "</tr>"
            )
        return (
            f'<div class="attn-results"><style>{_style()}</style>'
            f'<table role="table"{STACKS * stacks}><caption>{_marked_up(self.caption)}</caption>'
            f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
            f'<tbody role="rowgroup">{"".join(rows)}</tbody></table></div>'
        )


@cache
def _style() -> str:
    rules = STYLE_SHEET.read_text(encoding="utf-8")
    return colours_of_the_host(".attn-results") + _VARIABLE.sub(
        lambda found: css_variable(found[1], HOST), rules
    )


def _plain(cell: Any) -> Cell:
    """The cell itself, or the number that a tensor or a NumPy scalar holds."""
    value = cell.item() if hasattr(cell, "item") else cell
    if value is None or isinstance(value, str | int | float | Spread):
        return value
    raise TypeError(f"a cell is text, a number, a spread or None; got {cell!r}")


def _text(cell: Cell, spec: str) -> str:
    match cell:
        case None:
            text = "–"
        case bool():
            text = "yes" if cell else "no"
        case str():
            return cell
        case int():
            text = f"{cell:,}"
        case Spread():
            text = f"{cell.mean:{spec}} ± {cell.sd:{spec}}"
        case _:
            text = f"{cell:{spec}}"
    return re.sub(r"(?<!e)-", "−", text)  # the minus of an exponent comes later


def _marked_up(text: str) -> str:
    """Subscripts and powers of ten as they are printed, everything else escaped."""
    symbols = _SYMBOL.sub(r"<i>\1</i><sub>\2</sub>", escape(text))
    return _POWER.sub(lambda found: f" × 10<sup>{_exponent(found[1])}</sup>", symbols)


def _exponent(digits: str) -> str:
    return str(int(digits)).replace("-", "−")


def _sentence(text: str) -> str:
    stripped = " ".join(text.split())
    return stripped if stripped.endswith((".", "?", "!")) else f"{stripped}."
