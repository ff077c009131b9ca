"""What a batch gave: scores, a histogram, items most often missed and why, remarks by kind."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from statistics import mean, median

from attncourse.instructor.batch.grading import FAILED
from attncourse.instructor.batch.records import Record, write_safely
from attncourse.instructor.batch.running import Batch
from attncourse.instructor.course.sharing import share_folder
from attncourse.instructor.course.submissions import TIMESTAMP, printable
from attncourse.palette import REPORT_BAR

_BINS = 10
_WIDTH = 40  # characters of the longest bar in a terminal
_MAX_REASON = 200  # characters of a reason in a terminal


@dataclass
class ItemSummary:
    """How a class did on one graded cell."""

    cell: str
    points: float
    scores: list[float] = field(default_factory=list)
    mistakes: Counter[str] = field(default_factory=Counter)
    """How often each misconception was recognised."""

    @property
    def missed(self) -> int:
        """How many did not get all points."""
        return sum(score < self.points for score in self.scores)

    @property
    def mistakes_in_words(self) -> str:
        """The misconceptions, the most frequent first."""
        return ", ".join(f"{name} ({count})" for name, count in self.mistakes.most_common(3))


MENDED = "mended"
"""The kind of what was put right, and costs no points."""
NEEDS_A_PERSON = "needs a person"
"""The kind of what the judge failed on."""
_FAILURES = "failures"  # all other kinds together, as a column of the CSV file


@dataclass(frozen=True)
class Remark:
    """Something about one student's submission that the instructor has to know."""

    student: str
    kind: str
    reason: str


