"""Explorers in a page without a kernel: fixtures for the tests of each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import OpenPage, Scheme
from playwright.sync_api import Page

from attncourse.site import assets
from attncourse.site.explorers import site_script
from attncourse.visuals.explorers import Explorer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def scheme() -> Scheme:
    """What the reader's system prefers. A test of looks is run `in_both_schemes`."""
    return "light"


@pytest.fixture
def show(scheme: Scheme, tmp_path: Path, open_page: OpenPage) -> Callable[..., Page]:
    """``show(explorer, width=800)``: the page, opened from ``file://``, where it is mounted."""

    def show_(*explorers: Explorer, width: int = 800) -> Page:
        mounts = "".join(each._repr_mimebundle_()[0]["text/html"] for each in explorers)
        (tmp_path / "explorers.js").write_text(site_script(), "utf-8")
        page = tmp_path / "page.html"
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorers</title>'
            '<meta name="viewport" content="width=device-width">'
            "<style>:root { color-scheme: light dark } body { background: canvas }</style>"
            f'<body><main><h1 style="color: canvastext">Explorers</h1>{mounts}</main>'
            '<script src="explorers.js" defer></script></body></html>',
            "utf-8",
        )
        return open_page(page, scheme=scheme, width=width)

    return show_


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which the lock file of the site's assets names."""
    assets.vendor(ROOT)
    return (assets.folder(ROOT) / "node_modules/axe-core/axe.min.js").read_text("utf-8")
