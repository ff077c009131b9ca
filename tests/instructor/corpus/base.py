"""An ordinary submission, and how an entry of the corpus changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

POINTS = {
    "cosine_affinity": 3.0,
    "pixels_as_tokens": 2.0,
    "attention_weights": 4.0,
    "max_cosine_weight": 2.0,
}
ZEROS = """
def cosine_affinity(x, y=None):
    return torch.zeros(*x.shape[:-1], (x if y is None else y).shape[-2], dtype=x.dtype)
"""
"""A wrong answer, for those that want points for it."""

_SET = Path(__file__).resolve().parents[3] / "solutions/ps1-similarity/similarity.ipynb"


def as_saved(notebook: NotebookNode) -> bytes:
    """The file as Jupyter writes it."""
    return nbformat.writes(notebook).encode()


@dataclass(frozen=True)
class Entry:
    """The ordinary submission with one hostile or broken change, or with something beside it."""

    name: str
    tries: str
    """What it is after, or what went wrong in it, in a sentence."""
    cells: Mapping[str, str]
    """Sources that are put in: `first` is a cell before every answer, the name of an item takes
    the place of its answer, and `after_` such a name is a cell between an answer and its check.
    COURSE_ROOT stands for the folder with the solutions, the gradebook and the submissions."""
    loses: tuple[str, ...]
    """The items that deserve no points. All others deserve all of theirs."""
    file: Callable[[NotebookNode], bytes] = as_saved
    """What the notebook becomes when it is handed in."""
    written: tuple[NotebookNode, ...] = ()
    """Cells of text that follow the last check, for a person to read."""
    beside: Mapping[str, bytes | str] = field(default_factory=dict)
    """Files that lie beside the notebook. Text is where a link leads to, with COURSE_ROOT as in
    `cells`."""

    @property
    def is_looked_at(self) -> bool:
        """Whether it brings something that a person would look at, beside code."""
        return bool(self.written or self.beside)

    @property
    def deserves(self) -> dict[str, float]:
        """Points of each item."""
        return {name: 0.0 if name in self.loses else most for name, most in POINTS.items()}

    def handed_in(self, course: Path) -> bytes:
        """The file that is handed in."""
        return self.file(self.notebook(course))

    def hand_in(self, folder: Path, course: Path) -> None:
        """Lay the file, and what is beside it, into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "similarity.ipynb").write_bytes(self.handed_in(course))
        for name, content in self.beside.items():
            (folder / name).parent.mkdir(exist_ok=True)
            if isinstance(content, str):
                (folder / name).symlink_to(content.replace("COURSE_ROOT", str(course)))
            else:
                (folder / name).write_bytes(content)

    def notebook(self, course: Path) -> NotebookNode:
        """The notebook that the file is made of."""
        notebook = ordinary()
        sources = {k: v.strip().replace("COURSE_ROOT", str(course)) for k, v in self.cells.items()}
        cells = []
        for cell in notebook.cells:
            name = cell.metadata.nbgrader.grade_id
            if name in sources:
                cell.source = sources.pop(name)
            cells.append(cell)
            follows = "first" if name == "setup" else f"after_{name}"
            if follows in sources:
                cells.append(nbformat.v4.new_code_cell(sources.pop(follows)))
        assert not sources, f"no place for {list(sources)}"
        notebook.cells = [*cells, *self.written]
        return notebook


def entry(
    name: str,
    tries: str,
    *,
    loses: tuple[str, ...] = (),
    file: Callable[[NotebookNode], bytes] = as_saved,
    written: tuple[NotebookNode, ...] = (),
    beside: Mapping[str, bytes | str] | None = None,
    **cells: str,
) -> Entry:
    """An `Entry`, with its cells as keywords."""
    return Entry(name, tries, cells, loses, file, written, beside or {})


def text(source: str, attachments: Mapping[str, object] | None = None) -> NotebookNode:
    """A cell of text for `written`, with pictures in it."""
    cell: NotebookNode = nbformat.v4.new_markdown_cell(source)
    if attachments is not None:
        cell.attachments = dict(attachments)
    return cell


def lie(name: str, tries: str, **cells: str) -> Entry:
    """An entry that wants points for a wrong cosine_affinity. It deserves none for that."""
    return Entry(name, tries, {"cosine_affinity": ZEROS, **cells}, loses=("cosine_affinity",))


def ordinary() -> NotebookNode:
    """Four items of problem set 1, all answered right; no pictures, so that it is quick."""
    notebook = nbformat.read(_SET, as_version=4)
    by_name = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in notebook.cells
        if "nbgrader" in cell.metadata
    }
    setup = by_name["setup"]
    setup.source = "import math\n\nimport torch"
    notebook.cells = [setup]
    for name in POINTS:
        notebook.cells += [by_name[name], by_name[f"{name}_check"]]
    return notebook
