"""Tests that only look at a page look at it while it is open once, in one scheme and width."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import OpenPage, Scheme, Tab, assert_no_faults
from playwright.sync_api import Page


@pytest.fixture
def look_at(tab: Tab, site_address: str) -> Iterator[OpenPage]:
    """``look_at(where, scheme="light", width=1440)``: a page of the built book as it opens.

    It may be the one that an earlier test has looked at: leave it as it was. A fault of the visit
    fails every test that looks at it.
    """
    visits = []

    def look(where: str, scheme: Scheme = "light", width: int = 1440) -> Page:
        visits.append(tab.look_at(site_address, site_address + where, scheme, width, 900))
        return visits[-1].page

    yield look
    for visit in visits:
        visit.hear_all()
    assert_no_faults(visits)


def pytest_collection_modifyitems(items):
    """One page after the other, and of each one scheme and width after the other."""

    def place(item):
        if "look_at" not in item.fixturenames:
            return (1,)
        given = item.callspec.params if hasattr(item, "callspec") else {}
        # What a test has no argument for is what `look_at` takes, or what the test says itself.
        scheme = given.get("scheme", "dark" if "dark_page" in item.name else "light")
        width = given.get("width", 390 if "narrow" in item.name else 1440)
        return 0, given.get("where", "book/index.html"), scheme, width

    ours = [number for number, item in enumerate(items) if item.path.name == "test_pages.py"]
    for number, item in zip(ours, sorted((items[n] for n in ours), key=place), strict=True):
        items[number] = item
