"""Builds a small book of a test's own."""

import subprocess
import sys


def build_html(folder, *options):
    """Run Sphinx on the folder, with its conf.py, into `out` below it; what it said."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", *options, folder, folder / "out"],
        capture_output=True,
        text=True,
    )
