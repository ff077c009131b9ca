"""What goes wrong in a page fails the test that opened it."""

import pytest
from browsing import assert_no_faults

FAULTS = {
    "<script>console.error('lost')</script>": "console error: lost",
    "<script>console.warn('soon gone')</script>": "console warning: soon gone",
    "<script>throw new Error('broken')</script>": "uncaught broken",
    "<script>Promise.reject(new Error('unkept'))</script>": "uncaught unkept",
    "<img src='nowhere.png'>": "nowhere.png failed: net::ERR_FILE_NOT_FOUND",
    "<img src='http://elsewhere.test/x.png'>": "asked http://elsewhere.test/x.png",
    "<script>setTimeout(() => console.error('late'), 0)</script>": "console error: late",
}


@pytest.fixture
def visit(tab, tmp_path):
    def visit_(body, scheme="light", width=800):
        page = tmp_path / "page.html"
        page.write_text(f'<!doctype html><meta charset="utf-8"><title>x</title>{body}')
        return tab.visit("file://", page.as_uri(), scheme, width, 600)

    yield visit_
    tab.leave()


@pytest.mark.browser
@pytest.mark.parametrize(("body", "told"), FAULTS.items())
def test_a_fault_of_a_page_is_heard_and_no_visit_hears_those_of_the_one_before(visit, body, told):
    faulty = visit(body)
    faulty.hear_all()
    with pytest.raises(AssertionError, match=r"/page\.html: ") as error:
        assert_no_faults([faulty])
    assert told in str(error.value)
    whole = visit("<p>whole</p>")
    whole.hear_all()
    assert_no_faults([whole])


@pytest.mark.browser
def test_an_answer_that_says_not_found_is_a_fault(open_page, tab, site_address):
    missing = tab.visit(site_address, f"{site_address}no-such-page.html", "light", 800, 600)
    assert missing.faults[0] == "no-such-page.html: 404 for " + missing.page.url


@pytest.mark.browser
def test_a_visit_starts_as_in_a_new_tab(visit):
    page = visit("<p>first</p>", "dark", 390).page
    page.evaluate("localStorage.x = sessionStorage.x = 1; window.x = 1")
    page.emulate_media(media="print")
    page = visit("<p>second</p>").page
    assert page.evaluate("[localStorage.x, sessionStorage.x, window.x]") == [None, None, None]
    for query, true in {"print": False, "(prefers-color-scheme: dark)": False}.items():
        assert page.evaluate(f"matchMedia('{query}').matches") is true
    assert page.evaluate("innerWidth") == 800
