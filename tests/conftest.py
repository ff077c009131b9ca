"""The built site and a browser that looks at it: fixtures for every test that needs either."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("attncourse")

OpenPage = Callable[..., Page]


def find_browser() -> str | None:
    """The Chromium that ATTNCOURSE_BROWSER names, else one on PATH, else None."""
    named = os.environ.get("ATTNCOURSE_BROWSER")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"ATTNCOURSE_BROWSER is {named!r}, which is not a file")
    return (
        named
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Path:
    """The folder of the built book, made by the public command (seconds when nothing changed)."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first build takes minutes: show its progress
        built = subprocess.run([COMMAND, "book"], cwd=ROOT)
    assert built.returncode == 0, "attncourse book failed; its output stands above"
    return ROOT / "_build" / "html"


# Per module, not per session: while Playwright's event loop lives, no other test in the process
# can run one of its own (nbclient does).
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium with a fresh profile that asks nobody outside for anything."""
    path = find_browser()
    if path is None:
        reason = (
            "no Chromium found: install chromium (Debian: apt-get install chromium), "
            "or set ATTNCOURSE_BROWSER to the path of one"
        )
        if os.environ.get("ATTNCOURSE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    quiet = (
        "--disable-background-networking --disable-component-update --disable-sync "
        "--disable-gpu --no-first-run"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=quiet.split())
        yield browser
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a page that is left while it loads breaks the pipe


@pytest.fixture(scope="session")
def site_address(site: Path) -> Iterator[str]:
    """The built book, served on a free port of this machine's loopback."""
    handler = functools.partial(_Quiet, directory=str(site))
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@dataclass
class Visit:
    """A page that is open in a context of its own, and what went wrong in it."""

    context: BrowserContext
    page: Page
    faults: list[str]


def visit(
    chromium: Browser, origin: str, address: str, scheme: str, width: int, height: int = 900
) -> Visit:
    """Open a page. Requests to anywhere but its own origin are refused, and noted as faults."""
    faults: list[str] = []
    where = address.removeprefix(origin)
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    own = (origin, "data:", "blob:")

    def gate(route):
        url = route.request.url
        if url.startswith(own):
            route.continue_()
        else:
            faults.append(f"{where}: asked {url}, which is not the page's own origin")
            route.abort()

    context.route("**/*", gate)
    page = context.new_page()
    page.on(
        "requestfailed",
        lambda sent: faults.append(f"{where}: {sent.url} failed: {sent.failure}"),
    )
    page.on(
        "response",
        lambda got: got.status >= 400 and faults.append(f"{where}: {got.status} for {got.url}"),
    )
    page.on("pageerror", lambda error: faults.append(f"{where}: uncaught {error}"))
    page.on(
        "console",
        lambda message: (
            message.type in ("error", "warning")
            and faults.append(f"{where}: console {message.type}: {message.text}")
        ),
    )
    page.goto(address, wait_until="load")
    return Visit(context, page, faults)


@pytest.fixture
def open_page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[OpenPage]:
    """``open_page(where, scheme="light", width=1440) -> playwright Page``.

    ``where`` is a page of the built book ("similarity.html#proof"), or a Path to any HTML file,
    which is opened from ``file://`` (the book is then not built).
    ``scheme`` is "light" or "dark": what the reader's system prefers.

    The test fails at its end if there was any fault of a `visit`: a request to elsewhere, a failed
    one, an error in the console or an uncaught exception.
    """
    visits = []

    def open_(
        where: str | Path,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1440,
        height: int = 900,
    ) -> Page:
        if isinstance(where, Path):
            origin, address = "file://", where.resolve().as_uri()
        else:
            origin = request.getfixturevalue("site_address")
            address = origin + where
        visits.append(visit(chromium, origin, address, scheme, width, height))
        return visits[-1].page

    yield open_
    for each in visits:
        each.context.close()
    faults = [fault for each in visits for fault in each.faults]
    assert not faults, "\n".join(faults)
