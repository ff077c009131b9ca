"""The course's colours, which stand here and nowhere else; style sheets are given them.

Query, key and value keep one colour each, everywhere. Every text colour has a contrast of at least
4.5 : 1 against its page (WCAG 2.2, AA).
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT = {
    "query": "#1d5fc4",
    "key": "#b3470b",
    "value": "#14784a",
    "ink": "#1f2328",
    "muted": "#59636e",
    "line": "#d0d7de",
    "paper": "#ffffff",
}
DARK = {
    "query": "#7db2ff",
    "key": "#ffa366",
    "value": "#5fd39b",
    "ink": "#e6edf3",
    "muted": "#9aa4af",
    "line": "#3a424c",
    "paper": "#14181e",
}
#: for light and dark at once, where no style sheet reaches: the icon in a browser's tab
MIDTONE = {"query": "#3f7fe0", "key": "#cf6a2c", "value": "#2c9a66", "muted": "#8b949e"}
#: the edge of a verdict, which only repeats what its words say; reads on light and on dark
VERDICT = {"passed": "#2e9e6b", "in part": "#b8860b", "failed": "#d1573a"}
#: the bars of a histogram in an instructor's report; reads on light and on dark
REPORT_BAR = "#3d7ea6"


def css_variable(name: str, mode: Mapping[str, str] = LIGHT) -> str:
    """The colour ``name`` in a page: its custom property, with that of ``mode`` to fall back on."""
    return f"var(--attn-{name}, {mode[name]})"


def custom_properties(colours: Mapping[str, str], *, prefix: str = "--attn-") -> str:
    """CSS that declares each colour as a custom property: ``--attn-query: #1d5fc4; ...``.

    Args:
        colours: by name; any value that CSS takes for a colour.
        prefix: what stands before the name of each.
    """
    return " ".join(f"{prefix}{name}: {colour};" for name, colour in colours.items())
