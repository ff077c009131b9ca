"""The built site where a host or a browser lets it store nothing: it works, and forgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Frame, Page

Framed = Callable[[str, str], Frame]
# As a learning platform shows files of others, and as it shows its own.
LOCKED, TRUSTED = "allow-scripts", "allow-scripts allow-same-origin"


@pytest.fixture
def framed(chromium: Browser, site_address: str) -> Iterator[Framed]:
    """``framed(where, rights)``: a page of the site in a sandboxed frame with these rights.

    The test fails at its end if a script in the frame failed. (What a sandbox keeps from a page of
    another origin are its fonts, which the browser says in the console.)
    """
    errors = []
    with chromium.new_context(viewport={"width": 1200, "height": 900}) as context:
        context.on("weberror", lambda error: errors.append(error.error.stack or str(error.error)))
        page = context.new_page()

        def framed_(where: str, rights: str) -> Frame:
            page.goto(f"{site_address}_static/documentation_options.js")  # any page of the host's
            page.set_content(
                f'<iframe sandbox="{rights}" width="1150" height="850" src="/{where}"></iframe>',
                wait_until="load",
            )
            frame = page.frames[1]
            frame.wait_for_load_state("load")
            return frame

        yield framed_
    assert errors == []


def theme(frame: Frame | Page) -> str:
    return frame.evaluate("document.documentElement.dataset.theme")


@pytest.mark.browser
@pytest.mark.parametrize(("rights", "kept"), [(LOCKED, False), (TRUSTED, True)])
def test_the_theme_switches_and_only_the_choice_may_be_forgotten(
    rights: str, kept: bool, framed: Framed
) -> None:
    frame = framed("book/similarity.html", rights)
    button = frame.locator(".theme-switch-button").locator("visible=true").first
    seen = []
    for _ in range(3):
        button.click()
        seen.append(frame.evaluate("document.documentElement.dataset.mode"))
    assert sorted(seen) == ["auto", "dark", "light"]
    while theme(frame) != "dark":
        button.click()
    assert (theme(framed("book/attention.html", rights)) == "dark") is kept


@pytest.mark.browser
@pytest.mark.parametrize("rights", [LOCKED, TRUSTED])
def test_the_search_finds_what_is_typed(rights: str, framed: Framed) -> None:
    frame = framed("book/similarity.html", rights)
    frame.locator(".search-button-field").locator("visible=true").first.click()
    field = frame.locator('#pst-search-dialog input[type="search"]')
    field.fill("softmax & cosine")
    field.press("Enter")
    frame.wait_for_url("**/search.html?*")
    frame.locator("#search-results li").first.wait_for()
    field = frame.locator(".attn-search input")
    assert field.input_value() == "softmax & cosine"
    field.fill("pixel")
    field.press("Enter")
    frame.wait_for_url("**/search.html?q=pixel")
    frame.locator("#search-results li").first.wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(("rights", "kept"), [(LOCKED, False), (TRUSTED, True)])
def test_a_prediction_can_be_made_and_says_if_it_is_forgotten(
    rights: str, kept: bool, framed: Framed
) -> None:
    frame = framed("book/similarity.html", rights)
    asked = frame.locator(".attn-predict").first
    asked.locator("label").first.click()
    asked.get_by_role("button", name="Commit").click()
    said = asked.get_by_role("status").inner_text()
    assert said.startswith("Committed.")
    assert ("forgotten when you leave" in said) is not kept
    # Nothing of it is offered to be forgotten that was never kept.
    assert frame.get_by_role("button", name="Forget my predictions").is_visible() is kept
    frame = framed("book/similarity.html", rights)
    asked = frame.locator(".attn-predict").first
    assert asked.get_by_role("button", name="Commit").is_visible() is not kept


@pytest.mark.browser
@pytest.mark.parametrize(
    "refusal",
    [
        "get() { throw new DOMException('denied', 'SecurityError') }",  # cookies are blocked
        "get() { return null }",  # an Android app has not turned storage on
    ],
)
def test_memory_stands_in_for_a_storage_that_is_refused(
    refusal: str, chromium: Browser, site_address: str
) -> None:
    errors: list[str] = []
    with chromium.new_context() as context:
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.add_init_script(
            "for (const storage of ['localStorage', 'sessionStorage'])"
            f"Object.defineProperty(window, storage, {{ {refusal}, configurable: true }})"
        )
        page = context.new_page()
        page.goto(f"{site_address}book/similarity.html")
        before = page.evaluate("Object.keys(localStorage)")
        assert page.evaluate(
            """() => {
                localStorage.clear();
                localStorage.setItem("a", 1);
                localStorage.setItem("b", "two");
                const full = [localStorage.length, localStorage.key(0), localStorage.key(2),
                    localStorage.getItem("a"), localStorage.getItem("getItem"), localStorage.b];
                localStorage.removeItem("a");
                return [...full, localStorage.getItem("a"), Object.keys(localStorage)];
            }"""
        ) == [2, "a", None, "1", None, "two", None, ["b"]]
        assert sorted(before) == ["mode", "theme"]  # what the theme has put there
    assert errors == []