class Summary:
    """A batch to be read: `print` it, or `write` it as CSV and HTML."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._scores = [record.score for record in batch.records]
        self.remarks = [
            replace(remark, reason=_in_one_line(remark.reason)) for remark in _remarks(batch)
        ]
        self.items = sorted(_items(batch.records), key=lambda item: -item.missed)

    @property
    def histogram(self) -> list[tuple[str, int]]:
        """How many scores lie in each of ten equal parts of the range, the last one closed."""
        points = self._batch.points
        counts = [0] * _BINS
        for score in self._scores:
            counts[min(_BINS - 1, int(score * _BINS / points)) if points else 0] += 1
        edges = [f"{points * n / _BINS:.3g}" for n in range(_BINS + 1)]
        return [(f"{edges[n]} to {edges[n + 1]}", counts[n]) for n in range(_BINS)]

    @property
    def _headline(self) -> str:
        batch = self._batch
        count = len(batch.records)
        before = count - batch.graded
        headline = f"{batch.problem_set}: {count} submission{'' if count == 1 else 's'}"
        headline += f", {before} of them graded before" if before else ""
        if not all(record.sandboxed for record in batch.records):
            headline += ", graded without a sandbox"
        return headline

    @property
    def _average(self) -> str:
        return (
            f"mean {mean(self._scores):.2f}, median {median(self._scores):.2f} "
            f"of {self._batch.points:g} points that the checks give"
        )

    def _by_kind(self) -> list[tuple[str, list[Remark]]]:
        """What is to be done first, and what needs nothing to be done last."""
        kinds: dict[str, list[Remark]] = defaultdict(list)
        for remark in self.remarks:
            kinds[remark.kind].append(remark)
        return sorted(
            kinds.items(),
            key=lambda pair: (pair[0] != NEEDS_A_PERSON, pair[0] == MENDED, -len(pair[1])),
        )

    def __str__(self) -> str:
        most = max(count for _, count in self.histogram)
        wide = max((len(item.cell) for item in self.items), default=0)
        lines = [self._headline, self._average, ""]
        for label, count in self.histogram:
            lines.append(
                f"{label:>14}  {'█' * round(_WIDTH * count / most)} {count or ''}".rstrip()
            )
        lines += ["", "Most often missed"]
        lines += [
            f"  {item.cell:{wide}}  {item.missed} of {len(item.scores)}"
            f"{f': {item.mistakes_in_words}' if item.mistakes_in_words else ''}"
            for item in self.items
        ]
        for kind, remarks in self._by_kind():
            lines += ["", f"{kind} ({len(remarks)})"]
            lines += [f"  {remark.student}: {_cut(remark.reason)}" for remark in remarks[:10]]
            if len(remarks) > 10:
                lines.append(f"  and {len(remarks) - 10} more; the CSV file has them all")
        return "\n".join(lines)

    def write(self, folder: Path, *, groupshared: bool = False) -> Iterator[Path]:
        """Write `PS-summary.csv` and `PS-summary.html`; yield their paths."""
        folder.mkdir(exist_ok=True)
        if groupshared:
            share_folder(folder)
        for suffix, text in ((".csv", self._csv()), (".html", self._html())):
            path = folder / f"{self._batch.problem_set}-summary{suffix}"
            write_safely(path, text, groupshared=groupshared)
            yield path

    def _csv(self) -> str:
        file = io.StringIO()
        cells = sorted(item.cell for item in self.items)
        noted = [NEEDS_A_PERSON, _FAILURES, MENDED]
        columns = ["student", "score", "points", *cells, "misconceptions", *noted, "sandboxed"]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        remarks: dict[str, dict[str, list[str]]] = defaultdict(lambda: {name: [] for name in noted})
        for each in self.remarks:
            if each.kind in noted:
                remarks[each.student][each.kind].append(each.reason)
            else:
                remarks[each.student][_FAILURES].append(f"{each.kind}: {each.reason}")
        joined = {
            student: {
                name: _for_spreadsheet("; ".join(reasons)) for name, reasons in columns.items()
            }
            for student, columns in remarks.items()
        }
        for record in self._batch.records:
            items = [item for book in record.notebooks for item in book.items]
            mistakes = [
                f"{item.cell}: {item.misconception}" for item in items if item.misconception
            ]
            writer.writerow(
                {
                    "student": _for_spreadsheet(record.student),
                    "score": f"{record.score:g}",
                    "points": f"{self._batch.points:g}",
                    **{item.cell: f"{item.score:g}" for item in items},
                    "misconceptions": _for_spreadsheet("; ".join(mistakes)),
                    **joined.get(record.student, {}),
                    "sandboxed": "yes" if record.sandboxed else "no",
                }
            )
        for left_out in self._batch.left_out:
            name = left_out.name
            writer.writerow({"student": _for_spreadsheet(name), **joined[name]})
        return file.getvalue()

    def _html(self) -> str:
        most = max(count for _, count in self.histogram)
        bars = "".join(
            f"<tr><th scope=row>{label}</th><td class=bar>"
            f'<span style="width:{100 * count / most:.1f}%"></span></td><td>{count}</td></tr>'
            for label, count in self.histogram
        )
        items = "".join(
            f"<tr><th scope=row>{escape(item.cell)}</th>"
            f"<td>{item.missed} of {len(item.scores)}</td>"
            f"<td>{mean(item.scores):.2f} of {item.points:g}</td>"
            f"<td>{escape(item.mistakes_in_words)}</td></tr>"
            for item in self.items
        )
        remarks = "".join(
            f"<tr><th scope=row>{escape(remark.student)}</th>"
            f"<td>{escape(kind)}</td><td>{escape(remark.reason)}</td></tr>"
            for kind, each in self._by_kind()
            for remark in each
        )
        students = "".join(
            f"<tr><th scope=row>{escape(record.student)}</th><td>{record.score:g}</td></tr>"
            for record in self._batch.records
        )
        return _PAGE.format(
            bar=REPORT_BAR,
            title=escape(self._batch.problem_set),
            headline=escape(self._headline),
            average=escape(self._average),
            histogram=_table("Scores", ("Points", "", "Students"), bars),
            items=_table("Items, most often missed first", _ITEMS, items),
            remarks=_table("What to know", ("Student", "Kind", "Reason"), remarks),
            students=_table("Students", ("Student", "Points"), students),
        )


def _remarks(batch: Batch) -> Iterator[Remark]:
    for record in batch.records:
        for book in record.notebooks:
            if book.problem is not None:
                yield Remark(record.student, book.problem.kind, book.problem.reason)
            if book.mended:
                yield Remark(record.student, MENDED, book.mended)
            for why in book.stopped:
                yield Remark(record.student, "stopped", why)
            for item in book.items:
                failed = book.problem is not None and book.problem.kind == FAILED
                if item.needs_a_person and not failed:  # which one remark says of all cells
                    reason = f"{item.cell}: {item.needs_a_person}"
                    yield Remark(record.student, NEEDS_A_PERSON, reason)
    for student in batch.without_time:
        yield Remark(student, "no time", f"{TIMESTAMP} gives no time, so the work is not late.")
    for left_out in batch.left_out:
        yield Remark(left_out.name, left_out.kind, left_out.reason)


def _in_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON - 1]}…"


def _for_spreadsheet(text: str) -> str:
    """What no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _items(records: list[Record]) -> list[ItemSummary]:
    found: dict[str, ItemSummary] = {}
    for record in records:
        for book in record.notebooks:
            for item in book.items:
                summary = found.setdefault(item.cell, ItemSummary(item.cell, item.points))
                summary.scores.append(item.score)
                if item.misconception is not None:
                    summary.mistakes[item.misconception] += 1
    return list(found.values())


def _table(title: str, columns: tuple[str, ...], rows: str) -> str:
    if not rows:
        return f"<h2>{title}</h2><p>Nothing.</p>"
    head = "".join(f"<th scope=col>{column}</th>" for column in columns)
    return f"<h2>{title}</h2><div><table><tr>{head}</tr>{rows}</table></div>"


_ITEMS = ("Cell", "Missed by", "Mean", "Recognised mistakes")
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: summary</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto }}
body {{ padding: 0 1rem }}
h2 {{ margin: 2.5rem 0 .5rem; font-size: 1.2rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; font-weight: 400 }}
th, td:not(:last-child) {{ white-space: nowrap }}
th[scope=col] {{ color: color-mix(in srgb, currentColor 75%, transparent); font-size: .85rem }}
tr + tr > * {{ border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent) }}
td:nth-child(4) {{ min-width: 16rem }}
.bar {{ width: min(24rem, 40vw) }}
.bar span {{ display: block; height: 1rem; margin-top: .25rem; background: {bar} }}
</style>
<h1>{title}</h1>
<p>{headline}; {average}.</p>
{histogram}
{items}
{remarks}
{students}
</html>
"""
