"""The built site and a browser that looks at it: fixtures for every test that needs either."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import FLAGS, OpenPage, Scheme, Tab, assert_no_faults
from playwright.sync_api import Browser, Page, sync_playwright

# As many tests run at once as there are cores, and what they start does: a second thread for each
# would only wait for its turn. Read by torch when it is first imported.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("attncourse")


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
    """A Chromium with a fresh profile that reaches nobody outside."""
    path = find_browser()
    if path is None:
        reason = (
            "no Chromium found: install chromium (Debian: apt-get install chromium), "
            "or set ATTNCOURSE_BROWSER to the path of one"
        )
        if os.environ.get("ATTNCOURSE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab(chromium: Browser) -> Iterator[Tab]:
    """The tab that all tests of a file use, one after the other."""
    tab = Tab(chromium)
    yield tab
    tab.close()


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


@pytest.fixture
def open_page(tab: Tab, request: pytest.FixtureRequest) -> Iterator[OpenPage]:
    """``open_page(where, scheme="light", width=1440) -> playwright Page``; it closes the last one.

    ``where`` is a page of the built book ("similarity.html#proof"), or a Path to any HTML file,
    which is opened from ``file://`` (the book is then not built), with ``query`` behind it.
    ``scheme`` is "light" or "dark": what the reader's system prefers.

    The test fails at its end for any fault of a `Visit`.
    """
    visits = []

    def open_(
        where: str | Path,
        scheme: Scheme = "light",
        width: int = 1440,
        height: int = 900,
        query: str = "",
    ) -> Page:
        if isinstance(where, Path):
            origin, address = "file://", where.resolve().as_uri() + query
        else:
            origin = request.getfixturevalue("site_address")
            address = origin + where
        visits.append(tab.visit(origin, address, scheme, width, height))
        return visits[-1].page

    yield open_
    tab.leave()
    assert_no_faults(visits)
