"""Hands in a file that is no notebook, or another notebook than was handed out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import nbformat
from instructor.corpus.base import POINTS, ZEROS, Entry, as_saved, entry, text
from nbformat import NotebookNode

from attncourse.instructor import limits

EVERYTHING = tuple(POINTS)
Content = dict[str, Any]


def changed(change: Callable[[Content], object]) -> Callable[[NotebookNode], bytes]:
    """The file after `change` has edited its content as JSON has it."""

    def made(notebook: NotebookNode) -> bytes:
        content = json.loads(nbformat.writes(notebook))
        change(content)
        return json.dumps(content).encode()

    return made


def named(content: Content, name: str) -> Content:
    return next(
        cell
        for cell in content["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == name
    )


def _copy(name: str, source: str | None = None) -> Callable[[Content], object]:
    def change(content: Content) -> None:
        cell = named(content, name)
        twin = copy.deepcopy(cell)
        if source is not None:
            twin["source"] = source
        content["cells"].insert(content["cells"].index(cell) + 1, twin)

    return change


def _remove(name: str) -> Callable[[Content], object]:
    return lambda content: content["cells"].remove(named(content, name))


def _set(name: str, **values: Any) -> Callable[[Content], object]:
    return lambda content: named(content, name).update(values)


def _mark(name: str, **values: Any) -> Callable[[Content], object]:
    return lambda content: named(content, name)["metadata"]["nbgrader"].update(values)


def _in_reverse(content: Content) -> None:
    setup, *cells = content["cells"]
    pairs = [cells[n : n + 2] for n in range(0, len(cells), 2)]
    content["cells"] = [setup, *(cell for pair in reversed(pairs) for cell in pair)]


def _claimed(content: Content) -> None:
    for name, most in POINTS.items():
        score = {"output_type": "execute_result", "data": {"text/plain": str(most)}}
        for cell in (named(content, name), named(content, f"{name}_check")):
            cell["outputs"] = [{**score, "metadata": {}, "execution_count": 1}]


def _large_outputs(content: Content) -> None:
    claimed = {"output_type": "stream", "name": "stdout", "text": "x" * 20_000_000}
    named(content, "setup")["outputs"] = [claimed]


def _many_cells(content: Content) -> None:
    empty = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [], "execution_count": 1}
    content["cells"][1:1] = [dict(empty, id=f"empty-{n}") for n in range(1000)]


def _picture_with_half_a_character(content: Content) -> None:
    attached = {"\ud800.png": {"image/png": "AA\ud800A"}}
    cell = {"cell_type": "markdown", "metadata": {}, "source": "As drawn:", "attachments": attached}
    content["cells"].append(cell | {"id": "picture"})


def _nested(content: Content) -> None:
    # The file itself, its metadata, and lists in these.
    inner: list[object] = []
    for _ in range(limits.MAX_NESTING - 2):
        inner = [inner]
    content["metadata"]["odd"] = inner


def _old(change: Callable[[Content], object]) -> Callable[[NotebookNode], bytes]:
    def made(notebook: NotebookNode) -> bytes:
        content = json.loads(nbformat.writes(nbformat.convert(notebook, 3), version=3))
        change(content)
        return json.dumps(content).encode()

    return made


ENTRIES: list[Entry] = [
    entry("an empty file", "Nothing at all.", loses=EVERYTHING, file=lambda notebook: b""),
    entry(
        "broken JSON",
        "Half of the file was saved.",
        loses=EVERYTHING,
        file=lambda notebook: nbformat.writes(notebook).encode()[:2000],
    ),
    entry(
        "bytes",
        "A picture with the name of a notebook.",
        loses=EVERYTHING,
        file=lambda notebook: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50,
    ),
    entry("a list", "JSON, and no notebook.", loses=EVERYTHING, file=lambda notebook: b"[1, 2, 3]"),
    entry(
        "brackets without end",
        "100,000 lists in lists.",
        loses=EVERYTHING,
        file=lambda notebook: b"[" * 100_000 + b"]" * 100_000,
    ),
    entry(
        "lists in lists, 101 deep",
        "In the metadata, just deeper than a notebook is.",
        loses=EVERYTHING,
        file=changed(_nested),
    ),
    entry(
        "a million numbers",
        "In the metadata, just more values than are read.",
        loses=EVERYTHING,
        file=changed(
            lambda content: content["metadata"].update(x=[0] * limits.MAX_NOTEBOOK_VALUES)
        ),
    ),
    entry(
        "a file of 64 MB and a byte",
        "A notebook, and blanks.",
        loses=EVERYTHING,
        file=lambda notebook: as_saved(notebook).ljust(limits.MAX_NOTEBOOK_BYTES + 1),
    ),
    entry(
        "a version of 5,000 digits",
        "Python refuses to read such a number.",
        loses=EVERYTHING,
        file=lambda notebook: b'{"nbformat": ' + b"9" * 5000 + b', "cells": []}',
    ),
    entry(
        "a notebook from the future",
        "nbformat 99.",
        loses=EVERYTHING,
        file=changed(lambda content: content.update(nbformat=99)),
    ),
    entry(
        "cells that are no cells",
        "A list of numbers.",
        loses=EVERYTHING,
        file=changed(lambda content: content.update(cells=[1, 2, 3])),
    ),
    entry(
        "a notebook of another course",
        "None of the cells is ours.",
        loses=EVERYTHING,
        file=lambda notebook: nbformat.writes(
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('hello')")])
        ).encode(),
    ),
    entry(
        "an old notebook",
        "nbformat 3, as an old editor writes it.",
        file=lambda notebook: nbformat.writes(nbformat.convert(notebook, 3), version=3).encode(),
    ),
    entry(
        "an old notebook of 4 MB",
        "nbformat 3, and just too large: to convert it takes a hundred times as much memory.",
        loses=EVERYTHING,
        file=_old(
            lambda content: content["metadata"].update(x="x" * limits.MAX_OLD_NOTEBOOK_BYTES)
        ),
    ),
    entry(
        "an old notebook of 100,000 values",
        "nbformat 3, and just too many: converting it takes a time of its own for each.",
        loses=EVERYTHING,
        file=_old(
            lambda content: content["metadata"].update(x=[0] * limits.MAX_OLD_NOTEBOOK_VALUES)
        ),
    ),
    entry(
        "a byte order mark",
        "As some editors on Windows write it.",
        file=lambda notebook: b"\xef\xbb\xbf" + nbformat.writes(notebook).encode(),
    ),
    entry(
        "UTF-16",
        "As other editors write it.",
        file=lambda notebook: nbformat.writes(notebook).encode("utf-16"),
    ),
    entry(
        "half a character",
        "A lone surrogate in a comment, which no file in UTF-8 can hold.",
        file=changed(
            lambda content: named(content, "setup").update(source="# \ud800\nimport math, torch")
        ),
    ),
    entry(
        "half a character in the name of a picture",
        "A lone surrogate in an attachment of a written answer.",
        file=changed(_picture_with_half_a_character),
    ),
    entry(
        "a picture that is missing",
        "The text of a written answer came without its attachment.",
        written=(text("![by hand](attachment:gone.jpg)"), text("![by hand](gone.png)", {})),
    ),
    entry(
        "pictures that are none",
        "Attachments without data, with data that is none, and of a kind that no page shows.",
        written=(
            text("![one](attachment:empty.jpg)", {"empty.jpg": {}}),
            text("![two](attachment:a.gif)", {"a.gif": {"image/gif": '"><b>no base64</b>'}}),
            text("![three](attachment:b.webp)", {"b.webp": {"image/x-unheard-of": "AAAA"}}),
        ),
    ),
    entry(
        "a time that is none",
        "timestamp.txt says that it was handed in in the year 10^1000.",
        beside={"timestamp.txt": b"1" + b"0" * limits.MAX_TIMESTAMP_BYTES},
    ),
    entry(
        "the same check twice",
        "A graded cell was copied.",
        file=changed(_copy("cosine_affinity_check")),
    ),
    entry(
        "the same answer twice",
        "The second, a wrong one, is what the notebook then has.",
        loses=("cosine_affinity",),
        file=changed(_copy("cosine_affinity", ZEROS)),
    ),
    entry(
        "a check is missing",
        "It was deleted.",
        file=changed(_remove("attention_weights_check")),
    ),
    entry(
        "an answer is missing",
        "It was deleted.",
        loses=("pixels_as_tokens",),
        file=changed(_remove("pixels_as_tokens")),
    ),
    entry(
        "another order",
        "The last task comes first, each answer before its check.",
        file=changed(_in_reverse),
    ),
    entry(
        "outputs that claim full marks",
        "The file is handed in with scores in it.",
        loses=("cosine_affinity",),
        cosine_affinity=ZEROS,
        file=changed(_claimed),
    ),
    entry(
        "a check that gives the points",
        "The graded cell was edited, and the answer is wrong.",
        loses=("cosine_affinity",),
        cosine_affinity=ZEROS,
        file=changed(_set("cosine_affinity_check", source="3.0")),
    ),
    entry(
        "a check that becomes text",
        "A graded cell is made Markdown.",
        file=changed(_set("cosine_affinity_check", cell_type="markdown")),
    ),
    entry(
        "an answer that becomes text",
        "The cell with the answer is made Markdown; what stands in it is code all the same.",
        file=changed(_set("cosine_affinity", cell_type="markdown")),
    ),
    entry(
        "three hundred points",
        "The metadata of a graded cell is edited.",
        loses=("cosine_affinity",),
        cosine_affinity=ZEROS,
        file=changed(_mark("cosine_affinity_check", points=300)),
    ),
    entry(
        "a check that is no check",
        "The metadata says that the cell is neither graded nor locked.",
        loses=("cosine_affinity",),
        cosine_affinity=ZEROS,
        file=changed(_mark("cosine_affinity_check", grade=False, locked=False)),
    ),
    entry(
        "a name that is another's",
        "The check of a wrong answer bears the name of a later one. The first of a name counts, "
        "and there the later answer is not yet defined.",
        loses=("cosine_affinity", "pixels_as_tokens"),
        cosine_affinity=ZEROS,
        file=changed(_mark("cosine_affinity_check", grade_id="pixels_as_tokens_check")),
    ),
    entry(
        "names that are no names",
        "Numbers, lists and null for grade_id.",
        file=changed(
            lambda content: [
                _mark(name, grade_id=odd)(content)
                for name, odd in zip(POINTS, (7, ["x"], None, {"a": 1}), strict=True)
            ]
        ),
    ),
    entry(
        "no metadata",
        "It was all removed, by a tool that strips notebooks; the answers stand in their order.",
        file=changed(lambda content: [cell.update(metadata={}) for cell in content["cells"]]),
    ),
    entry(
        "a source that is a number",
        "Where text belongs.",
        loses=("max_cosine_weight",),
        file=changed(_set("max_cosine_weight", source=3.0)),
    ),
    entry(
        "keys that nobody knows",
        "And the same id for all cells.",
        file=changed(
            lambda content: [
                cell.update(id="same", odd={"key": [1]}, outputs="none", execution_count="x")
                for cell in content["cells"]
            ]
        ),
    ),
    entry(
        "another kernel",
        "It says that it is written in R.",
        file=changed(
            lambda content: content["metadata"].update(
                kernelspec={"name": "ir", "display_name": "R", "language": "R"}
            )
        ),
    ),
    entry("20 MB of old outputs", "Nobody reads them.", file=changed(_large_outputs)),
    entry("a thousand empty cells", "A key was held down.", file=changed(_many_cells)),
    entry(
        "a hundred thousand empty cells",
        "2 MB that become a hundred times as much in memory.",
        loses=EVERYTHING,
        file=changed(lambda content: content["cells"].extend([{}] * 100_000)),
    ),
]
