"""What a submission does in the browser of whoever looks at it after it was graded."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from nbconvert.exporters import HTMLExporter
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).resolve().parents[3]
_ACTIVE = ("html", "xml", "svg", "javascript", "ecmascript", "css", "pdf")
_TAGS = ("script", "iframe", "object", "embed", "form", "input", "button", "style", "meta", "base")
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*")
_OVER_THE_PAGE = re.compile(r"position\s*:\s*fixed|navbar-fixed")  # a style, or Bootstrap's class


def page_of(notebook: Path) -> str:
    """The page of a graded notebook, by the filters that this course gives nbgrader's pages."""
    page, _ = _exporter().from_filename(str(notebook))
    return page


@cache
def _exporter() -> HTMLExporter:
    config = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT)).load_config()
    return HTMLExporter(config=config, template_name="classic")


def acting(page: str, folder: Path) -> list[str]:
    """What is more than something to read in the notebook that a page shows.

    Args:
        folder: where the files are that lie beside it.
    """
    shown = BeautifulSoup(page, "html.parser").find(id="notebook-container")
    assert isinstance(shown, Tag), "the page shows no notebook"
    found = [what for tag in shown.find_all(True) for what in _acts(tag, folder)]
    for code in shown.find_all(("pre", "code")):
        code.clear()  # MathJax leaves it alone
    return found + ["a link in a formula"] * (r"\href" in shown.get_text())


def _acts(tag: Tag, folder: Path) -> Iterator[str]:
    if tag.name in _TAGS:
        yield tag.name
    yield from (name for name in tag.attrs if name.startswith("on"))
    if _OVER_THE_PAGE.search(f"{tag.get('style')} {tag.get('class')}"):
        yield "over the page"
    address = str(tag.get("href", "#"))
    if not address.startswith("#") and not urlsplit(address).hostname:
        yield f"leads to {address}"
    if tag.has_attr("src"):
        source = str(tag["src"])
        beside = folder / source
        if not _PICTURE.fullmatch(source) and not (beside.is_file() and not _is_active(beside)):
            yield f"fetches {source[:100]}"


def active_files(folder: Path) -> list[str]:
    """The files that a server gives out as something that a browser runs."""
    return [path.name for path in folder.rglob("*") if path.is_file() and _is_active(path)]


def _is_active(path: Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name, strict=False)
    return any(each in (kind or "") for each in _ACTIVE)
