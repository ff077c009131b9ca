"""Fonts and MathJax are fetched once for a lock file, and a failure says what to do."""

import os
import re
import shutil
import stat
import subprocess

import pytest
from conftest import ROOT

from attncourse.site import assets


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A stand-in for npm that records its calls; returns a function that sets its exit status."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"

    def exits(status):
        program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\nexit {status}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    exits(0)
    return exits


def calls(tmp_path):
    record = tmp_path / "calls"
    return record.read_text().splitlines() if record.exists() else []


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_npm_runs_once_for_a_lock_file_and_again_for_another(npm, tmp_path, monkeypatch):
    root = tmp_path / "course"
    assets.vendor(root)
    assets.vendor(root)
    assert len(calls(tmp_path)) == 1
    assert calls(tmp_path)[0].startswith("ci ")

    here = tmp_path / "site"
    here.mkdir()
    for name in assets.MANIFESTS:
        shutil.copy(assets.HERE / name, here)
    (here / "package-lock.json").write_text('{"lockfileVersion": 3}')
    monkeypatch.setattr(assets, "HERE", here)
    assert not assets.are_current(root)
    assets.vendor(root)
    assert len(calls(tmp_path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_a_failed_fetch_is_reported_and_tried_again(npm, tmp_path):
    npm(7)
    for _ in range(2):
        with pytest.raises(assets.AssetsError, match=r"exit status 7.*needs the network"):
            assets.vendor(tmp_path)
    assert len(calls(tmp_path)) == 2
    npm(0)
    assets.vendor(tmp_path)
    assert assets.are_current(tmp_path)


def test_a_machine_without_npm_uses_the_one_that_pip_installed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    version = subprocess.run([*assets.npm_command(), "--version"], capture_output=True, text=True)
    assert re.match(r"\d+\.\d+\.\d+", version.stdout)


def test_the_lock_file_names_no_registry_and_pins_what_the_pages_load():
    lock = (assets.HERE / "package-lock.json").read_text()
    assert "resolved" not in lock
    for source in assets.VENDORED:
        package = "/".join(source.split("/")[: 2 if source.startswith("@") else 1])
        assert f'"node_modules/{package}"' in lock


def test_every_stylesheet_that_pages_load_is_vendored(site):
    for stylesheet in assets.STYLESHEETS:
        assert (ROOT / "_build" / "html" / "_static" / stylesheet).is_file()
