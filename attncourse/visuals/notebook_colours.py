"""The palette where an output may stand: in a page of the book, a notebook, somebody's slides.

A page of the book has the colours as ``--attn-…``. Elsewhere they follow the host's theme, which
need not be the system's, by what the host itself says:

- JupyterLab and nbconvert: ``data-jp-theme-light`` on the body, whose ground is
  ``--jp-layout-color0`` (JupyterLab's extension guide, "CSS Patterns");
- VS Code: ``data-vscode-theme-kind`` on the body (its Webview API guide, "Theming webview
  content"), whereas the panel behind a widget is always white (microsoft/vscode-jupyter#7161);
- Colab: ``theme`` on the root of each output's frame (googlecolab/colabtools#1214);
- marimo: ``data-theme`` on the body, and ``color-scheme`` (its ThemeProvider and globals.css);
  the book and other sites of Sphinx: ``data-theme`` on the root;
- any other: ``color-scheme``, which is light in a page that says nothing, whatever the system is.
  It is inherited, so it also reaches the shadow roots into which marimo puts widgets.

Since any of them may paint something else behind an output, it brings its own ground.
"""

from __future__ import annotations

from attncourse.palette import DARK, LIGHT, css_variable, custom_properties

#: For ``css_variable``: the page's colour, else the host's, else the light one.
HOST = {name: f"var(--host-{name}, {colour})" for name, colour in LIGHT.items()}

_DARK_HOSTS = (
    '[data-jp-theme-light="false"]',
    '[data-vscode-theme-kind="vscode-dark"]',
    '[data-vscode-theme-kind="vscode-high-contrast"]',
    'html[theme="dark"]',
    '[data-theme="dark"]',
)
_LIGHT_HOSTS = (
    '[data-jp-theme-light="true"]',
    '[data-vscode-theme-kind="vscode-light"]',
    '[data-vscode-theme-kind="vscode-high-contrast-light"]',
    'html[theme="light"]',
    '[data-theme="light"]',
)


def colours_of_the_host(selector: str) -> str:
    """CSS that gives an output the colours of its host, and a ground on which they read.

    The output's colours are then ``css_variable(name, HOST)``.

    Args:
        selector: of the outermost element of an output.
    """
    either = {name: f"light-dark({LIGHT[name]}, {DARK[name]})" for name in LIGHT}
    ground = css_variable("paper", HOST)
    # A shadow takes no room, so an output is as wide as where no ground is seen. A browser without
    # light-dark() has the light colours; paper is white, whatever the screen is.
    return (
        f"{selector} {{ background: {ground}; box-shadow: 0 0 0 8px {ground}; }}\n"
        "@supports (color: light-dark(red, red)) {\n"
        f"{selector} {{ {custom_properties(either, prefix='--host-')} }}\n"
        "@media screen {\n"
        f":is({', '.join(_DARK_HOSTS)}) {selector} {{ color-scheme: dark; }}\n"
        f":is({', '.join(_LIGHT_HOSTS)}) {selector} {{ color-scheme: light; }}\n"
        f"[data-jp-theme-light] {selector} "
        f"{{ --host-paper: var(--jp-layout-color0, {either['paper']}); }}\n"
        "}\n"
        f"@media print {{ {selector} {{ color-scheme: light; }} }}\n"
        "}\n"
    )
