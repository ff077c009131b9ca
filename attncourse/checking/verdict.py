"""What `check` answers: readable in a terminal, and as a small panel in a notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from attncourse.checking.scoring import points_for
from attncourse.palette import VERDICT


@dataclass(frozen=True)
class CaseResult:
    """One thing that was tried."""

    name: str
    passed: bool
    basic: bool
    problem: str  # empty if passed


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a student's function earns, and the sentence that helps."""

    item_id: str
    points: float
    fraction: float
    """Share of the points that is earned, from 0 to 1."""
    hint: str
    """What to do next; empty if everything passed."""
    misconception: str | None
    """Name of the mistake, where it was recognised."""
    cases: tuple[CaseResult, ...]
    output: str
    """What the function printed or warned. It costs no points."""

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.fraction == 1.0

    @property
    def score(self) -> float:
        """Points earned. nbgrader records the number in which a graded cell ends."""
        return points_for(self.fraction, self.points)

    @property
    def _headline(self) -> str:
        outcome = "passed" if self.passed else "in part" if self.score else "not there yet"
        unit = "point" if self.points == 1 else "points"
        return f"{self.item_id}: {outcome}, {self.score:g} of {self.points:g} {unit}"

    @property
    def _tally(self) -> str:
        return f"{sum(c.passed for c in self.cases)} of {len(self.cases)} checks passed"

    def __repr__(self) -> str:
        lines = [self._headline]
        if self.hint:
            lines.append(f"  {self.hint}")
        for case in self.cases:
            mark = "ok  " if case.passed else "FAIL"
            basic = " (basic)" if case.basic else ""
            lines.append(f"  {mark} {case.name}{basic}{': ' if case.problem else ''}{case.problem}")
        if self.output:
            lines.append("  Your function also printed:")
            lines += [f"    {line}" for line in self.output.splitlines()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        # Colours of text are inherited, so the panel reads on a light and on a dark page; the
        # state is said in words, and the coloured edge only repeats it.
        edge = VERDICT["passed" if self.passed else "in part" if self.score else "failed"]
        rows = "".join(
            "<tr>"
            f'<td style="{_CELL}">{"passed" if case.passed else "<strong>failed</strong>"}</td>'
            f'<td style="{_CELL}">{escape(case.name)}{" (basic)" if case.basic else ""}'
            f"{'<br>' if case.problem else ''}{_with_code(case.problem)}</td>"
            "</tr>"
            for case in self.cases
        )
        tried = (
            f'<details><summary style="{_SUMMARY}">{self._tally}</summary>'
            f'<table style="border-collapse:collapse;margin:.4em 0 0;color:inherit">{rows}</table>'
            "</details>"
        )
        output = (
            f'<details><summary style="{_SUMMARY}">Your function also printed or warned; it '
            f'costs no points</summary><pre style="{_PRE}">{escape(self.output)}</pre></details>'
        )
        return (
            # What a student's function says, as in an error's message, is no formula.
            '<div class="tex2jax_ignore" role="group" '
            f'aria-label="Verdict on {escape(self.item_id)}" '
            f'style="border-left:4px solid {edge};padding:.2em 0 .2em .9em;max-width:44em;'
            'line-height:1.5;color:inherit">'
            f"<div><strong>{escape(self._headline)}</strong></div>"
            f"{f'<div>{_with_code(self.hint)}</div>' if self.hint else ''}"
            f"{tried if self.cases else ''}{output if self.output else ''}</div>"
        )


def _with_code(text: str) -> str:
    return re.sub(r"`([^`\n]+)`", rf'<code style="{_CODE}">\1</code>', escape(text))


_SUMMARY = "display:list-item;cursor:pointer"  # formgrader's stylesheet would hide the triangle
_CODE = "color:inherit;background:none;padding:0"
_CELL = (
    "text-align:left;vertical-align:top;padding:.15em .9em .15em 0;background:none;color:inherit;"
)
_PRE = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0;color:inherit;background:none"
