"""Of what lies where Python lies, students' code sees nothing that is not Python's."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from instructor.referee.test_confinement import said, tried
from jupyter_core import paths

from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.launching import NurseryProcess
from attncourse.instructor.referee.sandbox import Exposed
from attncourse.instructor.referee.workers import Worker

LIBRARIES = Path(sysconfig.get_path("purelib"))


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A prefix of Python's in which other programs keep what is theirs, as in /usr/local."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(sys, "prefix", folder)
        yield Path(folder)


@pytest.mark.parametrize(
    "place",
    [
        *("share/nbgrader/exchange/attention/inbound/ada+ps1", "share/jupyter/x", "share/x"),
        *("etc/jupyter/jupyter_config.py", "etc/x", "libexec/x", "var/x", "x"),
    ],
)
def test_what_other_programs_keep_beside_python_is_not_shown(
    prefix: Path, sandbox: None, place: str
) -> None:
    marker, library = prefix / place, prefix / "lib/library"
    for path, text in ((marker, "somebody else's work"), (library, "a library")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    done = subprocess.run(
        sandboxing.command(["cat", str(library), str(marker)]), capture_output=True, text=True
    )
    assert done.stdout == "a library"
    assert "No such file" in done.stderr


def test_what_programs_share_is_not_shown_but_what_libraries_read(worker: Worker) -> None:
    for folder in ("/usr/share", "/usr/local/share"):
        listed = tried(worker, f"sorted(os.listdir({folder!r}))").removeprefix("done ")
        if not listed.startswith("FileNotFoundError"):
            assert set(eval(listed)) <= {"fonts", "fontconfig", "zoneinfo", "terminfo"}
    for folder in ("/usr/local/etc", "/usr/libexec", "/usr/include", "/srv", "/opt"):
        assert tried(worker, f"os.stat({folder!r})").startswith("FileNotFoundError")


def test_what_libraries_need_is_there(worker: Worker) -> None:
    source = """
        import ctypes.util, sqlite3, ssl, zoneinfo
        import matplotlib.font_manager, numpy, torch, pandas
        print(zoneinfo.ZoneInfo("Europe/London"), len(matplotlib.font_manager.findSystemFonts()) > 0)
    """
    fonts = Path("/usr/share/fonts").is_dir() or Path("/usr/local/share/fonts").is_dir()
    assert said(worker, source).splitlines()[-1] == f"Europe/London {fonts}"


def exposing(*places: str) -> list[tuple[str, str]]:
    return [("the exchange", place) for place in places]


@pytest.mark.parametrize(
    "place", [LIBRARIES, LIBRARIES / "not/there/yet", "/usr/lib/exchange", "/lib/exchange"]
)
def test_a_private_place_below_what_is_shown_is_refused(place: Path | str) -> None:
    with pytest.raises(Exposed, match=rf"would see the exchange, {place}: .* Move it elsewhere"):
        sandboxing.require_hidden(exposing(str(place)))


def test_so_is_one_by_another_name(tmp_path: Path) -> None:
    link = tmp_path / "exchange"
    link.symlink_to(LIBRARIES)
    with pytest.raises(Exposed):
        sandboxing.require_hidden(exposing(str(link / "x")))


def test_so_is_one_that_is_mounted_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Who mounts `tmp_path` below a library makes it visible there; here we only say so.
    monkeypatch.setattr(sandboxing, "_mounted_below", lambda shown: [tmp_path])
    with pytest.raises(Exposed):
        sandboxing.require_hidden(exposing(str(tmp_path / "exchange/inbound")))
    sandboxing.require_hidden(exposing(str(tmp_path.parent)))


def test_what_lies_around_or_beside_what_is_shown_is_allowed() -> None:
    package = Path(sandboxing.__file__).parents[3]
    sandboxing.require_hidden(exposing(str(package), str(package / "submitted"), "/srv", "/"))


@pytest.mark.parametrize(
    ("variable", "what"),
    [("HOME", "home|Jupyter"), ("PGPASSFILE", "PGPASSFILE"), ("JUPYTER_CONFIG_DIR", "Jupyter")],
)
def test_nothing_starts_where_the_account_s_passwords_would_be_shown(
    monkeypatch: pytest.MonkeyPatch, sandbox: None, variable: str, what: str
) -> None:
    monkeypatch.setenv(variable, str(LIBRARIES / "config"))
    with pytest.raises(Exposed, match=what):
        NurseryProcess()


@pytest.mark.parametrize("place", ["/usr/local/share/nbgrader/exchange", "/srv/nbgrader/exchange"])
def test_nothing_starts_where_the_default_exchange_would_be_shown(
    monkeypatch: pytest.MonkeyPatch, sandbox: None, place: str
) -> None:

    readable = sandboxing._readable
    monkeypatch.setattr(sandboxing, "_readable", lambda: [*readable(), Path(place).parent])
    with pytest.raises(Exposed, match=f"nbgrader's exchange, {place}"):
        NurseryProcess()


def test_jupyter_s_own_folders_are_asked_for(sandbox: None) -> None:

    private = {place for _, place in sandboxing._private_to_the_user()}
    assert {*paths.jupyter_config_path(), "~"} <= private
