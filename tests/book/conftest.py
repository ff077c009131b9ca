"""Tests that only look at a page look at it while it is open once, in one scheme and width."""

import pytest
from conftest import visit


@pytest.fixture(scope="module")
def open_visits():
    """The last visit, by page, scheme and width; closed when another takes its place."""
    visits = {}
    yield visits
    for each in visits.values():
        each.context.close()


@pytest.fixture
def look_at(chromium, site_address, open_visits):
    """``look_at(where, scheme="light", width=1440)``: the page as `open_page` gives it.

    It may be the one that an earlier test has looked at: leave it as it was. A fault of the visit
    fails every test that looks at it.
    """
    looked_at = []

    def look(where, scheme="light", width=1440):
        place = where, scheme, width
        if place not in open_visits:
            for each in open_visits.values():
                each.context.close()
            open_visits.clear()
            address = site_address + where
            open_visits[place] = visit(chromium, site_address, address, scheme, width)
        looked_at.append(open_visits[place])
        return open_visits[place].page

    yield look
    for each in looked_at:
        each.page.evaluate("1")  # what has happened in the page is known when this is answered
    faults = [each.faults for each in looked_at]
    assert not any(faults), "\n".join(fault for each in faults for fault in each)


def pytest_collection_modifyitems(items):
    """One page after the other, and of each one scheme and width after the other."""

    def place(item):
        if "look_at" not in item.fixturenames:
            return (1,)
        given = item.callspec.params
        # What a test has no argument for is what `look_at` takes, or what the test says itself.
        scheme = given.get("scheme", "dark" if "dark_page" in item.name else "light")
        width = given.get("width", 390 if "narrow" in item.name else 1440)
        return 0, given["where"], scheme, width

    ours = [number for number, item in enumerate(items) if item.path.name == "test_pages.py"]
    for number, item in zip(ours, sorted((items[n] for n in ours), key=place), strict=True):
        items[number] = item
