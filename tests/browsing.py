"""A browser tab that visits pages one after the other, and what goes wrong in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, Response, WebError

Scheme = Literal["light", "dark"]
OpenPage = Callable[..., Page]
in_both_schemes = pytest.mark.parametrize("scheme", get_args(Scheme))

# Nothing but this machine has an address. To refuse requests by Playwright's `route` would turn the
# browser's cache off and ask Python about every file of every page.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class Visit:
    """A page that is open, and what has gone wrong in it: requests to anywhere but its own origin,
    failed ones, errors and warnings in the console, uncaught exceptions."""

    def __init__(self, page: Page, origin: str, address: str) -> None:
        self.page, self.faults = page, list[str]()
        self._own = (origin, "data:", "blob:")
        self._where = address.removeprefix(origin)
        self._listeners = {
            "request": self._on_request,
            "requestfailed": self._on_failure,
            "response": self._on_response,
            "console": self._on_message,
            "weberror": self._on_exception,
        }
        for event, listener in self._listeners.items():
            page.context.on(event, listener)

    def _fault(self, what: str) -> None:
        self.faults.append(f"{self._where}: {what}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(self._own):
            self._fault(f"asked {request.url}, which is not the page's own origin")

    def _on_failure(self, request: Request) -> None:
        self._fault(f"{request.url} failed: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self._fault(f"{response.status} for {response.url}")

    def _on_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._fault(f"console {message.type}: {message.text}")

    def _on_exception(self, error: WebError) -> None:
        self._fault(f"uncaught {error.error}")

    def hear_all(self) -> None:
        """Wait for the news of all that has happened in the page until now."""
        self.page.evaluate("1")

    def end(self) -> None:
        """Leave the page. What is cut off by that is not its fault."""
        self.hear_all()
        for event, listener in self._listeners.items():
            self.page.context.remove_listener(event, listener)


class Tab:
    """One page of the browser, in a context of its own, that makes visits.

    A visit starts as in a new tab, but for the cache: a new tab costs more than most tests.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._page = browser.new_context().new_page()
        self._visit: Visit | None = None
        self._setting: tuple[str, str, int, int] | None = None

    def visit(self, origin: str, address: str, scheme: Scheme, width: int, height: int) -> Visit:
        """Leave the page that is open, and open another."""
        self.leave()
        self._page.set_viewport_size({"width": width, "height": height})
        self._page.emulate_media(color_scheme=scheme, media="null")
        self._visit = Visit(self._page, origin, address)
        self._setting = address, scheme, width, height
        self._page.goto(address, wait_until="load")
        return self._visit

    def look_at(self, origin: str, address: str, scheme: Scheme, width: int, height: int) -> Visit:
        """The visit that is on if it is one of this page in this way, else a new one."""
        if self._visit and self._setting == (address, scheme, width, height):
            return self._visit
        return self.visit(origin, address, scheme, width, height)

    def leave(self) -> None:
        """End the visit that is on, if any, and forget what the page kept."""
        if self._visit is None:
            return
        visit, self._visit = self._visit, None
        try:
            self._page.evaluate("localStorage.clear(), sessionStorage.clear()")
            visit.end()
            self._page.context.clear_cookies()
            self._page.mouse.up()
            self._page.mouse.move(0, 0)
            self._page.goto("about:blank")
        except Error as error:  # a page that did not open, or crashed
            visit.faults.append(str(error))
            self.close()
            self._page = self._browser.new_context().new_page()

    def close(self) -> None:
        self._page.context.close()


def assert_no_faults(visits: list[Visit]) -> None:
    faults = [fault for visit in visits for fault in visit.faults]
    assert not faults, "\n".join(faults)
