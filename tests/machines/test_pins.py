"""Every pin has a wheel on every Python and system that the course promises: `make pins`.

The index is asked for metadata alone, nothing is installed. It needs the network, and so is no part
of `make test`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import environment

PROJECT = Path(environment.__file__).parent
PYTHONS = [f"3.{minor}" for minor in range(environment.OLDEST[1], environment.NEWEST[1] + 1)]
SYSTEMS = {
    "Linux, x86-64": "x86_64-manylinux_2_28",
    "Linux, aarch64": "aarch64-manylinux_2_28",
    "macOS 14, Apple silicon": "aarch64-apple-darwin",
    "Windows, x86-64": "x86_64-pc-windows-msvc",
}


def resolve(python: str, system: str, constraints: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "MACOSX_DEPLOYMENT_TARGET": "14.0",
        "UV_CACHE_DIR": str(PROJECT / ".build" / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",  # it would fetch each Python that it is asked about
    }
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", "--python-version", python, "--python-platform", SYSTEMS[system]]
    command += ["--only-binary", ":all:", "--constraint", str(constraints)]
    command += ["--extra", "test", str(PROJECT / "pyproject.toml")]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)


def pins(lines: str) -> dict[str, str]:
    named = (line.split(";")[0].split("==") for line in lines.splitlines() if "==" in line)
    return {name.strip().lower().replace("_", "-"): version.strip() for name, version in named}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)  # "3.11" is 3.11.0 to the resolver, the first of all
def test_every_pin_has_a_wheel_for(python, system):
    found = resolve(python, system, PROJECT / "constraints.txt")
    assert found.returncode == 0, found.stderr
    pinned = pins((PROJECT / "constraints.txt").read_text())
    loose = [name for name in pins(found.stdout) if name not in pinned]
    # What torch brings for CUDA is pinned by torch itself.
    assert all(name.startswith(("nvidia-", "cuda-")) or name == "triton" for name in loose), loose


def test_a_pin_that_the_oldest_python_cannot_take_is_found(tmp_path):
    """What would pass unseen if the resolver did not read what a wheel says of its Python."""
    pins = (PROJECT / "constraints.txt").read_text()
    wrong = tmp_path / "constraints.txt"
    wrong.write_text(re.sub("(?m)^soupsieve==.*$", "soupsieve==4.1.1", pins))  # needs 3.11.5
    found = resolve(PYTHONS[0], "Linux, x86-64", wrong)
    assert found.returncode != 0
    assert "soupsieve==4.1.1 depends on Python>=3.11.5" in found.stderr
