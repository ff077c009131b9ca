"""The palette for what is shown in a dark notebook: a page of the book has a style sheet for it."""

from __future__ import annotations

from attncourse.palette import DARK, custom_properties


def dark_in_a_notebook(selector: str) -> str:
    """CSS that gives the elements the dark palette where JupyterLab, or else the system, is dark.

    Their colours are ``css_variable(name)``, which has the light palette to fall back on.

    Args:
        selector: of the outermost element of an output.
    """
    dark = custom_properties(DARK)
    return (
        f'[data-jp-theme-light="false"] {selector} {{ {dark} }}\n'
        "@media screen and (prefers-color-scheme: dark) { "
        f"html:not([data-theme]) body:not([data-jp-theme-light]) {selector} {{ {dark} }} }}\n"
    )
