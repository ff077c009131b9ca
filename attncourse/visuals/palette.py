"""The course's colours. Query, key and value keep one colour each, everywhere.

Every text colour has a contrast of at least 4.5 : 1 against its page (WCAG 2.2, AA).
"""

from __future__ import annotations

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


def css_variable(name: str) -> str:
    """The colour ``name`` in a page: its custom property, with the light colour to fall back on."""
    return f"var(--attn-{name}, {LIGHT[name]})"
