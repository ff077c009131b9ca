"""What every explorer is: a live widget in a notebook, and a mount point in a static page."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np

from attncourse.palette import LIGHT, css_variable, custom_properties
from attncourse.visuals.notebook_colours import HOST, colours_of_the_host

FOLDER = Path(__file__).parent


def module_names() -> list[str]:
    """The explorers that have a module here, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.js") if path.stem != "shared")


def style_sheet() -> str:
    """The style of every explorer: the palette's colours, and the rules that use them."""
    colours = custom_properties({name: css_variable(name, HOST) for name in LIGHT}, prefix="--")
    rules = (FOLDER / "explorers.css").read_text("utf-8")
    root = ".attn-explorer"
    return f"{colours_of_the_host(root)}{root} {{ {colours} }}\n{rules}"


def shared_source() -> str:
    """What stands in front of every explorer's own code: the style sheet and the helpers."""
    return f"const STYLE = {json.dumps(style_sheet())};\n" + own_source("shared")


def own_source(name: str) -> str:
    """An explorer's own code, which ends in ``export default { render };``."""
    return (FOLDER / f"{name}.js").read_text("utf-8")


def module_source(name: str) -> str:
    """The complete ES module of an explorer: anywidget takes one file, which may import none."""
    return f"{shared_source()}\n{own_source(name)}"


def numbers(name: str, given: Any, shape: str, dimensions: int) -> Any:
    """``given`` as (nested) lists of finite floats, or an error that names the argument.

    Args:
        name: of the argument.
        given: a list, an array or a tensor.
        shape: what is wanted, in words such as ``"[n, 2]"``.
        dimensions: how many ``shape`` has.

    Raises:
        TypeError: they are not numbers.
        ValueError: the number of dimensions differs, or a number is NaN or infinite.
    """
    if hasattr(given, "detach"):  # a tensor, which may sit on a GPU or want gradients
        given = given.detach().cpu()
    try:
        array = np.asarray(given)
    except ValueError as ragged:
        raise ValueError(f"{name} must have shape {shape}, got rows of unequal length") from ragged
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.ndim != dimensions:
        raise ValueError(f"{name} must have shape {shape}, got {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array.astype(float).tolist()


def eight_bits(name: str, given: Any, *, most: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture as the bytes that a page carries, or an error that names the argument.

    Args:
        name: of the argument.
        given: ``[3, H, W]``, floating point, red, green and blue from 0 to 1.
        most: how many pixels it may have.

    Raises:
        TypeError: it is not floating point.
        ValueError: another shape, too few or too many pixels, or a value outside 0 to 1.
    """
    if hasattr(given, "detach"):  # a tensor, which may sit on a GPU or want gradients
        given = given.detach().cpu()
        given = given.double() if given.is_floating_point() else given
    values = np.asarray(given)
    if not np.issubdtype(values.dtype, np.floating):
        raise TypeError(
            f"{name} must be floating point with values from 0 to 1, got dtype {values.dtype}"
        )
    if values.ndim != 3 or values.shape[0] != 3:
        raise ValueError(f"{name} must have shape [3, H, W], got {list(values.shape)}")
    count = values.shape[1] * values.shape[2]
    if not 2 <= count <= most:
        raise ValueError(
            f"{name} must have from 2 to {most} pixels, got "
            f"{values.shape[1]} × {values.shape[2]} = {count}; make it smaller first"
        )
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"{name} must have values from 0 to 1, got {values.min():.4g} to {values.max():.4g}"
        )
    return (values * 255).round().astype(np.uint8)


class Explorer(anywidget.AnyWidget):
    """An interactive figure that runs from one module, with a kernel and without.

    In a notebook it is a widget: what the reader moves is at once in the traits, and a trait
    that Python sets moves the figure. As ``text/html`` it is an element
    ``<div class="attn-mount" data-explorer="name" data-state="{…}">``, which the book's script
    turns into the same figure; where no script runs, its sentence says what would be there, and a
    ``still`` picture may follow.

    A subclass sets ``explorer`` to its module's name, ``_esm`` to that module's source, and
    declares its state as synchronised traits with JSON values.
    """

    explorer: ClassVar[str]

    def state(self) -> dict[str, Any]:
        """What the module reads from its model: every synchronised trait of the subclass."""
        inherited = anywidget.AnyWidget.class_trait_names()
        names = [name for name in self.trait_names(sync=True) if not name.startswith("_")]
        return {name: getattr(self, name) for name in sorted(names) if name not in inherited}

    def description(self) -> str:
        """One sentence for readers who see no figure."""
        raise NotImplementedError

    def still(self) -> str:
        """HTML that shows, where no script runs, what the figure shows; empty for none.

        For an explorer whose page has no other picture of what it is about.
        """
        return ""

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        assert bundle is not None  # anywidget gives None only to widgets without a view
        data, metadata = bundle
        state = html.escape(json.dumps(self.state(), allow_nan=False, separators=(",", ":")))
        data["text/plain"] = self.description()
        still = self.still()
        unscripted = f"<noscript>{still}</noscript>" if still else ""
        data["text/html"] = (
            f'<div class="attn-mount" data-explorer="{self.explorer}" data-state="{state}">'
            f"{html.escape(self.description())}{unscripted}</div>"
        )
        return data, metadata
